// Clusters of similar tokens, as ClusterFormat says them to the bit, and the estimate by them of what a
// step does not attend.
#pragma once

#include "attention.cuh"
#include "common.cuh"
#include "kv.cuh"
#include "select.cuh"

/** Bytes of the elements of a row in 4 bits; also how far apart those in a byte are. */
__device__ __forceinline__ int rowHalf(const Layer& l) { return (l.headDim + 1) / 2; }
/** Bytes of the steps of a row in 4 bits. */
__device__ __forceinline__ int rowGroups(const Layer& l) {
  return (l.headDim + CLUSTER_GROUP - 1) / CLUSTER_GROUP;
}
/** Bytes of a stored row: a centroid or a mean value. */
__device__ __forceinline__ int storedBytes(const Layer& l) {
  return l.nibbles ? rowGroups(l) + rowHalf(l) : 4 + (l.headDim + 3) / 4 * 4;
}
__device__ __forceinline__ int centroidOffset(const Layer& l) { return l.nibbles ? 2 : 4; }
__device__ __forceinline__ int valueOffset(const Layer& l) {
  return centroidOffset(l) + storedBytes(l);
}
__device__ __forceinline__ int clusterBytes(const Layer& l) {
  int rows = l.clusterRows == 1 ? 1 : 2, unit = l.nibbles ? 2 : 4;
  return (centroidOffset(l) + rows * storedBytes(l) + unit - 1) / unit * unit;
}
/** Clusters of so many chunks. */
__device__ __forceinline__ int clustersOf(const Layer& l, int chunks) {
  return (chunks * l.chunk + l.clusterTokens - 1) / l.clusterTokens;
}
/** First cluster of a (seat, KV head). */
__device__ __forceinline__ char* clusterTable(const Layer& l, int64_t cell) {
  return l.clusters + cell * l.maxClusters * clusterBytes(l);
}
/** Clusters of the members of a chunk; those of the next chunks follow. */
__device__ __forceinline__ uint16_t* clusterIds(const Layer& l, int64_t cell, int chunk) {
  return l.clusterOfMember + (cell * l.maxChunks + chunk) * l.clusterRows;
}
/** Whether chunks are clustered by their means, which have no values. */
__device__ __forceinline__ bool ofChunks(const Layer& l) { return l.clusterRows == 1; }
__device__ __forceinline__ int clusterSize(const char* cluster) {
  return *(const uint16_t*)cluster;
}
__device__ __forceinline__ void setClusterSize(char* cluster, int tokens) {
  *(uint16_t*)cluster = (uint16_t)min(tokens, MOST_COUNTED);
}

/** Key of a member of a segment. */
__device__ __forceinline__ const char* segmentKey(const ClusterArgs& a, int head, int token) {
  if (ofChunks(a.layer)) {
    return summaryOf(a.layer, a.seat, head, a.from + token);
  }
  return scratchRow(a.layer, a.scratch, a.maxTokens, head, firstToken(a.layer, a.from) + token);
}

/** Elements by which members are compared: keys, and values behind them where these count. */
__device__ __forceinline__ int depthOf(const Layer& l) {
  return l.clusterBases == nullptr ? l.headDim : 2 * l.headDim;
}
/** Such an element of a member, of which `weight` is that of values. */
__device__ __forceinline__ float rowElement(const Layer& l, const char* key, int64_t toValue,
                                            float weight, int i) {
  return i < l.headDim
             ? element(key, i, l.elementBytes)
             : __fmul_rn(weight, element(key + toValue, i - l.headDim, l.elementBytes));
}
/** What the clusters of a (seat, KV head) have as a base: the weight of values and, in 4 bits, a key. */
__device__ __forceinline__ float* baseOf(const Layer& l, int64_t cell) {
  return l.clusterBases + cell * (l.nibbles ? 1 + l.headDim : 1);
}
__device__ __forceinline__ float valueWeight(const Layer& l, int64_t cell) {
  return l.clusterBases == nullptr ? 0.f : *baseOf(l, cell);
}
/** The key that centroids are stored as differences from, null where there is none. */
__device__ __forceinline__ const float* meanKey(const Layer& l, int64_t cell) {
  return l.nibbles ? baseOf(l, cell) + 1 : nullptr;
}
/** From a key of a prompt to its value. */
__device__ __forceinline__ int64_t promptValue(const ClusterArgs& a) {
  return (int64_t)a.maxTokens * rowBytes(a.layer);
}
/** The member of a segment that a centroid starts from. */
__device__ __forceinline__ const char* startKey(const ClusterArgs& a, int head, int cluster) {
  int tokens = (a.to - a.from) * a.layer.clusterRows;
  return segmentKey(a, head, (int)((int64_t)cluster * tokens / a.clusters));
}

/** -|c|^2 / 2, one element after the other. */
__device__ __forceinline__ float biasOf(const float* centroid, int width) {
  float square = 0;
  for (int i = 0; i < width; i++) {
    square = __fmaf_rn(centroid[i], centroid[i], square);
  }
  return __fmul_rn(-0.5f, square);
}

/** The larger score, the lower cluster among equals. */
__device__ __forceinline__ void takeNearer(float& most, int& best, float score, int cluster) {
  if (score > most || (score == most && cluster < best)) {
    most = score;
    best = cluster;
  }
}

/** The step of that number: ClusterFormat.step. */
__device__ __forceinline__ float groupStep(int code) {
  return code == 0 ? 0.f : __int_as_float((code + STEP_BIAS) << STEP_SHIFT);
}

/**
 * Stores a row of a cluster in 4 bits, with all threads of a block, of which thread i has element i
 * and those without one 0. Shared holds a float for each thread. A warp has the elements of a step.
 */
