#!/usr/bin/env bash
# A registry of images and charts beside the native cluster, which its kubelet pulls from: distribution's,
# in plain HTTP, on the node's address, which no other machine can reach. What is in it goes with down.sh --purge.
#   registry.sh                     starts it unless it runs, and prints what names of its images begin with
#   registry.sh --stop              ends it (down.sh does this)
#   registry.sh --given REPOSITORY  what it gave of it: how often, and a digest or tag, one a line
#   registry.sh --spoil REPOSITORY  gives other bytes of its largest blob from now on than the digest says
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

DATA=$STATE/registry

answers() { busybox timeout 2 busybox wget -q -O /dev/null "http://$REGISTRY/v2/"; }

start() {
  pid_of containerd >/dev/null || die "the cluster does not run: run up.sh first"
  mkdir -p "$DATA" "$REGISTRIES/$REGISTRY"
  put "$REGISTRIES/$REGISTRY/hosts.toml" <<EOF
server = "http://$REGISTRY"
[host."http://$REGISTRY"]
  capabilities = ["pull", "resolve"]
EOF
  put "$CONF/registry.yaml" <<EOF
version: 0.1
log: {level: warn, accesslog: {disabled: false}}
storage:
  filesystem: {rootdirectory: $DATA}
  maintenance: {uploadpurging: {enabled: false}}
http: {addr: "$REGISTRY", secret: kvdrive-cluster}
EOF
  # Its own traces would go to a collector, which nobody has here.
  OTEL_TRACES_EXPORTER=none start_daemon registry "$BIN/registry" serve "$CONF/registry.yaml"
  wait_for 20 "the registry" answers || { tail -n 5 "$LOGS/registry.log" >&2; die "the registry did not come up"; }
  echo "$REGISTRY"
}

# Only GET gives anything; HEAD asks whether it is there.
given() { # REPOSITORY
  sed -n "s#.*\"GET /v2/$1/\(blobs\|manifests\)/\([^ ]*\) HTTP/[0-9.]*\" 200 .*#\2#p" "$LOGS/registry.log" |
    sort | uniq -c | sed 's/^ *//'
}

spoil() { # REPOSITORY
  local blobs=$DATA/docker/registry/v2 sum file largest=
  for sum in "$blobs/repositories/$1/_layers/sha256"/*; do
    sum=$(basename "$sum")
    file=$blobs/blobs/sha256/${sum:0:2}/$sum/data
    [ -e "$file" ] || die "the registry has no repository $1"
    [ -n "$largest" ] && [ "$(stat -c %s "$file")" -le "$(stat -c %s "$largest")" ] || largest=$file
  done
  # In its middle, where a tar has a file and no name.
  printf 'spoiled' | dd of="$largest" bs=1 seek=$(($(stat -c %s "$largest") / 2)) conv=notrunc status=none
}

need_root
case "$# ${1:-}" in
  '0 ') start ;;
  '1 --stop') stop_daemon registry ;;
  '2 --given') given "$2" ;;
  '2 --spoil') spoil "$2" ;;
  *) sed -n '4,7s/^# *//p' "${BASH_SOURCE[0]}" >&2; exit 2 ;;
esac
