// Attention of a decode step: sink and ring, hits, misses; partial states merged by log-sum-exp.
//
// State, F32: [maxRows][heads][STATE_PARTS]{maximum, sum, values[headDim]}. Part 0 is the dense part, the next `splits` are those
// of chunks, hits and then misses, the next those of the estimate of the rest. A part of chunks goes on from pass to pass; finish
// merges them.
//
// The dense part begins the others. Behind it the estimate and the hits of a first pass each have parts of their own, and run beside it and
// each other (follow).
#pragma once

#include "common.cuh"
#include "packed.cuh"

#define ATTEND_THREADS (WARP * ATTEND_WARPS)
#define FINISH_AHEAD 8  // parts whose values a thread of finish has asked for at a time

template <typename Args>
__device__ __forceinline__ float* part(const Args& a, int row, int head, int index) {
  return a.state +
         (((int64_t)row * a.heads + head) * STATE_PARTS + index) * (2 + a.layer.headDim);
}

__device__ __forceinline__ float weightOf(float maximum, float merged) {
  return maximum == -INFINITY ? 0.f : expf(maximum - merged);
}

/** First in a kernel of sink and ring, hits or misses with up to `queries` query heads a block. */
__device__ __forceinline__ void attendFollows(const AttendArgs& a, int queries) {
  if (a.mode != ATTEND_DENSE) {
    follow(a.beside);
    return;
  }
  awaitBefore();
  if (a.batch.seats[blockIdx.z] >= 0) {  // the parts of all others begin here, before those may run
    int groupSize = a.heads / a.layer.kvHeads, tiles = (groupSize + queries - 1) / queries;
    int head = blockIdx.y / tiles, of = blockIdx.y % tiles * queries;
    int count = min(queries, groupSize - of);
    for (int i = threadIdx.x; i < count * 2 * a.splits; i += blockDim.x) {
      int query = head * groupSize + of + i / (2 * a.splits);
      float* other = part(a, blockIdx.z, query, 1 + i % (2 * a.splits));
      other[0] = -INFINITY;
      other[1] = 0;
    }
  }
  letNext();
}

/**
 * Attends a share of the dense tokens, hits or misses with GT query heads of one KV head, where keys
 * and values are F32. LANES
 * lanes share a row, eight elements each; a warp takes a chunk (or eight dense tokens) at a time
 * with an online softmax for each group of lanes.
 */
