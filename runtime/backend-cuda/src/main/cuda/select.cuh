// The index: summaries of closed chunks, the queries of a group score them all, the best chunks are
// selected. A format of summaries is a form: how a chunk is written to one, and a kernel for the
// products of queries with them.
#pragma once

#include "common.cuh"
#include "kv.cuh"

#define SCORE_FLIGHT 4   // chunks of a warp in flight

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
  __shared__ float keys[MAX_CHUNK * MAX_HEAD_DIM];
  __shared__ float z[MAX_CHUNK * MAX_HEAD_DIM];
  Codebook book(l, head);
  int width = l.headDim;
  for (int i = threadIdx.x; i < l.chunk * width; i += blockDim.x) {
    const char* row = base + (int64_t)rowOf(i / width) * rowBytes(l);
    keys[i] = __fsub_rn(element(row, i % width, l.elementBytes), book.mean[i % width]);
  }
  __syncthreads();
  for (int i = threadIdx.x; i < l.chunk * width; i += blockDim.x) {
    const float* key = keys + i / width * width;
    float sum = 0;
    for (int j = 0; j < width; j++) {
      sum = __fmaf_rn(book.forward[j * width + i % width], key[j], sum);
    }
    z[i] = sum;
  }
  __syncthreads();
  int words = l.bits / BITS_OF_WORD;
  for (int i = threadIdx.x; i < l.chunk * words; i += blockDim.x) {
    int word = i / l.chunk, token = i % l.chunk;
    int first = word * BITS_OF_WORD;
    int bit = first;
    while (bit > 0 && book.element[bit - 1] == book.element[first]) {
      bit--;
    }
    int of = -1;
    float left = 0;
    uint32_t code = 0;
    for (; bit < first + BITS_OF_WORD; bit++) {
      if (book.element[bit] != of) {
        of = book.element[bit];
        left = z[token * width + of];
      }
      bool positive = left >= 0;
      if (positive && bit >= first) {
        code |= 1u << (bit - first);
      }
      float step = book.coefficient[bit];
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

#define SUMMARY_KERNELS(NAME, FORM)                                                            \
  extern "C" __global__ void summariseClosed_##NAME(StepArgs a) { summariseClosed<FORM>(a); } \
  extern "C" __global__ void summarisePrompt_##NAME(PromptArgs a) { summarisePrompt<FORM>(a); }
SUMMARY_KERNELS(twoBit, TwoBitForm)
SUMMARY_KERNELS(planes, PlanesForm)
SUMMARY_KERNELS(mean, MeanForm)
SUMMARY_KERNELS(landmark, LandmarkForm)
SUMMARY_KERNELS(minMax, MinMaxForm)

__device__ __forceinline__ float* rawScores(const ScoreArgs& a, int row, int query) {
  return a.raw + ((int64_t)(row - a.firstRow) * a.heads + query) * a.chosen.maxChunks;
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

/** Two floats as bf16, the first in the low half. */
__device__ __forceinline__ uint32_t pairOf(float low, float high) {
  uint32_t a = __bfloat16_as_ushort(narrow<bf16>(low));
  uint32_t b = __bfloat16_as_ushort(narrow<bf16>(high));
  return a | b << 16;
}

/** What rounding to bf16 took from a float. */
__device__ __forceinline__ float remainder(float x) { return x - widen(narrow<bf16>(x)); }

/** d += a b with 16 x 16 elements of a, 16 x 8 of b, bf16 with F32 sums. */
__device__ __forceinline__ void multiply16x8x16(float (&d)[4], uint32_t a0, uint32_t a1, uint32_t a2,
                                                uint32_t a3, uint32_t b0, uint32_t b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
      "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1));
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
}

// Grid: (tiles, kvHeads * parts, rows). Raw scores by bit planes: eight lanes have the tokens of a
// chunk, each adds the weights of its bits.
extern "C" __global__ void __launch_bounds__(WARP * SCORE_WARPS) scorePlanes(ScoreArgs a) {
  __shared__ float query[SCORE_QUERIES * MAX_HEAD_DIM];
  __shared__ float turned[SCORE_QUERIES * MAX_HEAD_DIM];
  __shared__ float weights[SCORE_QUERIES * MAX_PLANES * MAX_HEAD_DIM];
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
  int width = l.headDim;
  Codebook book(l, head);
  const bf16* from = a.query.data + row * a.query.stride + (int64_t)firstQuery * width;
  for (int i = threadIdx.x; i < queries * width; i += blockDim.x) {
    query[i] = widen(from[i]) * a.scale;
  }
  __syncthreads();
  for (int i = threadIdx.x; i < queries * width; i += blockDim.x) {
    const float* q = query + i / width * width;
    float sum = 0;
    for (int j = 0; j < width; j++) {
      sum += book.backward[j * width + i % width] * q[j];
    }
    turned[i] = sum;
  }
  __syncthreads();
  for (int i = threadIdx.x; i < queries * l.bits; i += blockDim.x) {
    int bit = i % l.bits;
    weights[i] = turned[i / l.bits * width + book.element[bit]] * book.coefficient[bit];
  }
  __syncthreads();
  const char* index = summaries(l, seat, head);
  int end = min(tile + SCORE_TILE, closed);
  int words = l.bits / BITS_OF_WORD;
  int token = threadIdx.x % MAX_CHUNK;
  // All lanes of a warp go round alike: they add up the tokens of a chunk together.
  for (int base = tile; base < end; base += blockDim.x / MAX_CHUNK) {
    int chunk = base + threadIdx.x / MAX_CHUNK;
    const uint32_t* codes = (const uint32_t*)(index + (int64_t)min(chunk, end - 1) * l.summaryBytes);
    for (int g = 0; g < queries; g++) {
      const float* weight = weights + g * l.bits;
      float score = 0;
      for (int word = 0; word < words; word++) {
        uint32_t code = codes[word * l.chunk + min(token, l.chunk - 1)];
#pragma unroll
        for (int bit = 0; bit < BITS_OF_WORD; bit++) {
          float w = weight[word * BITS_OF_WORD + bit];
          score += code >> bit & 1 ? w : -w;
        }
      }
      score = token < l.chunk ? score : -INFINITY;
      float most = score;
#pragma unroll
      for (int offset = MAX_CHUNK / 2; offset > 0; offset /= 2) {
        most = fmaxf(most, __shfl_xor_sync(FULL_MASK, most, offset));
      }
      float sum = expf(score - most);
#pragma unroll
      for (int offset = MAX_CHUNK / 2; offset > 0; offset /= 2) {
        sum += __shfl_xor_sync(FULL_MASK, sum, offset);
      }
      if (token == 0 && chunk < end) {
        rawScores(a, row, firstQuery + g)[chunk] = most + logf(sum);
      }
    }
  }
}

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
}

extern "C" __global__ void __launch_bounds__(WARP * SCORE_WARPS) scoreMean(ScoreArgs a) {
  scoreElements<MeanForm>(a);
}

extern "C" __global__ void __launch_bounds__(WARP * SCORE_WARPS) scoreMinMax(ScoreArgs a) {
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

/** What a query's products with all keys have in common and scores leave out, with all threads. */
__device__ __forceinline__ float common(const ScoreArgs& a, int row, int head, int query,
                                        float* shared) {
  const Layer& l = a.layer;
  if (l.bits == 0) {
    return 0.f;
  }
  Codebook book(l, head);
  const bf16* from = a.query.data + row * a.query.stride + (int64_t)query * l.headDim;
  float sum = 0;
  for (int i = threadIdx.x; i < l.headDim; i += blockDim.x) {
    sum += widen(from[i]) * book.mean[i];
  }
  return a.scale * blockSum(sum, shared);
}

// Grid: (kvHeads, rows). Merges the queries of the group by their largest share, which is the
// log-softmax, or their largest product.
extern "C" __global__ void __launch_bounds__(SELECT_THREADS) share(ScoreArgs a) {
  __shared__ float reduce[WARP];
  const Layer& l = a.layer;
  const Chosen& s = a.chosen;
  int head = blockIdx.x, row = a.firstRow + blockIdx.y;
  int seat = a.batch.seats[row];
  if (seat < 0) {
    return;
  }
  int closed = closedChunks(l, a.batch.positions[row] + 1);
  if (takesAll(a.batch, s, row, closed)) {
    return;  // all are selected
  }
  int count = (closed + l.summaryChunks - 1) / l.summaryChunks;
  int64_t cell = (int64_t)row * l.kvHeads + head;
  int groupSize = a.heads / l.kvHeads;
  float* scores = s.scores + cell * s.maxChunks;
  for (int g = 0; g < groupSize; g++) {
    const float* raw = rawScores(a, row, head * groupSize + g);
    float minus = a.shares ? logSumExp(raw, count, reduce) : 0.f;
    if (a.begun != nullptr && mayMiss(a.batch, row) > 0) {
      int query = head * groupSize + g;
      float beside = begunMass(a, row, query) - common(a, row, head, query, reduce);
      float most = fmaxf(minus, beside);
      minus = most + log1pf(expf(fminf(minus, beside) - most));
    }
    for (int c = threadIdx.x; c < closed; c += blockDim.x) {
      float merged = raw[c / l.summaryChunks] - minus;
      scores[c] = g == 0 ? merged : fmaxf(scores[c], merged);
    }
  }
}

// Grid: (kvHeads, rows). Makes sure of the chunks with the lowest cosines: IndexOperations.Pin.
extern "C" __global__ void __launch_bounds__(SELECT_THREADS) pin(PinArgs a) {
  __shared__ int histogram[256];
  __shared__ int ranks[WARP + 1];
  __shared__ int found[2];
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
      histogram, found, equal);
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
  __shared__ int histogram[256];
  __shared__ unsigned long long masses[256];
  __shared__ unsigned long long left;
  __shared__ int ranks[WARP + 1];
  __shared__ int found[2];
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
    count = min(count, enoughChunks(shares, closed, missed, masses, &left, found));
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

#define SCORE_KERNEL(W)                                                                     \
  extern "C" __global__ void __launch_bounds__(WARP * SCORE_WARPS) score_##W(ScoreArgs a) { \
    scoreTile<W>(a);                                                                        \
  }
SCORE_KERNEL(1)
SCORE_KERNEL(2)
SCORE_KERNEL(4)
