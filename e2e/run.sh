#!/usr/bin/env bash
# Runs the end-to-end scenarios on a real cluster.
#
#   run.sh [--mode native|kind|kubeconfig] [--registry | --upgrade] [--keep] [--if-available] [-- MAVEN_ARGUMENT...]
#
#   native       a single-node cluster of plain processes on this machine; needs root on Debian 12
#   kind         kind, through Docker or podman; needs root
#   kubeconfig   the cluster of KUBECONFIG, which must be able to pull KVDRIVE_E2E_OPERATOR_IMAGE and
#                KVDRIVE_E2E_RUNTIME_IMAGE, and has volumes of the class KVDRIVE_E2E_STORAGE_CLASS
#   --registry        native mode: the chart and the images of all processors are pushed to a registry beside
#                     the cluster, helm and kubelet pull them from there
#   --upgrade         instead of the scenarios: installs the last recorded release, and upgrades it to this
#                     tree and back under load; the first time it builds that release
#   --keep            leaves the cluster up when the tests have ended
#   --if-available    does nothing where the native mode cannot run
#
# Without --mode: native where it can run, else kind.
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
CLUSTER=$ROOT/e2e/cluster
MODE=
KEEP=no
FROM_REGISTRY=no
IF_AVAILABLE=no
# The recorded release to upgrade from, or nothing.
RELEASED=
TESTS=PlatformIT

say() { printf '%s e2e: %s\n' "$(date +%T)" "$*" >&2; }
die() { printf 'error: %s\n' "$*" >&2; exit 1; }
usage() { sed -n '2,/^set -/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" | sed '$d' >&2; exit "$1"; }

# Why the native cluster cannot run here, or nothing.
native_obstacle() {
  if [ "$(uname -s)-$(uname -m)" != Linux-x86_64 ]; then
    echo "it needs Linux on amd64"
  elif [ "$(id -u)" != 0 ]; then
    echo "it needs root"
  elif ! command -v apt-get >/dev/null; then
    echo "it needs Debian's packages"
  elif ! unshare --mount --net true 2>/dev/null; then
    echo "this root may not make mount and network namespaces"
  elif [ ! -e /dev/loop-control ]; then
    echo "this machine has no loop devices"
  elif [ ! -w /sys/fs/cgroup ]; then
    echo "the control groups cannot be written"
  fi
}

# One run at a time: two would take each other's cluster away. Who inherits the lock, such as
# Maven, keeps it for as long as it lives, also when this script was killed.
be_alone() {
  [ "$(id -u)" = 0 ] && [ -d /run/lock ] || return 0
  exec 7>"/run/lock/kvdrive-e2e-$MODE"
  if ! flock -n 7; then
    say "another run is at work in $MODE mode; waiting for its end"
    flock -w 1800 7 || die "another run in $MODE mode did not end within half an hour"
  fi
}

choose_mode() {
  local obstacle
  obstacle=$(native_obstacle)
  if [ -n "$MODE" ]; then
    [ "$MODE" != native ] || [ -z "$obstacle" ] || die "no native mode here: $obstacle"
  elif [ -z "$obstacle" ]; then
    MODE=native
  elif [ $IF_AVAILABLE = yes ]; then
    say "SKIPPED: no native cluster here: $obstacle"
    exit 0
  else
    MODE=kind
  fi
}

# The images, put into the cluster.
give_images() {
  "$CLUSTER/image.sh" "$MODE" "$ROOT/operator/target/jib-image.tar" "$OPERATOR_IMAGE" >/dev/null
  "$CLUSTER/image.sh" "$MODE" "$ROOT/runtime/server/target/jib-image.tar" "$RUNTIME_IMAGE" >/dev/null
  [ -n "$RELEASED" ] || return 0
  "$CLUSTER/image.sh" "$MODE" "$RELEASE/operator.tar" "$(of_release "$OPERATOR_IMAGE")" >/dev/null
  "$CLUSTER/image.sh" "$MODE" "$RELEASE/runtime.tar" "$(of_release "$RUNTIME_IMAGE")" >/dev/null
}

of_release() { echo "${1%:*}:$RELEASED"; }

# The images and the chart of the last recorded release.
take_release() {
  local status=0
  RELEASED=$(cd "$ROOT/releases" && printf '%s\n' */commit | sed 's|/commit$||' | sort -V | tail -n 1)
  [ "$MODE" != kubeconfig ] || die "--upgrade needs a cluster that images can be put into: native or kind"
  say "release $RELEASED"
  RELEASE=$("$ROOT/e2e/release.sh" "$RELEASED" 7>&-) || status=$?
  if [ $status = 3 ]; then
    say "SKIPPED: there is no history here to build release $RELEASED from"
    exit 0
  fi
  [ $status = 0 ] || die "release $RELEASED could not be built; see above"
}

# The same and the chart, as the README says it, to a registry.
push_all() { # HELM
  local registry tag folder
  tag=$(date +%s) # a cluster that stayed has what was pushed before
  registry=$($REGISTRY 7>&-)
  "$ROOT/images/push.sh" "$registry/kvdrive" "$tag" --dest-tls-verify=false >&2
  folder=$(mktemp -d)
  "$1" package "$ROOT/helm/kvdrive" --destination "$folder" >&2
  "$1" push "$folder"/kvdrive-*.tgz "oci://$registry/kvdrive/charts" --plain-http >&2
  rm -r "$folder"
  OPERATOR_IMAGE=$registry/kvdrive/operator:$tag
  RUNTIME_IMAGE=$registry/kvdrive/runtime:$tag
  PULL_POLICY=IfNotPresent
  CHART="oci://$registry/kvdrive/charts/kvdrive --plain-http"
}

# shellcheck source=cluster/kind/lib.sh
kind_exists() { (. "$CLUSTER/kind/lib.sh" && cluster_exists 2>/dev/null); }

exists() {
  case $MODE in
    native) [ -d "${KVDRIVE_CLUSTER_STATE:-/var/lib/kvdrive-cluster}" ] ;;
    kind) kind_exists ;;
  esac
}

