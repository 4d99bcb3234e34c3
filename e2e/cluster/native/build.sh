#!/usr/bin/env bash
# Builds the cluster's programs from Go modules, once, into the cache folder, and takes the
# definitions of other projects' kinds, which the operator's tests need, from theirs.
# What is there already is skipped; remove the folder to build again.
#   build.sh               all of them
#   build.sh kubectl       that one only
#   build.sh --packages    installs the Debian packages only
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

PACKAGES=(runc containernetworking-plugins nftables iptables
  iproute2 kmod e2fsprogs util-linux openssl jq busybox-static skopeo)
MODULES=$CACHE/build

# go_build NAME FOLDER PACKAGE [LDFLAGS]: static, stripped, and moved into
# place only when complete.
go_build() {
  local name=$1 folder=$2 package=$3 flags=${4:-} began=$SECONDS
  (cd "$folder" && CGO_ENABLED=0 nice -n 10 "$GO" build -mod=mod -trimpath \
    -ldflags "-s -w $flags" -o "$BIN/.$name" "$package")
  mv "$BIN/.$name" "$BIN/$name"
  log "built $name in $((SECONDS - began)) s ($(du -m "$BIN/$name" | cut -f1) MB)"
}

# The released k8s.io/kubernetes module takes its libraries from ./staging,
# which is not part of it. Its own go.mod, with those lines turned to the
# libraries' released versions, builds what the release builds.
kubernetes_module() {
  local source from=$MODULES/kubernetes
  mkdir -p "$from"
  source=$(cd "$from" && "$GO" mod download -json "k8s.io/kubernetes@$K8S_VERSION" | jq -r .Dir)
  sed -e 's#^module .*#module cluster.test/kubernetes#' \
    -e "s#=> \./staging/src/\(k8s\.io/[a-z-]*\)\$#=> \1 v0${K8S_VERSION#v1}#" \
    "$source/go.mod" >"$from/go.mod"
  cp --no-preserve=mode "$source/go.sum" "$from/go.sum"
  (cd "$from" && "$GO" mod edit -require="k8s.io/kubernetes@$K8S_VERSION")
}

