#!/usr/bin/env bash
# Shows where the endpoint picker of the Gateway API Inference Extension sends requests: the real picker,
# built from its Go module, beside a real API server, our operator and two of our runtimes.
#
#   picker.sh [OPTION...]    prints what was seen, and ends with an error if that is wrong; options are the
#                            picker's, after those it is given here
#
# Needs root on Linux (a network namespace of its own holds all of it), Go, a JDK and Maven. No kubelet
# runs: the pods are made of the operator's Deployment, and the runtimes are processes at their addresses.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
MODULE=sigs.k8s.io/gateway-api-inference-extension
PICKER=$CONTROLLERS/epp-$INFERENCE_EXTENSION_VERSION
PICKS=$CONTROLLERS/picks-$INFERENCE_EXTENSION_VERSION

# --- outside: what must be built ----------------------------------------------

prepare() {
  local folder=$CONTROLLERS/build/picks source
  [ -x "$PICKER" ] && [ -x "$PICKS" ] && [ ! "$ROOT/e2e/controllers/src/picks/main.go" -nt "$PICKS" ] && return
  find_go
  mkdir -p "$folder/picks"
  cp "$ROOT/e2e/controllers/src/picks/main.go" "$folder/picks/"
  source=$(module "$MODULE" "$INFERENCE_EXTENSION_VERSION")
  # The kinds that the picker watches beside the pool.
  rm -rf "$CONTROLLERS/definitions"
  mkdir -p "$CONTROLLERS/definitions"
  cp --no-preserve=mode "$source"/config/crd/bases/inference.networking.x-k8s.io_*.yaml "$CONTROLLERS/definitions/"
  # The picker's own list of modules, so that it is what the project releases, and the client speaks its protocol.
  sed 's#^module .*#module cluster.test/controllers#' "$source/go.mod" >"$folder/go.mod"
  cp --no-preserve=mode "$source/go.sum" "$folder/go.sum"
  log "building the endpoint picker $INFERENCE_EXTENSION_VERSION"
  (cd "$source" && nice "$GO" build -trimpath -o "$PICKER.new" ./cmd/epp)
  mv "$PICKER.new" "$PICKER"
  (cd "$folder" && nice "$GO" build -trimpath -o "$PICKS.new" ./picks)
  mv "$PICKS.new" "$PICKS"
}

# --- inside the namespace -------------------------------------------------------

make_deployment() {
  kubectl apply -f - >/dev/null <<YAML
apiVersion: kvdrive.dev/v1alpha1
kind: InferenceDeployment
metadata: {name: contracts, namespace: default}
spec:
  model: {uri: "builtin:$MODEL"}
  contextLength: 32768
  replicas: 2
  tiers:
    gpu: {memory: 64Mi}
    dram: {size: 64Mi}
    nvme: {size: 256Mi}
  route:
    parentRefs: [{name: public}]
    inferencePool: {endpointPickerRef: {name: contracts-epp, port: 9002}}
YAML
  wait_for 90 "the operator's pool" kubectl get inferencepool contracts
  wait_for 30 "the operator's workload" kubectl get deployment contracts
}

# As its chart starts it, with the chart's configuration. Metrics are read by the names it has by default.
start_picker() {
  cat >"$WORK/plugins.yaml" <<YAML
apiVersion: inference.networking.x-k8s.io/v1alpha1
kind: EndpointPickerConfig
plugins: [{type: queue-scorer}, {type: kv-cache-utilization-scorer}, {type: prefix-cache-scorer}]
schedulingProfiles:
  - name: default
    plugins:
      - {pluginRef: queue-scorer, weight: 2}
      - {pluginRef: kv-cache-utilization-scorer, weight: 2}
      - {pluginRef: prefix-cache-scorer, weight: 3}
YAML
  KUBECONFIG=$WORK/kubeconfig launch picker "$PICKER" --pool-name contracts --pool-namespace default \
    --config-file "$WORK/plugins.yaml" --secure-serving=false --tracing=false --zap-encoder=json "$@"
  wait_for 60 "the picker's first pick" "$PICKS" -picker 127.0.0.1:9002 -model "$MODEL" -requests 1
  # Two reads of the metrics of every pod at least.
  sleep 2
}

# What a pod says of itself, and 20 picks.
look() { # WHAT
  local i
  echo "== $1"
  for i in "${PODS[@]}"; do
    printf '%s: running %s, waiting %s, kv_cache_usage %s, gpu_cache_usage %s\n' "$i" \
      "$(metric "$i" vllm:num_requests_running)" "$(metric "$i" vllm:num_requests_waiting)" \
      "$(metric "$i" vllm:kv_cache_usage_perc)" "$(metric "$i" vllm:gpu_cache_usage_perc)"
  done
  "$PICKS" -picker 127.0.0.1:9002 -model "$MODEL" -requests 20 | tee "$WORK/picked"
}

picked() { awk -v address="$1:8080" '$1 == address { n = $2 } END { print n + 0 }' "$WORK/picked"; }

# Its one seat is taken, and two more wait.
occupy() { # ADDRESS
  local i
  LOAD=()
  for i in 1 2 3; do
    curl -sN "http://$1:8080/v1/completions" -H 'Content-Type: application/json' \
      -d "{\"model\": \"$MODEL\", \"prompt\": \"Load $i.\", \"max_tokens\": 30000, \"ignore_eos\": true, \"stream\": true}" \
      >"$WORK/load-$i" 2>&1 &
    LOAD+=($!)
  done
  STARTED+=("${LOAD[@]}")
  wait_for 30 "a queue at $1" queues "$1"
  sleep 1
}
queues() { [ "$(metric "$1" vllm:num_requests_waiting | cut -d. -f1)" -ge 1 ]; }
is_free() { [ "$(metric "$1" vllm:num_requests_running | cut -d. -f1)" = 0 ]; }

relieve() { # ADDRESS
  kill "${LOAD[@]}" 2>/dev/null || true
  wait_for 60 "$1 to be free" is_free "$1"
  sleep 1
}

expect() { # ADDRESS LEAST MOST
  local n
  n=$(picked "$1")
  [ "$n" -ge "$2" ] && [ "$n" -le "$3" ] || die "$1 was picked $n times, not $2 to $3"
}

inside() {
  start_network
  start_api_server "$CONTROLLERS/definitions"
  start_operator
  make_deployment
  start_pods contracts
  start_picker "$@"
  look "both free"
  expect "${PODS[0]}" 1 19
  expect "${PODS[1]}" 1 19
  occupy "${PODS[0]}"
  look "${PODS[0]} is full"
  expect "${PODS[1]}" 20 20
  relieve "${PODS[0]}"
  occupy "${PODS[1]}"
  look "${PODS[1]} is full"
  expect "${PODS[0]}" 20 20
  relieve "${PODS[1]}"
  ready contracts-1 False
  sleep 1
  look "${PODS[1]} is not ready"
  expect "${PODS[0]}" 20 20
  log "the picker did as it should, $SECONDS s after the start"
}

# One line, as bash reads on in a file that may have changed.
main "$@"; exit
