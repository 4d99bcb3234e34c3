#!/usr/bin/env bash
# Cards that do not exist, offered to a test cluster's kubelet by a device plugin.
#   gpus.sh native RESOURCE N [LOST]   sees to it that N cards of RESOURCE (such as nvidia.com/gpu) are
#                                      offered, of which the first LOST have failed
#   gpus.sh native --given POD         the cards that the containers of a pod were given
#   gpus.sh native --stop              ends the device plugins
set -euo pipefail
here=$(dirname "${BASH_SOURCE[0]}")

[ $# -ge 2 ] || { sed -n '3,6s/^# *//p' "${BASH_SOURCE[0]}" >&2; exit 2; }
[ "$1" = native ] || { echo "error: only the native cluster has a device plugin, not $1" >&2; exit 2; }
exec "$here/native/gpus.sh" "${@:2}"
