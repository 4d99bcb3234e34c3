#!/usr/bin/env bash
# Makes a base of the container images: Debian's C and C++ runtime, and on it
# nothing but a Java 25 linked from the modules that KVDrive uses; for GPUs,
# cuBLASLt as well. No shell, no package manager. Needs a JDK 25 and apt's
# package lists, but neither root nor a container engine nor a registry. Prints
# the archive's path.
#   base.sh [--force]                for this machine's processors
#   base.sh [--force] amd64|arm64    for others: C runtime and Java of Debian's packages
#   base.sh [--force] cuda           for NVIDIA's GPUs (amd64)
set -euo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=java.sh
. "$HERE/java.sh"
# java.desktop only for java.beans, which Spring cannot do without; jdk.jcmd to
# look into a running pod.
MODULES=(java.base java.compiler java.desktop java.instrument java.logging java.management java.naming
  java.net.http java.rmi java.scripting java.security.jgss java.security.sasl java.sql java.transaction.xa
  java.xml jdk.incubator.vector jdk.jcmd jdk.jfr jdk.management jdk.management.jfr jdk.naming.dns jdk.net jdk.nio.mapmode
  jdk.unsupported jdk.zipfs)
PACKAGES=(base-files libc6 libgcc-s1 libstdc++6)
# Debian's release with a Java 25, for processors that this machine has no JDK for.
FOREIGN_RELEASE=trixie
FOREIGN_JAVA=openjdk-25
# Of CUDA 13.0, whose drivers are the oldest that will do; its terms allow to pass libcublasLt on.
CUBLAS=nvidia-cublas==13.1.0.3
CUBLAS_SHA256=ee8722c1f0145ab246bccb9e452153b5e0515fd094c3678df50b2a0888b8b171
CUDA_LIBRARIES=/usr/local/cuda/lib64
USER_ID=65532
# One date everywhere, so that only contents tell layers apart.
EPOCH=@0

die() { printf 'error: %s\n' "$*" >&2; exit 1; }
layer_tar() { tar --sort=name --owner=0 --group=0 --numeric-owner --mtime="$EPOCH" --format=gnu "$@"; }

# --- Debian's packages ------------------------------------------------------

# A slim machine has no lists of packages until somebody asks for them.
need_lists() { apt-cache show libc6 >/dev/null 2>&1 || apt-get update -qq >&2; }

# Where this machine has packages of main from.
mirror() { # ARCHIVE
  # shellcheck disable=SC2016  # $(REPO_URI) is apt's
  apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Component: main' | sed -n "/\/$1\/*\$/p" | sort -u | sed -n 1p
}

# Lists of another architecture and release in a folder of their own, from where this machine has its packages.
foreign_apt() {
  local root=$WORK/apt site security suite
  need_lists
  site=$(mirror debian)
  security=$(mirror debian-security)
  [ -n "$site" ] ||
    die "no mirror of Debian among this machine's package sources, which images for $ARCH are made from"
  mkdir -p "$root"/{lists/partial,cache/archives/partial}
  : >"$root/status"
  # Security fixes are beside the mirror, where this machine's sources have them.
  for suite in "$site $FOREIGN_RELEASE" "$site $FOREIGN_RELEASE-updates" "${security:+$security $FOREIGN_RELEASE-security}"; do
    [ -z "$suite" ] || printf 'deb [arch=%s signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] %s main\n' \
      "$ARCH" "$suite" >>"$root/sources.list"
  done
  cat >"$root/apt.conf" <<CONF
Dir::Etc::sourcelist "$root/sources.list";
Dir::Etc::sourceparts "-";
Dir::State::lists "$root/lists";
Dir::State::status "$root/status";
Dir::Cache "$root/cache";
APT::Architecture "$ARCH";
APT::Architectures { "$ARCH"; };
Acquire::Languages "none";
CONF
  export APT_CONFIG=$root/apt.conf
  apt-get update -qq -o APT::Sandbox::User="$(id -un)" >&2
}

download() { # FOLDER PACKAGE...
  local folder=$1
  shift
  mkdir -p "$folder"
  (cd "$folder" && apt-get download -qq -o APT::Sandbox::User="$(id -un)" "$@") >&2
}