template <int LANES, int GT>
__device__ __forceinline__ void attendPart(const AttendArgs& a) {
  constexpr int GROUPS = WARP / LANES;
  constexpr int J = 8 / GROUPS > 4 ? 4 : 8 / GROUPS;  // rows of a lane group in flight
  constexpr int WIDTH = 8 * LANES;
  extern __shared__ uint32_t missBits[];
  __shared__ float queries[GT][WIDTH];
  __shared__ float partValues[ATTEND_WARPS][GT][WIDTH];
  __shared__ float partMost[ATTEND_WARPS][GT];
  __shared__ float partSum[ATTEND_WARPS][GT];
  const Layer& l = a.layer;
  int row = blockIdx.z;
  int seat = a.batch.seats[row];
  if (seat < 0) {
    return;
  }
  int groupSize = a.heads / l.kvHeads;
  int tiles = (groupSize + GT - 1) / GT;
  int head = blockIdx.y / tiles;
  int firstQuery = head * groupSize + blockIdx.y % tiles * GT;
  int queryCount = min(GT, (head + 1) * groupSize - firstQuery);
  int64_t cell = (int64_t)row * l.kvHeads + head;
  int tokens = a.batch.positions[row] + 1;
  int sinkTokens = min(tokens, l.sink);
  int ringFirst = firstToken(l, closedChunks(l, tokens));
  int dense = sinkTokens + max(0, tokens - ringFirst);
  int split = blockIdx.x;
  int items = a.mode == ATTEND_DENSE  ? (dense + 7) / 8
              : a.mode == ATTEND_HITS ? passCount(a.chosen, cell, a.pass)
                                      : a.chosen.missCount[cell];
  int share = (items + gridDim.x - 1) / gridDim.x;
  int begin = split * share, end = min(begin + share, items);
  if (a.mode != ATTEND_DENSE && begin >= end) {
    return;
  }
  const int* misses = a.chosen.misses + cell * a.chosen.passChunks;
  const int* slots = a.chosen.slots + cell * a.chosen.passChunks;
  if (a.mode == ATTEND_HITS) {
    for (int i = threadIdx.x; i < (end - begin + 31) / 32; i += blockDim.x) {
      missBits[i] = 0;
    }
    __syncthreads();
    int missCount = a.chosen.missCount[cell];
    for (int m = threadIdx.x; m < missCount; m += blockDim.x) {
      int i = misses[m] - begin;
      if (i >= 0 && i < end - begin) {
        atomicOr(&missBits[i / 32], 1u << i % 32);
      }
    }
  }
  for (int i = threadIdx.x; i < GT * WIDTH; i += blockDim.x) {
    int g = i / WIDTH, e = i % WIDTH;
    queries[g][e] = g < queryCount && e < l.headDim
                        ? a.scale * widen(a.rows.data[row * a.rows.stride +
                                                      (int64_t)(firstQuery + g) * l.headDim + e])
                        : 0.f;
  }
  __syncthreads();

  int warp = threadIdx.x / WARP, lane = threadIdx.x % WARP;
  int group = lane / LANES, p = lane % LANES;
  int n = l.headDim - 8 * p;
  float most[GT], sum[GT], values[GT][8];
#pragma unroll
  for (int g = 0; g < GT; g++) {
    most[g] = -INFINITY;
    sum[g] = 0;
#pragma unroll
    for (int i = 0; i < 8; i++) {
      values[g][i] = 0;
    }
  }
  const int* window = a.mode == ATTEND_DENSE ? nullptr : slotList(l, seat, head);
  int bytes = l.headDim * (int)sizeof(float);
  const char* denseKeys = denseBase(l, seat, head);
  for (int item = begin + warp; item < end; item += ATTEND_WARPS) {
    int index = item;  // within the pass
    const char* keys;
    int64_t toValues;
    int limit;
    if (a.mode == ATTEND_DENSE) {
      keys = denseKeys;
      toValues = (int64_t)denseTokens(l) * bytes;
      limit = min(8, dense - 8 * item);
    } else {
      if (a.mode == ATTEND_HITS) {
        if (missBits[(item - begin) / 32] >> (item - begin) % 32 & 1) {
          continue;
        }
      } else {
        index = misses[item];
      }
      int slot = slots[index];
      if (slot < 0) {
        continue;  // it did not come
      }
      keys = chunkInSlot(l, window[slot]);
      toValues = l.residentHalf;
      limit = l.chunk;
    }
    bool aligned =
        ((uintptr_t)keys | (uintptr_t)bytes | (uintptr_t)toValues) % 16 == 0;
    for (int base = 0; base < limit; base += GROUPS * J) {
      float k[J][8], v[J][8];
#pragma unroll
      for (int j = 0; j < J; j++) {
        int t = min(base + j * GROUPS + group, limit - 1);
        int at = t;
        if (a.mode == ATTEND_DENSE) {
          int d = 8 * item + t;
          at = d < sinkTokens ? d : denseRow(l, ringFirst + d - sinkTokens);
        }
        const char* from = keys + (int64_t)at * bytes;
        load8((const float*)from + 8 * p, n, aligned, k[j]);
        load8((const float*)(from + toValues) + 8 * p, n, aligned, v[j]);
      }
#pragma unroll
      for (int g = 0; g < GT; g++) {
        float q[8], s[J];
#pragma unroll
        for (int i = 0; i < 8; i++) {
          q[i] = queries[g][8 * p + i];
        }
        float highest = most[g];
#pragma unroll
        for (int j = 0; j < J; j++) {
          float product = 0;
#pragma unroll
          for (int i = 0; i < 8; i++) {
            product = fmaf(q[i], k[j][i], product);
          }
#pragma unroll
          for (int offset = LANES / 2; offset > 0; offset /= 2) {
            product += __shfl_xor_sync(FULL_MASK, product, offset);
          }
          int t = base + j * GROUPS + group;
          s[j] = t < limit ? product : -INFINITY;
          highest = fmaxf(highest, s[j]);
        }
        float old = weightOf(most[g], highest);
        sum[g] *= old;
#pragma unroll
        for (int i = 0; i < 8; i++) {
          values[g][i] *= old;
        }
#pragma unroll
        for (int j = 0; j < J; j++) {
          float weight = weightOf(s[j], highest);
          sum[g] += weight;
#pragma unroll
          for (int i = 0; i < 8; i++) {
            values[g][i] = fmaf(weight, v[j][i], values[g][i]);
          }
        }
        most[g] = highest;
      }
    }
  }

  // Merge: the groups of a warp, the warps of the block, and what the part held before.
#pragma unroll
  for (int g = 0; g < GT; g++) {
#pragma unroll
    for (int offset = LANES; offset < WARP; offset *= 2) {
      float other = __shfl_xor_sync(FULL_MASK, most[g], offset);
      float highest = fmaxf(most[g], other);
      float weight = weightOf(most[g], highest);
      sum[g] *= weight;
      sum[g] += __shfl_xor_sync(FULL_MASK, sum[g], offset);
#pragma unroll
      for (int i = 0; i < 8; i++) {
        values[g][i] *= weight;
        values[g][i] += __shfl_xor_sync(FULL_MASK, values[g][i], offset);
      }
      most[g] = highest;
    }
    if (group == 0) {
#pragma unroll
      for (int i = 0; i < 8; i++) {
        partValues[warp][g][8 * p + i] = values[g][i];
      }
    }
    if (lane == 0) {
      partMost[warp][g] = most[g];
      partSum[warp][g] = sum[g];
    }
  }
  __syncthreads();
  int index = a.mode == ATTEND_DENSE ? 0 : 1 + split;
  // Every warp merges whole heads, so that a head's maximum and sum are read before they change.
  for (int g = warp; g < queryCount; g += ATTEND_WARPS) {
    float* state = part(a, row, firstQuery + g, index);
    float before = a.mode == ATTEND_DENSE ? -INFINITY : state[0];
    float total = a.mode == ATTEND_DENSE ? 0.f : state[1];
    float highest = before;
#pragma unroll
    for (int w = 0; w < ATTEND_WARPS; w++) {
      highest = fmaxf(highest, partMost[w][g]);
    }
    float keep = weightOf(before, highest);
    float weight[ATTEND_WARPS];
    total *= keep;
#pragma unroll
    for (int w = 0; w < ATTEND_WARPS; w++) {
      weight[w] = weightOf(partMost[w][g], highest);
      total += weight[w] * partSum[w][g];
    }
    for (int i = lane; i < l.headDim; i += WARP) {
      float value = keep > 0 ? keep * state[2 + i] : 0.f;
#pragma unroll
      for (int w = 0; w < ATTEND_WARPS; w++) {
        value = fmaf(weight[w], partValues[w][g][i], value);
      }
      state[2 + i] = value;
    }
    __syncwarp();
    if (lane == 0) {
      state[0] = highest;
      state[1] = total;
    }
  }
}

