#!/usr/bin/env bash
# Shows a Gateway carry out the route that the operator makes: Traefik, built from its Go module, beside a real
# API server, our operator and two of our runtimes. What is applied is examples/gateway.yaml.
#
#   gateway.sh [OPTION...]   prints what was seen, and ends with an error if that is wrong; options are
#                            Traefik's, after those it is given here
#
# Needs root on Linux (a network namespace of its own holds all of it), Go, a JDK and Maven. No kubelet
# runs: the pods are made of the operator's Deployment, and the runtimes are processes at their addresses.
# Kubernetes' own controller leads the Service to those that are ready.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
# 3.7 cannot be built of its module alone: what it replaces a dependency by is a module of its own.
TRAEFIK_VERSION=v3.6.12
TRAEFIK=$CONTROLLERS/traefik-$TRAEFIK_VERSION
# All kinds that a Gateway watches, of which the cluster's programs take some.
KINDS=$CONTROLLERS/gateway-api-$GATEWAY_API_VERSION
GATEWAY_ADDRESS=10.255.0.21
# The example's.
HOST=llm.example.com
PREFIX=/letters

# --- outside: what must be built ----------------------------------------------

# Without two fifths of its packages, which have nothing to do with a Gateway: the DNS services that
# certificates can be asked for by, and sources of routes other than Kubernetes, files and HTTP.
prepare() {
  local folder=$CONTROLLERS/build/traefik lego others
  find_go
  if [ ! -e "$KINDS" ]; then
    cp -r --no-preserve=mode "$(module sigs.k8s.io/gateway-api "$GATEWAY_API_VERSION")/config/crd/standard" "$KINDS.new"
    mv "$KINDS.new" "$KINDS"
  fi
  [ -x "$TRAEFIK" ] && return
  rm -rf "$folder"
  cp -r --no-preserve=mode "$(module github.com/traefik/traefik/v3 "$TRAEFIK_VERSION")" "$folder"
  lego=$(awk '$1 == "github.com/go-acme/lego/v4" { print $2 }' "$folder/go.mod")
  cp -r --no-preserve=mode "$(module github.com/go-acme/lego/v4 "$lego")" "$folder/lego"
  printf 'replace github.com/go-acme/lego/v4 => ./lego\n' >>"$folder/go.mod"
  sed -i '/lego\/v4\/providers\/dns\//d; /^\tcase /,/^\t\treturn .*NewDNSProvider/d' \
    "$folder/lego/providers/dns/zz_gen_dns_providers.go"
  others='\(Docker\|Swarm\|ConsulCatalog\|Nomad\|Ecs\|Consul\|Etcd\|ZooKeeper\|Redis\)'
  sed -i "/pkg\/provider\/\(consulcatalog\|docker\|ecs\|nomad\|kv\/\)/d; /^\t$others \+\*/d
    /if c\.Providers\.$others != nil/,/^\t}/d" "$folder/pkg/config/static/static_config.go"
  sed -i "/if conf\.$others != nil/,/^\t}/d" "$folder/pkg/provider/aggregator/aggregator.go"
  log "building Traefik $TRAEFIK_VERSION"
  (cd "$folder" && nice "$GO" build -trimpath -ldflags="-s -w" -o "$TRAEFIK.new" ./cmd/traefik)
  mv "$TRAEFIK.new" "$TRAEFIK"
}

# --- inside the namespace -------------------------------------------------------

# The example as it is, with what it leaves to the platform team: the class's controller and the certificate.
make_route() {
  openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj "/CN=$HOST" -addext "subjectAltName=DNS:$HOST" \
    -keyout "$WORK/tls.key" -out "$WORK/tls.crt" 2>/dev/null
  kubectl apply -f - >/dev/null <<YAML
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: example}
spec: {controllerName: traefik.io/gateway-controller}
YAML
  kubectl apply -f "$ROOT/examples/gateway.yaml" >/dev/null
  kubectl -n gateways create secret tls llm-example-com --cert "$WORK/tls.crt" --key "$WORK/tls.key" >/dev/null
  kubectl scale infd letters --replicas 2 >/dev/null
  wait_for 90 "the operator's route" kubectl get httproute letters
  wait_for 30 "the operator's workload" has_two_replicas
}
has_two_replicas() { [ "$(kubectl get deployment letters -o jsonpath='{.spec.replicas}')" = 2 ]; }

