#!/usr/bin/env bash
# Puts an image archive onto the nodes of the kind cluster, under NAME.
#   image.sh ARCHIVE.tar NAME
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

main() {
  [ $# = 2 ] || { sed -n '3s/^# *//p' "${BASH_SOURCE[0]}" >&2; exit 2; }
  cluster_exists || die "there is no cluster $CLUSTER: run up.sh first"
  local held
  held=$(tar -xOf "$1" manifest.json | jq -r '.[].RepoTags[]')
  [ "$held" = "$2" ] || die "$1 holds $held and not $2"
  kind load image-archive --quiet --name "$CLUSTER" "$1"
  echo "$2"
}
main "$@"
