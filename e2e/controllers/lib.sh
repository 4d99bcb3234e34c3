# shellcheck shell=bash disable=SC2034
# Shared by the scripts of this folder: what holds an API server, our operator and two of our runtimes in a
# network namespace of its own. Source it, define prepare and inside, and end with main "$@".
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
# shellcheck source=../cluster/native/lib.sh
. "$ROOT/e2e/cluster/native/lib.sh"
CONTROLLERS=$CACHE/controllers
API_ADDRESS=10.255.0.1
PODS=(10.255.0.11 10.255.0.12)
MODEL=kvdrive-tiny-32k

# --- outside: what must be built ----------------------------------------------

# The folder of a module's source.
module() { # MODULE VERSION
  mkdir -p "$CONTROLLERS/build/modules"
  [ -e "$CONTROLLERS/build/modules/go.mod" ] || printf 'module cluster.test/modules\n' >"$CONTROLLERS/build/modules/go.mod"
  (cd "$CONTROLLERS/build/modules" && "$GO" mod download -json "$1@$2" | jq -r .Dir)
}

prepare_ours() {
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

start_network() { # ADDRESS...
  local address
  ip link set lo up
  for address in "$API_ADDRESS" "${PODS[@]}" "$@"; do ip address add "$address/32" dev lo; done
}

start_api_server() { # FOLDER-OF-DEFINITIONS...
  local token folder definitions=()
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
  for folder in "$CACHE/gateway-api-$GATEWAY_API_VERSION" "$CACHE/gateway-api-inference-extension-$INFERENCE_EXTENSION_VERSION" "$@"; do
    definitions+=(-f "$folder")
  done
  quietly kubectl apply --server-side -f "$ROOT/crds/src/main/crds" "${definitions[@]}"
  wait_for 30 "the definitions" kubectl wait --for condition=Established crd --all
}

start_operator() {
  local properties=(-Dkvdrive.operator.namespace=default -Dkvdrive.operator.runtime.image=localhost/kvdrive/runtime:dev
    -Dserver.port=8090)
  KUBECONFIG=$WORK/kubeconfig launch operator "$JAVA_HOME/bin/java" -Xmx256m --add-modules=jdk.incubator.vector \
    --enable-native-access=ALL-UNNAMED "${properties[@]}" \
    -cp "$ROOT/operator/target/classes:$(cat "$WORK/classpath")" dev.kvdrive.operator.OperatorApplication
}

# One of the Deployment's pods at each address, on a node that there must be for a Service to lead to it.
start_pods() { # DEPLOYMENT
  local i
  kubectl create -f - >/dev/null <<<'{apiVersion: v1, kind: Node, metadata: {name: node}}'
  for i in "${!PODS[@]}"; do
    mkdir -p "$WORK/nvme-$i"
    launch "runtime-$i" env "KVDRIVE_JAVA_OPTS=-Xmx512m" "$ROOT/kvdrive" serve --host "${PODS[i]}" --port 8080 \
      --gpu 64Mi --dram 64Mi --nvme 256Mi --nvme-dir "$WORK/nvme-$i" --threads 1 --no-ui
    kubectl get deployment "$1" -o json | jq --arg name "$1-$i" \
      '{apiVersion: "v1", kind: "Pod", metadata: {name: $name, namespace: "default",
        labels: .spec.template.metadata.labels}, spec: (.spec.template.spec + {nodeName: "node"})}' | kubectl create -f - >/dev/null
  done
  for i in "${!PODS[@]}"; do
    wait_for 120 "the runtime at ${PODS[i]}" curl -sf "http://${PODS[i]}:8080/health/ready"
    kubectl patch pod "$1-$i" --subresource status -p "{\"status\": {\"phase\": \"Running\",
      \"podIP\": \"${PODS[i]}\", \"podIPs\": [{\"ip\": \"${PODS[i]}\"}]}}" >/dev/null
    ready "$1-$i" True
  done
}

ready() { # POD STATUS
  kubectl patch pod "$1" --subresource status \
    -p "{\"status\": {\"conditions\": [{\"type\": \"Ready\", \"status\": \"$2\"}]}}" >/dev/null
}

metric() { curl -sf "http://$1:8080/metrics" | awk -v name="$2" 'index($1, name) == 1 && !seen++ { print $2 }'; }

# Builds, and runs the script once more in a network namespace of its own. Options are for prepare and inside.
main() {
  STARTED=()
  if [ "${1:-}" = --inside ]; then
    WORK=$2
    shift 2
    trap stop EXIT
    trap 'exit 130' INT TERM
    inside "$@"
    return
  fi
  case ${1:-} in
    '' | --*=*) ;;
    *) sed -n '2,/^set -/s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
  esac
  WORK=$(mktemp -d)
  need_root
  "$ROOT/e2e/cluster/native/build.sh" >/dev/null
  prepare
  prepare_ours
  exec unshare --net "$0" --inside "$WORK" "$@"
}
