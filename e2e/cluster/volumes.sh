#!/usr/bin/env bash
# Local volumes of a real, limited size in the StorageClass local-nvme of a test cluster.
#   volumes.sh native|kind N SIZE      sees to it that there are N volumes of SIZE (such as 512Mi or 10Gi)
#   volumes.sh native|kind --recycle   wipes the volumes whose claims are gone and offers them again
set -euo pipefail
here=$(dirname "${BASH_SOURCE[0]}")

[ $# -ge 2 ] || { sed -n '3,4s/^# *//p' "${BASH_SOURCE[0]}" >&2; exit 2; }
exec "$here/$1/volumes.sh" "${@:2}"
