# shellcheck shell=bash disable=SC2034
# Shared by the scripts of this folder: versions, places, addresses, helpers.
# Source it; it does nothing by itself.

# 1.34 is the last minor version whose kubelet accepts cgroup v1 by default.
K8S_VERSION=v1.34.4
ETCD_VERSION=v3.6.8
COREDNS_VERSION=v1.14.7
# Images as volumes take 2.1.
CONTAINERD_VERSION=v2.3.7
DISTRIBUTION_VERSION=v3.1.2
# Whose definitions the operator's routes and the examples are held to.
GATEWAY_API_VERSION=v1.4.1
INFERENCE_EXTENSION_VERSION=v1.2.1
KEDA_VERSION=v2.20.2
KEDA_HTTP_VERSION=v0.15.0

# What build.sh makes: of Kubernetes, and else.
COMPONENTS=(kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy kubectl)
PROGRAMS=(containerd containerd-shim-runc-v2 ctr registry etcd coredns pause gpus)

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# Go, too, wants to know; services and CI often do not say.
export HOME=${HOME:-$(getent passwd "$(id -u)" | cut -d: -f6)}
CACHE=${KVDRIVE_CLUSTER_CACHE:-$HOME/.cache/kvdrive-cluster}
BIN=$CACHE/$K8S_VERSION
STATE=${KVDRIVE_CLUSTER_STATE:-/var/lib/kvdrive-cluster}

PKI=$STATE/pki
CONF=$STATE/conf
LOGS=$STATE/log
RUN=$STATE/run
VOLUMES=$STATE/volumes
KUBECONFIG_ADMIN=$STATE/admin.kubeconfig
CONTAINERD_SOCKET=$RUN/containerd.sock

# The node's address lives on the pods' own bridge, so nothing listens on an
# address that another machine can reach.
NODE_NAME=kvdrive-node
BRIDGE=kvdrive0
POD_CIDR=10.244.0.0/24
NODE_IP=10.244.0.1
SERVICE_CIDR=10.96.0.0/16
API_SERVICE_IP=10.96.0.1
DNS_IP=10.96.0.10
API_URL=https://$NODE_IP:6443
# Not 2379, so that a developer's own etcd does not collide.
ETCD_URL=http://127.0.0.1:12379
ETCD_PEER_URL=http://127.0.0.1:12380

PAUSE_IMAGE=localhost/kvdrive/pause:1
# Where registry.sh listens: the names of its images begin with it.
REGISTRY=$NODE_IP:5000
REGISTRIES=$CONF/registries
DNS_IMAGE=localhost/kvdrive/coredns:$COREDNS_VERSION
# What the kubelet notes of device plugins and who holds what of theirs; its place is fixed.
DEVICE_CHECKPOINT=/var/lib/kubelet/device-plugins/kubelet_internal_checkpoint
CNI_BIN=/usr/lib/cni
NFT_TABLE=kvdrive_cluster
STORAGE_CLASS=local-nvme

log() { printf '%s %s\n' "$(date +%T)" "$*" >&2; }
die() { printf 'error: %s\n' "$*" >&2; exit 1; }

need_root() { [ "$(id -u)" = 0 ] || die "this must run as root (mounts, namespaces, cgroups)"; }
need_binaries() {
  local b
  for b in "${COMPONENTS[@]}" "${PROGRAMS[@]}"; do
    [ -x "$BIN/$b" ] || die "$b is missing in $BIN: run build.sh first"
  done
}

# Says what a command says only when it fails.
quietly() {
  local said
  said=$("$@" 2>&1) || { printf '%s\n' "$said" >&2; return 1; }
}

# Sets GO to a toolchain that can build the programs. An older one, such as
# Debian's, can fetch a newer one, which is a Go module too.
GO_MINIMUM=1.26.0
GO_FETCHED=1.26.8
find_go() {
  local go version
  for go in "$(command -v go || true)" /usr/local/go/bin/go; do
    [ -x "$go" ] || continue
    version=$(cd / && GOTOOLCHAIN=local "$go" env GOVERSION)
    if at_least "${version#go}" "$GO_MINIMUM"; then GO=$go; return; fi
    GO=$CACHE/build/go$GO_FETCHED/bin/go
    [ -x "$GO" ] || fetch_go "$go"
    return
  done
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    install_debian golang-go
    [ ! -x /usr/bin/go ] || { find_go; return; }
  fi
  die "a Go toolchain is needed to build the programs: $GO_MINIMUM or newer (https://go.dev/dl)"
}
at_least() { printf '%s\n' "$2" "$1" | sort -V -C; }

