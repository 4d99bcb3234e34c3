#!/usr/bin/env bash
# Pushes all images that build.sh all has made, for all processors, and prints where they are.
# Needs skopeo 1.9 or newer (apt-get install skopeo), which knows the logins of docker and podman.
#   push.sh REGISTRY[/FOLDER] TAG [SKOPEO_OPTION...]     for instance registry.example.com/kvdrive 0.1
set -euo pipefail

OCI=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)/target/oci
die() { printf 'error: %s\n' "$*" >&2; exit 1; }

[ $# -ge 2 ] || { sed -n '4s/^# *//p' "${BASH_SOURCE[0]}" >&2; exit 2; }
command -v skopeo >/dev/null || die "skopeo is not on the PATH: apt-get install skopeo"
[ -e "$OCI/index.json" ] || die "there are no images: run images/build.sh all"
to=$1 tag=$2
shift 2
for name in operator runtime runtime-cuda; do
  # As they are: signatures and digests stay what they were.
  skopeo copy --quiet --all --preserve-digests "$@" "oci:$OCI:$name" "docker://$to/$name:$tag"
  printf '%s/%s:%s\n' "$to" "$name" "$tag"
done
