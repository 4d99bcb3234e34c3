#!/usr/bin/env bash
# Builds all images twice from nothing but downloads, and compares: the same bytes, or it says which differ.
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
  "$ROOT/images/build.sh" all -- "$@" >/dev/null
  (cd "$TARGET" && find oci sbom NOTICES.txt -type f -exec sha256sum {} + | sort -k 2) >"$WORK/$time"
done
if ! diff "$WORK/first" "$WORK/second"; then
  echo 'error: two builds of the same sources differ, see above' >&2
  exit 1
fi
printf 'the same bytes twice: %s files, %s MB\n' "$(wc -l <"$WORK/first")" "$(du -sm "$TARGET/oci" | cut -f1)"
