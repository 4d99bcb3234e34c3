#!/usr/bin/env bash
# Shows that the kind cluster does what the end-to-end tests rely on: local
# images, scheduling on every node, Services, DNS, memory limits, volumes.
# up.sh comes first; everything made here is removed again.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

NAMESPACE=smoke
IMAGE=localhost/kvdrive-smoke:1
LIMIT_MIB=32

passed() { printf 'ok    %s\n' "$*"; }
in_smoke() { kubectl --namespace "$NAMESPACE" "$@"; }
remove_all() {
  [ -z "${FORWARDING:-}" ] || kill "$FORWARDING" 2>/dev/null || true
  in_smoke delete --ignore-not-found --wait=false --grace-period=0 deployment,pod,pvc --all >/dev/null 2>&1 || true
  kubectl delete namespace "$NAMESPACE" --ignore-not-found --timeout 60s >/dev/null || true
  "$ENGINE" image rm "$IMAGE" >/dev/null 2>&1 || true
  [ -z "${WORK:-}" ] || rm -rf "$WORK"
}

load_image() {
  mkdir -p "$WORK/rootfs/bin" "$WORK/rootfs/tmp"
  cp /bin/busybox "$WORK/rootfs/bin/"
  for program in sh cat dd tail httpd nc nslookup; do ln -s busybox "$WORK/rootfs/bin/$program"; done
  tar -C "$WORK/rootfs" --owner=0 --group=0 -cf - . |
    "$ENGINE" import --change 'ENTRYPOINT ["/bin/sh", "-c"]' - "$IMAGE" >/dev/null
  "$ENGINE" save --output "$WORK/image.tar" "$IMAGE"
  kind load image-archive --quiet --name "$CLUSTER" "$WORK/image.tar"
  passed "kind load image-archive: $IMAGE ($(du -k "$WORK/image.tar" | cut -f1) kB)"
}

# One pod on every node, the control plane's too.
deploy_web() {
  local nodes
  nodes=$(kubectl get nodes --no-headers | wc -l)
  in_smoke apply -f - >/dev/null <<YAML
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: $nodes
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 0
      tolerations: [{operator: Exists}]
      topologySpreadConstraints:
      - maxSkew: 1
        topologyKey: kubernetes.io/hostname
        whenUnsatisfiable: DoNotSchedule
        labelSelector: {matchLabels: {app: web}}
      containers:
      - name: web
        image: $IMAGE
        imagePullPolicy: Never
        args: ["cd /tmp && echo \$NODE >index.html && exec httpd -f -p 8080"]
        env: [{name: NODE, valueFrom: {fieldRef: {fieldPath: spec.nodeName}}}]
        readinessProbe: {httpGet: {path: /, port: 8080}, periodSeconds: 1}
        resources: {limits: {memory: ${LIMIT_MIB}Mi, cpu: 100m}}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  type: NodePort
  selector: {app: web}
  ports: [{port: 80, targetPort: 8080}]
YAML
  in_smoke rollout status deployment/web --timeout 90s >/dev/null
  passed "Deployment: $(in_smoke get pods --selector app=web --output 'jsonpath={range .items[*]}{.spec.nodeName}/{.status.podIP} {end}')"
}

# From every node to every node. Not with wget: busybox's crashes where glibc's
# loadable resolvers are missing.
ask_service() {
  local pod asked answers nodes address resolved
  nodes=$(kubectl get nodes --no-headers | wc -l)
  address=$(in_smoke get service web --output 'jsonpath={.spec.clusterIP}')
  for pod in $(in_smoke get pods --selector app=web --output name); do
    resolved=$(in_smoke exec "$pod" -- nslookup -type=a "web.$NAMESPACE.svc.cluster.local" | awk '/^Address/ {last = $2} END {print last}')
    [ "$resolved" = "$address" ] || die "DNS says $resolved instead of $address to $pod"
    answers=
    for asked in {1..30}; do
      answers+=$(in_smoke exec "$pod" -- sh -c "printf 'GET / HTTP/1.0\r\n\r\n' | nc -w 3 $address 80 | tail -n 1")$'\n'
      [ "$(distinct "$answers")" != "$nodes" ] || break
    done
    [ "$(distinct "$answers")" = "$nodes" ] || die "asked $asked times from $pod, only heard: $answers"
    passed "Service: $pod resolved $address and heard of all $nodes nodes in $asked requests"
  done
}
distinct() { sed '/^$/d' <<<"$1" | sort -u | wc -l; }