__device__ __forceinline__ void storeNibbles(char* row, float x, const Layer& l, float* shared) {
  static_assert(CLUSTER_GROUP == WARP, "a warp has the elements of a step");
  int i = threadIdx.x, half = rowHalf(l);
  float largest = fabsf(x);
#pragma unroll
  for (int offset = WARP / 2; offset > 0; offset /= 2) {
    largest = fmaxf(largest, __shfl_xor_sync(FULL_MASK, largest, offset));
  }
  int rounded = __float_as_int(__fdiv_rn(largest, ELEMENT_STEPS)) + (1 << (STEP_SHIFT - 1));
  int code = min(max((rounded >> STEP_SHIFT) - STEP_BIAS, 0), 255);
  float step = groupStep(code);
  float inverse = step == 0 ? 0.f : __fdiv_rn(1.f, step);
  int element = 8 + min(max(__float2int_rd(__fmul_rn(x, inverse)), -8), 7);
  int* elements = (int*)shared;
  __syncthreads();  // nobody reads what shared held before
  elements[i] = element;
  __syncthreads();
  if (i < half) {
    int high = i + half < l.headDim ? elements[i + half] : 0;
    ((uint8_t*)row)[rowGroups(l) + i] = (uint8_t)(element | high << 4);
  }
  if (i < l.headDim && i % CLUSTER_GROUP == 0) {
    ((uint8_t*)row)[i / CLUSTER_GROUP] = (uint8_t)code;
  }
}

/** The same in 8 bits: all elements have one step. */
__device__ __forceinline__ void storeBytes(char* row, float x, const Layer& l, float* shared) {
  int warp = threadIdx.x / WARP, lane = threadIdx.x % WARP;
  float largest = fabsf(x);
#pragma unroll
  for (int offset = WARP / 2; offset > 0; offset /= 2) {
    largest = fmaxf(largest, __shfl_xor_sync(FULL_MASK, largest, offset));
  }
  __syncthreads();
  if (lane == 0) {
    shared[warp] = largest;
  }
  __syncthreads();
  largest = lane < blockDim.x / WARP ? shared[lane] : 0.f;
#pragma unroll
  for (int offset = WARP / 2; offset > 0; offset /= 2) {
    largest = fmaxf(largest, __shfl_xor_sync(FULL_MASK, largest, offset));
  }
  bool vanishes = largest < SMALLEST_KEY;
  float inverse = vanishes ? 0.f : __fdiv_rn((float)LARGEST_ELEMENT, largest);
  if (threadIdx.x < l.headDim) {
    int code = __float2int_rn(__fmul_rn(x, inverse));
    ((int8_t*)row)[4 + threadIdx.x] = (int8_t)min(max(code, -LARGEST_ELEMENT), LARGEST_ELEMENT);
  }
  if (threadIdx.x == 0) {
    *(float*)row = vanishes ? 0.f : __fdiv_rn(largest, (float)LARGEST_ELEMENT);
  }
}

__device__ __forceinline__ void storeRow(char* row, float x, const Layer& l, float* shared) {
  if (l.nibbles) {
    storeNibbles(row, x, l, shared);
  } else {
    storeBytes(row, x, l, shared);
  }
}

__device__ __forceinline__ float storedElement(const char* row, const Layer& l, int i) {
  if (!l.nibbles) {
    return __fmul_rn(*(const float*)row, (float)((const int8_t*)row)[4 + i]);
  }
  int half = rowHalf(l);
  int both = ((const uint8_t*)row)[rowGroups(l) + (i < half ? i : i - half)];
  int element = (i < half ? both : both >> 4) & 15;
  return __fmul_rn((float)element - ELEMENT_STEPS,
                   groupStep(((const uint8_t*)row)[i / CLUSTER_GROUP]));
}

/** Stores a centroid, like storeRow, as its difference from the mean key of its clusters if there is one. */
__device__ __forceinline__ void storeCentroid(char* cluster, float x, const float* mean,
                                              const Layer& l, float* shared) {
  bool differs = mean != nullptr && threadIdx.x < l.headDim;
  storeRow(cluster + centroidOffset(l), differs ? __fsub_rn(x, mean[threadIdx.x]) : x, l, shared);
}
__device__ __forceinline__ void storeValue(char* cluster, float x, const Layer& l, float* shared) {
  storeRow(cluster + valueOffset(l), x, l, shared);
}

__device__ __forceinline__ float centroidElement(const char* cluster, const float* mean,
                                                 const Layer& l, int i) {
  float x = storedElement(cluster + centroidOffset(l), l, i);
  return mean == nullptr ? x : __fadd_rn(x, mean[i]);
}
__device__ __forceinline__ float valueElement(const char* cluster, const Layer& l, int i) {
  return storedElement(cluster + valueOffset(l), l, i);
}

/**
 * Squared differences of an element of keys, or values, from its mean over the starting tokens, which
 * it writes too.
 */
__device__ __forceinline__ float differences(const ClusterArgs& a, int head, int64_t toRow, int i,
                                             float& mean) {
  mean = 0;
  for (int j = 0; j < a.clusters; j++) {
    mean = __fadd_rn(mean, element(startKey(a, head, j) + toRow, i, a.layer.elementBytes));
  }
  mean = __fdiv_rn(mean, (float)a.clusters);
  float squares = 0;
  for (int j = 0; j < a.clusters; j++) {
    float from =
        __fsub_rn(element(startKey(a, head, j) + toRow, i, a.layer.elementBytes), mean);
    squares = __fmaf_rn(from, from, squares);
  }
  return squares;
}

// Grid: (kvHeads). How much values count beside keys, ClusterFormat.valueWeight, and the mean key.
extern "C" __global__ void __launch_bounds__(CLUSTER_THREADS) weighValues(ClusterArgs a) {
  follow();
  __shared__ float keys[MAX_HEAD_DIM];
  __shared__ float values[MAX_HEAD_DIM];
  const Layer& l = a.layer;
  int head = blockIdx.x, i = threadIdx.x;
  float* base = baseOf(l, (int64_t)a.seat * l.kvHeads + head);
  if (i < l.headDim) {
    float mean;
    values[i] = differences(a, head, promptValue(a), i, mean);
    keys[i] = differences(a, head, 0, i, mean);
    if (l.nibbles) {
      base[1 + i] = mean;
    }
  }
  __syncthreads();
  if (threadIdx.x == 0) {
    float ofKeys = 0, ofValues = 0;
    for (int i = 0; i < l.headDim; i++) {
      ofKeys = __fadd_rn(ofKeys, keys[i]);
      ofValues = __fadd_rn(ofValues, values[i]);
    }
    float quotient = __fdiv_rn(ofKeys, ofValues);
    int exponent = (__float_as_int(quotient) >> 23) - 127;  // of one that is positive
    bool normal = quotient > 0 && exponent > -127 && exponent < 128;
    base[0] = normal ? __int_as_float((((exponent - 1) >> 1) + 127) << 23) : 0.f;
  }
}