# A file that is there while a cluster belongs to a run and not to a person. A run that was killed
# leaves its cluster behind, which nobody needs.
mark() {
  case $MODE in
    native) echo "${KVDRIVE_CLUSTER_STATE:-/var/lib/kvdrive-cluster}.of-a-run" ;;
    kind) (. "$CLUSTER/kind/lib.sh" && echo "$KIND_CACHE/$CLUSTER.of-a-run") ;;
  esac
}

stop() {
  say "stopping the cluster"
  if case $MODE in
    native) "$CLUSTER/down.sh" native --purge ;;
    kind) "$CLUSTER/down.sh" kind ;;
  esac; then
    rm -f "$MARK"
  else
    say "the cluster could not be stopped; the next run will try again"
  fi
}

# What a run that failed has left in a cluster that stays.
clean() {
  local kubectl=$1 helm=$2 crd
  "$kubectl" get namespace kvdrive-system >/dev/null 2>&1 || return 0
  say "removing what an earlier run has left"
  "$kubectl" delete infd --all --all-namespaces --timeout 60s >/dev/null 2>&1 || true
  "$helm" uninstall kvdrive --namespace kvdrive-system --ignore-not-found --wait >/dev/null
  for crd in inferencedeployments inferenceclasses; do
    "$kubectl" delete crd "$crd.kvdrive.dev" --ignore-not-found --timeout 60s >/dev/null
  done
  "$kubectl" delete namespace kvdrive-system e2e-contracts e2e-drafts --ignore-not-found --timeout 90s >/dev/null
  "$kubectl" delete persistentvolume e2e-boastful --ignore-not-found >/dev/null
  [ -z "$VOLUMES" ] || $VOLUMES --recycle
  [ -z "$GPUS" ] || $GPUS --stop
}

