#!/usr/bin/env bash
# Sets the version of everything that has one: the modules', the chart's and that of what it installs.
#   version.sh VERSION[-SNAPSHOT]      the chart's is always without SNAPSHOT
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
die() { printf 'error: %s\n' "$*" >&2; exit 1; }

[ $# = 1 ] || { sed -n '3s/^# *//p' "${BASH_SOURCE[0]}" >&2; exit 2; }
to=$1
number='(0|[1-9][0-9]*)'
[[ $to =~ ^$number\.$number\.$number(-SNAPSHOT)?$ ]] || die "'$to' is no version such as 1.2.0 or 1.2.0-SNAPSHOT"
cd "$ROOT"
[ ! -e "releases/${to%-SNAPSHOT}" ] || die "${to%-SNAPSHOT} has been released: take a later one"
last=$(find releases -mindepth 1 -maxdepth 1 -type d -name '[0-9]*' -printf '%f\n' | sort -V | tail -n 1)
[ "$(printf '%s\n' "$last" "${to%-SNAPSHOT}" | sort -V | tail -n 1)" != "$last" ] ||
  die "$last has been released, and ${to%-SNAPSHOT} is before it: take a later one"
from=$(sed -n 's/^  <version>\(.*\)<\/version>$/\1/p' pom.xml)
[ -n "$from" ] || die "pom.xml has no version in a line of its own"

while IFS= read -r file; do
  case $file in
    *pom.xml) sed -i "s|<version>${from//./\\.}</version>|<version>$to</version>|" "$file" ;;
    # Archives are named by it.
    *) sed -i "s|-${from//./\\.}-|-$to-|g" "$file" ;;
  esac
done < <(git ls-files 'pom.xml' '*/pom.xml' 'docs/*.md')
sed -i -e "s/^version: .*/version: ${to%-SNAPSHOT}/" -e "s/^appVersion: .*/appVersion: ${to%-SNAPSHOT}/" helm/kvdrive/Chart.yaml
git diff --stat
