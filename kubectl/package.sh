#!/usr/bin/env bash
# Packs the plugin of kubectl: an archive with a Java 25 of its own for Linux on amd64, one for any
# machine with a Java 25, and the manifest by which krew installs them. Prints their paths.
#   package.sh [--at URL]    where the archives will be downloaded from (a folder's address)
# The same sources and JDK make the same bytes.
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
HERE=$ROOT/kubectl
# shellcheck source=../images/java.sh
. "$ROOT/images/java.sh"

# What plan, status and logs use of a JDK; the jars could use more, of desktops and databases.
MODULES=(java.base java.logging java.naming java.net.http java.xml jdk.unsupported jdk.zipfs)
AT=https://downloads.example.com/kvdrive
OUT=$HERE/target/packages
BUILT=

die() { printf 'error: %s\n' "$*" >&2; exit 1; }
usage() { sed -n '4s/^# *//p' "${BASH_SOURCE[0]}" >&2; exit 2; }

while [ $# -gt 0 ]; do
  case $1 in
    --at) [ $# -gt 1 ] || usage; AT=${2%/}; shift 2 ;;
    --built) [ $# -gt 1 ] || usage; BUILT=yes; OUT=$2; shift 2 ;; # the test's: packs what Maven has made
    *) usage ;;
  esac
done

version() { sed -n 's/^  <version>\(.*\)<\/version>/\1/p' "$ROOT/pom.xml" | sed -n 1p; }
# One date everywhere, so that only contents tell archives apart; gzip's header has none.
EPOCH=$(sed -n 's/.*<project.build.outputTimestamp>\(.*\)<.*/\1/p' "$ROOT/pom.xml")
pack() { # FOLDER ARCHIVE
  tar -C "$1" --sort=name --owner=0 --group=0 --numeric-owner --mode='u+w,go=u-w' --mtime="$EPOCH" --format=gnu \
    --dereference --hard-dereference -cf - . | gzip -n -9 >"$2"
}

# Whose each jar is and under which terms; one that the list does not know stops the packing.
notices() { # LIB
  local jar name pattern licence terms
  echo "What this archive holds and under which terms. Texts: LICENSE for KVDrive, META-INF in each jar, java/legal for Java."
  echo
  for jar in "$1"/*.jar; do
    name=$(basename "$jar")
    terms=
    while read -r pattern licence; do
      # shellcheck disable=SC2254  # a pattern
      case $name in $pattern) terms=$licence; break ;; esac
    done < <(grep -v '^#' "$HERE/licences")
    [ -n "$terms" ] || die "kubectl/licences says nothing of $name: add it"
    printf '%s\t%s\n' "$name" "$terms"
  done
}

manifest() { # VERSION AMD64 PORTABLE
  cat <<YAML
apiVersion: krew.googlecontainertools.github.com/v1alpha2
kind: Plugin
metadata:
  name: kvdrive
spec:
  version: v$1
  shortDescription: Plan, look at and follow long-context endpoints
  description: |
    Plans, looks at and follows InferenceDeployments of KVDrive, which serves
    long-context language models with the KV cache over GPU memory, DRAM and
    NVMe. 'plan' says whether a deployment fits, as the operator would; 'status'
    how deployments stand, why, and what helps; 'logs' what all of its pods write.
  caveats: |
    It reads with your rights and changes nothing. Figures of the pods need 'get'
    on pods/proxy, logs 'get' on pods/log; what may not be read is named.
    On anything but Linux on amd64 it needs a Java 25 in JAVA_HOME or on the PATH.
  platforms:
  - selector:
      matchLabels: {os: linux, arch: amd64}
    uri: $AT/$(basename "$2")
    sha256: $(sha256sum "$2" | cut -d' ' -f1)
    bin: kubectl-kvdrive
  - selector:
      matchExpressions:
      - {key: os, operator: In, values: [darwin, linux]}
    uri: $AT/$(basename "$3")
    sha256: $(sha256sum "$3" | cut -d' ' -f1)
    bin: kubectl-kvdrive
YAML
}

main() {
  local version work plain amd64 portable
  JDK=$("$ROOT/kvdrive" jdk)
  [ -x "$JDK/bin/jlink" ] || die "$JDK has no jlink: set JAVA_HOME to a JDK 25 that has it"
  [ "$(uname -s)-$(uname -m)" = Linux-x86_64 ] || die "a Java for Linux on amd64 is linked on such a machine"
  version=$(version)
  if [ -z "$BUILT" ]; then
    (cd "$ROOT" && JAVA_HOME=$JDK mvn -q -B -pl kubectl -am package -DskipTests) >&2
  fi
  [ -d "$HERE/target/lib" ] || die "$HERE/target/lib is not there: run package.sh without --built"
  work=$(mktemp -d)
  # shellcheck disable=SC2064
  trap "rm -rf '$work'" EXIT
  plain=$work/plain
  mkdir -p "$plain" "$OUT"
  cp -r "$HERE/target/lib" "$plain/lib"
  cp "$HERE/kubectl-kvdrive" "$ROOT/LICENSE" "$plain/"
  notices "$plain/lib" >"$plain/NOTICES.txt"
  portable=$OUT/kubectl-kvdrive-$version.tar.gz
  amd64=$OUT/kubectl-kvdrive-$version-linux-amd64.tar.gz
  pack "$plain" "$portable"
  link_java "$plain/java" "$(IFS=,; echo "${MODULES[*]}")" --strip-debug >&2
  share_classes "$plain/java"
  pack "$plain" "$amd64"
  manifest "$version" "$amd64" "$portable" >"$OUT/plugin.yaml"
  printf '%s\n' "$amd64" "$portable" "$OUT/plugin.yaml"
}
main