prepare() { # HELM
  CHART=$ROOT/helm/kvdrive
  REGISTRY=
  if [ "$MODE" = kubeconfig ]; then
    [ -n "${KUBECONFIG:-}" ] || die "KUBECONFIG is not set"
    OPERATOR_IMAGE=${KVDRIVE_E2E_OPERATOR_IMAGE:?the operator image that the cluster can pull}
    RUNTIME_IMAGE=${KVDRIVE_E2E_RUNTIME_IMAGE:?the runtime image that the cluster can pull}
    STORAGE_CLASS=${KVDRIVE_E2E_STORAGE_CLASS:?a storage class with volumes of a real size}
    PULL_POLICY=IfNotPresent
    VOLUMES=
    GPUS=
    return
  fi
  OPERATOR_IMAGE=localhost/kvdrive/operator:dev
  RUNTIME_IMAGE=localhost/kvdrive/runtime:dev
  PULL_POLICY=Never
  STORAGE_CLASS=local-nvme
  VOLUMES="$CLUSTER/volumes.sh $MODE"
  GPUS=
  if [ "$MODE" = native ]; then
    GPUS="$CLUSTER/gpus.sh $MODE"
    REGISTRY="$CLUSTER/registry.sh $MODE"
  fi
  if [ $FROM_REGISTRY = yes ]; then
    "$ROOT/images/build.sh" all >/dev/null
  else
    "$ROOT/images/build.sh" >/dev/null
  fi
  MARK=$(mark)
  if [ -e "$MARK" ]; then
    say "an earlier run was cut off and left its cluster behind"
    stop
  fi
  if [ "$KEEP" = yes ]; then
    rm -f "$MARK"
  elif ! exists; then
    mkdir -p "$(dirname "$MARK")" && touch "$MARK"
    trap stop EXIT
  fi
  # Without the lock, which would live on in the cluster's processes.
  KUBECONFIG=$("$CLUSTER/up.sh" "$MODE" 7>&-)
  if [ $FROM_REGISTRY = yes ]; then push_all "$1"; else give_images; fi
}

# shellcheck source=cluster/native/lib.sh
kubectl_of_cluster() { (. "$CLUSTER/native/lib.sh" && echo "$BIN/kubectl"); }

main() {
  while [ $# -gt 0 ]; do
    case $1 in
      --mode)
        MODE=${2:-}
        case $MODE in native | kind | kubeconfig) ;; *) usage 2 ;; esac
        shift 2
        ;;
      --registry) FROM_REGISTRY=yes && shift ;;
      --upgrade) TESTS=UpgradeIT && shift ;;
      --keep) KEEP=yes && shift ;;
      --if-available) IF_AVAILABLE=yes && shift ;;
      --) shift && break ;;
      -h | --help) usage 0 ;;
      *) usage 2 ;;
    esac
  done
  choose_mode
  [ $FROM_REGISTRY = no ] || [ "$MODE" = native ] || die "only the native cluster has a registry beside it, not $MODE mode"
  [ $FROM_REGISTRY = no ] || [ $TESTS = PlatformIT ] || die "--upgrade brings the images of both releases itself: leave out --registry"
  say "mode: $MODE"
  be_alone
  JAVA_HOME=$("$ROOT/kvdrive" jdk)
  export JAVA_HOME
  [ $TESTS != UpgradeIT ] || take_release
  local helm
  helm=$("$CLUSTER/helm.sh")/helm
  prepare "$helm"
  export KUBECONFIG
  [ "$MODE" = kubeconfig ] || clean "$(kubectl_of_cluster)" "$helm"
  say "$MODE cluster is up and has the images; running the scenarios"
  local released=()
  if [ -n "$RELEASED" ]; then
    released=(-Dkvdrive.e2e.released="$RELEASED" -Dkvdrive.e2e.releasedChart="$RELEASE/chart"
      -Dkvdrive.e2e.releasedOperatorImage="$(of_release "$OPERATOR_IMAGE")"
      -Dkvdrive.e2e.releasedRuntimeImage="$(of_release "$RUNTIME_IMAGE")")
  fi
  cd "$ROOT"
  # -Dtest: the unit tests are not run again.
  mvn -q -B -Pe2e -pl e2e -am verify -Dtest=None -Dsurefire.failIfNoSpecifiedTests=false \
    -Dkvdrive.e2e.mode="$MODE" -Dkvdrive.e2e.root="$ROOT" -Dkvdrive.e2e.helm="$helm" -Dkvdrive.e2e.chart="$CHART" \
    -Dkvdrive.e2e.operatorImage="$OPERATOR_IMAGE" -Dkvdrive.e2e.runtimeImage="$RUNTIME_IMAGE" \
    -Dkvdrive.e2e.pullPolicy="$PULL_POLICY" -Dkvdrive.e2e.storageClass="$STORAGE_CLASS" \
    -Dkvdrive.e2e.volumes="$VOLUMES" -Dkvdrive.e2e.gpus="$GPUS" -Dkvdrive.e2e.registry="$REGISTRY" \
    -Dit.test=$TESTS "${released[@]}" "$@"
  say "passed in $MODE mode after $SECONDS s"
}
main "$@"
