#!/usr/bin/env bash
# Runs an image that is an archive, without a container engine: its layers unpacked in a folder that is the
# root, read-only but for /tmp and what is mounted, as the user and with the environment that the image says.
# Needs root for it. An image for other processors runs in qemu-user-static, slowly.
#   run.sh [--volume FOLDER:PATH] [--env NAME=VALUE] ARCHIVE [ARGUMENT...]
set -euo pipefail

die() { printf 'error: %s\n' "$*" >&2; exit 1; }

VOLUMES=()
ENVIRONMENT=()
while [ $# -gt 0 ]; do
  case $1 in
    --volume) VOLUMES+=("$2"); shift 2 ;;
    --env) ENVIRONMENT+=("$2"); shift 2 ;;
    -*) die "there is no option $1" ;;
    *) break ;;
  esac
done
[ $# -gt 0 ] || { sed -n '5s/^# *//p' "${BASH_SOURCE[0]}" >&2; exit 2; }
[ "$(id -u)" = 0 ] || die "only root can make another folder the root"
ARCHIVE=$1
shift

WORK=$(mktemp -d)
trap 'rm -rf --one-file-system "$WORK"' EXIT
ROOTFS=$WORK/rootfs
mkdir -p "$ROOTFS" "$WORK/tmp"
chmod 1777 "$WORK/tmp"
tar -C "$WORK" -xf "$ARCHIVE"
for layer in $(jq -r '.[0].Layers[]' "$WORK/manifest.json"); do
  tar -C "$ROOTFS" --no-same-owner --warning=no-unknown-keyword -xf "$WORK/$layer"
  rm "$WORK/$layer"
done
IMAGE=$WORK/$(jq -r '.[0].Config' "$WORK/manifest.json")
config() { jq -r ".config.$1" "$IMAGE"; }

VOLUMES+=("$WORK/tmp:/tmp")
mounts=
for volume in "${VOLUMES[@]}"; do
  mkdir -p "$ROOTFS${volume#*:}"
  mounts+=$(printf 'mount --bind %q %q; ' "$(realpath "${volume%%:*}")" "$ROOTFS${volume#*:}")
done
mapfile -t environment < <(config 'Env[]')
mapfile -t command < <(config 'Entrypoint[]')
command+=("$@")
if [ "$(jq -r .architecture "$IMAGE")" != "$(dpkg --print-architecture)" ]; then
  qemu=$(command -v "qemu-$(jq -r .architecture "$IMAGE" | sed 's/amd64/x86_64/; s/arm64/aarch64/')-static") ||
    die "the image is for other processors: apt-get install qemu-user-static"
  cp "$qemu" "$ROOTFS/.qemu"
  command=(/.qemu "/opt/java/bin/${command[0]}" "${command[@]:1}")
fi
# setpriv is this machine's; the image has no shell.
unshare --mount --fork --kill-child bash -c "
  mount --bind '$ROOTFS' '$ROOTFS'
  $mounts
  mount -t proc proc '$ROOTFS/proc'
  for device in null zero random urandom; do touch '$ROOTFS/dev/'\$device; mount --bind /dev/\$device '$ROOTFS/dev/'\$device; done
  mount -o remount,bind,ro '$ROOTFS'
  cd '$ROOTFS'
  exec \"\$@\"
" run env -i "${environment[@]}" "${ENVIRONMENT[@]}" "$(command -v chroot)" --userspec="$(config User)" "$ROOTFS" "${command[@]}"