#define ATTEND_KERNEL(L, G)                                                            \
  extern "C" __global__ void __launch_bounds__(ATTEND_THREADS) attend_float_##L##_##G( \
      AttendArgs a) {                                                                  \
    attendFollows(a, G);                                                               \
    attendPart<L, G>(a);                                                               \
    endBehind(a.beside);                                                               \
  }
#define ATTEND_KERNELS(L) \
  ATTEND_KERNEL(L, 1) ATTEND_KERNEL(L, 2) ATTEND_KERNEL(L, 4) ATTEND_KERNEL(L, 8)
ATTEND_KERNELS(8)
ATTEND_KERNELS(16)
ATTEND_KERNELS(32)

/**
 * Elements first to first + 7 of a row as bf16, two to a word; zeros behind its end. Codes are
 * without their step, exact in bf16.
 */
template <typename T>
__device__ __forceinline__ uint4 eightOf(const char* row, int first, int n, bool aligned) {
  if (sizeof(T) == 2 && aligned && first + 8 <= n) {
    return *(const uint4*)(row + 2 * first);
  }
  float x[8];
  load8((const T*)row + first, n - first, aligned, x);
  return make_uint4(pairOf(x[0], x[1]), pairOf(x[2], x[3]), pairOf(x[4], x[5]),
                    pairOf(x[6], x[7]));
}

/** Of a matrix of 8 x 8 elements, two of row lane / 4 with each lane: two of column lane / 4. */
__device__ __forceinline__ uint32_t transposed(uint32_t x) {
  uint32_t y;
  asm volatile("movmatrix.sync.aligned.m8n8.trans.b16 %0, %1;" : "=r"(y) : "r"(x));
  return y;
}

/**
 * The attention of up to eight query heads of a KV head on tensor cores, by a warp. Eight rows of keys
 * (tokens of a chunk, or clusters) are the columns of a product with the queries, which are its rows 0
 * to 7: lane 4 r + p holds of row r the elements 32 s + 8 p to 32 s + 8 p + 7 for each segment s, so
 * that it loads sixteen bytes at a time; which elements meet in a step of a product is up to us. Of the
 * product with the values rows 0 to 7 have the weights rounded to bf16 and rows 8 to 15 what the
 * rounding took from them: together they are as exact as F32.
 */
template <int SEGMENTS>
struct Tile {
  static constexpr int WIDTH = 32 * SEGMENTS;
  uint4 query[SEGMENTS];
  float most, sum;  // of query lane / 4; of the sum a share
  float values[SEGMENTS][4][4];

  /** Begins with the queries of count heads from the given one on. */
  __device__ __forceinline__ void begin(const Rows& rows, int row, int first, int count, int width) {
    int q = threadIdx.x % WARP / 4, p = threadIdx.x % 4;
    const char* from =
        (const char*)(rows.data + row * rows.stride + (int64_t)(first + q) * width);
    bool aligned = ((uintptr_t)from | (uintptr_t)(2 * width)) % 16 == 0;
#pragma unroll
    for (int s = 0; s < SEGMENTS; s++) {
      query[s] = q < count ? eightOf<bf16>(from, 32 * s + 8 * p, width, aligned)
                           : make_uint4(0, 0, 0, 0);
    }
    most = -INFINITY;
    sum = 0;
#pragma unroll
    for (int i = 0; i < SEGMENTS * 16; i++) {
      ((float*)values)[i] = 0;
    }
  }