// Grid: (clusters, kvHeads). A centroid starts as the row of a token.
extern "C" __global__ void __launch_bounds__(CLUSTER_THREADS) startClusters(ClusterArgs a) {
  follow();
  __shared__ float row[2 * MAX_HEAD_DIM];
  const Layer& l = a.layer;
  int cluster = blockIdx.x, head = blockIdx.y;
  const char* key = startKey(a, head, cluster);
  float weight = valueWeight(l, (int64_t)a.seat * l.kvHeads + head);
  int at = head * a.clusters + cluster, depth = depthOf(l);
  for (int i = threadIdx.x; i < depth; i += blockDim.x) {
    row[i] = rowElement(l, key, promptValue(a), weight, i);
    a.centroids[(int64_t)at * depth + i] = row[i];
  }
  __syncthreads();
  if (threadIdx.x == 0) {
    a.biases[at] = biasOf(row, depth);
  }
}

// Grid: (tiles of tokens, kvHeads). A thread has every CLUSTER_LANES-th centroid of a tile and some
// tokens, whose products stay in registers while pieces of the rows pass through shared memory.
extern "C" __global__ void __launch_bounds__(CLUSTER_THREADS) nearestClusters(ClusterArgs a) {
  follow();
  constexpr int GROUPS = CLUSTER_THREADS / CLUSTER_LANES;
  constexpr int TOKENS = CLUSTER_TOKENS / GROUPS, CENTROIDS = CLUSTER_TILE / CLUSTER_LANES;
  // Four more floats, so that lanes read 16 bytes of different rows from different banks.
  __shared__ __align__(16) float members[CLUSTER_TOKENS][CLUSTER_DEPTH + 4];
  __shared__ __align__(16) float centroids[CLUSTER_TILE][CLUSTER_DEPTH + 4];
  const Layer& l = a.layer;
  int depth = depthOf(l);
  int head = blockIdx.y;
  int64_t cell = (int64_t)a.seat * l.kvHeads + head;
  float weight = valueWeight(l, cell);
  int first = blockIdx.x * CLUSTER_TOKENS;
  int tokens = (a.to - a.from) * l.clusterRows;
  int p = threadIdx.x % CLUSTER_LANES, group = threadIdx.x / CLUSTER_LANES;
  float most[TOKENS];
  int best[TOKENS];
#pragma unroll
  for (int j = 0; j < TOKENS; j++) {
    most[j] = -INFINITY;
    best[j] = 0x7fffffff;
  }
  for (int tile = 0; tile < a.clusters; tile += CLUSTER_TILE) {
    int count = min(CLUSTER_TILE, a.clusters - tile);
    const float* rows = a.centroids + ((int64_t)head * a.clusters + tile) * depth;
    float scores[TOKENS][CENTROIDS];
#pragma unroll
    for (int k = 0; k < CENTROIDS; k++) {
      int c = p + k * CLUSTER_LANES;
      float bias = c < count ? a.biases[head * a.clusters + tile + c] : -INFINITY;
#pragma unroll
      for (int j = 0; j < TOKENS; j++) {
        scores[j][k] = bias;
      }
    }
    for (int from = 0; from < depth; from += CLUSTER_DEPTH) {
      __syncthreads();
      for (int i = threadIdx.x; i < CLUSTER_TOKENS * CLUSTER_DEPTH; i += CLUSTER_THREADS) {
        int t = i / CLUSTER_DEPTH, e = i % CLUSTER_DEPTH;
        members[t][e] = first + t < tokens && from + e < depth
                            ? rowElement(l, segmentKey(a, head, first + t), promptValue(a),
                                         weight, from + e)
                            : 0.f;
      }
      for (int i = threadIdx.x; i < CLUSTER_TILE * CLUSTER_DEPTH; i += CLUSTER_THREADS) {
        int c = i / CLUSTER_DEPTH, e = i % CLUSTER_DEPTH;
        centroids[c][e] =
            c < count && from + e < depth ? rows[(int64_t)c * depth + from + e] : 0.f;
      }
      __syncthreads();
#pragma unroll 2
      for (int e = 0; e < CLUSTER_DEPTH; e += 4) {
        float4 x[TOKENS], c[CENTROIDS];
#pragma unroll
        for (int j = 0; j < TOKENS; j++) {
          x[j] = *(const float4*)&members[group + j * GROUPS][e];
        }
#pragma unroll
        for (int k = 0; k < CENTROIDS; k++) {
          c[k] = *(const float4*)&centroids[p + k * CLUSTER_LANES][e];
        }
#pragma unroll
        for (int j = 0; j < TOKENS; j++) {
#pragma unroll
          for (int k = 0; k < CENTROIDS; k++) {
            float score = __fmaf_rn(x[j].x, c[k].x, scores[j][k]);
            score = __fmaf_rn(x[j].y, c[k].y, score);
            score = __fmaf_rn(x[j].z, c[k].z, score);
            scores[j][k] = __fmaf_rn(x[j].w, c[k].w, score);
          }
        }
      }
    }
#pragma unroll
    for (int j = 0; j < TOKENS; j++) {
#pragma unroll
      for (int k = 0; k < CENTROIDS; k++) {
        int c = p + k * CLUSTER_LANES;
        if (c < count) {
          takeNearer(most[j], best[j], scores[j][k], tile + c);
        }
      }
    }
  }
#pragma unroll
  for (int j = 0; j < TOKENS; j++) {
#pragma unroll
    for (int offset = CLUSTER_LANES / 2; offset > 0; offset /= 2) {
      float other = __shfl_xor_sync(FULL_MASK, most[j], offset);
      int cluster = __shfl_xor_sync(FULL_MASK, best[j], offset);
      takeNearer(most[j], best[j], other, cluster);
    }
    int t = first + group + j * GROUPS;
    if (p == 0 && t < tokens) {
      clusterIds(l, cell, a.from)[t] = (uint16_t)(a.firstCluster + min(best[j], a.clusters - 1));
    }
  }
}

/**
 * Writes the members of a cluster of the segment in ascending order, and returns their number: a
 * thread looks at as many tokens as the others, one after the other.
 */
