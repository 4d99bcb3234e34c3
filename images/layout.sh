#!/usr/bin/env bash
# Puts the archives that build.sh all has made together: images/target/oci is an OCI layout in which
# each image goes by its name, for all processors that it was built for. Beside it sbom/ has a
# CycloneDX list of each image, NOTICES.txt the licences of all that is in them, SHA256SUMS the sums.
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
TARGET=$ROOT/images/target
LAYOUT=$TARGET/oci
# shellcheck source=blobs.sh
. "$ROOT/images/blobs.sh"

# The image of a docker archive, as a manifest with the processors that it is for.
image() { # ARCHIVE
  local folder layer layers=() config platform
  folder=$(mktemp -d -p "$WORK")
  tar -C "$folder" -xf "$1"
  config=$folder/$(jq -r '.[0].Config' "$folder/manifest.json")
  platform=$(jq -c '{architecture, os}' "$config")
  for layer in $(jq -r '.[0].Layers[]' "$folder/manifest.json"); do
    layers+=("$(blob "$folder/$layer" application/vnd.oci.image.layer.v1.tar+gzip)")
  done
  jq -n --arg type $MANIFEST --argjson config "$(blob "$config" $CONFIG)" \
    --argjson layers "$(printf '%s\n' "${layers[@]}" | jq -s .)" \
    '{schemaVersion: 2, mediaType: $type, config: $config, layers: $layers}' |
    text_blob $MANIFEST | jq -c --argjson platform "$platform" '. + {platform: $platform}'
}

# One name for the images of all processors.
named() { # NAME ARCHIVE...
  local name=$1 archive manifests=()
  shift
  for archive in "$@"; do
    [ -s "$archive" ] || die "$archive is not there: run images/build.sh all"
    manifests+=("$(image "$archive")")
  done
  printf '%s\n' "${manifests[@]}" | jq -s --arg type $INDEX 'sort_by(.platform.architecture) |
      {schemaVersion: 2, mediaType: $type, manifests: .}' | text_blob $INDEX |
    jq --arg name "$name" '. + {annotations: {"org.opencontainers.image.ref.name": $name}}' >>"$WORK/index"
}

# What Maven has found of an image, and what its base holds.
sbom() { # NAME MODULE BASE
  jq --arg name "$1" --slurpfile base "$3.components" \
    '.metadata.component.type = "container" | .metadata.component.name = "kvdrive/\($name)"
      | .components += $base[0] | .components |= sort_by(.purl)' \
    "$ROOT/$2/target/image/doc/bom.json" >"$TARGET/sbom/$1.cdx.json"
}

notices() {
  echo "What the images of KVDrive hold and under which terms. The texts are in the images: those of Debian's packages and"
  echo "NVIDIA's library in /usr/share/doc, of Java in /opt/java/legal, of Java libraries in their jars under /app/libs."
  echo
  jq -r '.components[] | [(.purl | split("?")[0]), ([.licenses[]? | .expression // .license.id // .license.name] | join(" or "))]
      | @tsv' "$TARGET"/sbom/*.cdx.json | LC_ALL=C sort -u
}

main() {
  local native foreign=arm64 image
  native=$(dpkg --print-architecture)
  [ "$native" != arm64 ] || foreign=amd64
  rm -rf "$LAYOUT" "$TARGET/sbom"
  mkdir -p "$LAYOUT/blobs/sha256" "$TARGET/sbom"
  WORK=$(mktemp -d -p "$TARGET")
  trap 'rm -rf "$WORK"' EXIT
  named operator "$ROOT"/operator/target/jib-image{,-foreign}.tar
  named runtime "$ROOT"/runtime/server/target/jib-image{,-foreign}.tar
  named runtime-cuda "$ROOT/images/cuda/target/jib-image.tar"
  end_layout <"$WORK/index"
  for image in operator:operator runtime:runtime/server; do
    sbom "${image%%:*}-$native" "${image#*:}" "$TARGET/base.tar"
    sbom "${image%%:*}-$foreign" "${image#*:}" "$TARGET/base-$foreign.tar"
  done
  sbom runtime-cuda-amd64 images/cuda "$TARGET/base-cuda.tar"
  notices >"$TARGET/NOTICES.txt"
  (cd "$TARGET" && sha256sum oci/index.json sbom/*.json NOTICES.txt >SHA256SUMS)
  jq -r '.manifests[] | [.digest, .annotations[]] | @tsv' "$LAYOUT/index.json"
}
main "$@"
