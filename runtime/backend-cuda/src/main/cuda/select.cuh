// The index: summaries of closed chunks, the queries of a group score them all, the best chunks are
// selected. A format of summaries is a form: how a chunk is written to one, and a kernel for the
// products of queries with them.
#pragma once

#include "common.cuh"
#include "kv.cuh"

#define SCORE_FLIGHT 4   // chunks of a warp in flight
#define SCORE_STRETCH (SCORE_TILE / SCORE_WARPS)  // chunks of a tile that a warp has

__device__ __forceinline__ int codeBytes(const Layer& l) {
  return (l.headDim + CODES_OF_WORD - 1) / CODES_OF_WORD * 4;
}
__device__ __forceinline__ int stepOffset(const Layer& l) { return l.chunk * codeBytes(l); }

/** What BitPlaneSummary calls a codebook, of a KV head. */
struct Codebook {
  const float *mean, *forward, *backward, *coefficient;
  const int* element;

  __device__ __forceinline__ Codebook(const Layer& l, int head) {
    int64_t words = (int64_t)l.headDim * (2 * l.headDim + 1) + 2 * l.bits;
    mean = (const float*)l.codebooks + head * words;
    forward = mean + l.headDim;
    backward = forward + l.headDim * l.headDim;
    coefficient = backward + l.headDim * l.headDim;
    element = (const int*)(coefficient + l.bits);
  }
};
/** Elements that are rotated together: the largest power of two that divides the head. */
__device__ __forceinline__ int rotationBlock(const Layer& l) { return l.headDim & -l.headDim; }
/** First summary of a (seat, KV head). */
__device__ __forceinline__ char* summaries(const Layer& l, int seat, int head) {
  return l.summaries + ((int64_t)seat * l.kvHeads + head) * l.maxSummaries * l.summaryBytes;
}
/** The summary that a chunk belongs to. */
__device__ __forceinline__ char* summaryOf(const Layer& l, int seat, int head, int chunk) {
  return summaries(l, seat, head) + (int64_t)(chunk / l.summaryChunks) * l.summaryBytes;
}

/**
 * Writes the summary of a chunk, with all threads of a block: its keys are rotated in shared
 * memory, then a warp writes codes and step of a token. Every operation rounds as TwoBitSummary says.
 */
template <typename RowOf>
__device__ void represent(const Layer& l, char* summary, const char* base, RowOf rowOf) {
  __shared__ float keys[MAX_CHUNK * MAX_HEAD_DIM];
  for (int i = threadIdx.x; i < l.chunk * l.headDim; i += blockDim.x) {
    const char* row = base + (int64_t)rowOf(i / l.headDim) * rowBytes(l);
    keys[i] = element(row, i % l.headDim, l.elementBytes);
  }
  rotateRows(keys, l.chunk, l.headDim, l.headDim, rotationBlock(l));
  int lane = threadIdx.x % WARP;
  for (int t = threadIdx.x / WARP; t < l.chunk; t += blockDim.x / WARP) {
    const float* key = keys + t * l.headDim;
    float largest = 0;
    for (int i = lane; i < l.headDim; i += WARP) {
      largest = fmaxf(largest, fabsf(key[i]));
    }
#pragma unroll
    for (int offset = WARP / 2; offset > 0; offset /= 2) {
      largest = fmaxf(largest, __shfl_xor_sync(FULL_MASK, largest, offset));
    }
    float cell = largest < SMALLEST_KEY ? 0.f : __fmul_rn(0.375f, largest);
    float inverse = cell == 0 ? 0.f : __fdiv_rn(1.f, cell);
    uint32_t* codes = (uint32_t*)(summary + t * codeBytes(l));
    for (int word = lane; word < codeBytes(l) / 4; word += WARP) {
      uint32_t packed = 0;
      for (int i = 0; i < CODES_OF_WORD; i++) {
        int at = word * CODES_OF_WORD + i;
        float cells = at < l.headDim ? __fmul_rn(key[at], inverse) : 0.f;
        packed |= (uint32_t)min(max(2 + __float2int_rd(cells), 0), 3) << 2 * i;
      }
      codes[word] = packed;
    }
    if (lane == 0) {
      ((bf16*)(summary + stepOffset(l)))[t] =
          narrow<bf16>(__fdiv_rn(cell, (float)rotationBlock(l)));
    }
  }
}

/**
 * Writes the summary of a chunk as bit planes, with all threads of a block. A word begins with what
 * the bits of its first element in the word before have left of it, found again from the start.
 */
template <typename RowOf>
__device__ void representPlanes(const Layer& l, int head, char* summary, const char* base,
                                RowOf rowOf) {
  __shared__ __align__(16) float keys[MAX_CHUNK * MAX_HEAD_DIM];
  __shared__ float z[MAX_CHUNK * MAX_HEAD_DIM];
  __shared__ int elementOf[BIT_WORDS * BITS_OF_WORD];
  __shared__ float coefficientOf[BIT_WORDS * BITS_OF_WORD];
  Codebook book(l, head);
  int width = l.headDim;
  for (int i = threadIdx.x; i < l.bits; i += blockDim.x) {
    elementOf[i] = book.element[i];
    coefficientOf[i] = book.coefficient[i];
  }
  for (int i = threadIdx.x; i < l.chunk * width; i += blockDim.x) {
    const char* row = base + (int64_t)rowOf(i / width) * rowBytes(l);
    keys[i] = __fsub_rn(element(row, i % width, l.elementBytes), book.mean[i % width]);
  }
  __syncthreads();
  // A thread has an element of all tokens, whose sums go from the first element on.
  constexpr int AHEAD = 16;  // factors that are asked for at a time
  if (l.chunk == MAX_CHUNK && width % AHEAD == 0) {
    for (int e = threadIdx.x; e < width; e += blockDim.x) {
      float sum[MAX_CHUNK] = {};
      for (int first = 0; first < width; first += AHEAD) {
        float factor[AHEAD];
#pragma unroll
        for (int k = 0; k < AHEAD; k++) {
          factor[k] = book.forward[(first + k) * width + e];
        }
#pragma unroll
        for (int k = 0; k < AHEAD; k += 4) {
#pragma unroll
          for (int t = 0; t < MAX_CHUNK; t++) {
            float4 key = *(const float4*)(keys + t * width + first + k);
            sum[t] = __fmaf_rn(factor[k], key.x, sum[t]);
            sum[t] = __fmaf_rn(factor[k + 1], key.y, sum[t]);
            sum[t] = __fmaf_rn(factor[k + 2], key.z, sum[t]);
            sum[t] = __fmaf_rn(factor[k + 3], key.w, sum[t]);
          }
        }
      }
#pragma unroll
      for (int t = 0; t < MAX_CHUNK; t++) {
        z[t * width + e] = sum[t];
      }
    }
  } else {
    for (int i = threadIdx.x; i < l.chunk * width; i += blockDim.x) {
      const float* key = keys + i / width * width;
      float sum = 0;
      for (int j = 0; j < width; j++) {
        sum = __fmaf_rn(book.forward[j * width + i % width], key[j], sum);
      }
      z[i] = sum;
    }
  }
  __syncthreads();
  int words = l.bits / BITS_OF_WORD;
  for (int i = threadIdx.x; i < l.chunk * words; i += blockDim.x) {
    int word = i / l.chunk, token = i % l.chunk;
    int first = word * BITS_OF_WORD;
    int bit = first;
    while (bit > 0 && elementOf[bit - 1] == elementOf[first]) {
      bit--;
    }
    int of = -1;
    float left = 0;
    uint32_t code = 0;
    for (; bit < first + BITS_OF_WORD; bit++) {
      if (elementOf[bit] != of) {
        of = elementOf[bit];
        left = z[token * width + of];
      }
      bool positive = left >= 0;
      if (positive && bit >= first) {
        code |= 1u << (bit - first);
      }
      float step = coefficientOf[bit];
      left = positive ? __fsub_rn(left, step) : __fadd_rn(left, step);
    }
    ((uint32_t*)summary)[i] = code;
  }
}

/** The mean of an element of a chunk's keys, before it is rounded. */
template <typename RowOf>
__device__ __forceinline__ float meanElement(const Layer& l, const char* base, RowOf rowOf, int i) {
  float sum = 0;
  for (int t = 0; t < l.chunk; t++) {
    sum = __fadd_rn(sum, element(base + (int64_t)rowOf(t) * rowBytes(l), i, l.elementBytes));
  }
  return __fmul_rn(sum, __fdiv_rn(1.f, (float)l.chunk));
}

// Forms: write() writes a chunk to a summary with all threads of a block. Its token t is row
// rowOf(t) at base; it begins the summary or is added to it.

