#!/usr/bin/env bash
# Pushes all images that build.sh all has made, for all processors, and prints where they are.
# Needs skopeo 1.9 or newer (apt-get install skopeo), which knows the logins of docker and podman.
#   push.sh REGISTRY[/FOLDER] TAG [SKOPEO_OPTION...]     for instance registry.example.com/kvdrive 0.1
#   push.sh --model LAYOUT REGISTRY/REPOSITORY TAG [SKOPEO_OPTION...]     what model.sh has made
set -euo pipefail

OCI=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)/target/oci
die() { printf 'error: %s\n' "$*" >&2; exit 1; }

usage() { sed -n '4,5s/^# *//p' "${BASH_SOURCE[0]}" >&2; exit 2; }

# As they are: signatures and digests stay what they were.
push() { # LAYOUT:NAME REPOSITORY:TAG [SKOPEO_OPTION...]
  local from=$1 to=$2
  shift 2
  skopeo copy --quiet --all --preserve-digests "$@" "oci:$from" "docker://$to"
  printf '%s\n' "$to"
}

model=
if [ "${1-}" = --model ]; then
  [ $# -ge 4 ] || usage
  model=$2
  shift 2
fi
[ $# -ge 2 ] || usage
command -v skopeo >/dev/null || die "skopeo is not on the PATH: apt-get install skopeo"
if [ -n "$model" ]; then
  [ -e "$model/index.json" ] || die "$model is no OCI layout: images/model.sh makes one"
  to=$1:$2
  shift 2
  push "$model:model" "$to" "$@"
  exit
fi
[ -e "$OCI/index.json" ] || die "there are no images: run images/build.sh all"
to=$1 tag=$2
shift 2
for name in operator runtime runtime-cuda; do
  push "$OCI:$name" "$to/$name:$tag" "$@"
done
