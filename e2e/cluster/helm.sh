#!/usr/bin/env bash
# Builds helm and helm-unittest from Go modules, once, into the cache folder,
# and prints the folder they lie in:
#   bin=$(e2e/cluster/helm.sh); "$bin/helm" lint helm/kvdrive; "$bin/helm-unittest" helm/kvdrive
set -euo pipefail
# shellcheck source=native/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/native/lib.sh"

# helm-unittest renders with the helm of its own go.mod: with the same version
# on the command line there is one behaviour, and one compilation of what they share.
HELM_VERSION=v3.21.3
HELM_UNITTEST_VERSION=v1.1.2
HELM_BIN=$CACHE/helm-$HELM_VERSION

build() { # NAME PACKAGE [LDFLAGS]
  local name=$1 package=$2 flags=${3:-} began=$SECONDS
  [ -x "$HELM_BIN/$name" ] && return
  CGO_ENABLED=0 nice -n 10 "$GO" build -mod=mod -trimpath -ldflags "-s -w $flags" -o "$HELM_BIN/.$name" "$package"
  mv "$HELM_BIN/.$name" "$HELM_BIN/$name"
  log "built $name in $((SECONDS - began)) s ($(du -m "$HELM_BIN/$name" | cut -f1) MB)"
}

main() {
  [ $# = 0 ] || die "usage: helm.sh"
  mkdir -p "$HELM_BIN" "$CACHE/build/helm"
  exec 9>"$HELM_BIN/.lock"
  flock -w 1800 9 || die "another helm.sh is at work"
  if [ ! -x "$HELM_BIN/helm" ] || [ ! -x "$HELM_BIN/helm-unittest" ]; then
    find_go
    cd "$CACHE/build/helm"
    # The replacement is helm-unittest's own: it does not compile without.
    printf 'module cluster.test/helm\nreplace github.com/vmware-labs/yaml-jsonpath v0.3.2 => github.com/helm-unittest/yaml-jsonpath v0.4.0\n' >go.mod
    quietly "$GO" get "helm.sh/helm/v3/cmd/helm@$HELM_VERSION" \
      "github.com/helm-unittest/helm-unittest/cmd/helm-unittest@$HELM_UNITTEST_VERSION"
    build helm helm.sh/helm/v3/cmd/helm "-X helm.sh/helm/v3/internal/version.version=$HELM_VERSION"
    build helm-unittest github.com/helm-unittest/helm-unittest/cmd/helm-unittest
  fi
  echo "$HELM_BIN"
}
main "$@"
