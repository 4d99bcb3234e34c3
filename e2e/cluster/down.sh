#!/usr/bin/env bash
# Stops the test cluster.
#   down.sh [native|kind] [--purge]     without a name: both kinds; --purge removes their state too
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

kinds=(native kind)
case ${1:-} in
  native | kind)
    kinds=("$1")
    shift
    ;;
esac
for kind in "${kinds[@]}"; do
  "$kind/down.sh" "$@"
done