struct TwoBitForm {
  template <typename RowOf>
  static __device__ void write(const Layer& l, int head, char* summary, const char* base,
                               RowOf rowOf, bool first) {
    represent(l, summary, base, rowOf);
  }
};

struct PlanesForm {
  template <typename RowOf>
  static __device__ void write(const Layer& l, int head, char* summary, const char* base,
                               RowOf rowOf, bool first) {
    representPlanes(l, head, summary, base, rowOf);
  }
};

struct MeanForm {
  template <typename RowOf>
  static __device__ void write(const Layer& l, int head, char* summary, const char* base,
                               RowOf rowOf, bool first) {
    for (int i = threadIdx.x; i < l.headDim; i += blockDim.x) {
      setElement(summary, i, l.elementBytes, meanElement(l, base, rowOf, i));
    }
  }

  /** What element i adds to the product of a query with a summary. */
  static __device__ __forceinline__ float term(const Layer& l, float query, const char* summary,
                                               int i) {
    return query * element(summary, i, l.elementBytes);
  }
};

struct LandmarkForm {
  template <typename RowOf>
  static __device__ void write(const Layer& l, int head, char* summary, const char* base,
                               RowOf rowOf, bool first) {
    __shared__ float mean[MAX_HEAD_DIM];
    __shared__ float keys[MAX_CHUNK * MAX_HEAD_DIM];
    __shared__ float cosines[MAX_CHUNK];
    int width = l.headDim;
    for (int i = threadIdx.x; i < width; i += blockDim.x) {
      mean[i] = meanElement(l, base, rowOf, i);
      setElement(summary, i, l.elementBytes, mean[i]);
    }
    for (int i = threadIdx.x; i < l.chunk * width; i += blockDim.x) {
      const char* row = base + (int64_t)rowOf(i / width) * rowBytes(l);
      keys[i] = element(row, i % width, l.elementBytes);
    }
    __syncthreads();
    if (threadIdx.x < l.chunk) {
      // Sums in the order that LandmarkSummary says: a thread has a token.
      const float* key = keys + threadIdx.x * width;
      float ofMean = 0, ofKey = 0, ofBoth = 0;
      for (int i = 0; i < width; i++) {
        ofMean = __fmaf_rn(mean[i], mean[i], ofMean);
        ofKey = __fmaf_rn(key[i], key[i], ofKey);
        ofBoth = __fmaf_rn(mean[i], key[i], ofBoth);
      }
      float lengths = __fmul_rn(__fsqrt_rn(ofMean), __fsqrt_rn(ofKey));
      cosines[threadIdx.x] = lengths == 0 ? 1.f : __fdiv_rn(ofBoth, lengths);
    }
    __syncthreads();
    if (threadIdx.x == 0) {
      float lowest = 1;
      for (int t = 0; t < l.chunk; t++) {
        lowest = cosines[t] < lowest ? cosines[t] : lowest;
      }
      *(float*)(summary + l.summaryBytes - 4) = lowest;
    }
  }
};

struct MinMaxForm {
  template <typename RowOf>
  static __device__ void write(const Layer& l, int head, char* summary, const char* base,
                               RowOf rowOf, bool first) {
    char* largestOf = summary + rowBytes(l);
    for (int i = threadIdx.x; i < l.headDim; i += blockDim.x) {
      float smallest = 0, largest = 0;
      if (!first) {
        smallest = element(summary, i, l.elementBytes);
        largest = element(largestOf, i, l.elementBytes);
      }
      for (int t = 0; t < l.chunk; t++) {
        float x = element(base + (int64_t)rowOf(t) * rowBytes(l), i, l.elementBytes);
        bool begins = first && t == 0;
        smallest = begins || x < smallest ? x : smallest;
        largest = begins || x > largest ? x : largest;
      }
      setElement(summary, i, l.elementBytes, smallest);
      setElement(largestOf, i, l.elementBytes, largest);
    }
  }

  static __device__ __forceinline__ float term(const Layer& l, float query, const char* summary,
                                               int i) {
    return fmaxf(query * element(summary, i, l.elementBytes),
                 query * element(summary + rowBytes(l), i, l.elementBytes));
  }
};

/** Grid: (kvHeads, rows). The chunk that a row's newest token has closed is still in the ring. */
template <typename Form>
__device__ __forceinline__ void summariseClosed(const StepArgs& a) {
  const Layer& l = a.layer;
  int head = blockIdx.x, row = blockIdx.y;
  int seat = a.batch.seats[row];
  if (seat < 0) {
    return;
  }
  int position = a.batch.positions[row];
  int chunk = closedChunks(l, position);
  if (closedChunks(l, position + 1) > chunk) {
    int token = firstToken(l, chunk);
    Form::write(l, head, summaryOf(l, seat, head, chunk), denseBase(l, seat, head),
                [&](int t) { return denseRow(l, token + t); }, chunk % l.summaryChunks == 0);
  }
}

/** Grid: (summaries, kvHeads). A block has all chunks of a summary, one after the other. */
template <typename Form>
__device__ __forceinline__ void summarisePrompt(const PromptArgs& a) {
  const Layer& l = a.layer;
  int summary = a.start / l.summaryChunks + blockIdx.x, head = blockIdx.y;
  int end = min(a.end, (summary + 1) * l.summaryChunks);
  for (int chunk = max(a.start, summary * l.summaryChunks); chunk < end; chunk++) {
    Form::write(l, head, summaryOf(l, a.seat, head, chunk),
                scratchRow(l, a.scratch, a.maxTokens, head, firstToken(l, chunk)),
                [](int t) { return t; }, chunk % l.summaryChunks == 0);
    __syncthreads();
  }
}

#define SUMMARY_KERNELS(NAME, FORM)                                 \
  extern "C" __global__ void summariseClosed_##NAME(StepArgs a) {   \
    follow();                                                       \
    summariseClosed<FORM>(a);                                       \
  }                                                                 \
  extern "C" __global__ void summarisePrompt_##NAME(PromptArgs a) { \
    follow();                                                       \
    summarisePrompt<FORM>(a);                                       \
  }
SUMMARY_KERNELS(twoBit, TwoBitForm)
SUMMARY_KERNELS(planes, PlanesForm)
SUMMARY_KERNELS(mean, MeanForm)
SUMMARY_KERNELS(landmark, LandmarkForm)
SUMMARY_KERNELS(minMax, MinMaxForm)

__device__ __forceinline__ float* rawScores(const ScoreArgs& a, int row, int query) {
  return a.raw + ((int64_t)(row - a.firstRow) * a.heads + query) * a.chosen.maxChunks;
}

/** Of each tile of raw scores of a query: the largest, and the sum of the exponentials beside it. */
__device__ __forceinline__ float2* tileShares(const ScoreArgs& a, int row, int query) {
  return a.tiles + ((int64_t)(row - a.firstRow) * a.heads + query) * a.maxTiles;
}

__device__ __forceinline__ float warpMost(float x) {
#pragma unroll
  for (int offset = WARP / 2; offset > 0; offset /= 2) {
    x = fmaxf(x, __shfl_xor_sync(FULL_MASK, x, offset));
  }
  return x;
}

/** Sums up the tile of raw scores that this block has written, with all of its threads. */
__device__ __forceinline__ void shareOfTile(const ScoreArgs& a, int row, int firstQuery,
                                            int queries, int count) {
  if (!a.shares) {
    return;
  }
  __syncthreads();
  int lane = threadIdx.x % WARP;
  int tile = blockIdx.x * SCORE_TILE, here = min(SCORE_TILE, count - tile);
  for (int g = threadIdx.x / WARP; g < queries; g += blockDim.x / WARP) {
    const float* raw = rawScores(a, row, firstQuery + g) + tile;
    float x[SCORE_TILE / WARP], most = -INFINITY, sum = 0;
#pragma unroll
    for (int i = 0; i < SCORE_TILE / WARP; i++) {
      int at = lane + i * WARP;
      x[i] = at < here ? raw[at] : -INFINITY;
      most = fmaxf(most, x[i]);
    }
    most = warpMost(most);
    if (most > -INFINITY) {
#pragma unroll
      for (int i = 0; i < SCORE_TILE / WARP; i++) {
        sum += expf(x[i] - most);
      }
    }
    sum = warpSum(sum);
    if (lane == 0) {
      tileShares(a, row, firstQuery + g)[blockIdx.x] = make_float2(most, sum);
    }
  }
}

/** Chunks that a row asks for; at least closed of them are all. */
__device__ __forceinline__ int wanted(const Batch& b, const Chosen& s, int row) {
  return min(b.selectCounts[row], s.maxSelected);
}

