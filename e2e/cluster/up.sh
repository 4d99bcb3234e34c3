#!/usr/bin/env bash
# Brings a test cluster up, building what it needs the first time, and prints
# the path of its kubeconfig. Safe to repeat.
#   up.sh [native|kind]     native is the default: quicker and smaller, but it needs root
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

case ${1:-native} in
  native)
    native/build.sh >/dev/null
    native/up.sh
    ;;
  kind) kind/up.sh ;;
  *)
    echo "usage: up.sh [native|kind]" >&2
    exit 2
    ;;
esac
