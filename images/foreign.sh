#!/usr/bin/env bash
# Shows that the runtime works on processors that this machine does not have (arm64 on amd64 and the other way),
# emulated by qemu-user-static. What is computed is right or wrong there as on a real one; how fast says nothing.
#   foreign.sh serve    runs the image of each as build.sh all has made it, as root, asks both the same and compares
#   foreign.sh tests [TEST...] [-- MAVEN_ARGUMENT...]    the CPU device's tests, or those named, on the other image's Java
# KVDRIVE_QEMU_CPU names another processor than one with vectors of 128 bits; qemu-aarch64-static -cpu help lists them.
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
NATIVE_ARCHIVE=$ROOT/runtime/server/target/jib-image.tar
FOREIGN_ARCHIVE=$ROOT/runtime/server/target/jib-image-foreign.tar
# Emulated, the conformance suite takes half an hour, the others a minute.
TESTS=(CpuWeightTest LanesTest MatmulTest OrderTest UnpackKernelsTest ValueKernelsTest CpuDeviceConformanceTest)
REPORTS=$ROOT/runtime/backend-cpu/target/surefire-reports
# Tokens of an answer.
TOKENS=24
# Emulated, a start takes minutes.
READY_SECONDS=900

die() { printf 'error: %s\n' "$*" >&2; exit 1; }
say() { printf '%s\n' "$*" >&2; }

# --- serving ------------------------------------------------------------------

free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

# Starts an image's runtime, on a port of the loopback address, in a process group of its own.
start() { # NAME ARCHIVE PORT [RUN_OPTION...]
  local name=$1 archive=$2 port=$3
  shift 3
  setsid "$ROOT/images/run.sh" "$@" "$archive" "--server.port=$port" --server.address=127.0.0.1 >"$WORK/$name.log" 2>&1 &
  PIDS+=($!)
}

await_ready() { # NAME PORT PID
  local limit=$((SECONDS + READY_SECONDS)) began=$SECONDS
  until curl -fs "http://127.0.0.1:$2/health/ready" >/dev/null 2>&1; do
    kill -0 "$3" 2>/dev/null || { tail -n 20 "$WORK/$1.log" >&2; die "the runtime for $1 has ended"; }
    ((SECONDS < limit)) || { tail -n 20 "$WORK/$1.log" >&2; die "the runtime for $1 is not ready after $READY_SECONDS s"; }
    sleep 1
  done
  say "$1: ready after $((SECONDS - began)) s"
}

# The answer's text, how it ended, and how many tokens were read and written.
answer() { # PORT QUESTION
  local model
  model=$(curl -fsS "http://127.0.0.1:$1/v1/models" | jq -r '.data[0].id')
  jq -n --arg model "$model" --arg question "$2" --argjson tokens "$TOKENS" \
    '{model: $model, messages: [{role: "user", content: $question}], max_tokens: $tokens, temperature: 0}' |
    curl -fsS --max-time 1800 -H 'Content-Type: application/json' --data-binary @- "http://127.0.0.1:$1/v1/chat/completions" |
    jq -c '{text: .choices[0].message.content, end: .choices[0].finish_reason, prompt: .usage.prompt_tokens, tokens: .usage.completion_tokens}'
}

# A fact in the middle of what says nothing, and a question about it.
document() {
  local n
  for ((n = 0; n < 120; n++)); do
    [ $n != 60 ] || printf 'The special magic number for candle-paddle is: 5348352. '
    printf 'The grass is green. The sky is blue. The sun is yellow. Here we go. There and back again. '
  done
  printf 'What is the special magic number for candle-paddle?'
}

