#!/usr/bin/env bash
# Makes an image of a model, for volumes of pods: LAYOUT is a folder to be made, an OCI layout with one image
# for amd64 and arm64, whose root has the files as they are, and calibrations that lie beside them. Needs jq.
#   model.sh LAYOUT MODEL.gguf...|FOLDER    for instance images/target/tiny tiny-q8_0.gguf
set -euo pipefail

CALIBRATION=kvdrive-index.safetensors
LAYER=application/vnd.oci.image.layer.v1.tar
# shellcheck source=blobs.sh
. "$(dirname "${BASH_SOURCE[0]}")/blobs.sh"

# The same bytes for the same files, whoever has them and since when. Weights do not get smaller packed.
pack() { # FILE_OF_THE_LAYER TAR_ARGUMENT...
  local to=$1
  shift
  tar --create --file="$to" --format=pax --pax-option=exthdr.name=%d/PaxHeaders/%f,delete=atime,delete=ctime \
    --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner --mode=u=rwX,go=rX --dereference "$@"
}

main() {
  local to model files=() layer config architecture manifests=()
  [ $# -ge 2 ] || { sed -n '4s/^# *//p' "${BASH_SOURCE[0]}" >&2; exit 2; }
  command -v jq >/dev/null || die "jq is not on the PATH: apt-get install jq"
  to=$1
  shift
  [ ! -e "$to" ] || die "$to is there already: name a folder to be made"
  mkdir -p "$(dirname "$to")"
  WORK=$(mktemp -d -p "$(dirname "$to")")
  trap 'rm -rf "$WORK"' EXIT
  LAYOUT=$WORK/layout
  mkdir -p "$LAYOUT/blobs/sha256"
  if [ -d "$1" ]; then
    [ $# -eq 1 ] || die "$1 is a folder, which is all of an image: leave out $2"
    pack "$WORK/layer" --directory="$1" --transform='s#^\./##' .
  else
    for model in "$@"; do
      [ -f "$model" ] || die "$model is no file: name the model's files, or its folder"
      files+=(--directory="$(realpath "$(dirname "$model")")" "$(basename "$model")")
      [ ! -f "$model.$CALIBRATION" ] || files+=("$(basename "$model").$CALIBRATION")
    done
    pack "$WORK/layer" "${files[@]}"
  fi
  layer=$(blob "$WORK/layer" $LAYER)
  for architecture in amd64 arm64; do
    config=$(jq -cn --arg architecture $architecture --argjson layer "$layer" \
      '{architecture: $architecture, os: "linux", config: {}, rootfs: {type: "layers", diff_ids: [$layer.digest]}}' |
      text_blob $CONFIG)
    manifests+=("$(jq -cn --arg type $MANIFEST --argjson config "$config" --argjson layer "$layer" \
      '{schemaVersion: 2, mediaType: $type, config: $config, layers: [$layer]}' | text_blob $MANIFEST |
      jq -c --arg architecture $architecture '. + {platform: {architecture: $architecture, os: "linux"}}')")
  done
  printf '%s\n' "${manifests[@]}" | jq -cs --arg type $INDEX '{schemaVersion: 2, mediaType: $type, manifests: .}' |
    text_blob $INDEX | jq -c '. + {annotations: {"org.opencontainers.image.ref.name": "model"}}' | end_layout
  mv -T "$LAYOUT" "$to"
  jq -r '.manifests[0].digest' "$to/index.json"
}
main "$@"