__device__ __forceinline__ int membersOf(int tokens, const uint16_t* ids, int cluster,
                                         uint16_t* members) {
  __shared__ int ofWarp[CLUSTER_THREADS / WARP];
  int warp = threadIdx.x / WARP, lane = threadIdx.x % WARP;
  int share = (tokens + CLUSTER_THREADS - 1) / CLUSTER_THREADS;
  int from = min(tokens, (int)threadIdx.x * share), to = min(tokens, from + share);
  int mine = 0;
  for (int t = from; t < to; t++) {
    mine += ids[t] == cluster ? 1 : 0;
  }
  int upTo = mine;
#pragma unroll
  for (int offset = 1; offset < WARP; offset *= 2) {
    int lower = __shfl_up_sync(FULL_MASK, upTo, offset);
    upTo += lane >= offset ? lower : 0;
  }
  if (lane == WARP - 1) {
    ofWarp[warp] = upTo;
  }
  __syncthreads();
  int at = upTo - mine, size = 0;
  for (int w = 0; w < CLUSTER_THREADS / WARP; w++) {
    at += w < warp ? ofWarp[w] : 0;
    size += ofWarp[w];
  }
  for (int t = from; mine > 0 && t < to; t++) {
    if (ids[t] == cluster) {
      members[at++] = (uint16_t)t;
    }
  }
  __syncthreads();
  return size;
}

/** The sum of an element over members in their order; that of the values times `weight`. */
__device__ __forceinline__ float sumRows(const ClusterArgs& a, int head, const uint16_t* members,
                                         int size, float weight, int i) {
  constexpr int AHEAD = 16;  // rows that are on their way while sums wait for each other
  float sum = 0;
  for (int m = 0; m < size; m += AHEAD) {
    float x[AHEAD];
#pragma unroll
    for (int k = 0; k < AHEAD; k++) {
      x[k] = m + k < size ? rowElement(a.layer, segmentKey(a, head, members[m + k]),
                                       promptValue(a), weight, i)
                          : 0.f;
    }
#pragma unroll
    for (int k = 0; k < AHEAD; k++) {
      sum = m + k < size ? __fadd_rn(sum, x[k]) : sum;
    }
  }
  return sum;
}

// Grid: (clusters, kvHeads). A centroid becomes the mean of its tokens' rows; in the last round the
// cluster is stored with the mean of their values.
extern "C" __global__ void __launch_bounds__(CLUSTER_THREADS) moveClusters(ClusterArgs a) {
  follow();
  extern __shared__ uint16_t members[];
  __shared__ float row[2 * MAX_HEAD_DIM];
  __shared__ float stored[CLUSTER_THREADS];
  const Layer& l = a.layer;
  int cluster = blockIdx.x, head = blockIdx.y;
  int64_t cell = (int64_t)a.seat * l.kvHeads + head;
  int number = a.firstCluster + cluster;
  int at = head * a.clusters + cluster, depth = depthOf(l);
  float* centroid = a.centroids + (int64_t)at * depth;
  float weight = valueWeight(l, cell);
  int tokens = (a.to - a.from) * l.clusterRows;
  int size = membersOf(tokens, clusterIds(l, cell, a.from), number, members);
  for (int i = threadIdx.x; i < depth; i += CLUSTER_THREADS) {
    row[i] = size == 0 ? centroid[i]
                       : __fdiv_rn(sumRows(a, head, members, size, weight, i), (float)size);
    centroid[i] = row[i];
  }
  __syncthreads();
  if (threadIdx.x == 0) {
    a.biases[at] = biasOf(row, depth);
  }
  if (!a.last) {
    return;
  }
  bool mine = threadIdx.x < l.headDim;
  char* target = clusterTable(l, cell) + (int64_t)number * clusterBytes(l);
  storeCentroid(target, mine ? row[threadIdx.x] : 0.f, meanKey(l, cell), l, stored);
  if (!ofChunks(l)) {
    float mean = 0;
    if (mine && size > 0) {
      float sum = sumRows(a, head, members, size, 1.f, l.headDim + threadIdx.x);
      mean = __fdiv_rn(sum, (float)size);
    }
    storeValue(target, mean, l, stored);
  }
  if (threadIdx.x == 0) {
    setClusterSize(target, size);
    if (cluster == 0) {
      l.clustered[cell] = a.to;
    }
  }
}

/** Copies words of a type to shared memory, with all threads of a block, many of them at a time. */
template <typename T>
__device__ __forceinline__ void stage(char* to, const char* from, int bytes) {
  constexpr int AHEAD = 16;
  int count = bytes / (int)sizeof(T);
  for (int first = threadIdx.x; first < count; first += AHEAD * blockDim.x) {
    T held[AHEAD];
#pragma unroll
    for (int k = 0; k < AHEAD; k++) {
      int i = first + k * blockDim.x;
      held[k] = i < count ? ((const T*)from)[i] : T(0);
    }
#pragma unroll
    for (int k = 0; k < AHEAD; k++) {
      int i = first + k * blockDim.x;
      if (i < count) {
        ((T*)to)[i] = held[k];
      }
    }
  }
}

/** Copies stored clusters to shared memory, with all threads of a block. */
__device__ __forceinline__ void stageClusters(char* to, const char* from, int bytes) {
  if (((uintptr_t)from | (uintptr_t)bytes) % 4 == 0) {
    stage<uint32_t>(to, from, bytes);
  } else {
    stage<uint16_t>(to, from, bytes);
  }
}

/**
 * Calls use with the elements by which a cluster is compared, one after the other: those of its centroid
 * and, times the weight, of its value.
 */
template <typename Use>
__device__ __forceinline__ void eachElement(const Layer& l, const char* cluster, const float* mean,
                                            float weight, int depth, Use use) {
  if (l.nibbles || l.headDim % 4 != 0) {
#pragma unroll 4
    for (int i = 0; i < depth; i++) {
      use(i, i < l.headDim ? centroidElement(cluster, mean, l, i)
                           : __fmul_rn(weight, valueElement(cluster, l, i - l.headDim)));
    }
    return;
  }
  for (int half = 0; half < depth / l.headDim; half++) {
    const char* row = cluster + centroidOffset(l) + half * storedBytes(l);
    float step = *(const float*)row, factor = half == 0 ? 1.f : weight;
#pragma unroll 4
    for (int i = 0; i < l.headDim; i += 4) {
      uint32_t word = *(const uint32_t*)(row + 4 + i);
#pragma unroll
      for (int k = 0; k < 4; k++) {
        float x = __fmul_rn(step, (float)(int8)(word >> 8 * k));
        use(half * l.headDim + i + k, __fmul_rn(factor, x));
      }
    }
  }
}

