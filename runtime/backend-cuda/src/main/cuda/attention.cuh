// Attention of a decode step: sink and ring, hits, misses; partial states merged by log-sum-exp.
//
// State, F32: [maxRows][heads][STATE_PARTS]{maximum, sum, values[headDim]}. Part 0 is the dense part, the next `splits` are those
// of hits, the next those of misses. A part goes on from pass to pass; finish merges them.
#pragma once

#include "common.cuh"

#define ATTEND_THREADS (WARP * ATTEND_WARPS)

template <typename Args>
__device__ __forceinline__ float* part(const Args& a, int row, int head, int index) {
  return a.state +
         (((int64_t)row * a.heads + head) * STATE_PARTS + index) * (2 + a.layer.headDim);
}

__device__ __forceinline__ float weightOf(float maximum, float merged) {
  return maximum == -INFINITY ? 0.f : expf(maximum - merged);
}

/**
 * Attends a share of the dense tokens, hits or misses with GT query heads of one KV head. T is what
 * is loaded: elements of sink and ring, or of chunks in the window, which may be codes. LANES
 * lanes share a row, eight elements each; a warp takes a chunk (or eight dense tokens) at a time
 * with an online softmax for each group of lanes.
 */
template <typename T, int LANES, int GT>
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
  if (a.mode == ATTEND_DENSE) {
    for (int i = threadIdx.x; i < queryCount * 2 * a.splits; i += blockDim.x) {
      float* other = part(a, row, firstQuery + i / (2 * a.splits), 1 + i % (2 * a.splits));
      other[0] = -INFINITY;
      other[1] = 0;
    }
  } else if (begin >= end) {
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
  constexpr bool CODES = sizeof(T) == 1;  // never of sink and ring
  int bytes = l.headDim * (int)sizeof(T);
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
        ((uintptr_t)keys | (uintptr_t)bytes | (uintptr_t)toValues) % (CODES ? 8 : 16) == 0;
    for (int base = 0; base < limit; base += GROUPS * J) {
      float k[J][8], v[J][8];
      float keyStep[J], valueStep[J];
#pragma unroll
      for (int j = 0; j < J; j++) {
        int t = min(base + j * GROUPS + group, limit - 1);
        int at = t;
        if (a.mode == ATTEND_DENSE) {
          int d = 8 * item + t;
          at = d < sinkTokens ? d : denseRow(l, ringFirst + d - sinkTokens);
        }
        const char* from = keys + (int64_t)at * bytes;
        load8((const T*)from + 8 * p, n, aligned, k[j]);
        load8((const T*)(from + toValues) + 8 * p, n, aligned, v[j]);
        keyStep[j] = CODES ? stepOf(l, keys, at) : 1.f;
        valueStep[j] = CODES ? stepOf(l, keys + toValues, at) : 1.f;
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
          s[j] = t < limit ? product * keyStep[j] : -INFINITY;
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
          weight *= valueStep[j];
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
  int index = a.mode == ATTEND_DENSE  ? 0
              : a.mode == ATTEND_HITS ? 1 + split
                                      : 1 + a.splits + split;
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

#define ATTEND_KERNEL(T, L, G)                                                         \
  extern "C" __global__ void __launch_bounds__(ATTEND_THREADS) attend_##T##_##L##_##G( \
      AttendArgs a) {                                                                  \
    attendPart<T, L, G>(a);                                                            \
  }
#define ATTEND_KERNELS(T, L) \
  ATTEND_KERNEL(T, L, 1) ATTEND_KERNEL(T, L, 2) ATTEND_KERNEL(T, L, 4) ATTEND_KERNEL(T, L, 8)
ATTEND_KERNELS(bf16, 8)
ATTEND_KERNELS(bf16, 16)
ATTEND_KERNELS(bf16, 32)
ATTEND_KERNELS(float, 8)
ATTEND_KERNELS(float, 16)
ATTEND_KERNELS(float, 32)
ATTEND_KERNELS(int8, 8)
ATTEND_KERNELS(int8, 16)
ATTEND_KERNELS(int8, 32)

// Grid: (kvHeads, rows). Dynamic shared memory: STATE_PARTS + 1 floats for each head of the group.
extern "C" __global__ void __launch_bounds__(FINISH_THREADS) finish(AttendArgs a) {
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
    for (int k = 0; k < parts; k++) {
      float weight = weights[g * STATE_PARTS + k];
      if (weight > 0) {
        value = fmaf(weight, part(a, row, head * groupSize + g, k)[2 + i], value);
      }
    }
    out[e] = narrow<bf16>(value / sums[g]);
  }
}
