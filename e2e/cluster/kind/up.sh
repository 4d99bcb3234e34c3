#!/usr/bin/env bash
# Creates the kind cluster, unless it is there and ready, and prints the path
# of its kubeconfig.
# One control plane and one worker (cluster.yaml).
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

nodes_ready() {
  local expected
  expected=$(kind get nodes --quiet --name "$CLUSTER" | wc -l)
  [ "$(kubectl get nodes --no-headers --request-timeout 5s | awk '$2 == "Ready"' | wc -l)" = "$expected" ]
}
system_ready() { kubectl wait --all-namespaces --for=condition=Available --all deployment --timeout 5s; }

explain_failure() {
  kubectl get nodes,pods --all-namespaces --output wide >&2 || true
  kind export logs --quiet --name "$CLUSTER" "$KIND_CACHE/logs" 2>/dev/null || true
  die "the cluster did not become ready; what could be had of its logs is in $KIND_CACHE/logs"
}

# A mount of its own, shared, so that mounts made below it later propagate.
share_volumes() {
  mkdir -p "$VOLUMES"
  mountpoint -q "$VOLUMES" || mount --bind "$VOLUMES" "$VOLUMES"
  mount --make-shared "$VOLUMES"
}

configuration() {
  sed -e "s#@VOLUMES@#$VOLUMES#" -e "s#@VOLUMES_IN_NODE@#$VOLUMES_IN_NODE#" "$KIND_FOLDER/cluster.yaml"
}

main() {
  [ $# = 0 ] || die "usage: up.sh"
  need_root
  "$KIND_FOLDER/build.sh" >/dev/null
  share_volumes
  if cluster_exists && ! nodes_ready 2>/dev/null; then
    log "$CLUSTER exists but is not ready: creating it again"
    kind delete cluster --quiet --name "$CLUSTER"
  fi
  if ! cluster_exists; then
    kind create cluster --name "$CLUSTER" --image "$NODE_IMAGE" --config <(configuration) --retain --wait 120s >&2 ||
      explain_failure
  fi
  wait_for 120 "the nodes" nodes_ready || explain_failure
  wait_for 120 "the cluster's own deployments" system_ready || explain_failure
  log "ready after $SECONDS s"
  echo "$KUBECONFIG"
}
main "$@"