  /** Like the other, of keys and values that are in registers. */
  template <int PAIR>
  __device__ __forceinline__ void attend(const uint4 (&keys)[PAIR][SEGMENTS],
                                         const uint4 (&rows)[PAIR][SEGMENTS],
                                         const float (&factor)[PAIR][2],
                                         const float (&more)[PAIR][2],
                                         const float (&scale)[PAIR][2]) {
    attendFrom<PAIR>([&](int c, int s) { return keys[c][s]; },
                     [&](int c, int s) { return rows[c][s]; }, factor, more, scale);
  }

  /**
   * Attends PAIR times eight rows, of whose keys and values this lane's elements of a segment are
   * keyAt and valueAt. A score is a product times factor plus more, which is minus infinity
   * where there is no such row; what is summed up is a value times its scale. These are of rows 2 p and
   * 2 p + 1 for lane 4 r + p.
   */
  template <int PAIR, typename KeyAt, typename ValueAt>
  __device__ __forceinline__ void attendFrom(KeyAt keyAt, ValueAt valueAt,
                                             const float (&factor)[PAIR][2],
                                             const float (&more)[PAIR][2],
                                             const float (&scale)[PAIR][2]) {
    float score[PAIR][2], highest = most;
#pragma unroll
    for (int c = 0; c < PAIR; c++) {
      float sums[4] = {0.f, 0.f, 0.f, 0.f};
#pragma unroll
      for (int s = 0; s < SEGMENTS; s++) {
        uint4 key = keyAt(c, s);
        multiply16x8x16(sums, query[s].x, 0, query[s].y, 0, key.x, key.y);
        multiply16x8x16(sums, query[s].z, 0, query[s].w, 0, key.z, key.w);
      }
#pragma unroll
      for (int k = 0; k < 2; k++) {
        score[c][k] = fmaf(sums[k], factor[c][k], more[c][k]);
        highest = fmaxf(highest, score[c][k]);
      }
    }
    highest = fmaxf(highest, __shfl_xor_sync(FULL_MASK, highest, 1));
    highest = fmaxf(highest, __shfl_xor_sync(FULL_MASK, highest, 2));
    float old = weightOf(most, highest);
    if (__any_sync(FULL_MASK, old != 1)) {
      sum *= old;
#pragma unroll
      for (int i = 0; i < SEGMENTS * 16; i++) {
        ((float*)values)[i] *= old;
      }
    }
    most = highest;
    uint32_t high[2] = {0, 0}, low[2] = {0, 0};
#pragma unroll
    for (int c = 0; c < PAIR; c++) {
      float weight[2];
#pragma unroll
      for (int k = 0; k < 2; k++) {
        weight[k] = weightOf(score[c][k], highest);
        sum += weight[k];
        weight[k] *= scale[c][k];
      }
      high[c] = pairOf(weight[0], weight[1]);
      low[c] = pairOf(remainder(weight[0]), remainder(weight[1]));
    }
#pragma unroll
    for (int s = 0; s < SEGMENTS; s++) {
      uint4 one = valueAt(0, s), other = PAIR == 1 ? one : valueAt(PAIR - 1, s);
#pragma unroll
      for (int w = 0; w < 4; w++) {
        uint32_t first = transposed(((const uint32_t*)&one)[w]);
        uint32_t second = PAIR == 1 ? 0 : transposed(((const uint32_t*)&other)[w]);
        multiply16x8x16(values[s][w], high[0], low[0], high[1], low[1], first, second);
      }
    }
  }
};

/** What the warps of a block have attended, to be merged. */
template <int SEGMENTS>
struct Parts {
  float values[ATTEND_WARPS][ATTEND_QUERIES][32 * SEGMENTS];
  float most[ATTEND_WARPS][ATTEND_QUERIES];
  float sum[ATTEND_WARPS][ATTEND_QUERIES];

  /**
   * Merges them, with all threads of a block, into a part of the state, which is begun with them or has
   * attended something before.
   */
  __device__ __forceinline__ void merge(const Tile<SEGMENTS>& tile, const AttendArgs& a, int row,
                                        int firstQuery, int queries, int index, bool begins) {
    int warp = threadIdx.x / WARP, lane = threadIdx.x % WARP, q = lane / 4, p = lane % 4;
    float all = tile.sum + __shfl_xor_sync(FULL_MASK, tile.sum, 1);
    all += __shfl_xor_sync(FULL_MASK, all, 2);
#pragma unroll
    for (int s = 0; s < SEGMENTS; s++) {
#pragma unroll
      for (int w = 0; w < 4; w++) {
        float2* to = (float2*)&values[warp][q][32 * s + 8 * p + 2 * w];
        const float(&v)[4] = tile.values[s][w];
        *to = make_float2(v[0] + v[2], v[1] + v[3]);
      }
    }
    if (p == 0) {
      most[warp][q] = tile.most;
      sum[warp][q] = all;
    }
    __syncthreads();
    // Every warp merges whole heads, so that a head's maximum and sum are read before they change.
    for (int g = warp; g < queries; g += ATTEND_WARPS) {
      float* state = part(a, row, firstQuery + g, index);
      float before = begins ? -INFINITY : state[0];
      float total = begins ? 0.f : state[1];
      float highest = before;
#pragma unroll
      for (int w = 0; w < ATTEND_WARPS; w++) {
        highest = fmaxf(highest, most[w][g]);
      }
      float keep = weightOf(before, highest);
      float weight[ATTEND_WARPS];
      total *= keep;
#pragma unroll
      for (int w = 0; w < ATTEND_WARPS; w++) {
        weight[w] = weightOf(most[w][g], highest);
        total += weight[w] * sum[w][g];
      }
      for (int i = lane; i < a.layer.headDim; i += WARP) {
        float value = keep > 0 ? keep * state[2 + i] : 0.f;
#pragma unroll
        for (int w = 0; w < ATTEND_WARPS; w++) {
          value = fmaf(weight[w], values[w][g][i], value);
        }
        state[2 + i] = value;
      }
      __syncwarp();
      if (lane == 0) {
        state[0] = highest;
        state[1] = total;
      }
    }
  }
};

