# shellcheck shell=bash
# How files become the blobs of an OCI layout, for images and for models. Source it; it does nothing by itself.
# LAYOUT, which has blobs/sha256, and WORK, a folder on the same file system, must be set.

MANIFEST=application/vnd.oci.image.manifest.v1+json
INDEX=application/vnd.oci.image.index.v1+json
CONFIG=application/vnd.oci.image.config.v1+json

die() { printf 'error: %s\n' "$*" >&2; exit 1; }

# Puts a file into the layout under its sum, and prints what refers to it.
blob() { # FILE MEDIA_TYPE
  local sum
  sum=$(sha256sum "$1" | cut -d' ' -f1)
  jq -cn --arg type "$2" --arg digest "sha256:$sum" --argjson size "$(stat -c %s "$1")" \
    '{mediaType: $type, digest: $digest, size: $size}'
  mv "$1" "$LAYOUT/blobs/sha256/$sum"
}

text_blob() { # MEDIA_TYPE, the text comes in
  cat >"$WORK/text"
  blob "$WORK/text" "$1"
}

# Ends a layout: its named images come in.
end_layout() {
  jq -s --arg type $INDEX '{schemaVersion: 2, mediaType: $type, manifests: .}' >"$LAYOUT/index.json"
  printf '{"imageLayoutVersion": "1.0.0"}\n' >"$LAYOUT/oci-layout"
}
