#!/usr/bin/env bash
# Builds the images for this machine's processors and for GPUs twice, from nothing but downloads, and compares:
# the same bytes, or it says which differ.
#   reproducible.sh [-- MAVEN_ARGUMENT...]
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
TARGET=$ROOT/images/target
WORK=$(mktemp -d)
trap 'rm -rf "$WORK"' EXIT

[ "${1:-}" != -- ] || shift
for time in first second; do
  rm -rf "$TARGET" "$ROOT"/{operator,runtime/server,images/cuda}/target/{image,jib-*,*.jar}
  rm -f "$ROOT/runtime/backend-cuda/target/classes/dev/kvdrive/cuda/kernels.fatbin"
  "$ROOT/images/build.sh" cuda -- "$@" >"$WORK/archives"
  xargs sha256sum <"$WORK/archives" >"$WORK/$time"
done
if ! diff "$WORK/first" "$WORK/second"; then
  echo 'error: two builds of the same sources differ, see above' >&2
  exit 1
fi
printf 'the same bytes twice:\n'
cat "$WORK/second"