fetch_go() { # BY: with an older toolchain
  local from to=$CACHE/build/go$GO_FETCHED module
  module=golang.org/toolchain@v0.0.1-go$GO_FETCHED.linux-$(dpkg --print-architecture)
  log "$1 is older than $GO_MINIMUM: fetching $GO_FETCHED"
  mkdir -p "$CACHE/build/toolchain"
  printf 'module cluster.test/toolchain\n' >"$CACHE/build/toolchain/go.mod"
  from=$(cd "$CACHE/build/toolchain" && GOTOOLCHAIN=local "$1" mod download -json "$module" |
    sed -n 's/^\t"Dir": "\(.*\)",\?$/\1/p')
  [ -d "$from" ] || die "$1 could not fetch the module $module"
  rm -rf "$to.new"
  # The module cache is read-only and knows no executables.
  cp -r --no-preserve=mode "$from" "$to.new"
  chmod +x "$to.new"/bin/* "$to.new"/pkg/tool/*/*
  mv "$to.new" "$to"
}

install_debian() { # PACKAGE...: those that are missing
  local p missing=()
  for p in "$@"; do
    [[ $(dpkg-query -W -f '${Status}' "$p" 2>/dev/null) == *' ok installed' ]] || missing+=("$p")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  [ "$(id -u)" = 0 ] || die "packages missing, and only root can install them: ${missing[*]}"
  log "installing ${missing[*]}"
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

kubectl() { "$BIN/kubectl" --kubeconfig "$KUBECONFIG_ADMIN" "$@"; }
# On cgroup v1 it would say with each command that this goes in 2029.
k8s_ctr() { CONTAINERD_SUPPRESS_DEPRECATION_WARNINGS=1 "$BIN/ctr" --address "$CONTAINERD_SOCKET" --namespace k8s.io "$@"; }

# Writes its input to FILE only if that changes it: kube-proxy ends as soon as
# its file is touched.
put() { # FILE
  local new
  new=$(cat)
  [ -e "$1" ] && [ "$new" = "$(cat "$1")" ] || printf '%s\n' "$new" >"$1"
}

# wait_for SECONDS WHAT COMMAND...: polls until COMMAND succeeds.
wait_for() {
  local limit=$((SECONDS + $1)) what=$2
  shift 2
  until "$@" >/dev/null 2>&1; do
    ((SECONDS < limit)) || { log "gave up waiting for $what"; return 1; }
    sleep 0.3
  done
}

# A pid alone may have been given to another process since; pid and start time
# (field 22 of stat, counted after the command's name) identify one process.
start_time() { sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -d' ' -f20; }

pid_of() { # NAME: prints the pid of a daemon of ours that is alive
  local pid start
  [ -s "$RUN/$1.pid" ] || return 1
  read -r pid start <"$RUN/$1.pid"
  [ -n "$start" ] && [ "$(start_time "$pid")" = "$start" ] || return 1
  # A zombie still has a start time.
  ! grep -q '^State:.Z' "/proc/$pid/status" 2>/dev/null || return 1
  echo "$pid"
}

start_daemon() { # NAME COMMAND...: starts it in a session of its own unless it runs
  local name=$1 pid
  shift
  if pid_of "$name" >/dev/null; then return; fi
  # 9 is the lock of up.sh, which must not live on in the daemon.
  setsid "$@" >>"$LOGS/$name.log" 2>&1 </dev/null 9>&- &
  pid=$!
  echo "$pid $(start_time "$pid")" >"$RUN/$name.pid"
  log "started $name (pid $pid)"
}

stop_daemon() { # NAME [SECONDS]: asks, waits, then insists
  local name=$1 limit=$((SECONDS + ${2:-10})) pid
  if pid=$(pid_of "$name"); then
    kill "$pid" 2>/dev/null || true
    while pid_of "$name" >/dev/null; do
      if ((SECONDS >= limit)); then
        log "$name (pid $pid) did not end by itself"
        kill -9 "$pid" 2>/dev/null || true
        sleep 0.3
        break
      fi
      sleep 0.1
    done
    log "stopped $name"
  fi
  rm -f "$RUN/$name.pid"
}
