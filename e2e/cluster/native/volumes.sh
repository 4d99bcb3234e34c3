#!/usr/bin/env bash
# Local volumes of the native cluster.
#   volumes.sh N SIZE      sees to it that there are N volumes of SIZE (such as 512Mi or 10Gi)
#   volumes.sh --recycle   wipes the volumes whose claims are gone and offers them again
#   volumes.sh --mount     mounts the volumes that exist (up.sh does this)
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
# shellcheck source=../loop-volumes.sh
. "$HERE/../loop-volumes.sh"

# shellcheck disable=SC2034  # for loop-volumes.sh
VOLUMES_IN_NODE=$VOLUMES DEFAULT_CLASS=true
volumes_main "$@"
