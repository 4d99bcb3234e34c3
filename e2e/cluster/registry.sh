#!/usr/bin/env bash
# A registry of images and charts that a test cluster's kubelet pulls from, in plain HTTP.
#   registry.sh native                     starts it unless it runs, and prints what names of its images begin with
#   registry.sh native --stop              ends it
#   registry.sh native --given REPOSITORY  what it gave of it: how often, and a digest or tag, one a line
#   registry.sh native --spoil REPOSITORY  gives other bytes of its largest blob from now on than the digest says
set -euo pipefail
here=$(dirname "${BASH_SOURCE[0]}")

[ $# -ge 1 ] || { sed -n '3,6s/^# *//p' "${BASH_SOURCE[0]}" >&2; exit 2; }
[ "$1" = native ] || { echo "error: only the native cluster has a registry, not $1" >&2; exit 2; }
exec "$here/native/registry.sh" "${@:2}"