// Grid: (kvHeads, rows, blocks that take tiles of clusters in turn). The chunk that a row's newest
// token has closed is still in the ring. Each block leaves the nearest of its clusters; the last of a
// (row, KV head) takes the members in.
extern "C" __global__ void __launch_bounds__(CLUSTER_THREADS) joinClusters(JoinArgs a) {
  follow();
  extern __shared__ __align__(16) char joining[];  // float [depth][MAX_CHUNK], then a tile of clusters
  __shared__ float scores[CLUSTER_THREADS / WARP][MAX_CHUNK];
  __shared__ int clusters[CLUSTER_THREADS / WARP][MAX_CHUNK];
  __shared__ float stored[CLUSTER_THREADS];
  __shared__ int joined[MAX_CHUNK];
  __shared__ bool last;
  const Layer& l = a.layer;
  int head = blockIdx.x, row = blockIdx.y;
  int seat = a.batch.seats[row];
  if (seat < 0) {
    return;
  }
  int position = a.batch.positions[row];
  int chunk = closedChunks(l, position);
  int64_t cell = (int64_t)seat * l.kvHeads + head;
  if (closedChunks(l, position + 1) == chunk || l.clustered[cell] != chunk) {
    return;
  }
  int first = firstToken(l, chunk);
  int64_t toValue = (int64_t)denseTokens(l) * rowBytes(l);
  int members = l.clusterRows;
  auto keyOf = [&](int t) -> const char* {
    return ofChunks(l)
               ? summaryOf(l, seat, head, chunk)
               : denseBase(l, seat, head) + (int64_t)denseRow(l, first + t) * rowBytes(l);
  };
  if (chunk == 0 && l.clusterBases != nullptr) {
    for (int i = threadIdx.x; i < (l.nibbles ? 1 + l.headDim : 1); i += blockDim.x) {
      baseOf(l, cell)[i] = 0;
    }
  }
  __syncthreads();
  const float* mean = meanKey(l, cell);
  int depth = depthOf(l);
  float weight = valueWeight(l, cell);
  float4* rows = (float4*)joining;  // two of an element have it of all members
  char* tile = joining + 4 * MAX_CHUNK * depth;
  for (int i = threadIdx.x; i < MAX_CHUNK * depth; i += blockDim.x) {
    int t = i / depth, e = i % depth;
    ((float*)rows)[e * MAX_CHUNK + t] =
        t < members ? rowElement(l, keyOf(t), toValue, weight, e) : 0.f;
  }
  int existing = clustersOf(l, chunk);
  char* table = clusterTable(l, cell);
  float most[MAX_CHUNK];
  int best[MAX_CHUNK];
#pragma unroll
  for (int t = 0; t < MAX_CHUNK; t++) {
    most[t] = -INFINITY;
    best[t] = 0x7fffffff;
  }
  for (int from = blockIdx.z * a.tile; from < existing; from += gridDim.z * a.tile) {
    int here = min(a.tile, existing - from);
    __syncthreads();
    stageClusters(tile, table + (int64_t)from * clusterBytes(l), here * clusterBytes(l));
    __syncthreads();
    if (threadIdx.x >= here) {
      continue;
    }
    const char* cluster = tile + threadIdx.x * clusterBytes(l);
    float square = 0;
    eachElement(l, cluster, mean, weight, depth, [&](int i, float c) {
      square = __fmaf_rn(c, c, square);
    });
    float score[MAX_CHUNK];
#pragma unroll
    for (int t = 0; t < MAX_CHUNK; t++) {
      score[t] = __fmul_rn(-0.5f, square);
    }
    eachElement(l, cluster, mean, weight, depth, [&](int i, float c) {
      float4 low = rows[2 * i], high = rows[2 * i + 1];
      score[0] = __fmaf_rn(low.x, c, score[0]);
      score[1] = __fmaf_rn(low.y, c, score[1]);
      score[2] = __fmaf_rn(low.z, c, score[2]);
      score[3] = __fmaf_rn(low.w, c, score[3]);
      score[4] = __fmaf_rn(high.x, c, score[4]);
      score[5] = __fmaf_rn(high.y, c, score[5]);
      score[6] = __fmaf_rn(high.z, c, score[6]);
      score[7] = __fmaf_rn(high.w, c, score[7]);
    });
#pragma unroll
    for (int t = 0; t < MAX_CHUNK; t++) {
      takeNearer(most[t], best[t], score[t], from + (int)threadIdx.x);
    }
  }
#pragma unroll
  for (int t = 0; t < MAX_CHUNK; t++) {
#pragma unroll
    for (int offset = WARP / 2; offset > 0; offset /= 2) {
      float other = __shfl_xor_sync(FULL_MASK, most[t], offset);
      int cluster = __shfl_xor_sync(FULL_MASK, best[t], offset);
      takeNearer(most[t], best[t], other, cluster);
    }
    if (threadIdx.x % WARP == 0) {
      scores[threadIdx.x / WARP][t] = most[t];
      clusters[threadIdx.x / WARP][t] = best[t];
    }
  }
  __syncthreads();
  int64_t rowCell = (int64_t)row * l.kvHeads + head;
  if (threadIdx.x < members) {
    int t = threadIdx.x;
    float score = -INFINITY;
    int cluster = 0x7fffffff;
    for (int w = 0; w < blockDim.x / WARP; w++) {
      takeNearer(score, cluster, scores[w][t], clusters[w][t]);
    }
    a.nearest[(rowCell * gridDim.z + blockIdx.z) * MAX_CHUNK + t] =
        make_int2(__float_as_int(score), cluster);
    __threadfence();
  }
  __syncthreads();
  if (threadIdx.x == 0) {
    last = atomicAdd(&a.tickets[rowCell], 1) == gridDim.z - 1;
    if (last) {
      a.tickets[rowCell] = 0;
      __threadfence();
    }
  }
  __syncthreads();
  if (!last) {
    return;
  }
  bool opens = chunk * l.chunk % l.clusterTokens == 0;
  if (threadIdx.x < members) {
    int t = threadIdx.x;
    float score = -INFINITY;
    int cluster = 0x7fffffff;
    for (int z = 0; z < gridDim.z; z++) {
      int2 of = __ldcg(&a.nearest[(rowCell * gridDim.z + z) * MAX_CHUNK + t]);
      takeNearer(score, cluster, __int_as_float(of.x), of.y);
    }
    // Where there is none, the chunk opens the first.
    cluster = existing == 0 || (opens && t == 0) ? existing : min(cluster, existing - 1);
    joined[t] = cluster;
    clusterIds(l, cell, chunk)[t] = (uint16_t)cluster;
    if (opens && t == 0) {
      setClusterSize(table + (int64_t)existing * clusterBytes(l), 0);
    }
  }
  __syncthreads();
  int parts = ofChunks(l) ? 1 : 2;
  for (int t = 0; t < members; t++) {
    char* cluster = table + (int64_t)joined[t] * clusterBytes(l);
    int size = clusterSize(cluster);
    const char* key = keyOf(t);
    float mixed[2] = {0.f, 0.f};
    if (threadIdx.x < l.headDim) {
      for (int k = 0; k < parts; k++) {
        float x = element(key + k * toValue, threadIdx.x, l.elementBytes);
        float old = k == 0 ? centroidElement(cluster, mean, l, threadIdx.x)
                           : valueElement(cluster, l, threadIdx.x);
        mixed[k] = size == 0 ? x
                             : __fadd_rn(old, __fdiv_rn(__fsub_rn(x, old), (float)(size + 1)));
      }
    }
    __syncthreads();  // everyone has read the row and its steps
    storeCentroid(cluster, mixed[0], mean, l, stored);
    if (!ofChunks(l)) {
      storeValue(cluster, mixed[1], l, stored);
    }
    if (threadIdx.x == 0) {
      setClusterSize(cluster, size + 1);
    }
    __syncthreads();
  }
  if (threadIdx.x == 0) {
    l.clustered[cell] = chunk + 1;
  }
}

