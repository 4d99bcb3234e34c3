// Dense causal attention of a block of prompt tokens, with an online softmax over tiles of keys. Tiles
// begin at multiples of a fixed number of keys of the prompt and no row's arithmetic depends on the
// other rows, so that a query's result does not depend on the block it is in.
#pragma once

#include "common.cuh"

#define TILE_THREADS (TILE_WARPS * WARP)
#define LOG2_E 1.4426950408889634f

__device__ __forceinline__ uint32_t packed(float low, float high) {
  __nv_bfloat162 both = __floats2bfloat162_rn(low, high);
  return *(const uint32_t*)&both;
}

/**
 * What the index of eight elements within a row of a tile is xored with, so that eight rows that are
 * loaded as a matrix share no banks. Rows have D elements; those of 96 are a bank group and a half.
 */
template <int D>
__device__ __forceinline__ int swizzle(int row) {
  return D % 64 == 0 ? row & 7 : row >> 1 & 3;
}

/** A lane's rows of the matrices of a tile: the address of an even eighth is one xor away. */
template <int D>
struct LaneRow {
  uint32_t row;
  uint32_t offset;

  __device__ __forceinline__ LaneRow(uint32_t tile, int row, int eighth)
      : row(tile + row * 2 * D), offset(16 * (eighth ^ swizzle<D>(row))) {}

  /** Of the row that is down rows below, a multiple of 16; of eighth 2 k and the lane's own. */
  __device__ __forceinline__ uint32_t at(int down, int k) const {
    return row + (offset ^ 32 * k) + down * 2 * D;
  }
};

/** Brings rows of headDim elements into a tile; what is not there is 0. Waits for nothing. */
template <int D, int ROWS>
__device__ __forceinline__ void loadTile(uint32_t tile, const bf16* from, int64_t stride, int rows,
                                         int headDim, bool aligned) {
  constexpr int LANES = D == 96 ? 16 : D / 8;  // of a row, of which 96 leaves some without work
  constexpr int STEP = TILE_THREADS / LANES;
  int row = threadIdx.x / LANES, eighth = threadIdx.x % LANES;
  int n = headDim - 8 * eighth;
  const bf16* source = from + row * stride + 8 * eighth;
  if (8 * eighth >= D) {
    return;
  }
#pragma unroll
  for (int k = 0; k < ROWS / STEP; k++) {
    uint32_t to = tile + row * 2 * D + 16 * (eighth ^ swizzle<D>(row));
    int here = row < rows ? n : 0;
    if (aligned) {
      asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to),
                   "l"(here > 0 ? source : from), "r"(here > 0 ? 16 : 0));
    } else {
      uint32_t words[4];
#pragma unroll
      for (int e = 0; e < 4; e++) {
        float low = 2 * e < here ? widen(source[2 * e]) : 0.f;
        float high = 2 * e + 1 < here ? widen(source[2 * e + 1]) : 0.f;
        words[e] = packed(low, high);
      }
      asm volatile("st.shared.v4.b32 [%0], {%1, %2, %3, %4};" ::"r"(to), "r"(words[0]),
                   "r"(words[1]), "r"(words[2]), "r"(words[3]));
    }
    row += STEP;
    source += STEP * stride;
  }
}

__device__ __forceinline__ void tileArrives() {
  asm volatile("cp.async.wait_all;" ::: "memory");
  __syncthreads();
}

__device__ __forceinline__ void loadMatrices(uint32_t (&r)[4], uint32_t address) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(address));
}

__device__ __forceinline__ void loadTransposed(uint32_t (&r)[4], uint32_t address) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(address));
}

