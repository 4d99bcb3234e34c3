// Selection: the queries of a group score all representatives, the best chunks are selected.
#pragma once

#include "common.cuh"

#define SCORE_WARPS 8
#define SCORE_TILE 256  // chunks of one block

struct ScoreArgs {
  Layer layer;
  Batch batch;
  Chosen chosen;
  Rows query;
  float* raw;  // [rows of the launch][heads][maxChunks]: scale * q_h . representative_c
  int heads;
  float scale;
  int firstRow;  // row of the first block
  int pad;
};

__device__ __forceinline__ float* rawScores(const ScoreArgs& a, int row, int query) {
  return a.raw + ((int64_t)(row - a.firstRow) * a.heads + query) * a.chosen.maxChunks;
}

/** Chunks that a row asks for; at least closed of them are all. */
__device__ __forceinline__ int wanted(const Batch& b, const Chosen& s, int row) {
  return min(b.selectCounts[row], s.maxSelected);
}

/**
 * Raw scores of a tile of chunks for GT query heads of a KV head. LANES lanes share a
 * representative, eight elements each, so that a warp reads whole rows, 16 bytes a lane.
 */
template <typename T, int LANES, int GT>
__device__ __forceinline__ void scoreTile(const ScoreArgs& a) {
  const Layer& l = a.layer;
  constexpr int GROUPS = WARP / LANES;
  constexpr int J = 8 / GROUPS > 4 ? 4 : 8 / GROUPS;  // rows of a lane group in flight
  int row = a.firstRow + blockIdx.z;
  int seat = a.batch.seats[row];
  if (seat < 0) {
    return;
  }
  int closed = closedChunks(l, a.batch.positions[row] + 1);
  int tile = blockIdx.x * SCORE_TILE;
  if (tile >= closed || wanted(a.batch, a.chosen, row) >= closed) {
    return;  // nothing here, or all are selected
  }
  int groupSize = a.heads / l.kvHeads;
  int parts = (groupSize + GT - 1) / GT;
  int head = blockIdx.y / parts;
  int firstQuery = head * groupSize + blockIdx.y % parts * GT;
  int queries = min(GT, (head + 1) * groupSize - firstQuery);
  int warp = threadIdx.x / WARP, lane = threadIdx.x % WARP;
  int group = lane / LANES, p = lane % LANES;
  int n = l.headDim - 8 * p;
  float q[GT][8];
#pragma unroll
  for (int g = 0; g < GT; g++) {
    const bf16* from =
        a.query.data + row * a.query.stride + (int64_t)(firstQuery + g) * l.headDim + 8 * p;
    load8(from, g < queries ? n : 0, (uintptr_t)from % 16 == 0, q[g]);
  }
  const T* index = (const T*)l.representatives +
                   ((int64_t)seat * l.kvHeads + head) * l.maxChunks * l.headDim;
  bool aligned = ((uintptr_t)index | (uintptr_t)rowBytes(l)) % 16 == 0;
  int first = tile + warp * (SCORE_TILE / SCORE_WARPS);
  int end = min(first + SCORE_TILE / SCORE_WARPS, closed);
  for (int base = first; base < end; base += GROUPS * J) {
    float k[J][8];
#pragma unroll
    for (int j = 0; j < J; j++) {
      int chunk = base + j * GROUPS + group;
      load8(index + (int64_t)min(chunk, end - 1) * l.headDim + 8 * p, n, aligned, k[j]);
    }
    float sums[GT * J];
#pragma unroll
    for (int g = 0; g < GT; g++) {
#pragma unroll
      for (int j = 0; j < J; j++) {
        float sum = 0;
#pragma unroll
        for (int i = 0; i < 8; i++) {
          sum = fmaf(q[g][i], k[j][i], sum);
        }
        sums[g * J + j] = sum;
      }
    }
    sumOverLanes<GT * J, LANES>(sums);
    constexpr int MINE = GT * J > LANES ? GT * J / LANES : 1;
    constexpr int SHARE = GT * J > LANES ? 1 : LANES / (GT * J);
#pragma unroll
    for (int r = 0; r < MINE; r++) {
      int g = (p / SHARE * MINE + r) / J, j = (p / SHARE * MINE + r) % J;
      int chunk = base + j * GROUPS + group;
      if (p % SHARE == 0 && g < queries && chunk < end) {
        rawScores(a, row, firstQuery + g)[chunk] = sums[r] * a.scale;
      }
    }
  }
}