build_kubernetes() {
  local c v=k8s.io/component-base/version minor=${K8S_VERSION#v1.} flags
  # Without these the programs call themselves v0.0.0-master, and clients that
  # choose by version go wrong.
  flags="-X $v.gitVersion=$K8S_VERSION -X $v.gitMajor=1 -X $v.gitMinor=${minor%%.*} -X $v.gitTreeState=clean"
  for c in "${COMPONENTS[@]}"; do
    [ -x "$BIN/$c" ] && continue
    [ -e "$MODULES/kubernetes/go.mod" ] || kubernetes_module
    go_build "$c" "$MODULES/kubernetes" "k8s.io/kubernetes/cmd/$c" "$flags"
  done
}

build_etcd() {
  [ -x "$BIN/etcd" ] && return
  mkdir -p "$MODULES/etcd"
  printf 'module cluster.test/etcd\n' >"$MODULES/etcd/go.mod"
  (cd "$MODULES/etcd" && quietly "$GO" get "go.etcd.io/etcd/server/v3@$ETCD_VERSION")
  go_build etcd "$MODULES/etcd" go.etcd.io/etcd/server/v3
}

# Debian's own is 1.6, which mounts no images as volumes.
build_containerd() {
  local p module=github.com/containerd/containerd
  local flags="-X $module/v2/version.Version=$CONTAINERD_VERSION -X $module/v2/version.Package=$module/v2"
  for p in containerd containerd-shim-runc-v2 ctr; do
    [ -x "$BIN/$p" ] && continue
    mkdir -p "$MODULES/containerd"
    if [ ! -e "$MODULES/containerd/go.mod" ]; then
      printf 'module cluster.test/containerd\n' >"$MODULES/containerd/go.mod"
      (cd "$MODULES/containerd" && quietly "$GO" get "$module/v2/cmd/"{containerd,containerd-shim-runc-v2,ctr}"@$CONTAINERD_VERSION")
    fi
    go_build "$p" "$MODULES/containerd" "$module/v2/cmd/$p" "$flags"
  done
}

build_registry() {
  [ -x "$BIN/registry" ] && return
  mkdir -p "$MODULES/registry"
  cp "$HERE/src/registry/main.go" "$MODULES/registry/"
  printf 'module cluster.test/registry\n' >"$MODULES/registry/go.mod"
  (cd "$MODULES/registry" && quietly "$GO" get "github.com/distribution/distribution/v3@$DISTRIBUTION_VERSION" && quietly "$GO" mod tidy)
  go_build registry "$MODULES/registry" .
}

build_coredns() {
  [ -x "$BIN/coredns" ] && return
  mkdir -p "$MODULES/coredns"
  cp "$HERE/src/coredns/main.go" "$MODULES/coredns/"
  printf 'module cluster.test/coredns\n' >"$MODULES/coredns/go.mod"
  (cd "$MODULES/coredns" && quietly "$GO" get "github.com/coredns/coredns@$COREDNS_VERSION" && quietly "$GO" mod tidy)
  go_build coredns "$MODULES/coredns" .
}

build_pause() {
  [ -x "$BIN/pause" ] && return
  mkdir -p "$MODULES/pause"
  cp "$HERE/src/pause/main.go" "$MODULES/pause/"
  printf 'module cluster.test/pause\n' >"$MODULES/pause/go.mod"
  go_build pause "$MODULES/pause" .
}

build_gpus() {
  [ -x "$BIN/gpus" ] && return
  mkdir -p "$MODULES/gpus"
  cp "$HERE/src/gpus/main.go" "$MODULES/gpus/"
  printf 'module cluster.test/gpus\n' >"$MODULES/gpus/go.mod"
  (cd "$MODULES/gpus" && quietly "$GO" get "k8s.io/kubelet@v0${K8S_VERSION#v1}")
  go_build gpus "$MODULES/gpus" .
}

# definitions NAME MODULE VERSION FOLDER FILE...: what a project publishes of its kinds, from its module.
definitions() {
  local module=$2 version=$3 folder=$4 source to=$CACHE/$1-$3
  shift 4
  [ -e "$to" ] && return
  mkdir -p "$MODULES/definitions"
  [ -e "$MODULES/definitions/go.mod" ] || printf 'module cluster.test/definitions\n' >"$MODULES/definitions/go.mod"
  source=$(cd "$MODULES/definitions" && "$GO" mod download -json "$module@$version" | jq -r .Dir)
  rm -rf "$to.new"
  mkdir -p "$to.new"
  (cd "$source/$folder" && cp --no-preserve=mode "$@" "$to.new/")
  mv "$to.new" "$to"
  log "took the definitions of $module $version"
}

all_definitions() {
  definitions gateway-api sigs.k8s.io/gateway-api "$GATEWAY_API_VERSION" config/crd/standard \
    gateway.networking.k8s.io_{gatewayclasses,gateways,httproutes,backendtlspolicies}.yaml
  definitions gateway-api-inference-extension sigs.k8s.io/gateway-api-inference-extension \
    "$INFERENCE_EXTENSION_VERSION" config/crd/bases inference.networking.k8s.io_inferencepools.yaml
  definitions keda github.com/kedacore/keda/v2 "$KEDA_VERSION" config/crd/bases keda.sh_scaledobjects.yaml
  definitions keda-http-add-on github.com/kedacore/http-add-on "$KEDA_HTTP_VERSION" config/crd/bases \
    http.keda.sh_interceptorroutes.yaml
}

all_definitions_taken() {
  local one
  for one in "gateway-api-$GATEWAY_API_VERSION" "keda-$KEDA_VERSION" "keda-http-add-on-$KEDA_HTTP_VERSION" \
    "gateway-api-inference-extension-$INFERENCE_EXTENSION_VERSION"; do
    [ -e "$CACHE/$one" ] || return 1
  done
}

# The layout in which fabric8's kube-api-test looks for its own API server:
# KUBE_API_TEST_DIR is then the cache folder.
link_for_kube_api_test() {
  local b dir=$CACHE/k8s/${K8S_VERSION#v}-linux-amd64
  mkdir -p "$dir"
  for b in etcd kube-apiserver kubectl; do
    ln -sfn "../../$K8S_VERSION/$b" "$dir/$b"
  done
}

all_built() {
  local b
  for b in "${COMPONENTS[@]}" "${PROGRAMS[@]}"; do [ -x "$BIN/$b" ] || return 1; done
  all_definitions_taken || return 1
  [ -e "$CACHE/k8s/${K8S_VERSION#v}-linux-amd64/kubectl" ]
}

main() {
  case ${1:-} in
    --packages) install_debian "${PACKAGES[@]}"; return ;;
    kubectl) COMPONENTS=(kubectl) ;;
    '') ;;
    *) die "usage: build.sh [--packages | kubectl]" ;;
  esac
  [ "${1:-}" = kubectl ] || install_debian "${PACKAGES[@]}"
  mkdir -p "$BIN" "$MODULES"
  exec 8>"$MODULES/.lock"
  flock -w 3600 8 || die "another build.sh is at work"
  if all_built; then echo "$BIN"; return; fi
  find_go
  build_kubernetes
  [ "${1:-}" != kubectl ] || { echo "$BIN"; return; }
  build_containerd
  build_registry
  build_etcd
  build_coredns
  build_pause
  build_gpus
  all_definitions
  link_for_kube_api_test
  echo "$BIN"
}
main "$@"
