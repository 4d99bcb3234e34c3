#!/usr/bin/env bash
# Removes the kind cluster with all that is in it. The node image stays.
#   down.sh            removes the cluster
#   down.sh --purge    removes the node image and the cached parts too
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# kind's network is shared by all its clusters.
remove_unused_network() { "$ENGINE" network rm kind >/dev/null 2>&1 || true; }

# Their contents belonged to this cluster's objects, which are gone.
remove_volumes() {
  local path
  for path in "$VOLUMES"/*/ "$VOLUMES"; do
    if mountpoint -q "$path"; then umount "$path"; fi
  done
  rm -rf --one-file-system "${VOLUMES:?}"
  # Only if nobody else has something in it.
  rmdir "$(dirname "$VOLUMES")" 2>/dev/null || true
}

main() {
  case ${1:-} in '' | --purge) ;; *) die "usage: down.sh [--purge]" ;; esac
  need_root
  [ -x "$KIND_BIN/kind" ] || return 0
  kind delete cluster --quiet --name "$CLUSTER"
  rm -f "$KUBECONFIG"
  remove_unused_network
  remove_volumes
  if [ "${1:-}" = --purge ]; then
    "$ENGINE" image rm "$NODE_IMAGE" >/dev/null 2>&1 || true
    rm -rf "${KIND_CACHE:?}"
  fi
  log "down"
}
main "$@"