/** Larger scores have larger keys. */
__device__ __forceinline__ uint32_t keyOf(float score) {
  uint32_t bits = __float_as_uint(score);
  return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}

#define SELECT_THREADS 1024

/** Exclusive rank of a flag among the block's threads and the number of flags; shared: 33 ints. */
__device__ __forceinline__ int blockRank(bool flag, int* shared, int& total) {
  int warp = threadIdx.x / WARP, lane = threadIdx.x % WARP;
  uint32_t votes = __ballot_sync(FULL_MASK, flag);
  __syncthreads();
  if (lane == 0) {
    shared[warp] = __popc(votes);
  }
  __syncthreads();
  if (warp == 0) {
    int warps = blockDim.x / WARP;
    int mine = lane < warps ? shared[lane] : 0;
    int sum = mine;
#pragma unroll
    for (int offset = 1; offset < WARP; offset *= 2) {
      int other = __shfl_up_sync(FULL_MASK, sum, offset);
      if (lane >= offset) {
        sum += other;
      }
    }
    shared[lane] = sum - mine;
    if (lane == WARP - 1) {
      shared[WARP] = sum;
    }
  }
  __syncthreads();
  total = shared[WARP];
  return shared[warp] + __popc(votes & ((1u << lane) - 1));
}

/**
 * The key of the wanted-th largest (or smallest) of count keys, by radix: eight bits a round. Also
 * how many keys equal to it belong to the wanted ones. Shared: histogram of 256 and two words.
 */
template <bool LARGEST, typename KeyAt>
__device__ __forceinline__ uint32_t radixSelect(int count, int wanted, KeyAt keyAt, int* histogram,
                                                int* shared, int& equal) {
  uint32_t prefix = 0;
  int left = wanted;
  for (int shift = 24; shift >= 0; shift -= 8) {
    __syncthreads();
    for (int i = threadIdx.x; i < 256; i += blockDim.x) {
      histogram[i] = 0;
    }
    __syncthreads();
    for (int i = threadIdx.x; i < count; i += blockDim.x) {
      uint32_t key;
      if (keyAt(i, key)) {
        if (!LARGEST) {
          key = ~key;
        }
        if (shift == 24 || key >> (shift + 8) == prefix >> (shift + 8)) {
          atomicAdd(&histogram[key >> shift & 255], 1);
        }
      }
    }
    __syncthreads();
    if (threadIdx.x < WARP) {
      // Lane i sums the eight bins from 255 - 8i down; the warp finds where the sum reaches left.
      int lane = threadIdx.x;
      int bins[8], mine = 0;
#pragma unroll
      for (int k = 0; k < 8; k++) {
        bins[k] = histogram[255 - 8 * lane - k];
        mine += bins[k];
      }
      int sum = mine;
#pragma unroll
      for (int offset = 1; offset < WARP; offset *= 2) {
        int other = __shfl_up_sync(FULL_MASK, sum, offset);
        if (lane >= offset) {
          sum += other;
        }
      }
      int before = sum - mine;
      if (before < left && sum >= left) {
#pragma unroll
        for (int k = 0; k < 8; k++) {
          if (before < left && before + bins[k] >= left) {
            shared[0] = 255 - 8 * lane - k;
            shared[1] = left - before;
            before = left;  // found
          } else {
            before += bins[k];
          }
        }
      }
    }
    __syncthreads();
    prefix |= (uint32_t)shared[0] << shift;
    left = shared[1];
  }
  equal = left;
  return LARGEST ? prefix : ~prefix;
}