/** The query heads of a block on tensor cores, whose grid has (kvHeads * parts, rows) at its end. */
struct QueryTile {
  int head, first, count;

  __device__ __forceinline__ QueryTile(const AttendArgs& a) {
    int groupSize = a.heads / a.layer.kvHeads;
    int tiles = (groupSize + ATTEND_QUERIES - 1) / ATTEND_QUERIES;
    head = blockIdx.y / tiles;
    first = head * groupSize + blockIdx.y % tiles * ATTEND_QUERIES;
    count = min(ATTEND_QUERIES, (head + 1) * groupSize - first);
  }
};

/** Has sixteen bytes copied to shared memory, at some time before awaitCopies. */
__device__ __forceinline__ void copyAhead(void* to, const void* from) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"((uint32_t)__cvta_generic_to_shared(to)),
               "l"(from)
               : "memory");
}

/** Ends a group of copies of this thread. */
__device__ __forceinline__ void commitCopies() {
  asm volatile("cp.async.commit_group;" ::: "memory");
}

/** Waits until no more than so many groups of this thread are on their way. */
template <int N>
__device__ __forceinline__ void awaitCopies() {
  asm volatile("cp.async.wait_group %0;" ::"n"(N) : "memory");
}

/** Which items of a share a pass has missed, as bits in shared memory, with all threads of a block. */
__device__ __forceinline__ void markMisses(const AttendArgs& a, int64_t cell, int begin, int end,
                                           uint32_t* missBits) {
  for (int i = threadIdx.x; i < (end - begin + 31) / 32; i += blockDim.x) {
    missBits[i] = 0;
  }
  __syncthreads();
  const int* misses = a.chosen.misses + cell * a.chosen.passChunks;
  int missCount = a.chosen.missCount[cell];
  for (int m = threadIdx.x; m < missCount; m += blockDim.x) {
    int i = misses[m] - begin;
    if (i >= 0 && i < end - begin) {
      atomicOr(&missBits[i / 32], 1u << i % 32);
    }
  }
  __syncthreads();
}

