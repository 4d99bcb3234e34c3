#!/usr/bin/env bash
# Builds the container images of the operator and the runtime as archives, with
# neither a container engine nor a registry, and prints their paths.
#   build.sh [-- MAVEN_ARGUMENT...]
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

[ "${1:-}" != -- ] || shift
case " $* " in
  *" -Dkvdrive.base.image="*) ;;
  *) "$ROOT/images/base.sh" >/dev/null ;;
esac
cd "$ROOT"
JAVA_HOME=$(./kvdrive jdk)
export JAVA_HOME
mvn -q -B -Pimages -pl operator,runtime/server -am package -DskipTests "$@" >&2
ls "$ROOT/operator/target/jib-image.tar" "$ROOT/runtime/server/target/jib-image.tar"