// Grid: (kvHeads, rows). Merges the queries of the group by their best log-softmax and selects.
extern "C" __global__ void __launch_bounds__(SELECT_THREADS) choose(ScoreArgs a) {
  __shared__ float reduce[WARP];
  __shared__ int histogram[256];
  __shared__ int ranks[WARP + 1];
  __shared__ int found[2];
  const Layer& l = a.layer;
  const Chosen& s = a.chosen;
  int head = blockIdx.x, row = a.firstRow + blockIdx.y;
  int seat = a.batch.seats[row];
  if (seat < 0) {
    return;
  }
  int closed = closedChunks(l, a.batch.positions[row] + 1);
  // Clamping first and comparing the result with closed is the same, but ptxas 13.0 makes a
  // comparison of it that holds for every row.
  int asked = wanted(a.batch, s, row);
  bool all = asked >= closed;
  int count = all ? closed : max(asked, 0);
  int64_t cell = (int64_t)row * l.kvHeads + head;
  int* selected = s.selected + cell * s.maxSelected;
  if (threadIdx.x == 0) {
    s.selectedCount[cell] = count;
  }
  if (all) {
    for (int i = threadIdx.x; i < count; i += blockDim.x) {
      selected[i] = i;
    }
    return;
  }
  int groupSize = a.heads / l.kvHeads;
  float* scores = s.scores + cell * s.maxChunks;
  for (int g = 0; g < groupSize; g++) {
    const float* raw = rawScores(a, row, head * groupSize + g);
    float most = -INFINITY;
    for (int c = threadIdx.x; c < closed; c += blockDim.x) {
      most = fmaxf(most, raw[c]);
    }
#pragma unroll
    for (int offset = WARP / 2; offset > 0; offset /= 2) {
      most = fmaxf(most, __shfl_xor_sync(FULL_MASK, most, offset));
    }
    __syncthreads();
    if (threadIdx.x % WARP == 0) {
      reduce[threadIdx.x / WARP] = most;
    }
    __syncthreads();
    most = reduce[threadIdx.x % WARP];
#pragma unroll
    for (int offset = WARP / 2; offset > 0; offset /= 2) {
      most = fmaxf(most, __shfl_xor_sync(FULL_MASK, most, offset));
    }
    float sum = 0;
    for (int c = threadIdx.x; c < closed; c += blockDim.x) {
      sum += expf(raw[c] - most);
    }
    float logSum = most + logf(blockSum(sum, reduce));
    for (int c = threadIdx.x; c < closed; c += blockDim.x) {
      float merged = raw[c] - logSum;
      scores[c] = g == 0 ? merged : fmaxf(scores[c], merged);
    }
  }
  if (count == 0) {
    return;
  }
  __syncthreads();
  int equal;
  uint32_t threshold = radixSelect<true>(
      closed, count,
      [&](int i, uint32_t& key) {
        key = keyOf(scores[i]);
        return true;
      },
      histogram, found, equal);
  int out = 0, equalsTaken = 0;
  for (int base = 0; base < closed; base += blockDim.x) {
    int c = base + threadIdx.x;
    uint32_t key = c < closed ? keyOf(scores[c]) : 0;
    bool equals = c < closed && key == threshold;
    int equals_here;
    int rank = blockRank(equals, ranks, equals_here);
    bool take = c < closed && (key > threshold || (equals && equalsTaken + rank < equal));
    equalsTaken += equals_here;
    int taken_here;
    rank = blockRank(take, ranks, taken_here);
    if (take) {
      selected[out + rank] = c;
    }
    out += taken_here;
  }
}

#define SCORE_KERNEL(T, L, G)                                                              \
  extern "C" __global__ void __launch_bounds__(WARP * SCORE_WARPS) score_##T##_##L##_##G( \
      ScoreArgs a) {                                                                       \
    scoreTile<T, L, G>(a);                                                                 \
  }
#define SCORE_KERNELS(T, L) \
  SCORE_KERNEL(T, L, 1) SCORE_KERNEL(T, L, 2) SCORE_KERNEL(T, L, 4) SCORE_KERNEL(T, L, 8)
SCORE_KERNELS(bf16, 8)
SCORE_KERNELS(bf16, 16)
SCORE_KERNELS(bf16, 32)
SCORE_KERNELS(float, 8)
SCORE_KERNELS(float, 16)
SCORE_KERNELS(float, 32)