/** Like attendPart, on tensor cores, where keys and values are bf16 or codes. */
template <typename T, int SEGMENTS>
__device__ __forceinline__ void attendTile(const AttendArgs& a) {
  constexpr int PAIR = SEGMENTS <= 4 ? 2 : 1;  // chunks, or times eight dense tokens, at a time
  constexpr bool CODES = sizeof(T) == 1;       // never of sink and ring
  extern __shared__ uint32_t missBits[];
  __shared__ Parts<SEGMENTS> parts;
  const Layer& l = a.layer;
  int row = blockIdx.z;
  int seat = a.batch.seats[row];
  if (seat < 0) {
    return;
  }
  QueryTile of(a);
  int64_t cell = (int64_t)row * l.kvHeads + of.head;
  bool ofDense = a.mode == ATTEND_DENSE, ofHits = a.mode == ATTEND_HITS;
  int tokens = a.batch.positions[row] + 1;
  int sinkTokens = min(tokens, l.sink);
  int ringFirst = firstToken(l, closedChunks(l, tokens));
  int dense = sinkTokens + max(0, tokens - ringFirst);
  int split = blockIdx.x;
  int items = ofDense  ? (dense + 7) / 8
              : ofHits ? passCount(a.chosen, cell, a.pass)
                       : a.chosen.missCount[cell];
  int share = (items + gridDim.x - 1) / gridDim.x;
  int begin = split * share, end = min(begin + share, items);
  if (!ofDense && begin >= end) {
    return;
  }
  const int* misses = a.chosen.misses + cell * a.chosen.passChunks;
  const int* slots = a.chosen.slots + cell * a.chosen.passChunks;
  const int* window = ofDense ? nullptr : slotList(l, seat, of.head);
  if (ofHits) {
    markMisses(a, cell, begin, end, missBits);
  }
  int warp = threadIdx.x / WARP, lane = threadIdx.x % WARP, p = lane % 4;
  int width = l.headDim, bytes = width * (int)sizeof(T);
  const char* denseKeys = denseBase(l, seat, of.head);
  int64_t toValues = ofDense ? (int64_t)denseTokens(l) * bytes : l.residentHalf;
  bool aligned = ((uintptr_t)(ofDense ? denseKeys : l.window) | (uintptr_t)bytes |
                  (uintptr_t)toValues | (uintptr_t)(ofDense ? 0 : residentBytes(l))) %
                     (CODES ? 8 : 16) == 0;
  Tile<SEGMENTS> tile;
  tile.begin(a.rows, row, of.first, of.count, width);
  // The warps take items in turn: each looks 32 of its own up, and then goes through those there are.
  for (int base = begin + warp; base < end; base += ATTEND_WARPS * WARP) {
    int item = base + lane * ATTEND_WARPS, slot = 0;
    bool there = item < end;
    if (!ofDense && there) {
      bool missed = ofHits && (missBits[(item - begin) / 32] >> (item - begin) % 32 & 1) != 0;
      int index = missed ? 0 : slots[ofHits ? item : misses[item]];
      there = !missed && index >= 0;  // or it did not come
      slot = there ? window[index] : 0;
    }
    uint32_t left = __ballot_sync(FULL_MASK, there);
    while (left != 0) {
      uint4 keys[PAIR][SEGMENTS], rows[PAIR][SEGMENTS];
      float factor[PAIR][2], more[PAIR][2], scale[PAIR][2];
      int next = 0;
#pragma unroll
      for (int c = 0; c < PAIR; c++) {
        bool none = left == 0;  // then the last one again, with no weight
        next = none ? next : __ffs(left) - 1;
        left &= left - 1;
        int first = 8 * (base + next * ATTEND_WARPS);
        int limit = none ? 0 : ofDense ? min(8, dense - first) : l.chunk;
        int t = max(0, min(lane / 4, limit - 1));
        const char* key;
#pragma unroll
        for (int k = 0; k < 2; k++) {
          factor[c][k] = a.scale;
          more[c][k] = 2 * p + k < limit ? 0.f : -INFINITY;
          scale[c][k] = 1;
        }
        if (ofDense) {
          int d = first + t;
          key = denseKeys +
                (int64_t)(d < sinkTokens ? d : denseRow(l, ringFirst + d - sinkTokens)) * bytes;
        } else {
          const char* chunk = chunkInSlot(l, __shfl_sync(FULL_MASK, slot, next));
          key = chunk + (int64_t)t * bytes;
          if (CODES) {
#pragma unroll
            for (int k = 0; k < 2; k++) {
              int at = min(2 * p + k, l.chunk - 1);
              factor[c][k] = a.scale * stepOf(l, chunk, at);
              scale[c][k] = stepOf(l, chunk + toValues, at);
            }
          }
        }
#pragma unroll
        for (int s = 0; s < SEGMENTS; s++) {
          keys[c][s] = eightOf<T>(key, 32 * s + 8 * p, width, aligned);
        }
#pragma unroll
        for (int s = 0; s < SEGMENTS; s++) {
          rows[c][s] = eightOf<T>(key + toValues, 32 * s + 8 * p, width, aligned);
        }
      }
      tile.attend(keys, rows, factor, more, scale);
    }
  }
  parts.merge(tile, a, row, of.first, of.count, ofDense ? 0 : 1 + split, ofDense);
}

#define TILE_KERNEL(T, S)                                                                       \
  extern "C" __global__ void __launch_bounds__(ATTEND_THREADS) attend_##T##_##S(AttendArgs a) { \
    attendFollows(a, ATTEND_QUERIES);                                                           \
    attendTile<T, S>(a);                                                                        \
    endBehind(a.beside);                                                                        \
  }
#define TILE_KERNELS(T) TILE_KERNEL(T, 2) TILE_KERNEL(T, 4) TILE_KERNEL(T, 8)
TILE_KERNELS(bf16)
TILE_KERNELS(int8)

/**
 * How a warp has chunks of a window in shared memory: whole chunks of STAGED_TOKENS tokens, two to a stage, several
 * stages on their way at a time, which takes no registers. Pieces of sixteen bytes change places within
 * a row, so that what a warp reads at once is in different banks.
 */
template <typename T, int SEGMENTS>
struct Stage {
  static constexpr bool CODES = sizeof(T) == 1;
  static constexpr int WIDTH = 32 * SEGMENTS;
  static constexpr int PIECES = WIDTH * (int)sizeof(T) / 16;  // of a row
  static constexpr int HALF = STAGED_TOKENS * PIECES;          // of keys or values
  static constexpr int STEPS = CODES ? 1 : 0;                  // behind them
  static constexpr int CHUNK = 2 * (HALF + STEPS);             // of a chunk
  static constexpr int OF_WARP = STAGES * 2 * CHUNK;