// Grid: (tiles of clusters, kvHeads * parts, rows). Products of queries with centroids as raw scores:
// a warp has a cluster, and takes one query after the other. What has no token is below everything.
extern "C" __global__ void __launch_bounds__(WARP * SCORE_WARPS) scoreCentroids(ScoreArgs a) {
  follow();
  __shared__ float query[SCORE_QUERIES * MAX_HEAD_DIM];
  const Layer& l = a.layer;
  int row = a.firstRow + blockIdx.z;
  int seat = a.batch.seats[row];
  if (seat < 0) {
    return;
  }
  int groupSize = a.heads / l.kvHeads;
  int parts = (groupSize + SCORE_QUERIES - 1) / SCORE_QUERIES;
  int head = blockIdx.y / parts;
  int64_t cell = (int64_t)seat * l.kvHeads + head;
  int count = clustersOf(l, l.clustered[cell]);
  int tile = blockIdx.x * SCORE_TILE;
  int closed = closedChunks(l, a.batch.positions[row] + 1);
  if (tile >= count || wanted(a.batch, a.chosen, row) >= closed) {
    return;  // nothing here, or all are selected
  }
  int firstQuery = head * groupSize + blockIdx.y % parts * SCORE_QUERIES;
  int queries = min(SCORE_QUERIES, (head + 1) * groupSize - firstQuery);
  int width = l.headDim;
  const bf16* from = a.query.data + row * a.query.stride + (int64_t)firstQuery * width;
  for (int i = threadIdx.x; i < queries * width; i += blockDim.x) {
    query[i] = widen(from[i]) * a.scale;
  }
  __syncthreads();
  int warp = threadIdx.x / WARP, lane = threadIdx.x % WARP;
  int end = min(tile + SCORE_TILE, count);
  const float* mean = meanKey(l, cell);
  for (int at = tile + warp; at < end; at += SCORE_WARPS) {
    char* cluster = clusterTable(l, cell) + (int64_t)at * clusterBytes(l);
    bool empty = clusterSize(cluster) == 0;
    for (int g = 0; g < queries; g++) {
      float sum = 0;
      for (int i = lane; i < width; i += WARP) {
        sum += query[g * width + i] * centroidElement(cluster, mean, l, i);
      }
      sum = warpSum(sum);
      if (lane == 0) {
        rawScores(a, row, firstQuery + g)[at] = empty ? -INFINITY : sum;
      }
    }
  }
}

// Grid: (kvHeads, rows). Merges the products with centroids as those with summaries are merged, and
// opens the chunks of the best: their scores are 0 here and those of others minus infinity.
extern "C" __global__ void __launch_bounds__(SELECT_THREADS) openClusters(ScoreArgs a) {
  follow();
  __shared__ float reduce[WARP];
  __shared__ Radix radix;
  const Layer& l = a.layer;
  const Chosen& s = a.chosen;
  int head = blockIdx.x, row = a.firstRow + blockIdx.y;
  int seat = a.batch.seats[row];
  if (seat < 0) {
    return;
  }
  int closed = closedChunks(l, a.batch.positions[row] + 1);
  int asked = wanted(a.batch, s, row);
  if (asked >= closed) {
    return;  // all are selected
  }
  int64_t cell = (int64_t)seat * l.kvHeads + head;
  int clustered = l.clustered[cell];
  int count = clustersOf(l, clustered);
  int groupSize = a.heads / l.kvHeads;
  float* weights = rawScores(a, row, head * groupSize);
  for (int g = 0; g < groupSize; g++) {
    const float* raw = rawScores(a, row, head * groupSize + g);
    float minus = a.shares ? logSumExp(raw, count, reduce) : 0.f;
    for (int j = threadIdx.x; j < count; j += blockDim.x) {
      float merged = raw[j] - minus;
      weights[j] = g == 0 ? merged : fmaxf(weights[j], merged);
    }
  }
  __syncthreads();
  const uint16_t* ids = clusterIds(l, cell, 0);
  auto keyAt = [&](int c) { return keyOf(c < clustered ? weights[ids[c]] : INFINITY); };
  int open = max(1, (int)min((int64_t)closed, (int64_t)asked * a.times));
  int equal;
  uint32_t threshold = radixSelect<true>(
      closed, open,
      [&](int c, uint32_t& key) {
        key = keyAt(c);
        return true;
      },
      radix, equal);
  float* scores = s.scores + ((int64_t)row * l.kvHeads + head) * s.maxChunks;
  for (int c = threadIdx.x; c < closed; c += blockDim.x) {
    scores[c] = keyAt(c) >= threshold ? 0.f : -INFINITY;
  }
}

extern "C" __global__ void __launch_bounds__(WARP * SCORE_WARPS) scoreOpenedMean(ScoreArgs a) {
  follow();
  scoreElements<MeanForm, true>(a);
}

