// Dense causal attention of a block of prompt tokens, in F32 with an online softmax over tiles of
// keys. Tiles begin at multiples of KEYS of the prompt, so that a query's result does not depend on
// the block it is in.
#pragma once

#include "common.cuh"

#define CAUSAL_THREADS (CAUSAL_QUERIES * CAUSAL_LANES)

template <typename T, int PIECES>  // headDim <= PIECES * CAUSAL_LANES
__device__ __forceinline__ void causal(const CausalArgs& a) {
  extern __shared__ float shared[];
  const Layer& l = a.layer;
  int width = l.headDim + 1;
  float* queries = shared;                         // [CAUSAL_QUERIES][width]
  float* rows = queries + CAUSAL_QUERIES * width;  // [CAUSAL_KEYS][width]: keys, then values
  float* scores = rows + CAUSAL_KEYS * width;      // [CAUSAL_QUERIES][CAUSAL_KEYS + 1]
  int head = blockIdx.y;
  int first = blockIdx.x * CAUSAL_QUERIES;
  int q = threadIdx.x / CAUSAL_LANES, p = threadIdx.x % CAUSAL_LANES;
  int kvHead = head / (a.heads / l.kvHeads);
  const T* keys = (const T*)a.scratch + (int64_t)kvHead * 2 * a.maxTokens * l.headDim;
  const T* values = keys + (int64_t)a.maxTokens * l.headDim;
  for (int i = threadIdx.x; i < CAUSAL_QUERIES * l.headDim; i += blockDim.x) {
    int r = i / l.headDim, e = i % l.headDim;
    queries[r * width + e] =
        first + r < a.rows
            ? a.scale * widen(a.query.data[(first + r) * a.query.stride +
                                           (int64_t)head * l.headDim + e])
            : 0.f;
  }
  float most = -INFINITY, sum = 0, out[PIECES];
#pragma unroll
  for (int k = 0; k < PIECES; k++) {
    out[k] = 0;
  }
  int token = a.start + first + q;
  int lastToken = a.start + min(first + CAUSAL_QUERIES, a.rows) - 1;
  for (int tile = 0; tile <= lastToken; tile += CAUSAL_KEYS) {
    __syncthreads();
    for (int i = threadIdx.x; i < CAUSAL_KEYS * l.headDim; i += blockDim.x) {
      int r = i / l.headDim, e = i % l.headDim;
      rows[r * width + e] =
          tile + r <= lastToken ? widen(keys[(int64_t)(tile + r) * l.headDim + e]) : 0.f;
    }
    __syncthreads();
    float products[CAUSAL_KEYS / CAUSAL_LANES] = {};
    for (int e = 0; e < l.headDim; e++) {
      float x = queries[q * width + e];
#pragma unroll
      for (int k = 0; k < CAUSAL_KEYS / CAUSAL_LANES; k++) {
        products[k] = fmaf(x, rows[(p + k * CAUSAL_LANES) * width + e], products[k]);
      }
    }
    float highest = most;
#pragma unroll
    for (int k = 0; k < CAUSAL_KEYS / CAUSAL_LANES; k++) {
      if (tile + p + k * CAUSAL_LANES > token) {
        products[k] = -INFINITY;
      }
      highest = fmaxf(highest, products[k]);
    }
#pragma unroll
    for (int offset = CAUSAL_LANES / 2; offset > 0; offset /= 2) {
      highest = fmaxf(highest, __shfl_xor_sync(FULL_MASK, highest, offset));
    }
    // Key 0 is in the first tile and before every query, so the maximum is finite from there on.
    float factor = most == -INFINITY ? 0.f : expf(most - highest);
    most = highest;
    float tileSum = 0;
#pragma unroll
    for (int k = 0; k < CAUSAL_KEYS / CAUSAL_LANES; k++) {
      float weight = products[k] == -INFINITY ? 0.f : expf(products[k] - most);
      scores[q * (CAUSAL_KEYS + 1) + p + k * CAUSAL_LANES] = weight;
      tileSum += weight;
    }
#pragma unroll
    for (int offset = CAUSAL_LANES / 2; offset > 0; offset /= 2) {
      tileSum += __shfl_xor_sync(FULL_MASK, tileSum, offset);
    }
    sum = sum * factor + tileSum;
#pragma unroll
    for (int k = 0; k < PIECES; k++) {
      out[k] *= factor;
    }
    __syncthreads();
    for (int i = threadIdx.x; i < CAUSAL_KEYS * l.headDim; i += blockDim.x) {
      int r = i / l.headDim, e = i % l.headDim;
      rows[r * width + e] =
          tile + r <= lastToken ? widen(values[(int64_t)(tile + r) * l.headDim + e]) : 0.f;
    }
    __syncthreads();
    for (int r = 0; r < CAUSAL_KEYS; r++) {
      float weight = scores[q * (CAUSAL_KEYS + 1) + r];
#pragma unroll
      for (int k = 0; k < PIECES; k++) {
        int e = p + k * CAUSAL_LANES;
        if (e < l.headDim) {
          out[k] = fmaf(weight, rows[r * width + e], out[k]);
        }
      }
    }
  }
  if (first + q < a.rows) {
    bf16* to = a.out.data + (first + q) * a.out.stride + (int64_t)head * l.headDim;
#pragma unroll
    for (int k = 0; k < PIECES; k++) {
      int e = p + k * CAUSAL_LANES;
      if (e < l.headDim) {
        to[e] = narrow<bf16>(out[k] / sum);
      }
    }
  }
}

// Grid: (tiles of queries, heads).
#define CAUSAL_KERNEL(T, P)                                                           \
  extern "C" __global__ void __launch_bounds__(CAUSAL_THREADS) causal_##T##_##P(      \
      CausalArgs a) {                                                                 \
    causal<T, P>(a);                                                                  \
  }
CAUSAL_KERNEL(bf16, 8)
CAUSAL_KERNEL(bf16, 16)
CAUSAL_KERNEL(bf16, 32)
CAUSAL_KERNEL(float, 8)
CAUSAL_KERNEL(float, 16)
CAUSAL_KERNEL(float, 32)
