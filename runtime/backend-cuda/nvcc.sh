#!/usr/bin/env bash
# Finds CUDA's compiler: in CUDA_HOME, on the PATH, or in a virtual environment of Python wheels that
# `nvcc.sh --install` makes under the user's cache folder (about 300 MB; no GPU, no root).
#
#   nvcc.sh             prints the folders to put before PATH, or nothing and ends with 1
#   nvcc.sh --install   makes the environment unless nvcc is there already
set -euo pipefail

version=13.0
cache=${XDG_CACHE_HOME:-$HOME/.cache}/kvdrive/nvcc-$version
packages=(
  nvidia-cuda-nvcc==13.0.88 nvidia-cuda-crt==13.0.88 nvidia-cuda-runtime==13.0.96
  nvidia-nvvm==13.0.88 nvidia-cuda-cccl==13.0.85
)

wheels() { # the folder with bin and nvvm inside the environment, if it is complete
  local dir
  for dir in "$cache"/lib/python3*/site-packages/nvidia/cu13; do
    [ -x "$dir/bin/nvcc" ] && [ -x "$dir/nvvm/bin/cicc" ] && printf '%s\n' "$dir" && return
  done
  return 1
}

find_nvcc() {
  local dir
  if [ -n "${CUDA_HOME:-}" ] && [ -x "$CUDA_HOME/bin/nvcc" ]; then
    printf '%s\n' "$CUDA_HOME/bin"
  elif command -v nvcc >/dev/null 2>&1; then
    dirname "$(command -v nvcc)"
  elif dir=$(wheels); then
    printf '%s\n' "$dir/bin:$dir/nvvm/bin"
  else
    return 1
  fi
}

case "${1:-}" in
  '') find_nvcc ;;
  --install)
    find_nvcc >/dev/null && exit 0
    echo "Installing CUDA's compiler from Python wheels to $cache ..." >&2
    rm -rf "$cache"
    python3 -m venv "$cache"
    "$cache/bin/pip" install --quiet --disable-pip-version-check "${packages[@]}"
    find_nvcc >/dev/null
    ;;
  *)
    echo "usage: nvcc.sh [--install]" >&2
    exit 2
    ;;
esac