/** log(exp(a) + exp(b)), of which either may be minus infinity. */
__device__ __forceinline__ float logAdd(float a, float b) {
  float most = fmaxf(a, b), least = fminf(a, b);
  return least == -INFINITY ? most : most + log1pf(expf(least - most));
}

// Grid: (kvHeads, rows). Merges the queries of a group by the sum of their softmax over the clusters,
// and scores chunks by the clusters of their tokens: IndexOperations.ScoreClusters.
extern "C" __global__ void __launch_bounds__(SELECT_THREADS) scoreByClusters(ScoreArgs a) {
  follow();
  __shared__ float reduce[WARP];
  const Layer& l = a.layer;
  const Chosen& s = a.chosen;
  int head = blockIdx.x, row = a.firstRow + blockIdx.y;
  int seat = a.batch.seats[row];
  if (seat < 0) {
    return;
  }
  int closed = closedChunks(l, a.batch.positions[row] + 1);
  if (wanted(a.batch, s, row) >= closed) {
    return;  // all are selected
  }
  int64_t cell = (int64_t)seat * l.kvHeads + head;
  int count = clustersOf(l, l.clustered[cell]);
  int groupSize = a.heads / l.kvHeads;
  float* weights = rawScores(a, row, head * groupSize);
  for (int g = 0; g < groupSize; g++) {
    const float* raw = rawScores(a, row, head * groupSize + g);
    float minus = logSumExp(raw, count, reduce);
    for (int j = threadIdx.x; j < count; j += blockDim.x) {
      float share = raw[j] - minus;
      weights[j] = g == 0 ? share : logAdd(weights[j], share);
    }
  }
  __syncthreads();
  float* scores = s.scores + ((int64_t)row * l.kvHeads + head) * s.maxChunks;
  for (int c = threadIdx.x; c < closed; c += blockDim.x) {
    const uint16_t* ids = clusterIds(l, cell, c);
    float most = -INFINITY;
    for (int t = 0; t < l.chunk; t++) {
      most = fmaxf(most, weights[ids[t]]);
    }
    float sum = 0;
    for (int t = 0; t < l.chunk; t++) {
      sum += expf(weights[ids[t]] - most);
    }
    scores[c] = most + logf(sum);
  }
}

/** Elements first to first + 7 of a stored row as bf16; those of 8 bits without their step. */
__device__ __forceinline__ uint4 eightOfRow(const char* row, const Layer& l, int first) {
  int n = l.headDim - first;
  int half = rowHalf(l);
  const uint16_t* from =
      (const uint16_t*)(row + rowGroups(l) + (first < half ? first : first - half));
  // Where a head has an odd number of groups, rows are not of whole words.
  if (l.nibbles && n >= 8 && l.headDim % 16 == 0 && (uintptr_t)from % 2 == 0) {
    __nv_bfloat162 step =
        __float2bfloat162_rn(groupStep(((const uint8_t*)row)[first / CLUSTER_GROUP]));
    uint32_t words[4];
#pragma unroll
    for (int i = 0; i < 4; i++) {
      // Behind the leading bit of 64 a bf16 counts halves.
      uint32_t both = from[i] >> (first < half ? 0 : 4);
      uint32_t from64 = 0x42804280u | (both & 15) << 1 | (both & 0x0f00) << 9;
      uint32_t base = 0x428f428fu;  // 64 + ELEMENT_STEPS
      __nv_bfloat162 x =
          __hmul2(__hsub2(*(__nv_bfloat162*)&from64, *(__nv_bfloat162*)&base), step);
      words[i] = *(uint32_t*)&x;
    }
    return make_uint4(words[0], words[1], words[2], words[3]);
  }
  float x[8];
  if (!l.nibbles && n >= 8 && l.headDim % 4 == 0) {
    const uint32_t* from = (const uint32_t*)(row + 4 + first);
    uint32_t words[2] = {from[0], from[1]};
#pragma unroll
    for (int i = 0; i < 8; i++) {
      x[i] = (float)(int8)(words[i / 4] >> 8 * (i % 4));
    }
  } else {
#pragma unroll
    for (int i = 0; i < 8; i++) {
      x[i] = i >= n      ? 0.f
             : l.nibbles ? storedElement(row, l, first + i)
                         : (float)((const int8*)row)[4 + first + i];
    }
  }
  return make_uint4(pairOf(x[0], x[1]), pairOf(x[2], x[3]), pairOf(x[4], x[5]),
                    pairOf(x[6], x[7]));
}
static_assert(ELEMENT_STEPS == 7.5f, "eightOfRow");

/**
 * The same where rows are of 8 bits and of whole eights: there is nothing to decide, so that many are on
 * their way at once.
 */
__device__ __forceinline__ uint4 eightBytesOfRow(const char* row, const Layer& l, int first) {
  bool there = first < l.headDim;
  const uint32_t* from = (const uint32_t*)(row + 4 + (there ? first : 0));
  uint32_t words[2] = {from[0], from[1]}, pairs[4];
#pragma unroll
  for (int i = 0; i < 4; i++) {
    uint32_t word = words[i / 2] >> 16 * (i % 2);
    pairs[i] = there ? pairOf((float)(int8)word, (float)(int8)(word >> 8)) : 0u;
  }
  return make_uint4(pairs[0], pairs[1], pairs[2], pairs[3]);
}

/** What the products of elements of a row have to be multiplied by. */
__device__ __forceinline__ float stepOfRow(const char* row, const Layer& l) {
  return l.nibbles ? 1.f : *(const float*)row;
}

/**
 * Takes the tokens of the selected chunks off what the clusters from one on have left, with all threads
 * of a block: a thread reads the clusters of whole chunks, of several before it looks at the first.
 */