/** Share of its attention that a row may miss. */
__device__ __forceinline__ float mayMiss(const Batch& b, int row) {
  return b.mayMiss == nullptr ? 0.f : b.mayMiss[row];
}

/** Whether a row takes all of its closed chunks without looking at their scores. */
__device__ __forceinline__ bool takesAll(const Batch& b, const Chosen& s, int row, int closed) {
  return wanted(b, s, row) >= closed && mayMiss(b, row) == 0;
}

/** The values of codes i and i + 8 of a word: code - 1.5, exact in bf16. */
__device__ __forceinline__ uint32_t codeValues(uint32_t word, int i) {
  // Behind the leading bit of 32 a bf16 counts quarters: the code belongs two bits higher.
  uint32_t shifted = i == 0 ? word << 2 : word >> (2 * i - 2);
  uint32_t from32 = (shifted & 0x000c000cu) | 0x42004200u;
  uint32_t base = 0x42064206u;  // 33.5
  __nv_bfloat162 values = __hsub2(*(__nv_bfloat162*)&from32, *(__nv_bfloat162*)&base);
  return *(uint32_t*)&values;
}

/**
 * Raw scores of a tile of chunks for up to eight query heads of a KV head. A warp multiplies a chunk
 * at a time: the eight columns are the tokens, rows 0 to 7 the rotated queries rounded to bf16 and
 * rows 8 to 15 what the rounding took from them. The four lanes of a token hold its words 0 to 3, 4
 * to 7 and so on; which elements meet in a step of a product is up to us, as long as both sides
 * agree. WORDS is the number of words of a lane.
 */
template <int WORDS>
__device__ __forceinline__ void scoreTile(const ScoreArgs& a) {
  constexpr int WIDTH = 4 * WORDS * CODES_OF_WORD;
  __shared__ float rotated[SCORE_QUERIES * WIDTH];
  const Layer& l = a.layer;
  int row = a.firstRow + blockIdx.z;
  int seat = a.batch.seats[row];
  if (seat < 0) {
    return;
  }
  int closed = closedChunks(l, a.batch.positions[row] + 1);
  int tile = blockIdx.x * SCORE_TILE;
  if (tile >= closed || takesAll(a.batch, a.chosen, row, closed)) {
    return;  // nothing here, or all are selected
  }
  int groupSize = a.heads / l.kvHeads;
  int parts = (groupSize + SCORE_QUERIES - 1) / SCORE_QUERIES;
  int head = blockIdx.y / parts;
  int firstQuery = head * groupSize + blockIdx.y % parts * SCORE_QUERIES;
  int queries = min(SCORE_QUERIES, (head + 1) * groupSize - firstQuery);
  const bf16* from = a.query.data + row * a.query.stride + (int64_t)firstQuery * l.headDim;
  for (int i = threadIdx.x; i < SCORE_QUERIES * WIDTH; i += blockDim.x) {
    int g = i / WIDTH, e = i % WIDTH;
    rotated[i] = g < queries && e < l.headDim ? widen(from[g * l.headDim + e]) : 0.f;
  }
  rotateRows(rotated, queries, l.headDim, WIDTH, rotationBlock(l));
  int warp = threadIdx.x / WARP, lane = threadIdx.x % WARP;
  int token = lane / 4, part = lane % 4;  // of codes; of queries the token is the row
  uint32_t high[WORDS][8], low[WORDS][8];
#pragma unroll
  for (int m = 0; m < WORDS; m++) {
#pragma unroll
    for (int i = 0; i < 8; i++) {
      const float* q = rotated + token * WIDTH + (4 * m + part) * CODES_OF_WORD + i;
      high[m][i] = pairOf(q[0], q[8]);
      low[m][i] = pairOf(remainder(q[0]), remainder(q[8]));
    }
  }
  const char* index = summaries(l, seat, head);
  int words = codeBytes(l) / 4;
  int codesAt = min(token, l.chunk - 1) * codeBytes(l);
  int stepsAt = stepOffset(l) + 4 * min(part, (l.chunk - 1) / 2);
  int first = tile + warp * (SCORE_TILE / SCORE_WARPS);
  int end = min(first + SCORE_TILE / SCORE_WARPS, closed);
  for (int base = first; base < end; base += SCORE_FLIGHT) {
    uint32_t codes[SCORE_FLIGHT][WORDS], steps[SCORE_FLIGHT];
#pragma unroll
    for (int k = 0; k < SCORE_FLIGHT; k++) {
      const char* entry = index + (int64_t)min(base + k, end - 1) * l.summaryBytes;
#pragma unroll
      for (int m = 0; m < WORDS; m++) {
        int word = 4 * m + part;
        codes[k][m] = word < words ? *(const uint32_t*)(entry + codesAt + 4 * word) : 0u;
      }
      steps[k] = *(const uint32_t*)(entry + stepsAt);
    }
#pragma unroll
    for (int k = 0; k < SCORE_FLIGHT; k++) {
      float sums[4] = {0.f, 0.f, 0.f, 0.f};
#pragma unroll
      for (int m = 0; m < WORDS; m++) {
#pragma unroll
        for (int i = 0; i < 8; i += 2) {
          multiply16x8x16(sums, high[m][i], low[m][i], high[m][i + 1], low[m][i + 1],
                          codeValues(codes[k][m], i), codeValues(codes[k][m], i + 1));
        }
      }
      // This lane has tokens 2 part and 2 part + 1 of query lane / 4.
      float even = (sums[0] + sums[2]) * __uint_as_float(steps[k] << 16);
      float odd = (sums[1] + sums[3]) * __uint_as_float(steps[k] & 0xffff0000u);
      even = 2 * part < l.chunk ? __fmul_rn(even, a.scale) : -INFINITY;
      odd = 2 * part + 1 < l.chunk ? __fmul_rn(odd, a.scale) : -INFINITY;
      float most = fmaxf(even, odd);
      most = fmaxf(most, __shfl_xor_sync(FULL_MASK, most, 1));
      most = fmaxf(most, __shfl_xor_sync(FULL_MASK, most, 2));
      float sum = expf(even - most) + expf(odd - most);
      sum += __shfl_xor_sync(FULL_MASK, sum, 1);
      sum += __shfl_xor_sync(FULL_MASK, sum, 2);
      int chunk = base + k;
      if (part == 0 && token < queries && chunk < end) {
        rawScores(a, row, firstQuery + token)[chunk] = most + logf(sum);
      }
    }
  }
  shareOfTile(a, row, firstQuery, queries, closed);
}

/** What the bits of a token add to the scores of up to eight queries. */
struct BitWeights {
  /** [fours of queries][fours of words][step of a product][lane][register], four bytes each. */
  uint32_t parts[SCORE_QUERIES / 4][BIT_WORDS / 4][4][WARP * 2];
  float step[SCORE_QUERIES];
  float total[SCORE_QUERIES];  // of all weights
};
static_assert(sizeof(BitWeights) == BIT_WEIGHTS_BYTES, "BitWeights");

/** d += a b with 16 x 32 unsigned bytes of a, 32 x 8 signed ones of b. */
__device__ __forceinline__ void multiply16x8x32(int (&d)[4], uint32_t a0, uint32_t a1, uint32_t a2,
                                                uint32_t a3, uint32_t b0, uint32_t b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k32.row.col.s32.u8.s8.s32 "
      "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+r"(d[0]), "+r"(d[1]), "+r"(d[2]), "+r"(d[3])
      : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1));
}

/**
 * d = a b + c likewise. Where c is FLOAT_ZERO in the columns of low bytes and 0 in the others, 256 times
 * the high plus the low is the float that WHOLE_ZERO plus the sum is, without a conversion, as long as sums are
 * below 2^22: those of up to 128 bits are.
 */
#define FLOAT_ZERO 0x4B400000u
#define WHOLE_ZERO 12582912.f
__device__ __forceinline__ void firstOf16x8x32(int (&d)[4], uint32_t a0, uint32_t a1, uint32_t a2,
                                               uint32_t a3, uint32_t b0, uint32_t b1,
                                               const int (&c)[4]) {
  asm volatile(
      "mma.sync.aligned.m16n8k32.row.col.s32.u8.s8.s32 "
      "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%10, %11, %12, %13};"
      : "=r"(d[0]), "=r"(d[1]), "=r"(d[2]), "=r"(d[3])
      : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1), "r"(c[0]), "r"(c[1]), "r"(c[2]),
        "r"(c[3]));
}

/** Of the queries of a block in a row; lane by lane as the products of score_planes take them. */
__device__ __forceinline__ BitWeights* bitWeights(const ScoreArgs& a, int row, int block) {
  int groupSize = a.heads / a.layer.kvHeads;
  int parts = (groupSize + SCORE_QUERIES - 1) / SCORE_QUERIES;
  return a.weights + (int64_t)(row - a.firstRow) * a.layer.kvHeads * parts + block;
}