start_endpoints() {
  launch endpoints "$BIN/kube-controller-manager" --kubeconfig "$WORK/kubeconfig" --controllers endpointslice-controller \
    --leader-elect=false --bind-address 127.0.0.1
}

start_gateway() {
  KUBECONFIG=$WORK/kubeconfig launch gateway "$TRAEFIK" --providers.kubernetesgateway=true \
    --entrypoints.https.address="$GATEWAY_ADDRESS:443" --global.checknewversion=false --global.sendanonymoususage=false \
    --log.level=INFO "$@"
}

condition() { # KIND NAME TYPE: its status
  kubectl get "$1" "$2" -o json | jq -r --arg type "$3" \
    '[.status | (.conditions // .parents[0].conditions)[] | select(.type == $type)][0] | .status'
}
is() { [ "$(condition "$2" "$3" "$4" 2>/dev/null)" = "$1" ]; } # STATUS KIND NAME TYPE

show() { # KIND NAME TYPE...
  local kind=$1 name=$2 type
  shift 2
  for type in "$@"; do
    kubectl get "$kind" "$name" -o json | jq -r --arg what "$kind $name" --arg type "$type" \
      '[.status | (.conditions // .parents[0].conditions)[] | select(.type == $type)][0]
       | "\($what): \(.type) \(.status), \([.reason, .message | select(. != "")] | join(": "))"'
  done
}

# As a client outside does: by name, with the authority of the certificate.
through() { # PATH CURL-OPTION...
  local path=$1
  shift
  curl -sS --noproxy '*' --cacert "$WORK/tls.crt" --resolve "$HOST:443:$GATEWAY_ADDRESS" "$@" "https://$HOST$path"
}
direct() { # ADDRESS PATH CURL-OPTION...
  local address=$1 path=$2
  shift 2
  curl -sS --noproxy '*' "$@" "http://$address:8080$path"
}

JSON='Content-Type: application/json'
CHAT="{\"model\": \"$MODEL\", \"stream\": true, \"temperature\": 0, \"max_tokens\": 60,
  \"messages\": [{\"role\": \"user\", \"content\": \"What is a contract?\"}]}"

# The events of a stream, without what differs from request to request.
events() { sed -n 's/^data: //p' | grep -v '^\[DONE\]' | jq -c 'del(.id, .created)'; }

same_words() {
  local i
  for i in "${PODS[@]}"; do
    direct "$i" /v1/chat/completions -N -H "$JSON" -d "$CHAT" | events >"$WORK/direct-$i"
  done
  for i in 1 2; do
    through "$PREFIX/v1/chat/completions" -N -H "$JSON" -d "$CHAT" | events >"$WORK/through-$i"
  done
  [ "$(wc -l <"$WORK/through-1")" -gt 10 ] || die "the stream ended early: $(cat "$WORK/through-1")"
  for i in "direct-${PODS[1]}" through-1 through-2; do
    cmp "$WORK/direct-${PODS[0]}" "$WORK/$i" || die "the streams differ"
  done
  echo "a chat completion: $(wc -l <"$WORK/through-1") events, each as asked of either pod"
}

answered() { # ADDRESS: generations that have begun to answer
  metric "$1" kvdrive_time_to_first_token_seconds_count | cut -d. -f1 | grep . || echo 0
}

# Sends requests one after another; sets TOOK to how many each pod has answered.
send() { # REQUESTS
  local i code before=()
  for i in "${PODS[@]}"; do before+=("$(answered "$i")"); done
  for ((i = 0; i < $1; i++)); do
    code=$(through "$PREFIX/v1/completions" -o /dev/null -w '%{http_code}' -H "$JSON" \
      -d "{\"model\": \"$MODEL\", \"prompt\": \"Request $i.\", \"max_tokens\": 4}")
    [ "$code" = 200 ] || die "request $i got $code"
  done
  TOOK=($(($(answered "${PODS[0]}") - before[0])) $(($(answered "${PODS[1]}") - before[1])))
  echo "$1 requests: ${PODS[0]} took ${TOOK[0]}, ${PODS[1]} took ${TOOK[1]}"
}