__device__ __forceinline__ void countOut(const Layer& l, int64_t cell, const int* selected, int count,
                                         int clustered, int from, int here, int* left) {
  constexpr int SOME = 4;
  bool whole = l.clusterRows == 8;  // sixteen bytes
  for (int base = threadIdx.x; base < count; base += SOME * blockDim.x) {
    int chunk[SOME];
#pragma unroll
    for (int k = 0; k < SOME; k++) {
      int i = base + k * blockDim.x;
      chunk[k] = i < count ? selected[i] : clustered;
    }
    uint4 of[SOME];
#pragma unroll
    for (int k = 0; k < SOME; k++) {
      of[k] = whole && chunk[k] < clustered ? *(const uint4*)clusterIds(l, cell, chunk[k])
                                            : make_uint4(0, 0, 0, 0);
    }
#pragma unroll
    for (int k = 0; k < SOME; k++) {
      if (chunk[k] >= clustered) {
        continue;
      }
      const uint32_t words[4] = {of[k].x, of[k].y, of[k].z, of[k].w};
      if (whole) {
#pragma unroll
        for (int t = 0; t < 8; t++) {
          uint32_t cluster = (words[t / 2] >> 16 * (t % 2) & 0xffff) - from;
          if (cluster < (uint32_t)here) {
            atomicSub(&left[cluster], 1);
          }
        }
      } else {
        for (int t = 0; t < l.chunk; t++) {
          uint32_t cluster = (uint32_t)clusterIds(l, cell, chunk[k])[t] - from;
          if (cluster < (uint32_t)here) {
            atomicSub(&left[cluster], 1);
          }
        }
      }
    }
  }
}

/**
 * Attends a share of the clusters with up to eight query heads of a KV head, without the tokens that
 * are selected, into parts of the state of its own.
 */
template <int SEGMENTS, bool BYTES>
__device__ __forceinline__ void estimateRest(const AttendArgs& a, int* left,
                                             Parts<SEGMENTS>& parts) {
  constexpr int PAIR = BYTES && SEGMENTS <= 4 ? 2 : 1;  // times eight clusters at a time
  auto eightOf = [](const char* row, const Layer& l, int first) {
    return BYTES ? eightBytesOfRow(row, l, first) : eightOfRow(row, l, first);
  };
  const Layer& l = a.layer;
  int row = blockIdx.z;
  int seat = a.batch.seats[row];
  if (seat < 0) {
    return;
  }
  QueryTile of(a);
  int64_t cell = (int64_t)seat * l.kvHeads + of.head;
  int64_t rowCell = (int64_t)row * l.kvHeads + of.head;
  int clustered = l.clustered[cell];
  int count = clustersOf(l, clustered);
  int share = ((count + 7) / 8 + gridDim.x - 1) / gridDim.x * 8;
  int begin = blockIdx.x * share, end = min(begin + share, count);
  if (begin >= end) {
    return;
  }
  int selectedChunks = a.chosen.selectedCount[rowCell];
  const int* selected = a.chosen.selected + rowCell * a.chosen.maxSelected;
  Tile<SEGMENTS> tile;
  tile.begin(a.rows, row, of.first, of.count, l.headDim);
  int warp = threadIdx.x / WARP, lane = threadIdx.x % WARP, p = lane % 4;
  const char* table = clusterTable(l, cell);
  // The product of this lane's query with the key that centroids are stored as differences from.
  float common = 0;
  if (const float* mean = meanKey(l, cell)) {
#pragma unroll
    for (int s = 0; s < SEGMENTS; s++) {
#pragma unroll
      for (int i = 0; i < 8; i++) {
        int e = 32 * s + 8 * p + i;
        uint32_t word = ((const uint32_t*)&tile.query[s])[i / 2];
        float x = __uint_as_float(i % 2 == 0 ? word << 16 : word & 0xffff0000u);
        common = e < l.headDim ? fmaf(x, mean[e], common) : common;
      }
    }
    common += __shfl_xor_sync(FULL_MASK, common, 1);
    common += __shfl_xor_sync(FULL_MASK, common, 2);
    common *= a.scale;
  }
  for (int from = begin; from < end; from += ESTIMATE_TILE) {
    int here = min(ESTIMATE_TILE, end - from);
    __syncthreads();
    for (int i = threadIdx.x; i < here; i += blockDim.x) {
      left[i] = clusterSize(table + (int64_t)(from + i) * clusterBytes(l));
    }
    __syncthreads();
    countOut(l, cell, selected, selectedChunks, clustered, from, here, left);
    __syncthreads();
    for (int base = 8 * PAIR * warp; base < here; base += 8 * PAIR * ATTEND_WARPS) {
      uint4 keys[PAIR][SEGMENTS], rows[PAIR][SEGMENTS];
      float factor[PAIR][2], more[PAIR][2], scale[PAIR][2];
#pragma unroll
      for (int c = 0; c < PAIR; c++) {
        int first = base + 8 * c;
        const char* mine =
            table + (int64_t)(from + min(first + lane / 4, here - 1)) * clusterBytes(l);
#pragma unroll
        for (int k = 0; k < 2; k++) {
          int at = first + 2 * p + k;
          int tokens = at < here ? left[at] : 0;
          const char* cluster = table + (int64_t)(from + min(at, here - 1)) * clusterBytes(l);
          factor[c][k] = a.scale * stepOfRow(cluster + centroidOffset(l), l);
          more[c][k] = tokens > 0 ? common + logf((float)tokens) : -INFINITY;
          scale[c][k] = stepOfRow(cluster + valueOffset(l), l);
        }
#pragma unroll
        for (int s = 0; s < SEGMENTS; s++) {
          keys[c][s] = eightOf(mine + centroidOffset(l), l, 32 * s + 8 * p);
        }
#pragma unroll
        for (int s = 0; s < SEGMENTS; s++) {
          rows[c][s] = eightOf(mine + valueOffset(l), l, 32 * s + 8 * p);
        }
      }
      tile.attend(keys, rows, factor, more, scale);
    }
  }
  parts.merge(tile, a, row, of.first, of.count, 1 + a.splits + blockIdx.x, false);
}

template <int SEGMENTS>
__device__ __forceinline__ void estimateOf(const AttendArgs& a) {
  __shared__ int left[ESTIMATE_TILE];
  __shared__ Parts<SEGMENTS> parts;
  if (!a.layer.nibbles && a.layer.headDim % 8 == 0) {
    estimateRest<SEGMENTS, true>(a, left, parts);
  } else {
    estimateRest<SEGMENTS, false>(a, left, parts);
  }
}

#define ESTIMATE_KERNEL(S)                                                                  \
  extern "C" __global__ void __launch_bounds__(ATTEND_THREADS) estimate_##S(AttendArgs a) { \
    follow(a.beside);                                                                       \
    estimateOf<S>(a);                                                                       \
    endBehind(a.beside);                                                                    \
  }
// Grid: (splits, kvHeads * parts, rows).
ESTIMATE_KERNEL(2)
ESTIMATE_KERNEL(4)
ESTIMATE_KERNEL(8)