/**
 * What a thread of weighBits multiplies an element of a query with, of the codebook: so many at a time. A
 * block has as many threads for an element as there are shares of its sum.
 */
struct Factors {
  static constexpr int AHEAD = 16;
  float of[AHEAD];

  __device__ __forceinline__ void ask(const ScoreArgs& a, int first) {
    const Layer& l = a.layer;
    int parts = (a.heads / l.kvHeads + SCORE_QUERIES - 1) / SCORE_QUERIES;
    Codebook book(l, blockIdx.x / parts);
    int shares = blockDim.x / l.headDim, element = threadIdx.x % l.headDim;
#pragma unroll
    for (int k = 0; k < AHEAD; k++) {
      int j = first + k * shares;
      of[k] = j < l.headDim ? book.backward[j * l.headDim + element] : 0.f;
    }
  }
};

/** Codebooks never change, so the first factors may be read before the kernel before has ended. */
__device__ __forceinline__ Factors readAhead(const ScoreArgs& a) {
  Factors factors;
  factors.ask(a, threadIdx.x / a.layer.headDim);
  return factors;
}

// Grid: (kvHeads * parts, rows, pairs of queries). What each bit of a token adds to the scores of two
// queries, in whole steps of a query's largest weight, as two bytes of which the products are added up.
// What belongs to bits and queries that there are not stays as it was: nobody uses its products.
extern "C" __global__ void __launch_bounds__(WEIGH_THREADS) weighBits(ScoreArgs a) {
  Factors factors = readAhead(a);
  follow();
  __shared__ float query[WEIGH_QUERIES * MAX_HEAD_DIM];
  __shared__ float turned[WEIGH_QUERIES * MAX_HEAD_DIM];
  __shared__ float sums[WEIGH_THREADS * WEIGH_QUERIES];
  __shared__ int elementOf[BIT_WORDS * BITS_OF_WORD];
  __shared__ float coefficientOf[BIT_WORDS * BITS_OF_WORD];
  const Layer& l = a.layer;
  int row = a.firstRow + blockIdx.y;
  int groupSize = a.heads / l.kvHeads;
  int parts = (groupSize + SCORE_QUERIES - 1) / SCORE_QUERIES;
  int head = blockIdx.x / parts;
  int firstOfBlock = head * groupSize + blockIdx.x % parts * SCORE_QUERIES;  // of scorePlanes
  int pair = WEIGH_QUERIES * blockIdx.z;
  int queries = min(WEIGH_QUERIES, (head + 1) * groupSize - firstOfBlock - pair);
  int width = l.headDim;
  // Everything that can be is asked for before anything is waited for.
  Codebook book(l, head);
  const bf16* from =
      a.query.data + row * a.query.stride + (int64_t)(firstOfBlock + pair) * width;
  for (int i = threadIdx.x; i < WEIGH_QUERIES * width; i += blockDim.x) {
    query[i] = i < queries * width ? widen(from[i]) * a.scale : 0.f;
  }
  for (int i = threadIdx.x; i < l.bits; i += blockDim.x) {
    elementOf[i] = book.element[i];
    coefficientOf[i] = book.coefficient[i];
  }
  int seat = a.batch.seats[row];
  if (queries <= 0 || seat < 0 ||
      takesAll(a.batch, a.chosen, row, closedChunks(l, a.batch.positions[row] + 1))) {
    return;
  }
  __syncthreads();
  // A thread has an element of both queries and a share of what it is a sum of.
  int shares = blockDim.x / width, share = threadIdx.x / width, element = threadIdx.x % width;
  if (share < shares) {
    float sum[WEIGH_QUERIES] = {};
    for (int first = share; first < width; first += Factors::AHEAD * shares) {
      if (first > share) {
        factors.ask(a, first);
      }
#pragma unroll
      for (int k = 0; k < Factors::AHEAD; k++) {
        int j = min(first + k * shares, width - 1);
#pragma unroll
        for (int g = 0; g < WEIGH_QUERIES; g++) {
          sum[g] = fmaf(factors.of[k], query[g * width + j], sum[g]);
        }
      }
    }
#pragma unroll
    for (int g = 0; g < WEIGH_QUERIES; g++) {
      sums[(g * shares + share) * width + element] = sum[g];
    }
  }
  __syncthreads();
  for (int i = threadIdx.x; i < queries * width; i += blockDim.x) {
    float sum = 0;
    for (int k = 0; k < shares; k++) {
      sum += sums[(i / width * shares + k) * width + i % width];
    }
    turned[i] = sum;
  }
  __syncthreads();
  // A warp has a query, a lane four bits of a word, eight apart, which are the bytes of a register of
  // scorePlanes: first the largest weight, then all of them in steps of that.
  constexpr int UNITS = BIT_WORDS * 8 / WARP;  // of a lane at most
  int warp = threadIdx.x / WARP, lane = threadIdx.x % WARP;
  if (warp >= queries) {
    return;
  }
  const float* of = turned + warp * width;
  int units = l.bits / BITS_OF_WORD * 8;
  float weight[UNITS][4], most = 0;
#pragma unroll
  for (int k = 0; k < UNITS; k++) {
    int unit = lane + k * WARP;
    if (k * WARP >= units) {
      break;
    }
#pragma unroll
    for (int byte = 0; byte < 4; byte++) {
      int bit = unit / 8 * BITS_OF_WORD + 8 * byte + unit % 8;
      weight[k][byte] = unit < units ? of[elementOf[bit]] * coefficientOf[bit] : 0.f;
      most = fmaxf(most, fabsf(weight[k][byte]));
    }
  }
  most = warpMost(most);
  float inverse = most < SMALLEST_KEY ? 0.f : WEIGHT_MOST / most;
  BitWeights* to = bitWeights(a, row, blockIdx.x);
  int g = pair + warp, total = 0;
#pragma unroll
  for (int k = 0; k < UNITS; k++) {
    int unit = lane + k * WARP;
    if (k * WARP >= units) {
      break;
    }
    uint32_t high = 0, low = 0;
    int factor = 1 << unit % 4;  // what scorePlanes takes such bits for
    float inverseOf = inverse / factor;
#pragma unroll
    for (int byte = 0; byte < 4; byte++) {
      int steps = __float2int_rn(weight[k][byte] * inverseOf);
      total += factor * steps;
      int upper = (steps + 128) >> 8;
      high |= (uint32_t)(upper & 255) << 8 * byte;
      low |= (uint32_t)(steps - 256 * upper & 255) << 8 * byte;
    }
    if (unit < units) {
      int word = unit / 8, at = unit % 8;
      // [lane][register]: a column for each byte of a weight, four lanes for the words.
      uint32_t* column = to->parts[g / 4][word / 4][at / 2] + (g % 4 * 2 * 4 + word % 4) * 2 + at % 2;
      column[0] = high;
      column[4 * 2] = low;
    }
  }
  total = __reduce_add_sync(FULL_MASK, total);
  if (lane == 0) {
    float step = most / WEIGHT_MOST;
    to->step[g] = step;
    to->total[g] = step * total;
  }
}

