#!/usr/bin/env bash
# Builds the container images of the operator and the runtime as archives, with
# neither a container engine nor a registry, and prints their paths.
#   build.sh [-- MAVEN_ARGUMENT...]        for this machine's processors
#   build.sh cuda [-- MAVEN_ARGUMENT...]   these, and the runtime for NVIDIA's GPUs
#   build.sh all [-- MAVEN_ARGUMENT...]    these, and those for amd64 or arm64, as an OCI layout
#                                          in images/target/oci with lists of what they hold
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
die() { printf 'error: %s\n' "$*" >&2; exit 1; }

what=
case ${1:-} in
  cuda | all) what=$1 && shift ;;
  '' | --) ;;
  *) sed -n '4,7s/^# *//p' "${BASH_SOURCE[0]}" >&2; exit 2 ;;
esac
[ "${1:-}" != -- ] || shift

cd "$ROOT"
JAVA_HOME=$(./kvdrive jdk)
export JAVA_HOME
profiles=images
modules=operator,runtime/server
properties=()
archives=("$ROOT/operator/target/jib-image.tar" "$ROOT/runtime/server/target/jib-image.tar")
case " $* " in
  *" -Dkvdrive.base.image="*) ;;
  *) images/base.sh >/dev/null ;;
esac
if [ -n "$what" ]; then
  runtime/backend-cuda/nvcc.sh --install ||
    die "an image for GPUs needs its kernels: put CUDA 13's nvcc on the PATH"
  images/base.sh cuda >/dev/null
  profiles+=,image-cuda
  modules+=,images/cuda
  archives+=("$ROOT/images/cuda/target/jib-image.tar")
fi
if [ "$what" = all ]; then
  foreign=arm64
  [ "$(dpkg --print-architecture)" != arm64 ] || foreign=amd64
  images/base.sh "$foreign" >/dev/null
  profiles+=,images-foreign
  properties+=("-Dimage.foreign.architecture=$foreign")
  archives+=("$ROOT/operator/target/jib-image-foreign.tar" "$ROOT/runtime/server/target/jib-image-foreign.tar")
fi
for module in operator runtime/server images/cuda; do
  mkdir -p "$module/target/image"/{doc,lib}
  cp LICENSE "$module/target/image/doc/"
done
mkdir -p images/cuda/target/classes # Jib wants the folder of a module that has no code of its own
mvn -q -B "-P$profiles" -pl "$modules" -am package -DskipTests "${properties[@]}" "$@" >&2
if [ -n "$what" ] && [ ! -s runtime/backend-cuda/target/classes/dev/kvdrive/cuda/kernels.fatbin ]; then
  die "the image for GPUs has no kernels: see what runtime/backend-cuda/kernels.sh says"
fi
[ -z "$what" ] || images/check.sh "${archives[@]}" >&2
[ "$what" != all ] || images/layout.sh >&2
printf '%s\n' "${archives[@]}"
