#!/usr/bin/env bash
# Compiles src/main/cuda to the fat binary that the CUDA device loads: machine code for A100 (8.0),
# L4/L40 (8.9) and H100/H200 (9.0a), PTX for what comes later. Does nothing when it is up to date;
# without a compiler it says so, and the module is built without kernels.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

out=$1
if ! bin=$(./nvcc.sh); then
  echo "NO CUDA KERNELS: nvcc is neither in CUDA_HOME nor on the PATH; runtime/backend-cuda/nvcc.sh --install gets it from Python wheels. Building the CUDA device without kernels: it will refuse to open." >&2
  rm -f "$out"
  exit 0
fi
if ! command -v g++ >/dev/null 2>&1 && ! command -v c++ >/dev/null 2>&1; then
  echo "NO CUDA KERNELS: nvcc needs a host compiler, but g++ is not on the PATH. Building the CUDA device without kernels: it will refuse to open." >&2
  rm -f "$out"
  exit 0
fi
if [ -f "$out" ] && [ -z "$(find src/main/cuda kernels.sh -newer "$out" -type f -print -quit)" ]; then
  exit 0
fi
mkdir -p "$(dirname "$out")"
PATH=$bin:$PATH nvcc -fatbin -O3 -std=c++17 --threads 0 \
  -gencode arch=compute_80,code=sm_80 \
  -gencode arch=compute_89,code=sm_89 \
  -gencode arch=compute_90a,code=sm_90a \
  -gencode arch=compute_90,code=compute_90 \
  -o "$out.part" src/main/cuda/kernels.cu
mv "$out.part" "$out"
