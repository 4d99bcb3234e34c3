#!/usr/bin/env bash
# Local volumes of the kind cluster, on its worker.
#   volumes.sh N SIZE      sees to it that there are N volumes of SIZE (such as 512Mi or 10Gi)
#   volumes.sh --recycle   wipes the volumes whose claims are gone and offers them again
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
# shellcheck source=../loop-volumes.sh
. "$KIND_FOLDER/../loop-volumes.sh"

# shellcheck disable=SC2034  # for loop-volumes.sh
NODE_NAME=$CLUSTER-worker DEFAULT_CLASS=false
cluster_exists || die "there is no cluster $CLUSTER: run up.sh first"
volumes_main "$@"
