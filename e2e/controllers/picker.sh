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
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
# shellcheck source=../cluster/native/lib.sh
. "$ROOT/e2e/cluster/native/lib.sh"
CONTROLLERS=$CACHE/controllers
MODULE=sigs.k8s.io/gateway-api-inference-extension
PICKER=$CONTROLLERS/epp-$INFERENCE_EXTENSION_VERSION
PICKS=$CONTROLLERS/picks-$INFERENCE_EXTENSION_VERSION
API_ADDRESS=10.255.0.1
PODS=(10.255.0.11 10.255.0.12)
MODEL=kvdrive-tiny-32k

# --- outside: what must be built ----------------------------------------------

build() {
  local folder=$CONTROLLERS/build source
  [ -x "$PICKER" ] && [ -x "$PICKS" ] && [ ! "$ROOT/e2e/controllers/src/picks/main.go" -nt "$PICKS" ] && return
  find_go
  mkdir -p "$folder/picks"
  cp "$ROOT/e2e/controllers/src/picks/main.go" "$folder/picks/"
  printf 'module cluster.test/controllers\n' >"$folder/go.mod"
  source=$(cd "$folder" && "$GO" mod download -json "$MODULE@$INFERENCE_EXTENSION_VERSION" | jq -r .Dir)
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

prepare() {
  need_root
  "$ROOT/e2e/cluster/native/build.sh" >/dev/null
  build
  cd "$ROOT"
  [ -n "${JAVA_HOME:-}" ] || JAVA_HOME=$(./kvdrive jdk)
  export JAVA_HOME
  # Builds the runtime where it is not up to date.
  ./kvdrive serve --help >/dev/null 2>&1
  operator_up_to_date || quietly mvn -B -q -pl operator -am install -DskipTests
  quietly mvn -B -q -pl operator dependency:build-classpath -Dmdep.outputFile="$WORK/classpath"
}

operator_up_to_date() {
  local jar
  jar=$(find operator/target -maxdepth 1 -name 'kvdrive-operator-*.jar' -print -quit 2>/dev/null)
  [ -n "$jar" ] && [ -z "$(find pom.xml {crds,feasibility,observed,operator}/{pom.xml,src/main} -newer "$jar" -type f -print -quit)" ]
}

# --- inside the namespace -------------------------------------------------------

launch() { # NAME COMMAND...
  local name=$1
  shift
  "$@" >"$WORK/$name.log" 2>&1 </dev/null &
  STARTED+=($!)
}

stop() {
  local status=$? i
  # The last first: the operator gives its lease back to an API server that still answers.
  for ((i = ${#STARTED[@]} - 1; i >= 0; i--)); do
    kill "${STARTED[i]}" 2>/dev/null || true
    wait "${STARTED[i]}" 2>/dev/null || true
  done
  if [ $status = 0 ]; then rm -rf "$WORK"; else log "logs are in $WORK"; fi
}

kubectl() { "$BIN/kubectl" --kubeconfig "$WORK/kubeconfig" "$@"; }

start_api_server() {
  local token
  token=$(openssl rand -hex 16)
  openssl genrsa -out "$WORK/accounts.key" 2048 2>/dev/null
  (umask 077 && printf '%s,admin,admin,"system:masters"\n' "$token" >"$WORK/tokens")
  launch etcd "$BIN/etcd" --data-dir "$WORK/etcd" --unsafe-no-fsync
  launch apiserver "$BIN/kube-apiserver" --etcd-servers http://127.0.0.1:2379 --cert-dir "$WORK/certificates" \
    --bind-address "$API_ADDRESS" --advertise-address "$API_ADDRESS" --secure-port 6443 \
    --token-auth-file "$WORK/tokens" --authorization-mode RBAC --service-cluster-ip-range 10.96.0.0/16 \
    --service-account-issuer https://kubernetes.default.svc --service-account-key-file "$WORK/accounts.key" \
    --service-account-signing-key-file "$WORK/accounts.key" --disable-admission-plugins ServiceAccount
  (umask 077 && cat >"$WORK/kubeconfig" <<YAML
apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: "https://$API_ADDRESS:6443", insecure-skip-tls-verify: true}}]
users: [{name: u, user: {token: "$token"}}]
contexts: [{name: c, context: {cluster: c, user: u}}]
current-context: c
YAML
  )
  wait_for 120 "the API server" kubectl get --raw /readyz
  quietly kubectl apply --server-side -f "$ROOT/crds/src/main/crds" -f "$CACHE/gateway-api-$GATEWAY_API_VERSION" \
    -f "$CACHE/gateway-api-inference-extension-$INFERENCE_EXTENSION_VERSION" -f "$CONTROLLERS/definitions"
  wait_for 30 "the definitions" kubectl wait --for condition=Established crd --all
}

start_operator() {
  local properties=(-Dkvdrive.operator.namespace=default -Dkvdrive.operator.runtime.image=localhost/kvdrive/runtime:dev
    -Dserver.port=8090)
  KUBECONFIG=$WORK/kubeconfig launch operator "$JAVA_HOME/bin/java" -Xmx256m --add-modules=jdk.incubator.vector \
    --enable-native-access=ALL-UNNAMED "${properties[@]}" \
    -cp "$ROOT/operator/target/classes:$(cat "$WORK/classpath")" dev.kvdrive.operator.OperatorApplication
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

start_pods() {
  local i
  for i in "${!PODS[@]}"; do
    mkdir -p "$WORK/nvme-$i"
    launch "runtime-$i" env "KVDRIVE_JAVA_OPTS=-Xmx512m" "$ROOT/kvdrive" serve --host "${PODS[i]}" --port 8080 \
      --gpu 64Mi --dram 64Mi --nvme 256Mi --nvme-dir "$WORK/nvme-$i" --threads 1 --no-ui
    kubectl get deployment contracts -o json | jq --arg name "contracts-$i" \
      '{apiVersion: "v1", kind: "Pod", metadata: {name: $name, namespace: "default",
        labels: .spec.template.metadata.labels}, spec: .spec.template.spec}' | kubectl create -f - >/dev/null
  done
  for i in "${!PODS[@]}"; do
    wait_for 120 "the runtime at ${PODS[i]}" curl -sf "http://${PODS[i]}:8080/health/ready"
    kubectl patch pod "contracts-$i" --subresource status -p "{\"status\": {\"phase\": \"Running\",
      \"podIP\": \"${PODS[i]}\", \"podIPs\": [{\"ip\": \"${PODS[i]}\"}],
      \"conditions\": [{\"type\": \"Ready\", \"status\": \"True\"}]}}" >/dev/null
  done
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

metric() { curl -sf "http://$1:8080/metrics" | awk -v name="$2" 'index($1, name) == 1 && !seen++ { print $2 }'; }

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
  local address
  trap stop EXIT
  trap 'exit 130' INT TERM
  ip link set lo up
  for address in "$API_ADDRESS" "${PODS[@]}"; do ip address add "$address/32" dev lo; done
  start_api_server
  start_operator
  start_pods
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
  kubectl patch pod contracts-1 --subresource status \
    -p '{"status": {"conditions": [{"type": "Ready", "status": "False"}]}}' >/dev/null
  sleep 1
  look "${PODS[1]} is not ready"
  expect "${PODS[0]}" 20 20
  log "the picker did as it should, $SECONDS s after the start"
}

STARTED=()
if [ "${1:-}" = --inside ]; then
  WORK=$2
  shift 2
  inside "$@"
else
  case ${1:-} in
    '' | --*=*) ;;
    *) sed -n '2,/^set -/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2; exit 2 ;;
  esac
  WORK=$(mktemp -d)
  prepare
  exec unshare --net "${BASH_SOURCE[0]}" --inside "$WORK" "$@"
fi