# The ways in from outside the cluster.
ask_from_outside() {
  local node port answer
  port=$(in_smoke get service web --output 'jsonpath={.spec.ports[0].nodePort}')
  for node in $(kubectl get nodes --output 'jsonpath={.items[*].status.addresses[?(@.type=="InternalIP")].address}'); do
    answer=$(get_page "$node" "$port")
    [ -n "$answer" ] || die "no answer from $node:$port"
  done
  passed "NodePort: $port answers on every node"
  in_smoke port-forward service/web :80 >"$WORK/port-forward" 2>&1 &
  FORWARDING=$!
  wait_for 10 "the forwarded port" grep -q 127.0.0.1: "$WORK/port-forward"
  port=$(sed -n 's/.*127\.0\.0\.1:\([0-9]*\).*/\1/p' "$WORK/port-forward")
  answer=$(get_page 127.0.0.1 "$port")
  [ -n "$answer" ] || die "no answer through port-forward"
  passed "port-forward: answered by $answer"
}
get_page() { # ADDRESS PORT: the page's last line
  printf 'GET / HTTP/1.0\r\n\r\n' | busybox nc -w 5 "$1" "$2" | tail -n 1
}

check_limit() {
  local pod limit reason
  pod=$(in_smoke get pods --selector app=web --output 'jsonpath={.items[0].metadata.name}')
  limit=$(in_smoke exec "$pod" -- sh -c 'cat /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null || cat /sys/fs/cgroup/memory.max')
  [ "$limit" = $((LIMIT_MIB * 1024 * 1024)) ] || die "the memory limit is $limit"
  # tail keeps the last line, and this one never ends.
  in_smoke apply -f - >/dev/null <<YAML
apiVersion: v1
kind: Pod
metadata: {name: glutton}
spec:
  restartPolicy: Never
  containers:
  - name: glutton
    image: $IMAGE
    imagePullPolicy: Never
    args: ["exec tail /dev/zero"]
    resources: {limits: {memory: ${LIMIT_MIB}Mi}}
YAML
  in_smoke wait --for=jsonpath='{.status.phase}'=Failed pod/glutton --timeout 60s >/dev/null
  reason=$(in_smoke get pod glutton --output 'jsonpath={.status.containerStatuses[0].state.terminated.reason}')
  [ "$reason" = OOMKilled ] || die "the pod over its limit ended with $reason"
  passed "memory limit: $limit bytes in the pod's cgroup; a pod above it was $reason"
}

check_volume() { # CLASS COMMAND EXPECTED
  local name=volume-$1
  in_smoke apply -f - >/dev/null <<YAML
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: $name}
spec:
  storageClassName: $1
  accessModes: [ReadWriteOnce]
  resources: {requests: {storage: 64Mi}}
---
apiVersion: v1
kind: Pod
metadata: {name: $name}
spec:
  restartPolicy: Never
  containers:
  - name: writer
    image: $IMAGE
    imagePullPolicy: Never
    args: ["$2"]
    volumeMounts: [{name: data, mountPath: /data}]
  volumes: [{name: data, persistentVolumeClaim: {claimName: $name}}]
YAML
  in_smoke wait --for=jsonpath='{.status.phase}'=Succeeded "pod/$name" --timeout 90s >/dev/null
  in_smoke logs "$name" | grep -- "$3" >/dev/null || die "$name says $(in_smoke logs "$name")"
  passed "volume: $(in_smoke get pvc "$name" --output 'jsonpath={.spec.storageClassName} {.status.phase} {.status.capacity.storage}'), $3"
}

main() {
  need_root
  cluster_exists || die "there is no cluster $CLUSTER: run up.sh first"
  WORK=$(mktemp -d)
  trap remove_all EXIT
  kubectl get nodes --output wide
  kubectl create namespace "$NAMESPACE" >/dev/null
  wait_for 30 "the service account" in_smoke get serviceaccount default
  load_image
  deploy_web
  ask_service
  ask_from_outside
  check_limit
  check_volume standard 'echo kept >/data/file && cat /data/file' kept
  "$KIND_FOLDER/volumes.sh" 1 64Mi
  check_volume local-nvme 'dd if=/dev/zero of=/data/direct bs=1M oflag=direct 2>&1 || true' 'No space left on device'
  "$ENGINE" stats --no-stream --format '{{.Name}} {{.MemUsage}}' |
    sed -n "s#^$CLUSTER-#memory $CLUSTER-#p"
  passed "all after $SECONDS s"
}
main "$@"
