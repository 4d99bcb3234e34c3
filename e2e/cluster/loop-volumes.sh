# shellcheck shell=bash
# Local volumes of a real, limited size: loop-mounted ext4 files behind a StorageClass.
# Sourced by native/volumes.sh and kind/volumes.sh, which say where: VOLUMES (this
# machine's folder), VOLUMES_IN_NODE (the same seen from the node), NODE_NAME, STORAGE_CLASS, and
# whether that is the cluster's DEFAULT_CLASS.

# A volume of exactly SIZE with the filesystem's defaults, as a provisioner makes it: ext4 keeps
# 5 % for root and more for itself, and what is planned for SIZE has to start on what is left.
make_filesystem() { # NAME SIZE
  rm -f "$VOLUMES/$1.img"
  truncate -s "$(numfmt --from=iec-i "$2")" "$VOLUMES/$1.img"
  mkfs.ext4 -q -F "$VOLUMES/$1.img"
}

mount_volume() { # NAME
  local device path=$VOLUMES/$1
  mkdir -p "$path"
  mountpoint -q "$path" && return
  # Direct, so that O_DIRECT in a pod is not cached by the loop device after all;
  # not every file system below can do that.
  device=$(losetup --find --show --direct-io=on "$path.img" 2>/dev/null || losetup --find --show "$path.img")
  mount -t ext4 "$device" "$path"
  # Now that it is in use this only means: detach it when it is unmounted.
  losetup --detach "$device"
  rmdir "$path/lost+found" 2>/dev/null || true
}

mount_all() {
  local image
  for image in "$VOLUMES"/*.img; do
    [ -e "$image" ] || continue
    mount_volume "$(basename "$image" .img)"
  done
}

offer_class() {
  kubectl apply -f - >/dev/null <<EOF
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata:
  name: $STORAGE_CLASS
  annotations: {storageclass.kubernetes.io/is-default-class: "$DEFAULT_CLASS"}
provisioner: kubernetes.io/no-provisioner
volumeBindingMode: WaitForFirstConsumer
EOF
}

offer_volume() { # NAME SIZE
  kubectl apply -f - >/dev/null <<EOF
apiVersion: v1
kind: PersistentVolume
metadata: {name: $1}
spec:
  capacity: {storage: $2}
  accessModes: [ReadWriteOnce]
  persistentVolumeReclaimPolicy: Retain
  storageClassName: $STORAGE_CLASS
  local: {path: $VOLUMES_IN_NODE/$1}
  nodeAffinity:
    required:
      nodeSelectorTerms:
      - matchExpressions:
        - {key: kubernetes.io/hostname, operator: In, values: [$NODE_NAME]}
EOF
}

provide() { # N SIZE
  local i name
  offer_class
  for ((i = 1; i <= $1; i++)); do
    name=$STORAGE_CLASS-${2,,}-$i
    [ -e "$VOLUMES/$name.img" ] || make_filesystem "$name" "$2"
    mount_volume "$name"
    kubectl get persistentvolume "$name" >/dev/null 2>&1 || offer_volume "$name" "$2"
  done
}

recycle() {
  local name size phase
  kubectl get persistentvolume -o json |
    jq -r --arg class "$STORAGE_CLASS" '.items[] | select(.spec.storageClassName == $class)
      | [.metadata.name, .spec.capacity.storage, .status.phase] | @tsv' |
    while IFS=$'\t' read -r name size phase; do
      [ "$phase" = Released ] || [ "$phase" = Failed ] || continue
      kubectl delete persistentvolume "$name" >/dev/null </dev/null
      umount "$VOLUMES/$name"
      make_filesystem "$name" "$size"
      mount_volume "$name"
      offer_volume "$name" "$size"
      log "recycled $name"
    done
}

volumes_main() {
  need_root
  case ${1:-} in
    --mount) mount_all ;;
    --recycle) recycle ;;
    *)
      [[ $# = 2 && $1 =~ ^[1-9][0-9]*$ && $2 =~ ^[1-9][0-9]*[MG]i$ ]] || volumes_usage
      provide "$1" "$2"
      ;;
  esac
}
volumes_usage() { sed -n '3,5s/^# *//p' "$0" >&2; exit 2; }
