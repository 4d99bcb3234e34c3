#!/usr/bin/env bash
# Records a release: what its users rely on, from the commit it is cut from, in a folder with its name.
#   record.sh VERSION [COMMIT]      HEAD, unless a commit is given
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
die() { printf 'error: %s\n' "$*" >&2; exit 1; }

[ $# = 1 ] || [ $# = 2 ] || { sed -n '3s/^# *//p' "${BASH_SOURCE[0]}" >&2; exit 2; }
version=$1
number='(0|[1-9][0-9]*)'
[[ $version =~ ^$number\.$number\.$number$ ]] || die "'$version' is no version such as 1.2.0"
cd "$ROOT"
commit=$(git rev-parse --verify --quiet "${2:-HEAD}^{commit}") || die "there is no commit ${2:-HEAD} here"
folder=releases/$version
[ ! -e "$folder" ] || die "$folder exists: what was released does not change; cut the next version"

of() { git show "$commit:$1"; }
chart=$(of helm/kvdrive/Chart.yaml | sed -n 's/^version: *//p')
app=$(of helm/kvdrive/Chart.yaml | sed -n 's/^appVersion: *//p')
[ "$chart" = "$version" ] && [ "$app" = "$version" ] ||
  die "at $commit the chart is $chart and what it installs $app, which may not differ from $version:
releases/version.sh $version sets them; commit that and record its commit"
# The parent's version is that of a module; the root's is its own. Neither is a SNAPSHOT.
git ls-tree -r --name-only "$commit" | grep -E '(^|/)pom\.xml$' | while IFS= read -r pom; do
  # Not -q, which would end before git has written everything.
  of "$pom" | grep -F "<version>$version</version>" >/dev/null ||
    die "at $commit $pom is of another version than $version:
releases/version.sh $version sets it; commit that and record its commit"
done

making=$(mktemp -d releases/.making.XXXXXX)
trap 'rm -rf "$making"' EXIT
echo "$commit" >"$making/commit"
mkdir "$making/crds" "$making/chart"
for plural in inferencedeployments inferenceclasses; do
  of "crds/src/main/crds/$plural.kvdrive.dev.yaml" >"$making/crds/$plural.kvdrive.dev.yaml"
done
for file in values.yaml values.schema.json; do
  of "helm/kvdrive/$file" >"$making/chart/$file"
done
git archive "$commit" examples | tar -x -C "$making"
rm "$making/examples/README.md"
chmod 755 "$making"
mv "$making" "$folder"
trap - EXIT
echo "$folder"