  static __device__ __forceinline__ int place(int token, int piece) {
    int other = !CODES         ? (token & 1) << 2
                : PIECES == 8 ? (token & 3) << 1
                              : (token >> 1 & 1) << 1;
    return token * PIECES + (piece ^ other);
  }

  /** Has a chunk copied, with one warp. */
  static __device__ __forceinline__ void bring(const Layer& l, const char* chunk, uint4* to,
                                               int lane) {
#pragma unroll
    for (int i = 0; i < 2 * HALF; i += WARP) {
      int at = i + lane, half = at / HALF, o = at % HALF;
      const char* from = chunk + half * l.residentHalf + 16 * o;
      copyAhead(to + half * (HALF + STEPS) + place(o / PIECES, o % PIECES), from);
    }
    if (CODES && lane < 2) {
      copyAhead(to + lane * (HALF + STEPS) + HALF, chunk + lane * l.residentHalf + 16 * HALF);
    }
  }

  /** This lane's elements of a segment of keys (half 0) or values, without their steps. */
  static __device__ __forceinline__ uint4 eight(const uint4* chunk, int half, int segment, int lane) {
    const uint4* from = chunk + half * (HALF + STEPS);
    int t = lane / 4, p = lane % 4;
    if (!CODES) {
      return from[place(t, 4 * segment + p)];
    }
    uint2 codes = ((const uint2*)(from + place(t, 2 * segment + p / 2)))[p % 2];
    return make_uint4(pairOfBytes(__byte_perm(codes.x, 0, 0x4140)),
                      pairOfBytes(__byte_perm(codes.x, 0, 0x4342)),
                      pairOfBytes(__byte_perm(codes.y, 0, 0x4140)),
                      pairOfBytes(__byte_perm(codes.y, 0, 0x4342)));
  }

  static __device__ __forceinline__ float step(const uint4* chunk, int half, int token) {
    return widen(((const bf16*)(chunk + half * (HALF + STEPS) + HALF))[token]);
  }
};

/**
 * Like attendTile, of hits and misses, where a chunk is STAGED_TOKENS tokens of whole segments. Dynamic
 * shared memory: stages of all warps, then a bit for each item of a block.
 */
template <typename T, int SEGMENTS>
__device__ __forceinline__ void attendStaged(const AttendArgs& a) {
  using S = Stage<T, SEGMENTS>;
  extern __shared__ uint4 stages[];
  __shared__ int lists[ATTEND_WARPS][STAGED_LIST];
  static_assert(sizeof(Parts<SEGMENTS>) <= sizeof(uint4) * ATTEND_WARPS * S::OF_WARP, "merged there");
  const Layer& l = a.layer;
  int row = blockIdx.z;
  int seat = a.batch.seats[row];
  if (seat < 0) {
    return;
  }
  QueryTile of(a);
  int64_t cell = (int64_t)row * l.kvHeads + of.head;
  bool ofHits = a.mode == ATTEND_HITS;
  int split = blockIdx.x;
  int items = ofHits ? passCount(a.chosen, cell, a.pass) : a.chosen.missCount[cell];
  int share = (items + gridDim.x - 1) / gridDim.x;
  int begin = split * share, end = min(begin + share, items);
  if (begin >= end) {
    return;
  }
  const int* misses = a.chosen.misses + cell * a.chosen.passChunks;
  const int* slots = a.chosen.slots + cell * a.chosen.passChunks;
  const int* window = slotList(l, seat, of.head);
  uint32_t* missBits = (uint32_t*)(stages + ATTEND_WARPS * S::OF_WARP);
  Tile<SEGMENTS> tile;
  tile.begin(a.rows, row, of.first, of.count, S::WIDTH);
  if (ofHits) {
    markMisses(a, cell, begin, end, missBits);
  }
  int warp = threadIdx.x / WARP, lane = threadIdx.x % WARP, p = lane % 4;
  uint4* own = stages + warp * S::OF_WARP;
  int* list = lists[warp];
  // The warps take items in turn: each looks a list of its own up, and then goes through those there are.
  for (int base = begin + warp; base < end; base += ATTEND_WARPS * STAGED_LIST) {
    int count = 0;
    __syncwarp();
#pragma unroll
    for (int k = 0; k < STAGED_LIST / WARP; k++) {
      int item = base + (k * WARP + lane) * ATTEND_WARPS, slot = 0;
      bool there = item < end;
      if (there) {
        bool missed = ofHits && (missBits[(item - begin) / 32] >> (item - begin) % 32 & 1) != 0;
        int index = missed ? -1 : slots[ofHits ? item : misses[item]];
        there = index >= 0;  // or it did not come
        slot = there ? window[index] : 0;
      }
      uint32_t all = __ballot_sync(FULL_MASK, there);
      if (there) {
        list[count + __popc(all & ((1u << lane) - 1))] = slot;
      }
      count += __popc(all);
    }
    __syncwarp();
    int pairs = (count + 1) / 2;
    auto ask = [&](int pair) {
#pragma unroll
      for (int c = 0; c < 2; c++) {
        if (2 * pair + c < count) {
          S::bring(l, chunkInSlot(l, list[2 * pair + c]), own + (pair % STAGES * 2 + c) * S::CHUNK,
                   lane);
        }
      }
      commitCopies();  // also where there are none: copies are counted
    };
#pragma unroll
    for (int pair = 0; pair < STAGES - 1; pair++) {
      ask(pair);
    }
    for (int pair = 0; pair < pairs; pair++) {
      awaitCopies<STAGES - 2>();
      __syncwarp();  // what the lanes have copied is there, and the stage before has been read
      ask(pair + STAGES - 1);
      const uint4* stage = own + pair % STAGES * 2 * S::CHUNK;
      bool both = 2 * pair + 1 < count;
      const uint4* second = stage + (both ? S::CHUNK : 0);  // or the first again, with no weight
      float factor[2][2], more[2][2], scale[2][2];
#pragma unroll
      for (int c = 0; c < 2; c++) {
#pragma unroll
        for (int k = 0; k < 2; k++) {
          const uint4* chunk = c == 0 ? stage : second;
          factor[c][k] = S::CODES ? a.scale * S::step(chunk, 0, 2 * p + k) : a.scale;
          scale[c][k] = S::CODES ? S::step(chunk, 1, 2 * p + k) : 1.f;
          more[c][k] = c == 0 || both ? 0.f : -INFINITY;
        }
      }
      tile.template attendFrom<2>(
          [&](int c, int s) { return S::eight(c == 0 ? stage : second, 0, s, lane); },
          [&](int c, int s) { return S::eight(c == 0 ? stage : second, 1, s, lane); }, factor, more,
          scale);
    }
    awaitCopies<0>();
  }
  __syncthreads();
  Parts<SEGMENTS>& parts = *(Parts<SEGMENTS>*)stages;
  parts.merge(tile, a, row, of.first, of.count, 1 + split, false);
}