/** d += a b of 16 x 16 and 16 x 8. */
__device__ __forceinline__ void multiplyAdd(float (&d)[4], const uint32_t (&a)[4], uint32_t b0,
                                            uint32_t b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
      "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

__device__ __forceinline__ float power2(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

/** Of the four lanes that have a row. */
__device__ __forceinline__ float quadMax(float x) {
  x = fmaxf(x, __shfl_xor_sync(FULL_MASK, x, 1));
  return fmaxf(x, __shfl_xor_sync(FULL_MASK, x, 2));
}

__device__ __forceinline__ float quadSum(float x) {
  x += __shfl_xor_sync(FULL_MASK, x, 1);
  return x + __shfl_xor_sync(FULL_MASK, x, 2);
}

// Matrices of 16 or 64 rows are spread over lanes alike: of each eight columns a lane has two of its
// row and, behind them, two of the row that is eight further down.

/** Takes away what comes after a row's token, which is that of the lane's first row. */
template <int N>
__device__ __forceinline__ void maskTile(float (&scores)[N][4], int tile, int token) {
#pragma unroll
  for (int n = 0; n < N; n++) {
#pragma unroll
    for (int i = 0; i < 4; i++) {
      int key = tile + 8 * n + threadIdx.x % 4 * 2 + i % 2;
      scores[n][i] = key > token + i / 2 * 8 ? -INFINITY : scores[n][i];
    }
  }
}

/**
 * Turns the scores of a tile, times factor, into weights relative to the largest of their row so far;
 * what was added up before is to be multiplied by keep.
 */
template <int N>
__device__ __forceinline__ void weighTile(float (&scores)[N][4], float (&most)[2], float (&sum)[2],
                                          float (&keep)[2], float factor) {
#pragma unroll
  for (int h = 0; h < 2; h++) {
    float highest = most[h];
#pragma unroll
    for (int n = 0; n < N; n++) {
      highest = fmaxf(highest, fmaxf(scores[n][2 * h], scores[n][2 * h + 1]));
    }
    // Key 0 is in the first tile and before every query: from there on it is finite.
    highest = quadMax(highest);
    keep[h] = power2((most[h] - highest) * factor);
    most[h] = highest;
    float minus = highest * factor;
    float here = 0;
#pragma unroll
    for (int n = 0; n < N; n++) {
#pragma unroll
      for (int i = 2 * h; i < 2 * h + 2; i++) {
        scores[n][i] = power2(fmaf(scores[n][i], factor, -minus));
        here += scores[n][i];
      }
    }
    sum[h] = fmaf(sum[h], keep[h], here);
  }
}

template <int N>
__device__ __forceinline__ void scaleTile(float (&out)[N][4], const float (&by)[2]) {
#pragma unroll
  for (int n = 0; n < N; n++) {
#pragma unroll
    for (int i = 0; i < 4; i++) {
      out[n][i] *= by[i / 2];
    }
  }
}

/** Weights of 16 keys as the left side of a product. */
template <int N>
__device__ __forceinline__ void packWeights(uint32_t (&to)[4], const float (&weights)[N][4], int k) {
#pragma unroll
  for (int i = 0; i < 4; i++) {
    const float(&of)[4] = weights[2 * k + i / 2];
    to[i] = packed(of[i % 2 * 2], of[i % 2 * 2 + 1]);
  }
}

/** Writes the lane's part of a head's output, of which row is its first row of the block. */
template <int N>
__device__ __forceinline__ void storeTile(const CausalArgs& a, int head, int row,
                                          float (&out)[N][4], const float (&sum)[2]) {
  int headDim = a.layer.headDim;
#pragma unroll
  for (int h = 0; h < 2; h++) {
    float inverse = 1.f / quadSum(sum[h]);
    int r = row + 8 * h;
    if (r >= a.rows) {
      continue;
    }
    bf16* to = a.out.data + r * a.out.stride + (int64_t)head * headDim;
    bool pairs = (uintptr_t)to % 4 == 0 && headDim % 2 == 0;
#pragma unroll
    for (int n = 0; n < N; n++) {
      int e = 8 * n + threadIdx.x % 4 * 2;
      float x = out[n][2 * h] * inverse, y = out[n][2 * h + 1] * inverse;
      if (pairs) {
        if (e < headDim) {
          *(uint32_t*)(to + e) = packed(x, y);
        }
      } else {
        if (e < headDim) {
          to[e] = narrow<bf16>(x);
        }
        if (e + 1 < headDim) {
          to[e + 1] = narrow<bf16>(y);
        }
      }
    }
  }
}

/**
 * With bf16 keys and values on tensor cores. A warp has M times 16 queries, whose scores and outputs
 * stay in its registers; keys come while values are multiplied and the other way round.
 */
template <int D, int M>  // headDim <= D
__device__ __forceinline__ void causalTiles(const CausalArgs& a) {
  constexpr int QUERIES = TILE_WARPS * 16 * M;
  extern __shared__ uint4 tiles[];
  uint32_t queryTile = (uint32_t)__cvta_generic_to_shared(tiles);
  uint32_t keyTile = queryTile + QUERIES * 2 * D;
  uint32_t valueTile = keyTile + TILE_KEYS * 2 * D;
  int headDim = a.layer.headDim;
  int head = blockIdx.x;
  int first = (gridDim.y - 1 - blockIdx.y) * QUERIES;  // the longest rows begin first
  const bf16* keys = (const bf16*)a.scratch +
                     (int64_t)(head / (a.heads / a.layer.kvHeads)) * 2 * a.maxTokens * headDim;
  const bf16* values = keys + (int64_t)a.maxTokens * headDim;
  const bf16* from = a.query.data + first * a.query.stride + (int64_t)head * headDim;
  bool aligned = headDim % 8 == 0 && (uintptr_t)a.scratch % 16 == 0;
  int tokens = a.start + min(first + QUERIES, a.rows);  // those that the block attends
  loadTile<D, QUERIES>(queryTile, from, a.query.stride, a.rows - first, headDim,
                       ((uintptr_t)from | (2 * a.query.stride)) % 16 == 0 && headDim % 8 == 0);
  loadTile<D, TILE_KEYS>(keyTile, keys, headDim, tokens, headDim, aligned);
  int warp = threadIdx.x / WARP, lane = threadIdx.x % WARP;
  int row = warp * 16 * M;                   // the warp's first in the tile
  int token = a.start + first + row + lane / 4;  // of the lane's first row; others are 8 apart
  int lastOfWarp = a.start + first + row + 16 * M - 1;
  const LaneRow<D> queryRow(queryTile, row + lane % 16, lane / 16);
  const LaneRow<D> keyRow(keyTile, lane / 16 * 8 + lane % 8, lane / 8 % 2);
  const LaneRow<D> valueRow(valueTile, lane % 16, lane / 16);
  float factor = a.scale * LOG2_E;
  float out[M][D / 8][4] = {};
  float most[M][2], sum[M][2] = {};
#pragma unroll
  for (int m = 0; m < M; m++) {
    most[m][0] = most[m][1] = -INFINITY;
  }
  for (int tile = 0; tile < tokens; tile += TILE_KEYS) {
    tileArrives();  // and all warps are done with the values of the last
    loadTile<D, TILE_KEYS>(valueTile, values + (int64_t)tile * headDim, headDim, tokens - tile,
                           headDim, aligned);
    bool attends = tile <= lastOfWarp;
    float scores[M][TILE_KEYS / 8][4] = {};
    if (attends) {
#pragma unroll
      for (int k = 0; k < D / 16; k++) {
        uint32_t q[M][4];
#pragma unroll
        for (int m = 0; m < M; m++) {
          loadMatrices(q[m], queryRow.at(16 * m, k));
        }
#pragma unroll
        for (int n = 0; n < TILE_KEYS / 16; n++) {
          uint32_t b[4];
          loadMatrices(b, keyRow.at(16 * n, k));
#pragma unroll
          for (int m = 0; m < M; m++) {
            multiplyAdd(scores[m][2 * n], q[m], b[0], b[1]);
            multiplyAdd(scores[m][2 * n + 1], q[m], b[2], b[3]);
          }
        }
      }
    }
    tileArrives();  // and all warps are done with the keys
    if (tile + TILE_KEYS < tokens) {
      loadTile<D, TILE_KEYS>(keyTile, keys + (int64_t)(tile + TILE_KEYS) * headDim, headDim,
                             tokens - tile - TILE_KEYS, headDim, aligned);
    }
    if (!attends) {
      continue;
    }
    bool masked = tile + TILE_KEYS - 1 > a.start + first + row;
#pragma unroll
    for (int m = 0; m < M; m++) {
      if (masked) {
        maskTile(scores[m], tile, token + 16 * m);
      }
      float keep[2];
      weighTile(scores[m], most[m], sum[m], keep, factor);
      scaleTile(out[m], keep);
    }
#pragma unroll
    for (int k = 0; k < TILE_KEYS / 16; k++) {
      uint32_t weights[M][4];
#pragma unroll
      for (int m = 0; m < M; m++) {
        packWeights(weights[m], scores[m], k);
      }
#pragma unroll
      for (int n = 0; n < D / 16; n++) {
        uint32_t b[4];
        loadTransposed(b, valueRow.at(16 * k, n));
#pragma unroll
        for (int m = 0; m < M; m++) {
          multiplyAdd(out[m][2 * n], weights[m], b[0], b[1]);
          multiplyAdd(out[m][2 * n + 1], weights[m], b[2], b[3]);
        }
      }
    }
  }
#pragma unroll
  for (int m = 0; m < M; m++) {
    storeTile(a, head, first + row + 16 * m + lane / 4, out[m], sum[m]);
  }
}

// Grid: (heads, tiles of queries).
#define TILES_KERNEL(D, M)                                                                      \
  extern "C" __global__ void __launch_bounds__(TILE_THREADS, D == 256 ? 1 : 2) causal_bf16_##D( \
      CausalArgs a) {                                                                           \
    follow();                                                                                   \
    causalTiles<D, M>(a);                                                                       \
  }
TILES_KERNEL(64, 2)
TILES_KERNEL(96, 2)
TILES_KERNEL(128, 2)
TILES_KERNEL(256, 1)

#define CAUSAL_THREADS (CAUSAL_QUERIES * CAUSAL_LANES)

/** With F32 keys and values on the CUDA cores, in F32. */
template <int PIECES>  // headDim <= PIECES * CAUSAL_LANES
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
  const float* keys = (const float*)a.scratch + (int64_t)kvHead * 2 * a.maxTokens * l.headDim;
  const float* values = keys + (int64_t)a.maxTokens * l.headDim;
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
          tile + r <= lastToken ? keys[(int64_t)(tile + r) * l.headDim + e] : 0.f;
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
          tile + r <= lastToken ? values[(int64_t)(tile + r) * l.headDim + e] : 0.f;
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
#define CAUSAL_KERNEL(P)                                                              \
  extern "C" __global__ void __launch_bounds__(CAUSAL_THREADS) causal_float_##P(      \
      CausalArgs a) {                                                                 \
    follow();                                                                         \
    causal<P>(a);                                                                     \
  }
CAUSAL_KERNEL(8)
CAUSAL_KERNEL(16)
CAUSAL_KERNEL(32)