# Two at once, one for each pod: one answers with the whole, after a silence, the other word by word.
long_answers() {
  local prompt asked waited silent tokens=5000
  prompt=$(for ((i = 0; i < 2500; i++)); do printf 'Clause %s. ' "$i"; done)
  asked="\"model\": \"$MODEL\", \"prompt\": \"$prompt\", \"max_tokens\": $tokens, \"ignore_eos\": true, \"temperature\": 0"
  printf '{%s}' "$asked" >"$WORK/silent.json"
  printf '{%s, "stream": true, "stream_options": {"include_usage": true}}' "$asked" >"$WORK/streamed.json"
  through "$PREFIX/v1/completions" --http1.1 -H "$JSON" -d "@$WORK/silent.json" -o "$WORK/silent" \
    -w '%{time_starttransfer}' >"$WORK/silence" &
  silent=$!
  STARTED+=("$silent")
  waited=$SECONDS
  through "$PREFIX/v1/completions" -N -H "$JSON" -d "@$WORK/streamed.json" |
    while read -r line; do printf '%s %s\n' "$EPOCHSECONDS" "$line"; done >"$WORK/streamed"
  waited=$((SECONDS - waited))
  wait "$silent" || die "the answer was broken off after $(cat "$WORK/silence") s"
  jq -r --arg silence "$(cat "$WORK/silence")" '.usage |
    "a long answer over HTTP/1.1: \(.prompt_tokens) tokens of prompt and \(.completion_tokens) of answer, after \($silence) s of silence"' \
    "$WORK/silent"
  [ "$(jq .usage.completion_tokens "$WORK/silent")" = "$tokens" ] || die "the answer is not whole: $(head -c 300 "$WORK/silent")"
  tail -n 2 "$WORK/streamed" | grep -q 'DONE' || die "the stream is not whole: $(tail -n 2 "$WORK/streamed")"
  echo "the same as a stream over HTTP/2: $(grep -c 'data: {' "$WORK/streamed") events in $waited s, some in" \
    "$(cut -d' ' -f1 "$WORK/streamed" | sort -u | wc -l) of these seconds"
}

inside() {
  local path
  start_network "$GATEWAY_ADDRESS"
  start_api_server "$KINDS"
  start_operator
  start_endpoints
  make_route
  start_pods letters
  start_gateway "$@"
  wait_for 60 "the Gateway to accept the route" is True infd letters RouteReady
  show gatewayclass example Accepted
  show httproute letters Accepted ResolvedRefs
  show infd letters RouteReady
  show infd contracts RouteReady
  wait_for 30 "the Gateway's first answer" through "$PREFIX/v1/models" -f
  same_words
  for path in "$PREFIX/health" "$PREFIX/metrics" /metrics /v1/models; do
    [ "$(through "$path" -o /dev/null -w '%{http_code}')" = 404 ] || die "$path leads somewhere"
  done
  echo "health and metrics: 404"
  echo "a request for contracts: $(through /contracts/v1/models -o /dev/null -w '%{http_code}')"
  send 20
  [ "${TOOK[0]}" -ge 1 ] && [ "${TOOK[1]}" -ge 1 ] || die "a pod got none"
  long_answers
  ready letters-1 False
  sleep 5
  echo "== ${PODS[1]} is not ready"
  send 20
  [ "${TOOK[*]}" = "20 0" ] || die "a pod that is not ready got requests"
  ready letters-1 True
  sleep 5
  echo "== ${PODS[1]} is ready again"
  send 20
  [ "${TOOK[0]}" -ge 1 ] && [ "${TOOK[1]}" -ge 1 ] || die "a pod got none"
  ready letters-0 False
  ready letters-1 False
  sleep 5
  echo "== none is ready"
  echo "a request: $(through "$PREFIX/v1/models" -w '%{http_code}' | tr '\n' ' ')" | tee "$WORK/none"
  grep -q ' 503$' "$WORK/none" || die "that is not 503"
  log "the Gateway did as it should, $SECONDS s after the start"
}

# One line, as bash reads on in a file that may have changed.
main "$@"; exit