#define STAGED_KERNEL(T, S)                                                       \
  extern "C" __global__ void __launch_bounds__(ATTEND_THREADS) staged_##T##_##S(AttendArgs a) { \
    follow(a.beside);                                                             \
    attendStaged<T, S>(a);                                                        \
    endBehind(a.beside);                                                          \
  }
STAGED_KERNEL(bf16, 2)
STAGED_KERNEL(bf16, 4)
STAGED_KERNEL(int8, 2)
STAGED_KERNEL(int8, 4)

// Grid: (kvHeads, rows). Dynamic shared memory: STATE_PARTS + 1 floats for each head of the group.
extern "C" __global__ void __launch_bounds__(FINISH_THREADS) finish(AttendArgs a) {
  follow();
  extern __shared__ float weights[];  // [groupSize][STATE_PARTS], then the sum of each
  const Layer& l = a.layer;
  int head = blockIdx.x, row = blockIdx.y;
  if (a.batch.seats[row] < 0) {
    return;
  }
  int groupSize = a.heads / l.kvHeads;
  int parts = 1 + 2 * a.splits;
  float* sums = weights + groupSize * STATE_PARTS;
  int warp = threadIdx.x / WARP, lane = threadIdx.x % WARP;
  for (int g = warp; g < groupSize; g += FINISH_THREADS / WARP) {
    float most = -INFINITY;
    for (int i = lane; i < parts; i += WARP) {
      most = fmaxf(most, part(a, row, head * groupSize + g, i)[0]);
    }
#pragma unroll
    for (int offset = WARP / 2; offset > 0; offset /= 2) {
      most = fmaxf(most, __shfl_xor_sync(FULL_MASK, most, offset));
    }
    float sum = 0;
    for (int i = lane; i < parts; i += WARP) {
      const float* from = part(a, row, head * groupSize + g, i);
      float weight = weightOf(from[0], most);
      weights[g * STATE_PARTS + i] = weight;
      sum += weight * from[1];
    }
    sum = warpSum(sum);
    if (lane == 0) {
      sums[g] = sum;
    }
  }
  __syncthreads();
  bf16* out = a.rows.data + row * a.rows.stride + (int64_t)head * groupSize * l.headDim;
  for (int e = threadIdx.x; e < groupSize * l.headDim; e += blockDim.x) {
    int g = e / l.headDim, i = e % l.headDim;
    float value = 0;
    for (int base = 0; base < parts; base += FINISH_AHEAD) {
      float of[FINISH_AHEAD];
#pragma unroll
      for (int k = 0; k < FINISH_AHEAD; k++) {  // asked for together, but for what holds nothing
        bool holds = base + k < parts && weights[g * STATE_PARTS + base + k] > 0;
        of[k] = holds ? part(a, row, head * groupSize + g, base + k)[2 + i] : 0.f;
      }
#pragma unroll
      for (int k = 0; k < FINISH_AHEAD; k++) {
        value = base + k < parts ? fmaf(weights[g * STATE_PARTS + base + k], of[k], value) : value;
      }
    }
    out[e] = narrow<bf16>(value / sums[g]);
  }
}