# Of the C++ runtime: named after the compiler's version.
licence_package() { apt-cache depends libgcc-s1 | sed -n 's/.*Depends: \(gcc-[0-9]*-base\)$/\1/p'; }

system_layer() { # FOLDER: what the packages hold, less what no Java program reads
  local archive
  download "$WORK/packages" "${PACKAGES[@]}" "$(licence_package)"
  for archive in "$WORK/packages"/*.deb; do
    dpkg-deb --extract "$archive" "$1"
    dpkg-deb --show --showformat '${Package} ${Version} ${Architecture}\n' "$archive" >>"$WORK/debs"
  done
  (
    cd "$1"
    rm -rf usr/lib/*/{gconv,audit} usr/share/{gdb,lintian,locale,base-files,gcc,dict,info,man,misc} \
      usr/share/doc/*/{changelog,NEWS,README,FAQ,TODO}* usr/{games,include,src} \
      boot home root srv media mnt opt var etc/{default,dpkg,profile.d,skel,update-motd.d,issue*}
  )
  # Where the packages have no /lib of their own any more, the loader is looked for there all the same.
  local link
  for link in lib lib64; do
    [ -e "$1/$link" ] || [ ! -e "$1/usr/$link" ] || ln -s "usr/$link" "$1/$link"
  done
  mkdir -p "$1"/{tmp,proc,sys,dev,etc,home/kvdrive,var/tmp}
  chmod 1777 "$1/tmp" "$1/var/tmp"
  printf 'root:x:0:0:root:/:/sbin/nologin\nkvdrive:x:%s:%s::/home/kvdrive:/sbin/nologin\n' $USER_ID $USER_ID >"$1/etc/passwd"
  printf 'root:x:0:\nkvdrive:x:%s:\n' $USER_ID >"$1/etc/group"
  printf 'hosts: files dns\n' >"$1/etc/nsswitch.conf"
}

# --- Java -------------------------------------------------------------------

java_layer() { # FOLDER
  local jmods=() strip=--strip-debug
  mkdir -p "$1/opt"
  if [ "$ARCH" != "$HOST" ]; then
    download "$WORK/foreign" "$FOREIGN_JAVA-jdk-headless"
    dpkg-deb --extract "$WORK/foreign/$FOREIGN_JAVA"-jdk-headless_*.deb "$WORK/foreign/jdk"
    # The class that this plugin makes of all modules' descriptions has them in another order each time.
    jmods=(--module-path "$WORK/foreign/jdk/usr/lib/jvm/java-25-openjdk-$ARCH/jmods" --disable-plugin system-modules)
    # objcopy knows this machine's programs only, and Debian's come stripped.
    strip=--strip-java-debug-attributes
  fi
  link_java "$1/opt/java" "$(IFS=,; echo "${MODULES[*]}")" "$strip" "${jmods[@]}"
  [ "$ARCH" != "$HOST" ] || share_classes "$1/opt/java"
}

# The packages of the libraries that a Java links from the system: none for one that brings its
# own, zlib for Debian's.
java_packages() { # FOLDER
  local library package path
  if [ "$ARCH" != "$HOST" ]; then
    echo zlib1g
    return
  fi
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

# --- CUDA -------------------------------------------------------------------

# The one library that the CUDA device opens besides the driver's, which the node has: its code needs
# neither the runtime of CUDA nor cuBLAS itself, and the kernels are compiled.
cuda_layer() { # FOLDER
  local cache=${XDG_CACHE_HOME:-$HOME/.cache}/kvdrive/$CUBLAS wheel
  if [ ! -e "$cache/libcublasLt.so.13" ]; then
    rm -rf "$cache"
    mkdir -p "$cache"
    python3 -m venv "$WORK/venv" || die "python3 has no venv: install python3-venv"
    printf '%s --hash=sha256:%s\n' "$CUBLAS" "$CUBLAS_SHA256" >"$WORK/requirements"
    "$WORK/venv/bin/pip" download --quiet --disable-pip-version-check --no-deps --no-cache-dir --require-hashes \
      --only-binary=:all: --platform manylinux_2_27_x86_64 --dest "$WORK/wheel" --requirement "$WORK/requirements" >&2
    wheel=$(echo "$WORK/wheel"/*.whl)
    python3 -m zipfile -e "$wheel" "$WORK/wheel/content"
    mv "$WORK"/wheel/content/*.dist-info/licenses/License.txt "$cache/copyright"
    mv "$WORK"/wheel/content/nvidia/*/lib/libcublasLt.so.13 "$cache/"
  fi
  mkdir -p "$1$CUDA_LIBRARIES" "$1/usr/share/doc/${CUBLAS%%==*}"
  cp "$cache/libcublasLt.so.13" "$1$CUDA_LIBRARIES/"
  cp "$cache/copyright" "$1/usr/share/doc/${CUBLAS%%==*}/"
  chmod 0644 "$1$CUDA_LIBRARIES"/* "$1/usr/share/doc/${CUBLAS%%==*}/copyright"
}

# --- together ---------------------------------------------------------------

# What the base holds, as components of a CycloneDX list.
components() { # JAVA_FOLDER
  local java_version java_maker=Debian
  java_version=$(sed -n 's/^JAVA_VERSION="\(.*\)"/\1/p' "$1/release")
  [ "$ARCH" != "$HOST" ] || java_maker=$(sed -n 's/^IMPLEMENTOR="\(.*\)"/\1/p' "$JDK/release")
  sort -u "$WORK/debs" | while read -r name version architecture; do
    jq -n --arg name "$name" --arg version "$version" --arg architecture "$architecture" \
      '{type: "library", name: $name, version: $version, supplier: {name: "Debian"},
        purl: "pkg:deb/debian/\($name | @uri)@\($version | @uri)?arch=\($architecture)",
        licenses: [{license: {name: "see /usr/share/doc/\($name)/copyright"}}]}'
  done | jq -s --arg version "$java_version" --arg maker "$java_maker" \
    '. + [{type: "platform", name: "openjdk", version: $version, supplier: {name: $maker},
      licenses: [{expression: "GPL-2.0-only WITH Classpath-exception-2.0"}],
      purl: "pkg:generic/openjdk@\($version)"}]'
}

pack_layer() { # NAME FOLDER
  layer_tar -C "$2" -cf "$WORK/image/$1.tar" .
}

write_image() { # ENVIRONMENT_JSON LAYER...
  local environment=$1 ids=() layer
  shift
  for layer in "$@"; do ids+=("sha256:$(sha256sum "$WORK/image/$layer.tar" | cut -d' ' -f1)"); done
  jq -n --arg architecture "$ARCH" --arg user "$USER_ID:$USER_ID" --argjson environment "$environment" \
    --arg ids "${ids[*]}" --arg layers "$*" \
    '{architecture: $architecture, os: "linux", created: "1970-01-01T00:00:00Z",
      config: {User: $user, WorkingDir: "/home/kvdrive",
        Env: (["PATH=/opt/java/bin", "JAVA_HOME=/opt/java", "LANG=C.UTF-8"] + $environment)},
      rootfs: {type: "layers", diff_ids: ($ids | split(" "))},
      history: [$layers | split(" ")[] | {created_by: "images/base.sh: \(.)"}]}' >"$WORK/image/config.json"
  printf '[{"Config": "config.json", "RepoTags": ["localhost/kvdrive/base:latest"], "Layers": [%s]}]\n' \
    "$(printf '"%s.tar", ' "$@" | sed 's/, $//')" >"$WORK/image/manifest.json"
  mkdir -p "$HERE/target"
  (cd "$WORK/image" && layer_tar -cf "$OUT.new" ./*.json "${@/%/.tar}" --transform 's#^\./##') # Jib refuses ./
  mv "$OUT.new" "$OUT"
}

make_base() {
  local package
  if [ "$ARCH" = "$HOST" ]; then need_lists; else foreign_apt; fi
  mkdir -p "$WORK"/{system,java}
  java_layer "$WORK/java"
  for package in $(java_packages "$WORK/java"); do
    [[ " ${PACKAGES[*]} " == *" $package "* ]] || PACKAGES+=("$package")
  done
  system_layer "$WORK/system"
  pack_layer system "$WORK/system"
  pack_layer java "$WORK/java"
  write_image '[]' system java
  components "$WORK/java/opt/java" >"$OUT.components"
  printf 'made %s: %s MB of system, %s MB of Java\n' "$OUT" "$(du -sm "$WORK/system" | cut -f1)" "$(du -sm "$WORK/java" | cut -f1)" >&2
}

make_cuda() { # BASE
  mkdir -p "$WORK/cuda"
  cuda_layer "$WORK/cuda"
  pack_layer cuda "$WORK/cuda"
  tar -C "$WORK/image" -xf "$1" system.tar java.tar
  # What containers of GPUs say to NVIDIA's container runtime; a device plugin or claim says which
  # GPUs in place of all. Nodes without it mount the driver where the second folder is.
  write_image "$(jq -n --arg libraries "$CUDA_LIBRARIES" '["NVIDIA_VISIBLE_DEVICES=all", "NVIDIA_DRIVER_CAPABILITIES=compute,utility",
    "LD_LIBRARY_PATH=\($libraries):/usr/local/nvidia/lib64"]')" system java cuda
  jq --arg name "${CUBLAS%%==*}" --arg version "${CUBLAS##*==}" --arg hash "$CUBLAS_SHA256" \
    '. + [{type: "library", name: $name, version: $version, supplier: {name: "NVIDIA"},
      licenses: [{license: {name: "NVIDIA Software License Agreement", text: {content: "see /usr/share/doc/\($name)/copyright"}}}],
      purl: "pkg:pypi/\($name)@\($version)", hashes: [{alg: "SHA-256", content: $hash}]}]' "$1.components" >"$OUT.components"
  printf 'made %s: %s MB of CUDA\n' "$OUT" "$(du -sm "$WORK/cuda" | cut -f1)" >&2
}

main() {
  local force= kind='' inputs base
  [ "${1:-}" != --force ] || { force=--force; shift; }
  case ${1:-} in '' | amd64 | arm64 | cuda) kind=${1:-} ;; *) sed -n '7,9s/^# *//p' "${BASH_SOURCE[0]}" >&2; exit 2 ;; esac
  if ! command -v apt-get >/dev/null || ! command -v dpkg-deb >/dev/null; then
    die "this takes the C runtime from Debian's packages; elsewhere build the images with
-Dkvdrive.base.image=BASE, where BASE is any image with glibc, libstdc++ and Java 25 on its PATH"
  fi
  command -v jq >/dev/null || die "jq is not on the PATH: apt-get install jq"
  JDK=$("$HERE/../kvdrive" jdk)
  [ -x "$JDK/bin/jlink" ] || die "$JDK has no jlink: set JAVA_HOME to a JDK 25 that has it"
  HOST=$(dpkg --print-architecture)
  ARCH=$HOST
  case $kind in
    amd64 | arm64) ARCH=$kind ;;
    cuda) ARCH=amd64 ;;
  esac
  if [ "$kind" = cuda ]; then
    base=$("${BASH_SOURCE[0]}" $force amd64)
    OUT=$HERE/target/base-cuda.tar
  elif [ "$ARCH" = "$HOST" ]; then
    OUT=$HERE/target/base.tar
  else
    OUT=$HERE/target/base-$ARCH.tar
  fi
  inputs="$(sha256sum "${BASH_SOURCE[0]}" "$HERE/java.sh" "$JDK/release" ${base:+"$base"} | cut -d' ' -f1 | tr '\n' ' ')$ARCH"
  if [ -z "$force" ] && [ -s "$OUT" ] && [ "$(cat "$OUT.inputs" 2>/dev/null)" = "$inputs" ]; then
    echo "$OUT"
    return
  fi
  WORK=$(mktemp -d)
  trap 'rm -rf "$WORK"' EXIT
  mkdir -p "$WORK/image"
  if [ "$kind" = cuda ]; then make_cuda "$base"; else make_base; fi
  printf '%s' "$inputs" >"$OUT.inputs"
  echo "$OUT"
}
main "$@"
