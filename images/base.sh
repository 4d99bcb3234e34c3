#!/usr/bin/env bash
# Makes the base of the container images: Debian's C and C++ runtime, and below
# it nothing but a Java 25 linked from the modules that KVDrive uses. No shell,
# no package manager. Needs a JDK 25 and apt's package lists, but neither root
# nor a container engine nor a registry. Prints the archive's path.
#   base.sh [--force]
set -euo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
OUT=$HERE/target/base.tar
# java.desktop only for java.beans, which Spring cannot do without; jdk.jcmd to
# look into a running pod.
MODULES=(java.base java.compiler java.desktop java.instrument java.logging java.management java.naming
  java.net.http java.rmi java.scripting java.security.jgss java.security.sasl java.sql java.transaction.xa
  java.xml jdk.incubator.vector jdk.jcmd jdk.jfr jdk.management jdk.management.jfr jdk.naming.dns jdk.net jdk.nio.mapmode
  jdk.unsupported jdk.zipfs)
PACKAGES=(base-files libc6 libgcc-s1 libstdc++6)
USER_ID=65532
# One date everywhere, so that only contents tell layers apart.
EPOCH=@0

die() { printf 'error: %s\n' "$*" >&2; exit 1; }

system_layer() { # FOLDER: what the packages hold, less what no Java program reads
  local archive
  mkdir -p "$WORK/packages"
  # A slim machine has no lists of packages until somebody asks for them.
  apt-cache show libc6 >/dev/null 2>&1 || apt-get update -qq >&2
  (cd "$WORK/packages" && apt-get download -qq -o APT::Sandbox::User="$(id -un)" "${PACKAGES[@]}" "$(licence_package)") >&2
  for archive in "$WORK/packages"/*.deb; do
    dpkg-deb --extract "$archive" "$1"
  done
  (
    cd "$1"
    rm -rf usr/lib/*/{gconv,audit} usr/share/{gdb,lintian,locale,base-files,gcc,dict,info,man,misc} \
      usr/share/doc/*/{changelog,NEWS,README,FAQ,TODO}* usr/{games,include,src} \
      boot home root srv media mnt opt var etc/{default,dpkg,profile.d,skel,update-motd.d,issue*}
  )
  # With /lib a folder of its own, the loader is where the programs look for it.
  mkdir -p "$1"/{tmp,proc,sys,dev,etc,home/kvdrive,var/tmp}
  chmod 1777 "$1/tmp" "$1/var/tmp"
  printf 'root:x:0:0:root:/:/sbin/nologin\nkvdrive:x:%s:%s::/home/kvdrive:/sbin/nologin\n' $USER_ID $USER_ID >"$1/etc/passwd"
  printf 'root:x:0:\nkvdrive:x:%s:\n' $USER_ID >"$1/etc/group"
  printf 'hosts: files dns\n' >"$1/etc/nsswitch.conf"
}

# Of the C++ runtime: named after the compiler's version.
licence_package() { apt-cache depends libgcc-s1 | sed -n 's/.*Depends: \(gcc-[0-9]*-base\)$/\1/p'; }

java_layer() { # FOLDER
  mkdir -p "$1/opt"
  "$JDK/bin/jlink" --add-modules "$(IFS=,; echo "${MODULES[*]}")" --output "$1/opt/java" \
    --strip-debug --no-header-files --no-man-pages --compress zip-6
  # Debian's JDK comes with 700 MB of symbols, and with windows, fonts, pictures and sound
  # that want libraries which no server has.
  find "$1/opt/java" -name '*.debuginfo' -delete
  rm -f "$1"/opt/java/lib/lib{awt_xawt,fontmanager,freetype,harfbuzz,javajpeg,jawt,jsound,lcms,splashscreen}.so
  # Class data sharing, for a quicker start.
  "$1/opt/java/bin/java" -XX:+UseG1GC -Xshare:dump >/dev/null
}

# The packages of the libraries that a Java links from the system: none for one that brings its
# own, zlib for Debian's.
java_packages() { # FOLDER
  local library package
  find "$1/opt/java" \( -name '*.so' -o -path '*/bin/*' -o -name jspawnhelper \) -type f -exec ldd {} + 2>/dev/null |
    awk '$2 == "=>" { print $1, $3 == "not" ? "not found" : $3 }' | sort -u |
    while read -r library path; do
      [ -z "$(find "$1/opt/java" -name "$library" -print -quit)" ] || continue
      [ "$path" != 'not found' ] || die "$JDK needs $library, which this machine lacks: install it, or set JAVA_HOME to another JDK 25"
      # A package may name the file by way of /lib or of /usr/lib.
      package=$( (dpkg-query --search "$path" || dpkg-query --search "$(realpath "$path")" ||
        dpkg-query --search "${path#/usr}" || dpkg-query --search "/usr$path") 2>/dev/null | sed -n 1p | cut -d: -f1)
      [ -n "$package" ] || die "$JDK needs $path, which belongs to no package: set JAVA_HOME to another JDK 25"
      echo "$package"
    done | sort -u
}

pack_layer() { # NAME FOLDER
  tar --sort=name --owner=0 --group=0 --numeric-owner --mtime="$EPOCH" --format=gnu -C "$2" -cf "$WORK/image/$1.tar" .
  sha256sum "$WORK/image/$1.tar" | cut -d' ' -f1
}

main() {
  case ${1:-} in '' | --force) ;; *) die "usage: base.sh [--force]" ;; esac
  if ! command -v apt-get >/dev/null || ! command -v dpkg-deb >/dev/null; then
    die "this takes the C runtime from Debian's packages; elsewhere build the images with
-Dkvdrive.base.image=BASE, where BASE is any image with glibc, libstdc++ and Java 25 on its PATH"
  fi
  JDK=$("$HERE/../kvdrive" jdk)
  [ -x "$JDK/bin/jlink" ] || die "$JDK has no jlink: set JAVA_HOME to a JDK 25 that has it"
  local inputs system java architecture linked package
  architecture=$(dpkg --print-architecture)
  inputs="$(sha256sum "${BASH_SOURCE[0]}" "$JDK/release" | cut -d' ' -f1 | tr '\n' ' ')$architecture"
  if [ "${1:-}" != --force ] && [ -s "$OUT" ] && [ "$(cat "$OUT.inputs" 2>/dev/null)" = "$inputs" ]; then
    echo "$OUT"
    return
  fi
  mkdir -p "$HERE/target"
  WORK=$(mktemp -d)
  trap 'rm -rf "$WORK"' EXIT
  mkdir -p "$WORK"/{system,java,image}
  java_layer "$WORK/java"
  linked=$(java_packages "$WORK/java")
  for package in $linked; do
    [[ " ${PACKAGES[*]} " == *" $package "* ]] || PACKAGES+=("$package")
  done
  system_layer "$WORK/system"
  system=$(pack_layer system "$WORK/system")
  java=$(pack_layer java "$WORK/java")
  cat >"$WORK/image/config.json" <<JSON
{"architecture": "$architecture", "os": "linux", "created": "1970-01-01T00:00:00Z",
 "config": {"User": "$USER_ID:$USER_ID", "WorkingDir": "/home/kvdrive",
  "Env": ["PATH=/opt/java/bin", "JAVA_HOME=/opt/java", "LANG=C.UTF-8"]},
 "rootfs": {"type": "layers", "diff_ids": ["sha256:$system", "sha256:$java"]},
 "history": [{"created_by": "images/base.sh: ${PACKAGES[*]}"}, {"created_by": "images/base.sh: jlink"}]}
JSON
  printf '[{"Config": "config.json", "RepoTags": ["localhost/kvdrive/base:latest"], "Layers": ["system.tar", "java.tar"]}]\n' \
    >"$WORK/image/manifest.json"
  tar --sort=name --owner=0 --group=0 --numeric-owner --mtime="$EPOCH" -C "$WORK/image" -cf "$OUT.new" \
    config.json java.tar manifest.json system.tar # Jib refuses ./
  mv "$OUT.new" "$OUT"
  printf '%s' "$inputs" >"$OUT.inputs"
  printf 'made %s: %s MB of system, %s MB of Java\n' "$OUT" "$(du -sm "$WORK/system" | cut -f1)" "$(du -sm "$WORK/java" | cut -f1)" >&2
  echo "$OUT"
}
main "$@"
