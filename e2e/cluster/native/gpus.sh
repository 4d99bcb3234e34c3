#!/usr/bin/env bash
# Cards that do not exist, offered to the native cluster's kubelet by a device plugin of ours.
#   gpus.sh RESOURCE N [LOST]   sees to it that N cards of RESOURCE (such as nvidia.com/gpu) are offered,
#                               of which the first LOST have failed
#   gpus.sh --given POD         the cards that the containers of a pod were given
#   gpus.sh --stop              ends the device plugins (down.sh does this)
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

CARDS=$CONF/gpus

offer() { # RESOURCE N [LOST]
  local resource=$1 name=gpus-${1//\//_} card pid
  mkdir -p "$CARDS"
  for ((card = 0; card < $2; card++)); do
    echo "${resource##*/}-$card$( ((card >= ${3:-0})) || echo ' lost')"
  done | put "$CARDS/$name"
  if pid=$(pid_of "$name"); then
    kill -HUP "$pid"
  else
    start_daemon "$name" "$BIN/gpus" -resource "$resource" -cards "$CARDS/$name"
  fi
}

# As containerd has it: what the kubelet made of the plugin's answer.
given() { # POD
  local container
  for container in $(k8s_ctr containers ls -q "labels.\"io.kubernetes.pod.name\"==$1"); do
    k8s_ctr containers info "$container" | jq -r '.Spec.process.env[]' | sed -n 's/^KVDRIVE_TEST_CARDS=//p'
  done | sort -u
}

stop() {
  local file
  for file in "$RUN"/gpus-*.pid; do
    [ ! -e "$file" ] || stop_daemon "$(basename "$file" .pid)"
  done
}

need_root
case "$# ${1:-}" in
  '1 --stop') stop ;;
  '2 --given') given "$2" ;;
  '2 '[!-]* | '3 '[!-]*) offer "$@" ;;
  *) sed -n '3,6s/^# *//p' "${BASH_SOURCE[0]}" >&2; exit 2 ;;
esac
