#!/usr/bin/env bash
# Puts a docker or OCI archive, such as Jib's buildTar makes, into a test cluster,
# where pods find it with imagePullPolicy Never or IfNotPresent.
#   image.sh native|kind ARCHIVE.tar NAME
set -euo pipefail
here=$(dirname "${BASH_SOURCE[0]}")

[ $# = 3 ] || { sed -n '4s/^# *//p' "${BASH_SOURCE[0]}" >&2; exit 2; }
exec "$here/$1/image.sh" "$2" "$3"
