#!/usr/bin/env bash
# Makes the images of a recorded release from the commit it was cut from, once, and prints the folder that
# holds operator.tar, runtime.tar and chart. Exit status 3, with the reason, where the commit is not at hand.
#   release.sh VERSION
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=cluster/native/lib.sh
CACHE=$(. "$ROOT/e2e/cluster/native/lib.sh" && echo "$CACHE")
die() { printf 'error: %s\n' "$*" >&2; exit 1; }

[ $# = 1 ] || { sed -n '4s/^# *//p' "${BASH_SOURCE[0]}" >&2; exit 2; }
version=$1
record=$ROOT/releases/$version/commit
[ -f "$record" ] || die "there is no release $version in releases/: $(cd "$ROOT/releases" && echo */)"
commit=$(cat "$record")
made=$CACHE/releases/$commit
if [ ! -d "$made" ]; then
  if ! git -C "$ROOT" cat-file -e "$commit^{commit}" 2>/dev/null; then
    echo "release $version was cut from commit $commit, which this clone does not have: git fetch --unshallow" >&2
    exit 3
  fi
  mkdir -p "$CACHE/releases"
  # Two at once would build the same.
  exec 6>"$CACHE/releases/lock"
  flock 6
fi
if [ ! -d "$made" ]; then
  # What an earlier one left that was killed.
  rm -rf "$CACHE/releases/source" "$CACHE/releases/making"
  mkdir -p "$CACHE/releases/source" "$CACHE/releases/making"
  git -C "$ROOT" archive "$commit" | tar -x -C "$CACHE/releases/source"
  "$CACHE/releases/source/images/build.sh" >/dev/null 6>&-
  cp "$CACHE/releases/source/operator/target/jib-image.tar" "$CACHE/releases/making/operator.tar"
  cp "$CACHE/releases/source/runtime/server/target/jib-image.tar" "$CACHE/releases/making/runtime.tar"
  cp -r "$CACHE/releases/source/helm/kvdrive" "$CACHE/releases/making/chart"
  mv "$CACHE/releases/making" "$made"
  rm -rf "$CACHE/releases/source"
fi
echo "$made"
