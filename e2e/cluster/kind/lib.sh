# shellcheck shell=bash disable=SC2034
# Shared by the scripts of this folder. Source it: kind, kubectl and podman then
# mean this folder's, so that a test harness may call them directly as well.

KIND_FOLDER=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=../native/lib.sh
. "$KIND_FOLDER/../native/lib.sh"

KIND_VERSION=v0.30.0
LOCAL_PATH_PROVISIONER_VERSION=v0.0.30
CLUSTER=${KVDRIVE_KIND_CLUSTER:-kvdrive}
KIND_CACHE=$CACHE/kind
# The local volumes' files, and where the worker sees their mounts.
VOLUMES=${KVDRIVE_KIND_VOLUMES:-/var/lib/kvdrive-kind/volumes}
VOLUMES_IN_NODE=/var/local-nvme
KIND_BIN=$KIND_CACHE/bin

# lib.sh gives kubectl its own cluster's kubeconfig.
unset -f kubectl k8s_ctr
export PATH=$KIND_BIN:$BIN:$PATH
export KUBECONFIG=${KVDRIVE_KIND_KUBECONFIG:-$KIND_CACHE/$CLUSTER.kubeconfig}
# A Docker engine where there is one; its users may have their own node image.
if docker info >/dev/null 2>&1; then
  ENGINE=docker
  NODE_IMAGE=${KVDRIVE_KIND_NODE_IMAGE:-kindest/node:v1.34.0}
else
  ENGINE=podman
  NODE_IMAGE=${KVDRIVE_KIND_NODE_IMAGE:-localhost/kvdrive-kind-node:$K8S_VERSION}
fi
export KIND_EXPERIMENTAL_PROVIDER=$ENGINE
export CONTAINERS_CONF=$KIND_CACHE/containers.conf

# Podman's own default is more than root may have in a confined machine.
write_containers_conf() {
  mkdir -p "$KIND_CACHE"
  sed -e "s/@NOFILE@/$(limit_up_to 1048576 "$(ulimit -Hn)")/g" \
    -e "s/@NPROC@/$(limit_up_to 30000 "$(ulimit -Hu)")/g" \
    "$KIND_FOLDER/containers.conf" | put "$CONTAINERS_CONF"
}
limit_up_to() { if [ "$2" = unlimited ] || (($2 > $1)); then echo "$1"; else echo "$2"; fi; }

# Not grep -q, which may end before kind has written everything.
cluster_exists() { kind get clusters --quiet | grep -x "$CLUSTER" >/dev/null; }
