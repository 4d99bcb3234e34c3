#!/usr/bin/env bash
# Checks images as archives: every library that a program in them asks for is in them, where the loader
# looks, but for the driver's, which comes from the node; nothing in them is more than it must be.
#   check.sh ARCHIVE...
set -euo pipefail

die() { printf 'error: %s\n' "$*" >&2; exit 1; }
FAILED=0
fault() { printf '%s: %s\n' "$ARCHIVE" "$*" >&2; FAILED=1; }

# The driver's: NVIDIA's container runtime mounts them.
FROM_THE_NODE=' libcuda.so.1 libnvidia-ml.so.1 '

unpack() { # ARCHIVE FOLDER
  local layer
  tar -C "$WORK" -xf "$1"
  for layer in $(jq -r '.[0].Layers[]' "$WORK/manifest.json"); do
    tar -C "$2" --no-same-owner --warning=no-unknown-keyword -xf "$WORK/$layer"
  done
  IMAGE=$WORK/$(jq -r '.[0].Config' "$WORK/manifest.json")
  CONFIG=$(jq .config "$IMAGE")
  rm -f "$WORK"/*.tar.gz
}

# Whether the loader would find a library: where the program says, where the image says, where the system has it.
found() { # LIBRARY PROGRAM RUNPATHS
  local folder folders=()
  IFS=: read -ra folders <<<"$3:$LIBRARY_PATH:/lib:/usr/lib:/lib64:/usr/lib64:$SYSTEM_LIBRARIES"
  for folder in "${folders[@]}"; do
    folder=${folder/\$ORIGIN/$(dirname "$2")}
    [ -z "$folder" ] || [ ! -e "$ROOTFS$folder/$1" ] || return 0
  done
  # A program of Java has loaded it by then.
  [ -e "$ROOTFS/opt/java/lib/server/$1" ]
}

libraries() {
  local program dynamic library needed runpath machine count=0
  case $(jq -r .architecture "$IMAGE") in
    amd64) machine=X86-64 ;;
    arm64) machine=AArch64 ;;
    *) fault "it is for processors that nobody knows" ;;
  esac
  while read -r program; do
    dynamic=$(readelf --wide --dynamic "$ROOTFS$program" 2>/dev/null) || continue
    [[ $dynamic == *"Dynamic section"* ]] || continue
    count=$((count + 1))
    readelf --file-header "$ROOTFS$program" | grep 'Machine:.*'"$machine" >/dev/null || fault "$program is for other processors"
    needed=$(sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' <<<"$dynamic")
    runpath=$(sed -n 's/.*(R\(UN\)\{0,1\}PATH).*\[\(.*\)\]/\2/p' <<<"$dynamic")
    for library in $needed; do
      [[ $FROM_THE_NODE != *" $library "* ]] || continue
      found "$library" "$program" "$runpath" || fault "$program needs $library, which is nowhere in the image"
    done
  done < <(cd "$ROOTFS" && find . -type f \( -name '*.so' -o -name '*.so.*' -o -perm -100 \) | sed 's/^\.//' | sort)
  # They would be unpacked to /tmp, and not be looked at here.
  for program in "$ROOTFS"/app/libs/*.jar; do
    library=$(unzip -Z1 "$program" | sed -n '/\.so$/p')
    [ -z "$library" ] || fault "${program##*/} hides" $library
  done
  [ $count -gt 20 ] || fault "only $count programs and libraries found"
  printf '%s: %s programs and libraries find what they need\n' "$ARCHIVE" "$count"
}

# What the CUDA device opens by name at run time.
cuda() {
  local file
  [[ $LIBRARY_PATH == *cuda* ]] || return 0
  for file in libcublasLt.so.13 'libJCudaDriver-*-linux-x86_64.so'; do
    # shellcheck disable=SC2086  # a pattern
    [ -n "$(find "$ROOTFS/${LIBRARY_PATH%%:*}" -name "$file")" ] || fault "$file is not in ${LIBRARY_PATH%%:*}"
  done
  [ -z "$(find "$ROOTFS/app" -name 'jcuda-natives*')" ] || fault "jcuda's natives are there twice"
  unzip -l "$ROOTFS"/app/libs/kvdrive-backend-cuda-*.jar dev/kvdrive/cuda/kernels.fatbin >/dev/null ||
    fault "there are no kernels"
  [ -s "$ROOTFS/usr/share/doc/nvidia-cublas/copyright" ] || fault "the terms of cuBLAS are not there"
  jq -e '.Env | index("NVIDIA_DRIVER_CAPABILITIES=compute,utility")' <<<"$CONFIG" >/dev/null ||
    fault "NVIDIA's container runtime is not told what to mount"
}

least() {
  local file
  [ "$(jq -r .User <<<"$CONFIG")" = 65532:65532 ] || fault "it does not run as 65532"
  for file in bin/sh usr/bin/sh bin/dash usr/bin/apt usr/bin/dpkg; do
    [ ! -e "$ROOTFS/$file" ] || fault "/$file has no business in it"
  done
  file=$(find "$ROOTFS" -type f -perm /6000)
  [ -z "$file" ] || fault "runs as others: ${file#"$ROOTFS"}"
  file=$(find "$ROOTFS" \( -type f -o -type d \) -perm -002 ! -path '*/tmp')
  [ -z "$file" ] || fault "anybody may write: ${file#"$ROOTFS"}"
  [ -s "$ROOTFS/usr/share/doc/kvdrive/LICENSE" ] && [ -s "$ROOTFS/usr/share/doc/kvdrive/bom.json" ] ||
    fault "licence and list of parts are not there"
}

main() {
  [ $# -gt 0 ] || { sed -n '4s/^# *//p' "${BASH_SOURCE[0]}" >&2; exit 2; }
  for program in jq readelf unzip; do
    command -v "$program" >/dev/null || die "$program is not on the PATH: apt-get install jq binutils unzip"
  done
  WORK=$(mktemp -d)
  trap 'rm -rf "$WORK"' EXIT
  ROOTFS=$WORK/rootfs
  for ARCHIVE in "$@"; do
    [ -s "$ARCHIVE" ] || die "$ARCHIVE is not there: run images/build.sh"
    rm -rf "$ROOTFS"
    mkdir -p "$ROOTFS"
    unpack "$ARCHIVE" "$ROOTFS"
    LIBRARY_PATH=$(jq -r '.Env[] | select(startswith("LD_LIBRARY_PATH=")) | split("=")[1]' <<<"$CONFIG")
    SYSTEM_LIBRARIES=$(cd "$ROOTFS" && find lib/ usr/lib -maxdepth 1 -type d -name '*-linux-gnu' 2>/dev/null | sed 's#^#/#; s#//*#/#g' | paste -sd:)
    libraries
    cuda
    least
  done
  exit $FAILED
}
main "$@"