/** 0 for minus infinity. */
__device__ __forceinline__ float powerOfTwo(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

/** What a compiler might compute anew each time, to save registers, stays in one. */
__device__ __forceinline__ void stays(float*& x) { asm volatile("" : "+l"(x)); }
__device__ __forceinline__ void stays(int& a, int& b, int& c, int& d) {
  asm volatile("" : "+r"(a), "+r"(b), "+r"(c), "+r"(d));
}

/** Of a number from 1 on, to 2^-22 of it or of one. */
__device__ __forceinline__ float logarithmOfTwo(float x) {
  float y;
  asm("lg2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

/** Sixteen bytes, asked for where it says so: not later, where a compiler would save registers. */
__device__ __forceinline__ uint4 loadHere(const uint32_t* from) {
  uint4 x;
  asm volatile("ld.global.v4.u32 {%0, %1, %2, %3}, [%4];"
               : "=r"(x.x), "=r"(x.y), "=r"(x.z), "=r"(x.w)
               : "l"(from));
  return x;
}

/** Asks the second cache for the summaries of so many chunks from one on, with a warp. */
__device__ __forceinline__ void askForSummaries(const Layer& l, const char* index, int first,
                                                int chunks) {
  constexpr int LINE = 128;
  const char* from = index + (int64_t)first * l.summaryBytes;
  int bytes = min(chunks, l.maxSummaries - first) * l.summaryBytes;
  for (int at = threadIdx.x % WARP * LINE; at < bytes; at += WARP * LINE) {
    asm volatile("prefetch.global.L2 [%0];" ::"l"(from + at));
  }
}

/**
 * Asks for the first summaries of a warp while the kernel before still runs. It may write one of them,
 * which is no matter: the second cache has what is written. Seats are there since the step began.
 */
template <int WORDS>
__device__ __forceinline__ void readAhead(const ScoreArgs& a) {
  const Layer& l = a.layer;
  int seat = a.batch.seats[a.firstRow + blockIdx.z];
  if (seat >= 0) {
    int parts = (a.heads / l.kvHeads + SCORE_QUERIES - 1) / SCORE_QUERIES;
    askForSummaries(l, summaries(l, seat, blockIdx.y / parts),
                    blockIdx.x * SCORE_TILE + threadIdx.x / WARP * SCORE_STRETCH, SCORE_STRETCH);
  }
}

/** The words p, 4 + p and so on of the tokens of a chunk, p being lane % 4; zeros for those there are not. */
template <int WORDS, bool WHOLE>
__device__ __forceinline__ void loadPlanes(const Layer& l, const char* summary,
                                           uint32_t (&codes)[MAX_CHUNK][WORDS]) {
  int words = l.bits / BITS_OF_WORD;
#pragma unroll
  for (int m = 0; m < WORDS; m++) {
    int word = 4 * m + threadIdx.x % 4;
    const uint32_t* of = (const uint32_t*)summary + word * l.chunk;
    if (WHOLE) {
      uint4 first = make_uint4(0, 0, 0, 0), second = first;
      if (word < words) {
        first = loadHere(of);
        second = loadHere(of + 4);
      }
      codes[0][m] = first.x;
      codes[1][m] = first.y;
      codes[2][m] = first.z;
      codes[3][m] = first.w;
      codes[4][m] = second.x;
      codes[5][m] = second.y;
      codes[6][m] = second.z;
      codes[7][m] = second.w;
    } else {
#pragma unroll
      for (int t = 0; t < MAX_CHUNK; t++) {
        codes[t][m] = word < words && t < l.chunk ? of[t] : 0u;
      }
    }
  }
}

/**
 * Grid: (blocks that take tiles in turn, kvHeads * parts, rows). Raw scores by bit planes, for up to
 * four query heads of a KV head, or eight. A warp has eight chunks at a time: rows r and r + 8 of a
 * product are tokens t and t + 4 of chunk r, the columns two bytes of each query's weights, so that a
 * bit is a factor of 0 or 1, or of 0 or 2, 4 or 8, which saves shifts. Lane 4 r + p has words p, 4 + p and so on of chunk r, and gets what all
 * tokens of this chunk have with query p: their exponentials are summed up without an exchange. Which
 * bits meet in a step of a product is up to us, as long as both sides agree.
 *
 * WORDS is the number of words of a lane, FOURS that of fours of queries; WHOLE: chunks have eight
 * tokens, and words lie where sixteen bytes can be read.
 */
template <int WORDS, int FOURS, bool WHOLE>
__device__ __forceinline__ void scorePlanes(const ScoreArgs& a, int row, int seat, int closed) {
  constexpr int TIMES = SCORE_STRETCH / 8;
  constexpr bool AHEAD = WORDS <= 2;  // whether there are registers for the words of the next chunks
  constexpr bool FLOATS = WORDS == 1;
  __shared__ float2 ofWarps[2][SCORE_WARPS][SCORE_QUERIES];
  const Layer& l = a.layer;
  int tile = blockIdx.x * SCORE_TILE, stride = gridDim.x * SCORE_TILE;
  int groupSize = a.heads / l.kvHeads;
  int parts = (groupSize + SCORE_QUERIES - 1) / SCORE_QUERIES;
  int head = blockIdx.y / parts;
  int firstQuery = head * groupSize + blockIdx.y % parts * SCORE_QUERIES;
  int queries = min(SCORE_QUERIES, (head + 1) * groupSize - firstQuery);
  int warp = threadIdx.x / WARP, lane = threadIdx.x % WARP;
  int chunk = lane / 4, part = lane % 4;  // of the eight; of scores the part is the query
  constexpr float LOG2_E = 1.44269504f, LN_2 = 0.693147181f;
  const char* index = summaries(l, seat, head);
  auto load = [&](int first, uint32_t(&codes)[MAX_CHUNK][WORDS]) {
    int of = min(first + chunk, closed - 1);
    loadPlanes<WORDS, WHOLE>(l, index + (int64_t)of * l.summaryBytes, codes);
  };
  uint32_t next[MAX_CHUNK][WORDS];
  if (AHEAD) {
    load(tile + warp * SCORE_STRETCH, next);
  }
  const BitWeights* weights = bitWeights(a, row, blockIdx.y);
  uint2 columns[FOURS][WORDS][4];
  float twice[FOURS], total[FOURS];
  float* raw[FOURS];
#pragma unroll
  for (int f = 0; f < FOURS; f++) {
#pragma unroll
    for (int m = 0; m < WORDS; m++) {
#pragma unroll
      for (int i = 0; i < 4; i++) {
        columns[f][m][i] = ((const uint2*)weights->parts[f][m][i])[lane];
      }
    }
    twice[f] = 2 * LOG2_E * weights->step[4 * f + part];
    total[f] = LOG2_E * weights->total[4 * f + part];
    raw[f] = rawScores(a, row, firstQuery + min(4 * f + part, queries - 1)) + chunk;
    stays(raw[f]);
  }
  int begin[4] = {0, FLOATS ? (int)FLOAT_ZERO : 0, 0, FLOATS ? (int)FLOAT_ZERO : 0};
  stays(begin[0], begin[1], begin[2], begin[3]);
  for (int turn = 0; tile < closed; tile += stride, turn ^= 1) {
    float scores[FOURS][TIMES];  // of this lane's chunks, in powers of two
#pragma unroll
    for (int n = 0; n < TIMES; n++) {
      int first = tile + warp * SCORE_STRETCH + 8 * n;
      uint32_t codes[MAX_CHUNK][WORDS];
      if (AHEAD) {
#pragma unroll
        for (int i = 0; i < MAX_CHUNK * WORDS; i++) {
          codes[i / WORDS][i % WORDS] = next[i / WORDS][i % WORDS];
        }
        load(n + 1 < TIMES ? first + 8 : tile + stride + warp * SCORE_STRETCH, next);
      } else {
        load(first, codes);
      }
      float products[FOURS][MAX_CHUNK];  // of the tokens with the weights, in steps
#pragma unroll
      for (int t = 0; t < 4; t++) {
        int sums[FOURS][4];
#pragma unroll
        for (int m = 0; m < WORDS; m++) {
#pragma unroll
          for (int i = 0; i < 4; i++) {
            uint32_t low = codes[t][m] >> i / 2 * 4, high = codes[t + 4][m] >> i / 2 * 4;
            uint32_t even = i % 2 == 0 ? 0x01010101u : 0x04040404u;
            uint32_t a0 = low & even, a1 = high & even;
            uint32_t a2 = low & 2 * even, a3 = high & 2 * even;
#pragma unroll
            for (int f = 0; f < FOURS; f++) {
              if (m == 0 && i == 0) {
                firstOf16x8x32(sums[f], a0, a1, a2, a3, columns[f][m][i].x, columns[f][m][i].y,
                               begin);
              } else {
                multiply16x8x32(sums[f], a0, a1, a2, a3, columns[f][m][i].x, columns[f][m][i].y);
              }
            }
          }
        }
#pragma unroll
        for (int f = 0; f < FOURS; f++) {
          int of = 256 * sums[f][0] + sums[f][1], next = 256 * sums[f][2] + sums[f][3];
          products[f][t] = FLOATS ? __int_as_float(of) : (float)of;
          products[f][t + 4] = FLOATS ? __int_as_float(next) : (float)next;
        }
      }
      bool there = first + chunk < closed;
#pragma unroll
      for (int f = 0; f < FOURS; f++) {
        if (!WHOLE) {
#pragma unroll
          for (int t = 1; t < MAX_CHUNK; t++) {
            products[f][t] = t < l.chunk ? products[f][t] : products[f][0];
          }
        }
        static_assert(MAX_CHUNK == 8, "tokens of a chunk");
        float(&x)[MAX_CHUNK] = products[f];
        float most = fmaxf(fmaxf(fmaxf(x[0], x[1]), fmaxf(x[2], x[3])),
                           fmaxf(fmaxf(x[4], x[5]), fmaxf(x[6], x[7])));
#pragma unroll
        for (int t = 0; t < MAX_CHUNK; t++) {
          float term = powerOfTwo((x[t] - most) * twice[f]);
          x[t] = WHOLE || t < l.chunk ? term : 0.f;
        }
        float sum = ((x[0] + x[1]) + (x[2] + x[3])) + ((x[4] + x[5]) + (x[6] + x[7]));
        float highest = fmaf(FLOATS ? most - WHOLE_ZERO : most, twice[f], -total[f]);
        float score = highest + logarithmOfTwo(sum);
        scores[f][n] = there ? score : -INFINITY;
        if (there && 4 * f + part < queries) {
          raw[f][first] = LN_2 * score;
        }
      }
    }
    if (!a.shares) {
      continue;
    }
#pragma unroll
    for (int f = 0; f < FOURS; f++) {
      float highest = scores[f][0], sum = 0;
#pragma unroll
      for (int n = 1; n < TIMES; n++) {
        highest = fmaxf(highest, scores[f][n]);
      }
#pragma unroll
      for (int offset = 4; offset < WARP; offset *= 2) {
        highest = fmaxf(highest, __shfl_xor_sync(FULL_MASK, highest, offset));
      }
#pragma unroll
      for (int n = 0; n < TIMES; n++) {
        sum += highest > -INFINITY ? powerOfTwo(scores[f][n] - highest) : 0.f;
      }
#pragma unroll
      for (int offset = 4; offset < WARP; offset *= 2) {
        sum += __shfl_xor_sync(FULL_MASK, sum, offset);
      }
      if (chunk == 0) {
        ofWarps[turn][warp][4 * f + part] = make_float2(highest, sum);
      }
    }
    // Of two turns one is written while the other may still be read.
    __syncthreads();
    if (threadIdx.x < queries) {
      float highest = -INFINITY, sum = 0;
#pragma unroll
      for (int w = 0; w < SCORE_WARPS; w++) {
        highest = fmaxf(highest, ofWarps[turn][w][threadIdx.x].x);
      }
#pragma unroll
      for (int w = 0; w < SCORE_WARPS; w++) {
        float2 of = ofWarps[turn][w][threadIdx.x];
        sum += of.y * powerOfTwo(of.x - highest);
      }
      tileShares(a, row, firstQuery + threadIdx.x)[tile / SCORE_TILE] =
          make_float2(LN_2 * highest, sum);
    }
  }
}

template <int WORDS, int FOURS>
__device__ __forceinline__ void scorePlanes(const ScoreArgs& a) {
  const Layer& l = a.layer;
  int row = a.firstRow + blockIdx.z;
  int seat = a.batch.seats[row];
  if (seat < 0) {
    return;
  }
  int closed = closedChunks(l, a.batch.positions[row] + 1);
  if (blockIdx.x * SCORE_TILE >= closed || takesAll(a.batch, a.chosen, row, closed)) {
    return;  // nothing here, or all are selected
  }
  bool aligned = ((uintptr_t)l.summaries | (uintptr_t)l.summaryBytes) % 16 == 0;
  if (l.chunk == MAX_CHUNK && aligned) {
    scorePlanes<WORDS, FOURS, true>(a, row, seat, closed);
  } else {
    scorePlanes<WORDS, FOURS, false>(a, row, seat, closed);
  }
}

#define PLANES_KERNEL(W, F)                                                         \
  extern "C" __global__ void __launch_bounds__(WARP * SCORE_WARPS, W * F == 1 ? 3 : 1) scorePlanes_##W##_##F( \
      ScoreArgs a) {                                                                \
    readAhead<W>(a);                                                                \
    follow();                                                                       \
    scorePlanes<W, F>(a);                                                           \
  }
PLANES_KERNEL(1, 1)
PLANES_KERNEL(1, 2)
PLANES_KERNEL(2, 1)
PLANES_KERNEL(2, 2)
PLANES_KERNEL(3, 1)
PLANES_KERNEL(3, 2)
PLANES_KERNEL(6, 1)
PLANES_KERNEL(6, 2)

/**
 * Grid: (tiles, kvHeads * parts, rows). Raw scores by summaries that a product goes through element
 * by element: a warp has a summary, and takes one query after the other. Where only opened chunks
 * are scored, the others have minus infinity as their score.
 */
template <typename Form, bool OPENED = false>
__device__ __forceinline__ void scoreElements(const ScoreArgs& a) {
  __shared__ float query[SCORE_QUERIES * MAX_HEAD_DIM];
  const Layer& l = a.layer;
  int row = a.firstRow + blockIdx.z;
  int seat = a.batch.seats[row];
  if (seat < 0) {
    return;
  }
  int closed = closedChunks(l, a.batch.positions[row] + 1);
  int count = (closed + l.summaryChunks - 1) / l.summaryChunks;
  int tile = blockIdx.x * SCORE_TILE;
  if (tile >= count || takesAll(a.batch, a.chosen, row, closed)) {
    return;  // nothing here, or all are selected
  }
  int groupSize = a.heads / l.kvHeads;
  int parts = (groupSize + SCORE_QUERIES - 1) / SCORE_QUERIES;
  int head = blockIdx.y / parts;
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
  const float* open = a.chosen.scores + ((int64_t)row * l.kvHeads + head) * a.chosen.maxChunks;
  for (int at = tile + warp; at < end; at += SCORE_WARPS) {
    const char* summary = summaries(l, seat, head) + (int64_t)at * l.summaryBytes;
    if (OPENED && open[at] == -INFINITY) {
      if (lane < queries) {
        rawScores(a, row, firstQuery + lane)[at] = -INFINITY;
      }
      continue;
    }
    for (int g = 0; g < queries; g++) {
      float sum = 0;
      for (int i = lane; i < width; i += WARP) {
        sum += Form::term(l, query[g * width + i], summary, i);
      }
      sum = warpSum(sum);
      if (lane == 0) {
        rawScores(a, row, firstQuery + g)[at] = sum;
      }
    }
  }
  shareOfTile(a, row, firstQuery, queries, count);
}

extern "C" __global__ void __launch_bounds__(WARP * SCORE_WARPS) scoreMean(ScoreArgs a) {
  follow();
  scoreElements<MeanForm>(a);
}

extern "C" __global__ void __launch_bounds__(WARP * SCORE_WARPS) scoreMinMax(ScoreArgs a) {
  follow();
  scoreElements<MinMaxForm>(a);
}

/** Larger scores have larger keys. */
__device__ __forceinline__ uint32_t keyOf(float score) {
  uint32_t bits = __float_as_uint(score);
  return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}

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

/** Shared memory of a selection by radix. */
struct Radix {
  int bins[RADIX_BINS];
  int sums[WARP];
  int bin, left;
};

/**
 * The key of the wanted-th largest (or smallest) of some keys, by radix: eleven bits a round, ten in
 * the last. Also how many keys equal to it belong to the wanted ones. With all threads of a block, at
 * most 1024 and whole warps; each(use) calls use with a thread's share of the keys.
 */
template <bool LARGEST, typename Each>
__device__ __forceinline__ uint32_t radixSelectOf(int wanted, Each each, Radix& radix, int& equal) {
  int lane = threadIdx.x % WARP, warp = threadIdx.x / WARP;
  uint32_t prefix = 0;
  int left = wanted;
#pragma unroll
  for (int round = 0; round < 3; round++) {
    int shift = round == 0 ? 21 : round == 1 ? 10 : 0;
    int above = round == 1 ? 21 : 10;  // bits from here on are known
    uint32_t mask = round == 2 ? 1023 : 2047;
    for (int i = threadIdx.x; i < RADIX_BINS; i += blockDim.x) {
      radix.bins[i] = 0;
    }
    __syncthreads();
    each([&](uint32_t key) {
      uint32_t of = LARGEST ? key : ~key;
      if (round == 0) {
        // The first bits of scores are few: what lanes have in common is added once.
        uint32_t same = __match_any_sync(__activemask(), of >> shift);
        if (lane == __ffs(same) - 1) {
          atomicAdd(&radix.bins[of >> shift], __popc(same));
        }
      } else if (of >> above == prefix >> above) {
        atomicAdd(&radix.bins[of >> shift & mask], 1);
      }
    });
    __syncthreads();
    // A thread sums bins from the last one down; the block finds where the sum reaches left.
    int each = RADIX_BINS / blockDim.x, last = RADIX_BINS - 1 - each * threadIdx.x;
    int mine = 0;
    for (int k = 0; k < each; k++) {
      mine += radix.bins[last - k];
    }
    int sum = mine;
#pragma unroll
    for (int offset = 1; offset < WARP; offset *= 2) {
      int other = __shfl_up_sync(FULL_MASK, sum, offset);
      sum += lane >= offset ? other : 0;
    }
    if (lane == WARP - 1) {
      radix.sums[warp] = sum;
    }
    __syncthreads();
    int before = sum - mine + __reduce_add_sync(FULL_MASK, lane < warp ? radix.sums[lane] : 0);
    if (before < left && before + mine >= left) {
      int k = 0;
      while (before + radix.bins[last - k] < left) {
        before += radix.bins[last - k++];
      }
      radix.bin = last - k;
      radix.left = left - before;
    }
    __syncthreads();
    prefix |= (uint32_t)radix.bin << shift;
    left = radix.left;
  }
  __syncthreads();
  equal = left;
  return LARGEST ? prefix : ~prefix;
}

/** The same, of the keys from 0 to count; keyAt says whether one counts. */
template <bool LARGEST, typename KeyAt>
__device__ __forceinline__ uint32_t radixSelect(int count, int wanted, KeyAt keyAt, Radix& radix,
                                                int& equal) {
  constexpr int AHEAD = 4;  // keys of a thread that are read at a time
  auto each = [&](auto use) {
    for (int base = threadIdx.x; base < count; base += AHEAD * blockDim.x) {
      uint32_t key[AHEAD];
      bool counts[AHEAD];
#pragma unroll
      for (int k = 0; k < AHEAD; k++) {
        int i = base + k * blockDim.x;
        counts[k] = i < count && keyAt(i, key[k]);
      }
#pragma unroll
      for (int k = 0; k < AHEAD; k++) {
        if (counts[k]) {
          use(key[k]);
        }
      }
    }
  };
  return radixSelectOf<LARGEST>(wanted, each, radix, equal);
}

/** log(sum(exp(x))) of count floats, with all threads of a block. Shared holds 32 floats. */
__device__ __forceinline__ float logSumExp(const float* x, int count, float* shared) {
  float most = -INFINITY;
  for (int i = threadIdx.x; i < count; i += blockDim.x) {
    most = fmaxf(most, x[i]);
  }
#pragma unroll
  for (int offset = WARP / 2; offset > 0; offset /= 2) {
    most = fmaxf(most, __shfl_xor_sync(FULL_MASK, most, offset));
  }
  __syncthreads();
  if (threadIdx.x % WARP == 0) {
    shared[threadIdx.x / WARP] = most;
  }
  __syncthreads();
  most = shared[threadIdx.x % WARP];
#pragma unroll
  for (int offset = WARP / 2; offset > 0; offset /= 2) {
    most = fmaxf(most, __shfl_xor_sync(FULL_MASK, most, offset));
  }
  float sum = 0;
  for (int i = threadIdx.x; i < count; i += blockDim.x) {
    sum += expf(x[i] - most);
  }
  return most + logf(blockSum(sum, shared));
}

/** Log of what a query has attended of sink and ring: the dense part of the attention state. */
__device__ __forceinline__ float begunMass(const ScoreArgs& a, int row, int query) {
  const float* state =
      a.begun + ((int64_t)row * a.heads + query) * STATE_PARTS * (2 + a.layer.headDim);
  return state[0] + logf(state[1]);
}

/** What a query's products with all keys have in common and scores leave out, with a warp. */
__device__ __forceinline__ float common(const ScoreArgs& a, int row, int head, int query) {
  const Layer& l = a.layer;
  if (l.bits == 0) {
    return 0.f;
  }
  Codebook book(l, head);
  const bf16* from = a.query.data + row * a.query.stride + (int64_t)query * l.headDim;
  float sum = 0;
  for (int i = threadIdx.x % WARP; i < l.headDim; i += WARP) {
    sum += widen(from[i]) * book.mean[i];
  }
  return a.scale * warpSum(sum);
}

/** log(sum(exp(x))) of the raw scores of a query, from those of its tiles, with a warp. */
__device__ __forceinline__ float logOfTiles(const ScoreArgs& a, int row, int query, int count) {
  const float2* of = tileShares(a, row, query);
  float most = -INFINITY, sum = 0;
  for (int i = threadIdx.x % WARP; i < (count + SCORE_TILE - 1) / SCORE_TILE; i += WARP) {
    float2 tile = of[i];
    float highest = fmaxf(most, tile.x);
    if (highest > -INFINITY) {
      sum = sum * expf(most - highest) + tile.y * expf(tile.x - highest);
      most = highest;
    }
  }
  float highest = warpMost(most);
  sum = highest > -INFINITY ? sum * expf(most - highest) : 0.f;
  return highest + logf(warpSum(sum));
}

// Grid: (tiles of chunks, kvHeads, rows). Merges the queries of the group by their largest share,
// which is the log-softmax, or their largest product.
extern "C" __global__ void __launch_bounds__(SHARE_THREADS) share(ScoreArgs a) {
  follow();
  constexpr int EACH = SHARE_TILE / SHARE_THREADS, FOUR = 4;  // chunks of a thread, queries at a time
  __shared__ float minus[SHARE_THREADS];
  const Layer& l = a.layer;
  const Chosen& s = a.chosen;
  int head = blockIdx.y, row = a.firstRow + blockIdx.z;
  int seat = a.batch.seats[row];
  if (seat < 0) {
    return;
  }
  int closed = closedChunks(l, a.batch.positions[row] + 1);
  int tile = blockIdx.x * SHARE_TILE;
  if (tile >= closed || takesAll(a.batch, s, row, closed)) {
    return;  // nothing here, or all are selected
  }
  int count = (closed + l.summaryChunks - 1) / l.summaryChunks;
  int groupSize = a.heads / l.kvHeads;
  float* scores = s.scores + ((int64_t)row * l.kvHeads + head) * s.maxChunks;
  for (int first = 0; first < groupSize; first += SHARE_THREADS) {
    int queries = min(SHARE_THREADS, groupSize - first);
    __syncthreads();
    for (int g = threadIdx.x / WARP; g < queries; g += SHARE_THREADS / WARP) {
      int query = head * groupSize + first + g;
      float log = a.shares ? logOfTiles(a, row, query, count) : 0.f;
      if (a.begun != nullptr && mayMiss(a.batch, row) > 0) {
        float beside = begunMass(a, row, query) - common(a, row, head, query);
        float most = fmaxf(log, beside);
        log = most + log1pf(expf(fminf(log, beside) - most));
      }
      if (threadIdx.x % WARP == 0) {
        minus[g] = log;
      }
    }
    float merged[EACH];
#pragma unroll
    for (int k = 0; k < EACH; k++) {
      int c = tile + threadIdx.x + k * SHARE_THREADS;
      merged[k] = first > 0 && c < closed ? scores[c] : -INFINITY;
    }
    for (int some = 0; some < queries; some += FOUR) {
      float x[FOUR][EACH];
#pragma unroll
      for (int g = 0; g < FOUR; g++) {
        const float* raw = rawScores(a, row, head * groupSize + first + min(some + g, queries - 1));
#pragma unroll
        for (int k = 0; k < EACH; k++) {
          int c = min(tile + (int)threadIdx.x + k * SHARE_THREADS, closed - 1);
          x[g][k] = raw[l.summaryChunks == 1 ? c : c / l.summaryChunks];
        }
      }
      if (some == 0) {
        __syncthreads();  // behind which the logs are there
      }
#pragma unroll
      for (int g = 0; g < FOUR; g++) {
        float log = minus[min(some + g, queries - 1)];
#pragma unroll
        for (int k = 0; k < EACH; k++) {
          merged[k] = fmaxf(merged[k], x[g][k] - log);
        }
      }
    }
#pragma unroll
    for (int k = 0; k < EACH; k++) {
      int c = tile + threadIdx.x + k * SHARE_THREADS;
      if (c < closed) {
        scores[c] = merged[k];
      }
    }
  }
}

// Grid: (kvHeads, rows). Makes sure of the chunks with the lowest cosines: IndexOperations.Pin.
extern "C" __global__ void __launch_bounds__(SELECT_THREADS) pin(PinArgs a) {
  follow();
  __shared__ Radix radix;
  __shared__ int ranks[WARP + 1];
  const Layer& l = a.layer;
  const Chosen& s = a.chosen;
  int head = blockIdx.x, row = blockIdx.y;
  int seat = a.batch.seats[row];
  if (seat < 0) {
    return;
  }
  int closed = closedChunks(l, a.batch.positions[row] + 1);
  int asked = wanted(a.batch, s, row);
  if (asked >= closed) {
    return;  // all are selected
  }
  int pinned = (int)((int64_t)max(asked, 0) * a.of / a.per);
  if (pinned == 0) {
    return;
  }
  const char* cosines = summaries(l, seat, head) + a.cosineOffset;
  auto cosineKey = [&](int chunk) {
    return keyOf(*(const float*)(cosines + (int64_t)chunk * l.summaryBytes));
  };
  int equal;
  uint32_t threshold = radixSelect<false>(
      closed, pinned,
      [&](int i, uint32_t& key) {
        key = cosineKey(i);
        return true;
      },
      radix, equal);
  float* scores = s.scores + ((int64_t)row * l.kvHeads + head) * s.maxChunks;
  int equalsTaken = 0;
  for (int base = 0; base < closed; base += blockDim.x) {
    int c = base + threadIdx.x;
    uint32_t key = c < closed ? cosineKey(c) : 0;
    bool equals = c < closed && key == threshold;
    int equalsHere;
    int rank = blockRank(equals, ranks, equalsHere);
    if (c < closed && (key < threshold || (equals && equalsTaken + rank < equal))) {
      scores[c] = INFINITY;
    }
    equalsTaken += equalsHere;
  }
}

/** A whole is so many units of mass: sums of them do not depend on their order. */
__device__ __forceinline__ unsigned long long massOf(float score) {
  return (unsigned long long)((double)expf(score) * (double)(1ull << 40));
}

/**
 * The fewest chunks, the best first and the lower one among equals, that leave no more than a limit
 * of mass out: by radix, like radixSelect, from the lowest key up. With all threads of a block.
 */
__device__ __forceinline__ int enoughChunks(const float* scores, int count, float limit,
                                            unsigned long long* bins, unsigned long long* left,
                                            int* shared) {
  uint32_t prefix = 0;
  if (threadIdx.x == 0) {
    *left = (unsigned long long)((double)limit * (double)(1ull << 40));
  }
  for (int shift = 24; shift >= 0; shift -= 8) {
    __syncthreads();
    for (int i = threadIdx.x; i < 256; i += blockDim.x) {
      bins[i] = 0;
    }
    if (threadIdx.x == 0) {
      shared[0] = -1;
    }
    __syncthreads();
    for (int i = threadIdx.x; i < count; i += blockDim.x) {
      uint32_t key = keyOf(scores[i]);
      if (shift == 24 || key >> (shift + 8) == prefix >> (shift + 8)) {
        atomicAdd(&bins[key >> shift & 255], massOf(scores[i]));
      }
    }
    __syncthreads();
    if (threadIdx.x < WARP) {
      // Lane i sums the eight bins from 8i up; the warp finds where the sum exceeds what is left.
      int lane = threadIdx.x;
      unsigned long long mine = 0, may = *left;
      for (int k = 0; k < 8; k++) {
        mine += bins[8 * lane + k];
      }
      unsigned long long sum = mine;
#pragma unroll
      for (int offset = 1; offset < WARP; offset *= 2) {
        unsigned long long other = __shfl_up_sync(FULL_MASK, sum, offset);
        if (lane >= offset) {
          sum += other;
        }
      }
      unsigned long long before = sum - mine;
      __syncwarp();
      if (before <= may && sum > may) {
        int k = 0;
        while (before + bins[8 * lane + k] <= may) {
          before += bins[8 * lane + k++];
        }
        shared[0] = 8 * lane + k;
        *left = may - before;
      }
    }
    __syncthreads();
    if (shared[0] < 0) {
      return 0;  // all together are no more, which only the first round can find
    }
    prefix |= (uint32_t)shared[0] << shift;
  }
  __syncthreads();
  if (threadIdx.x == 0) {
    shared[0] = 0;
    shared[1] = 0;
  }
  __syncthreads();
  for (int i = threadIdx.x; i < count; i += blockDim.x) {
    uint32_t key = keyOf(scores[i]);
    if (key >= prefix) {
      atomicAdd(&shared[key == prefix], 1);
    }
  }
  __syncthreads();
  // The last round's bin is the mass of all chunks with this score.
  unsigned long long unit = bins[prefix & 255] / shared[1];
  int enough = shared[0] + shared[1] - (int)(*left / unit);
  __syncthreads();
  return enough;
}

// Grid: (kvHeads, rows). Selects the chunks with the largest scores.
extern "C" __global__ void __launch_bounds__(SELECT_THREADS) best(SelectArgs a) {
  follow();
  __shared__ Radix radix;
  __shared__ unsigned long long masses[256];
  __shared__ unsigned long long left;
  __shared__ int found[2];
  __shared__ int greaterOf[WARP], equalOf[WARP];
  const Layer& l = a.layer;
  const Chosen& s = a.chosen;
  int head = blockIdx.x, row = blockIdx.y;
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
  float missed = mayMiss(a.batch, row);
  if (missed > 0 && count > 0) {
    const float* shares = s.scores + cell * s.maxChunks;
    int enough = enoughChunks(shares, closed, missed, masses, &left, found);
    int least = (count + LEAST_OF - 1) / LEAST_OF;
    count = min(count, max(enough, least));
    all = count == closed;
  }
  if (threadIdx.x == 0) {
    s.selectedCount[cell] = count;
  }
  if (all) {
    for (int i = threadIdx.x; i < count; i += blockDim.x) {
      selected[i] = i;
    }
    return;
  }
  const float* scores = s.scores + cell * s.maxChunks;
  if (count == 0) {
    return;
  }
  // A warp has a stretch of the chunks, and of these what a lane can keep at hand. The others are read
  // anew each time, several at once.
  constexpr int HELD = 8, AHEAD = 8;
  int warp = threadIdx.x / WARP, lane = threadIdx.x % WARP;
  int stretch = (closed + SELECT_THREADS - 1) / SELECT_THREADS * WARP;
  int first = warp * stretch, end = min(first + stretch, closed);
  uint32_t held[HELD];
#pragma unroll
  for (int k = 0; k < HELD; k++) {
    int i = first + lane + k * WARP;
    held[k] = i < end ? keyOf(scores[i]) : 0;
  }
  auto each = [&](auto use) {
#pragma unroll
    for (int k = 0; k < HELD; k++) {
      if (first + lane + k * WARP < end) {
        use(held[k]);
      }
    }
    for (int base = first + lane + HELD * WARP; base < end; base += AHEAD * WARP) {
      float score[AHEAD];
#pragma unroll
      for (int k = 0; k < AHEAD; k++) {
        score[k] = scores[min(base + k * WARP, end - 1)];
      }
#pragma unroll
      for (int k = 0; k < AHEAD; k++) {
        if (base + k * WARP < end) {
          use(keyOf(score[k]));
        }
      }
    }
  };
  int equal;
  uint32_t threshold = radixSelectOf<true>(count, each, radix, equal);
  // It counts what it takes, and then knows where to write it.
  int greater = 0, equals = 0;
  each([&](uint32_t key) {
    greater += key > threshold;
    equals += key == threshold;
  });
  greater = __reduce_add_sync(FULL_MASK, greater);
  equals = __reduce_add_sync(FULL_MASK, equals);
  if (lane == 0) {
    greaterOf[warp] = greater;
    equalOf[warp] = equals;
  }
  __syncthreads();
  int equalsBefore = __reduce_add_sync(FULL_MASK, lane < warp ? equalOf[lane] : 0);
  int out = __reduce_add_sync(FULL_MASK, lane < warp ? greaterOf[lane] : 0) +
            min(equal, equalsBefore);
  uint32_t below = (1u << lane) - 1;
  auto take = [&](int i, uint32_t key) {
    bool equalsHere = i < end && key == threshold;
    uint32_t votes = __ballot_sync(FULL_MASK, equalsHere);
    bool takes = (i < end && key > threshold) ||
                 (equalsHere && equalsBefore + __popc(votes & below) < equal);
    equalsBefore += __popc(votes);
    votes = __ballot_sync(FULL_MASK, takes);
    if (takes) {
      selected[out + __popc(votes & below)] = i;
    }
    out += __popc(votes);
  };
#pragma unroll
  for (int k = 0; k < HELD; k++) {
    take(first + lane + k * WARP, held[k]);
  }
  for (int base = first + HELD * WARP; base < end; base += AHEAD * WARP) {
    float score[AHEAD];
#pragma unroll
    for (int k = 0; k < AHEAD; k++) {
      score[k] = scores[min(base + lane + k * WARP, end - 1)];
    }
#pragma unroll
    for (int k = 0; k < AHEAD; k++) {
      take(base + lane + k * WARP, keyOf(score[k]));
    }
  }
}

#define SCORE_KERNEL(W)                                                                     \
  extern "C" __global__ void __launch_bounds__(WARP * SCORE_WARPS) score_##W(ScoreArgs a) { \
    follow();                                                                               \
    scoreTile<W>(a);                                                                        \
  }
SCORE_KERNEL(1)
SCORE_KERNEL(2)
SCORE_KERNEL(4)