serve() {
  local native foreign question of_native of_foreign same=yes
  [ "$(id -u)" = 0 ] || die "only root can make another folder the root"
  native=$(dpkg --print-architecture)
  foreign=arm64
  [ "$native" != arm64 ] || foreign=amd64
  local port=("$(free_port)" "$(free_port)")
  start "$native" "$NATIVE_ARCHIVE" "${port[0]}"
  start "$foreign" "$FOREIGN_ARCHIVE" "${port[1]}" --env "QEMU_CPU=$CPU"
  await_ready "$native" "${port[0]}" "${PIDS[0]}"
  await_ready "$foreign" "${port[1]}" "${PIDS[1]}"
  for question in 'The capital of the moon is' "$(document)"; do
    of_native=$(answer "${port[0]}" "$question")
    of_foreign=$(answer "${port[1]}" "$question")
    printf '%s: %s\n%s: %s\n' "$native" "$of_native" "$foreign" "$of_foreign"
    [ "$of_native" = "$of_foreign" ] || same=no
  done
  [ $same = yes ] || die "the answers differ"
  echo 'the same answers'
}

# --- tests --------------------------------------------------------------------

# A Java for Maven that is the image's, in the emulator.
emulated_java() {
  local layer image
  mkdir -p "$WORK/image" "$WORK/root" "$WORK/java/bin"
  tar -C "$WORK/image" -xf "$FOREIGN_ARCHIVE"
  for layer in $(jq -r '.[0].Layers[]' "$WORK/image/manifest.json"); do
    tar -C "$WORK/root" --no-same-owner --warning=no-unknown-keyword -xf "$WORK/image/$layer"
  done
  rm -r "$WORK/image"
  ln -s "$WORK/root/opt/java/release" "$WORK/java/release"
  printf '#!/bin/sh\nexec %q -cpu %q -L %q %q "$@"\n' "$QEMU" "$CPU" "$WORK/root" "$WORK/root/opt/java/bin/java" >"$WORK/java/bin/java"
  chmod +x "$WORK/java/bin/java"
}

tests() {
  local names=() name
  while [ $# -gt 0 ] && [ "$1" != -- ]; do names+=("$1") && shift; done
  [ $# = 0 ] || shift
  [ ${#names[@]} -gt 0 ] || names=("${TESTS[@]}")
  emulated_java
  "$WORK/java/bin/java" -XshowSettings:properties -version 2>&1 | grep -E 'os.arch|java.version |java.vendor ' >&2
  JAVA_HOME=$("$ROOT/kvdrive" jdk)
  export JAVA_HOME
  cd "$ROOT"
  mvn -B -q -pl runtime/backend-cpu -am test "$@" -Djvm="$WORK/java/bin/java" -Dsurefire.forks=1 \
    -Dtest="$(IFS=,; echo "${names[*]}")" -Dsurefire.failIfNoSpecifiedTests=false
  for name in "${names[@]}"; do
    printf '%s: %s passed\n' "$name" "$(grep -c '<testcase ' "$REPORTS/TEST-dev.kvdrive.cpu.$name.xml")"
  done
}

# ------------------------------------------------------------------------------

main() {
  local what=${1:-} program
  case $what in serve | tests) shift ;; *) sed -n '4,6s/^# *//p' "${BASH_SOURCE[0]}" >&2; exit 2 ;; esac
  for program in jq curl python3; do command -v "$program" >/dev/null || die "$program is not on the PATH: apt-get install $program"; done
  case $(dpkg --print-architecture) in
    arm64) QEMU=qemu-x86_64-static CPU=${KVDRIVE_QEMU_CPU:-max} ;;
    *) QEMU=qemu-aarch64-static CPU=${KVDRIVE_QEMU_CPU:-neoverse-n1} ;;
  esac
  QEMU=$(command -v $QEMU) || die "$QEMU is not on the PATH: apt-get install qemu-user-static"
  for program in "$NATIVE_ARCHIVE" "$FOREIGN_ARCHIVE"; do [ -s "$program" ] || die "$program is not there: run images/build.sh all"; done
  WORK=$(mktemp -d)
  PIDS=()
  trap 'for pid in "${PIDS[@]}"; do kill -- "-$pid" 2>/dev/null || true; done; wait; rm -rf "$WORK"' EXIT
  "$what" "$@"
}
main "$@"
