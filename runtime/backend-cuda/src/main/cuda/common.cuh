// What all kernels share: the arithmetic of the chunk grid and loads of eight elements. The structs
// that they take, one each, and the numbers that Java has too are generated: structs.cuh.
//
// Layouts are those of the Javadoc of KvLayer, LayerWindow, Selection, Mailbox and PrefillScratch.
// Activations are bf16, sums are F32.
#pragma once

#include "structs.cuh"

#define FULL_MASK 0xffffffffu

typedef signed char int8;

__device__ __forceinline__ int rowBytes(const Layer& l) { return l.headDim * l.elementBytes; }
__device__ __forceinline__ int64_t residentBytes(const Layer& l) {
  return 2 * (int64_t)l.residentHalf;
}
__device__ __forceinline__ int64_t backingBytes(const Layer& l) {
  return 2 * (int64_t)l.backingHalf;
}
__device__ __forceinline__ int ringCapacity(const Layer& l) { return l.local + l.chunk; }
__device__ __forceinline__ int denseTokens(const Layer& l) { return l.sink + ringCapacity(l); }

__device__ __forceinline__ int closedChunks(const Layer& l, int tokens) {
  return max(0, (tokens - l.sink - l.local) / l.chunk);
}

__device__ __forceinline__ int firstToken(const Layer& l, int chunk) {
  return l.sink + l.chunk * chunk;
}

/** Row of the dense part that holds a token. */
__device__ __forceinline__ int denseRow(const Layer& l, int token) {
  return token < l.sink ? token : l.sink + (token - l.sink) % ringCapacity(l);
}

__device__ __forceinline__ char* denseBase(const Layer& l, int seat, int head) {
  return l.dense + ((int64_t)seat * l.kvHeads + head) * 2 * denseTokens(l) * rowBytes(l);
}

__device__ __forceinline__ int64_t windowBase(const Layer& l, int seat, int head) {
  return l.slotBase[(int64_t)seat * (l.kvHeads + 1) + head];
}

/** Window slots of a (seat, KV head). */
__device__ __forceinline__ int windowSlots(const Layer& l, int seat, int head) {
  const int* base = l.slotBase + (int64_t)seat * (l.kvHeads + 1) + head;
  return base[1] - base[0];
}

/** The slots of the pool that the window of a (seat, KV head) has, in the order of their places. */
__device__ __forceinline__ const int* slotList(const Layer& l, int seat, int head) {
  return l.slotTable + windowBase(l, seat, head);
}

/** The chunk in a slot of the pool. */
__device__ __forceinline__ char* chunkInSlot(const Layer& l, int slot) {
  return l.window + slot * residentBytes(l);
}

__device__ __forceinline__ int64_t extentIndex(const Layer& l, int seat, int head, int chunk) {
  return ((int64_t)seat * l.kvHeads + head) * l.maxExtents + chunk / l.extentChunks;
}

__device__ __forceinline__ int64_t chunkInFrame(const Layer& l, int frame, int chunk) {
  return frame * l.extentBytes + (chunk % l.extentChunks) * backingBytes(l);
}

__device__ __forceinline__ int passCount(const Chosen& s, int64_t cell, int pass) {
  return min(max(s.selectedCount[cell] - pass * s.passChunks, 0), s.passChunks);
}

template <typename T>
__device__ __forceinline__ float widen(T x);
template <>
__device__ __forceinline__ float widen<float>(float x) {
  return x;
}
template <>
__device__ __forceinline__ float widen<bf16>(bf16 x) {
  return __bfloat162float(x);
}

template <typename T>
__device__ __forceinline__ T narrow(float x);
template <>
__device__ __forceinline__ float narrow<float>(float x) {
  return x;
}
template <>
__device__ __forceinline__ bf16 narrow<bf16>(float x) {
  return __float2bfloat16_rn(x);
}

__device__ __forceinline__ float element(const char* row, int i, int elementBytes) {
  return elementBytes == 2 ? widen(((const bf16*)row)[i]) : ((const float*)row)[i];
}

__device__ __forceinline__ void setElement(char* row, int i, int elementBytes, float value) {
  if (elementBytes == 2) {
    ((bf16*)row)[i] = narrow<bf16>(value);
  } else {
    ((float*)row)[i] = value;
  }
}

/** Eight elements as floats; those from index n on are 0. Sixteen bytes at a time where n is 8. */
template <typename T>
__device__ __forceinline__ void load8(const T* from, int n, bool aligned, float (&out)[8]);

template <>
__device__ __forceinline__ void load8<bf16>(const bf16* from, int n, bool aligned, float (&out)[8]) {
  if (aligned && n >= 8) {
    uint4 raw = *(const uint4*)from;
    const uint32_t words[4] = {raw.x, raw.y, raw.z, raw.w};
#pragma unroll
    for (int i = 0; i < 4; i++) {
      out[2 * i] = __uint_as_float(words[i] << 16);
      out[2 * i + 1] = __uint_as_float(words[i] & 0xffff0000u);
    }
    return;
  }
#pragma unroll
  for (int i = 0; i < 8; i++) {
    out[i] = i < n ? widen(from[i]) : 0.f;
  }
}

template <>
__device__ __forceinline__ void load8<float>(const float* from, int n, bool aligned,
                                             float (&out)[8]) {
  if (aligned && n >= 8) {
    float4 a = ((const float4*)from)[0];
    float4 b = ((const float4*)from)[1];
    out[0] = a.x;
    out[1] = a.y;
    out[2] = a.z;
    out[3] = a.w;
    out[4] = b.x;
    out[5] = b.y;
    out[6] = b.z;
    out[7] = b.w;
    return;
  }
#pragma unroll
  for (int i = 0; i < 8; i++) {
    out[i] = i < n ? from[i] : 0.f;
  }
}

template <>
__device__ __forceinline__ void load8<int8>(const int8* from, int n, bool aligned,
                                            float (&out)[8]) {
  if (aligned && n >= 8) {
    uint2 raw = *(const uint2*)from;
#pragma unroll
    for (int i = 0; i < 4; i++) {
      out[i] = (float)(int8)(raw.x >> 8 * i);
      out[4 + i] = (float)(int8)(raw.y >> 8 * i);
    }
    return;
  }
#pragma unroll
  for (int i = 0; i < 8; i++) {
    out[i] = i < n ? (float)from[i] : 0.f;
  }
}

/**
 * Walsh-Hadamard transform of each block of elements of rows in shared memory, in place, with all
 * threads of a block: sums and differences in the order that KvLayout says. Synchronises before it
 * reads and after it has written.
 */
__device__ __forceinline__ void rotateRows(float* x, int rows, int width, int stride, int block) {
  int pairs = width / 2;
  for (int h = 1; h < block; h *= 2) {
    __syncthreads();
    for (int p = threadIdx.x; p < rows * pairs; p += blockDim.x) {
      int row = p / pairs, k = p % pairs;
      float* low = x + row * stride + k / h * 2 * h + k % h;
      float a = low[0], b = low[h];
      low[0] = a + b;
      low[h] = a - b;
    }
  }
  __syncthreads();
}

/** Copies bytes with the threads {first, first + step, ...}; sixteen at a time where possible. */
__device__ __forceinline__ void copyBytes(char* to, const char* from, int bytes, int first,
                                          int step) {
  if (((uintptr_t)to | (uintptr_t)from | (uintptr_t)bytes) % 16 == 0) {
    for (int i = first; i < bytes / 16; i += step) {
      ((uint4*)to)[i] = ((const uint4*)from)[i];
    }
  } else {
    for (int i = first; i < bytes / 2; i += step) {
      ((uint16_t*)to)[i] = ((const uint16_t*)from)[i];
    }
  }
}

/** Copies a chunk with one warp, keeping up to eight loads of each lane in flight. */
__device__ __forceinline__ void copyChunkByWarp(char* to, const char* from, int bytes, int lane) {
  if (((uintptr_t)to | (uintptr_t)from | (uintptr_t)bytes) % 16 != 0) {
    copyBytes(to, from, bytes, lane, WARP);
    return;
  }
  int pieces = bytes / 16;
  for (int base = 0; base < pieces; base += 8 * WARP) {
    uint4 held[8];
#pragma unroll
    for (int k = 0; k < 8; k++) {
      int i = base + k * WARP + lane;
      if (i < pieces) {
        held[k] = __ldcs((const uint4*)from + i);
      }
    }
#pragma unroll
    for (int k = 0; k < 8; k++) {
      int i = base + k * WARP + lane;
      if (i < pieces) {
        ((uint4*)to)[i] = held[k];
      }
    }
  }
}

/** The same of two chunks of whole pieces of sixteen bytes, with loads of both in flight. */
__device__ __forceinline__ void copyTwoChunksByWarp(char* to, const char* from, char* otherTo,
                                                    const char* otherFrom, int bytes, int lane) {
  constexpr int AHEAD = 12;
  int pieces = bytes / 16;
  for (int base = 0; base < 2 * pieces; base += AHEAD * WARP) {
    uint4 held[AHEAD];
#pragma unroll
    for (int k = 0; k < AHEAD; k++) {
      int i = base + k * WARP + lane;
      if (i < 2 * pieces) {
        held[k] = __ldcs(i < pieces ? (const uint4*)from + i : (const uint4*)otherFrom + (i - pieces));
      }
    }
#pragma unroll
    for (int k = 0; k < AHEAD; k++) {
      int i = base + k * WARP + lane;
      if (i < 2 * pieces) {
        *(i < pieces ? (uint4*)to + i : (uint4*)otherTo + (i - pieces)) = held[k];
      }
    }
  }
}

/** The step of a row of a chunk of codes; half is that of the keys or of the values. */
__device__ __forceinline__ float stepOf(const Layer& l, const char* half, int token) {
  return widen(*(const bf16*)(half + l.chunk * l.headDim + 2 * token));
}

/** A row of keys or values with one warp: quads of elements. */
constexpr int QUADS = MAX_HEAD_DIM / 4 / WARP;

/** The code of an element. */
__device__ __forceinline__ int codeOf(float x, float inverse) {
  return min(max(__float2int_rn(__fmul_rn(x, inverse)), -CODE_MOST), CODE_MOST);
}

/** An element that was encoded with a step and decoded to the type of keys and values. */
__device__ __forceinline__ float comesBack(float x, float step, float inverse, int elementBytes) {
  float back = __fmul_rn((float)codeOf(x, inverse), step);
  return elementBytes == 2 ? widen(narrow<bf16>(back)) : back;
}

/** Whether a row is the same when it was encoded and decoded. */
__device__ __forceinline__ bool givesBack(const float x[QUADS][4], float step, int elementBytes) {
  float inverse = __fdiv_rn(1.f, step);
  bool same = true;
#pragma unroll
  for (int j = 0; j < QUADS; j++) {
#pragma unroll
    for (int k = 0; k < 4; k++) {
      same = same && comesBack(x[j][k], step, inverse, elementBytes) == x[j][k];
    }
  }
  return __all_sync(FULL_MASK, same);
}

/** Reads a row with one warp and finds its step: ChunkLayout. */
__device__ __forceinline__ float stepOfRowByWarp(const Layer& l, const char* row, float x[QUADS][4],
                                                 int lane) {
  float largest = 0;
#pragma unroll
  for (int j = 0; j < QUADS; j++) {
#pragma unroll
    for (int k = 0; k < 4; k++) {
      int e = 4 * (lane + WARP * j) + k;
      x[j][k] = e < l.headDim ? element(row, e, l.elementBytes) : 0.f;
      largest = fmaxf(largest, fabsf(x[j][k]));
    }
  }
#pragma unroll
  for (int offset = WARP / 2; offset > 0; offset /= 2) {
    largest = fmaxf(largest, __shfl_xor_sync(FULL_MASK, largest, offset));
  }
  if (largest < SMALLEST_ROW) {
    return 0.f;
  }
  float step = widen(narrow<bf16>(__fmul_rn(largest, 1.f / CODE_MOST)));
  // A number in bf16 is the upper half of one in F32.
  float smaller = __uint_as_float(__float_as_uint(step) - 0x10000);
  float larger = __uint_as_float(__float_as_uint(step) + 0x10000);
  if (givesBack(x, step, l.elementBytes)) {
    return step;
  }
  if (givesBack(x, smaller, l.elementBytes)) {
    return smaller;
  }
  return givesBack(x, larger, l.elementBytes) ? larger : step;
}

/** Writes a row of keys or values as it comes back from codes and a step, with one warp. */
__device__ __forceinline__ void roundRowByWarp(const Layer& l, char* row, int lane) {
  float x[QUADS][4];
  float step = stepOfRowByWarp(l, row, x, lane);
  float inverse = step == 0 ? 0.f : __fdiv_rn(1.f, step);
#pragma unroll
  for (int j = 0; j < QUADS; j++) {
#pragma unroll
    for (int k = 0; k < 4; k++) {
      int e = 4 * (lane + WARP * j) + k;
      if (e < l.headDim) {
        setElement(row, e, l.elementBytes, comesBack(x[j][k], step, inverse, l.elementBytes));
      }
    }
  }
}

/** Writes a row of keys or values as codes and a step with one warp: ChunkLayout. */
__device__ __forceinline__ void encodeRowByWarp(const Layer& l, const char* row, char* half,
                                                int token, int lane) {
  float x[QUADS][4];
  float step = stepOfRowByWarp(l, row, x, lane);
  float inverse = step == 0 ? 0.f : __fdiv_rn(1.f, step);
  char* codes = half + token * l.headDim;
#pragma unroll
  for (int j = 0; j < QUADS; j++) {
    int first = 4 * (lane + WARP * j);
    uint32_t word = 0;
#pragma unroll
    for (int k = 0; k < 4; k++) {
      word |= (uint32_t)(uint8_t)codeOf(x[j][k], inverse) << 8 * k;
    }
    if (l.headDim % 4 == 0) {
      if (first < l.headDim) {
        *(uint32_t*)(codes + first) = word;
      }
    } else {
      for (int k = 0; k < 4 && first + k < l.headDim; k++) {
        codes[first + k] = (char)(word >> 8 * k);
      }
    }
  }
  if (lane == 0) {
    *(bf16*)(half + l.chunk * l.headDim + 2 * token) = narrow<bf16>(step);
  }
}

/** Four codes as elements of the type of keys and values. */
__device__ __forceinline__ void decodeQuad(char* to, uint32_t codes, float step,
                                           int elementBytes) {
  float x[4];
#pragma unroll
  for (int k = 0; k < 4; k++) {
    x[k] = (float)(int8)(codes >> 8 * k) * step;
  }
  if (elementBytes == 2) {
    bf16 y[4] = {narrow<bf16>(x[0]), narrow<bf16>(x[1]), narrow<bf16>(x[2]), narrow<bf16>(x[3])};
    uint2 packed;
    memcpy(&packed, y, sizeof(packed));
    *(uint2*)to = packed;
  } else {
    *(float4*)to = make_float4(x[0], x[1], x[2], x[3]);
  }
}

/** Decodes a chunk of codes with one warp, keeping up to eight loads of each lane in flight. */
__device__ __forceinline__ void decodeChunkByWarp(const Layer& l, char* to, const char* from,
                                                  int lane) {
  int codes = l.chunk * l.headDim;  // of a half
  if (l.headDim % 4 != 0 || codes % 16 != 0 || ((uintptr_t)to | (uintptr_t)from) % 16 != 0) {
    for (int i = lane; i < 2 * codes; i += WARP) {
      int half = i / codes, o = i % codes;
      const char* source = from + half * l.backingHalf;
      float x = (float)((const int8*)source)[o] * stepOf(l, source, o / l.headDim);
      setElement(to + half * l.residentHalf, o, l.elementBytes, x);
    }
    return;
  }
  // Lane t has the step of key t, lane MAX_CHUNK + t that of value t.
  float step = 0;
  if (lane < 2 * MAX_CHUNK && lane % MAX_CHUNK < l.chunk) {
    step = stepOf(l, from + lane / MAX_CHUNK * l.backingHalf, lane % MAX_CHUNK);
  }
  int pieces = codes / 16;  // of a half
  for (int base = 0; base < 2 * pieces; base += 8 * WARP) {
    uint4 held[8];
#pragma unroll
    for (int k = 0; k < 8; k++) {
      int i = base + k * WARP + lane;
      if (i < 2 * pieces) {
        int half = i >= pieces;
        held[k] = __ldcs((const uint4*)(from + half * l.backingHalf) + i - half * pieces);
      }
    }
#pragma unroll
    for (int k = 0; k < 8; k++) {
      if (base + k * WARP < 2 * pieces) {  // the same for the whole warp
        int i = min(base + k * WARP + lane, 2 * pieces - 1);
        int half = i >= pieces;
        const uint32_t words[4] = {held[k].x, held[k].y, held[k].z, held[k].w};
#pragma unroll
        for (int w = 0; w < 4; w++) {
          int o = 16 * (i - half * pieces) + 4 * w;
          float of = __shfl_sync(FULL_MASK, step, half * MAX_CHUNK + o / l.headDim);
          if (base + k * WARP + lane < 2 * pieces) {
            decodeQuad(to + half * l.residentHalf + o * l.elementBytes, words[w], of,
                       l.elementBytes);
          }
        }
      }
    }
  }
}

/** Brings a chunk from its backing form into a window slot with one warp. */
__device__ __forceinline__ void bringChunkByWarp(const Layer& l, char* slot, const char* from,
                                                 int lane) {
  if (l.residentElementBytes == l.backingElementBytes) {
    copyChunkByWarp(slot, from, (int)residentBytes(l), lane);
  } else {
    decodeChunkByWarp(l, slot, from, lane);
  }
}

/** Brings a chunk for each lane that has one, which is any whose from is not null. */
__device__ __forceinline__ void bringChunksByWarp(const Layer& l, char* slot, const char* from, int lane) {
  int bytes = (int)residentBytes(l);
  bool whole = l.residentElementBytes == l.backingElementBytes &&
               __all_sync(FULL_MASK, ((uintptr_t)slot | (uintptr_t)from | (uintptr_t)bytes) % 16 == 0);
  uint32_t left = __ballot_sync(FULL_MASK, from != nullptr);
  auto next = [&](char*& to, const char*& of) {
    int owner = __ffs(left) - 1;
    left &= left - 1;
    to = (char*)__shfl_sync(FULL_MASK, (unsigned long long)slot, owner);
    of = (const char*)__shfl_sync(FULL_MASK, (unsigned long long)from, owner);
  };
  while (left != 0) {
    char *to, *otherTo;
    const char *of, *otherOf;
    next(to, of);
    if (whole && left != 0) {
      next(otherTo, otherOf);
      copyTwoChunksByWarp(to, of, otherTo, otherOf, bytes, lane);
    } else {
      bringChunkByWarp(l, to, of, lane);
    }
  }
}

__device__ __forceinline__ float warpSum(float x) {
#pragma unroll
  for (int offset = WARP / 2; offset > 0; offset /= 2) {
    x += __shfl_xor_sync(FULL_MASK, x, offset);
  }
  return x;
}

/** Sum over a block of up to 1024 threads; every thread gets it. Shared holds 32 floats. */
__device__ __forceinline__ float blockSum(float x, float* shared) {
  int warp = threadIdx.x / WARP, lane = threadIdx.x % WARP;
  x = warpSum(x);
  __syncthreads();
  if (lane == 0) {
    shared[warp] = x;
  }
  __syncthreads();
  float y = lane < (blockDim.x + WARP - 1) / WARP ? shared[lane] : 0.f;
  return warpSum(y);
}

/**
 * Sums each of COUNT values over the LANES lanes of a group. Each step halves the lanes that a value
 * is spread over and, while there is more than one, the values of a lane, which is fewer exchanges
 * than one value after the other. Lane p ends up with value p / (LANES / COUNT), or, where there are
 * more values than lanes, with COUNT / LANES of them from p * (COUNT / LANES) on.
 */
template <int COUNT, int LANES>
__device__ __forceinline__ void sumOverLanes(float (&x)[COUNT]) {
#pragma unroll
  for (int offset = LANES / 2, count = COUNT; offset > 0; offset /= 2) {
    bool upper = (threadIdx.x & offset) != 0;
    if (count > 1) {
      count /= 2;
#pragma unroll
      for (int i = 0; i < COUNT / 2; i++) {
        if (i < count) {
          float sent = upper ? x[i] : x[i + count];
          float kept = upper ? x[i + count] : x[i];
          x[i] = kept + __shfl_xor_sync(FULL_MASK, sent, offset);
        }
      }
    } else {
      x[0] += __shfl_xor_sync(FULL_MASK, x[0], offset);
    }
  }
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
 * First in every kernel, since launches rely on it: waits until what the kernel before has written is
 * there, then lets the one behind be brought to the multiprocessors, where it waits likewise.
 */
__device__ __forceinline__ void follow() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.wait;" ::: "memory");
  asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
#endif
}

/**
 * First in a kernel that may run beside the one before it, or else follows it like any other. It needs nothing
 * of that one but what is there when all blocks of it have let the next be brought; and since that one has followed
 * whatever came before, or may run beside it likewise, nothing else is missing.
 */
__device__ __forceinline__ void follow(bool beside) {
#if __CUDA_ARCH__ >= 900
  if (beside) {
    asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
    __threadfence();  // what those blocks have written before they let this one be brought is seen here
    return;
  }
#endif
  follow();
}

/** Last in such a kernel: it ends behind the one before, so that whoever follows it has followed both. */
__device__ __forceinline__ void endBehind(bool beside) {
#if __CUDA_ARCH__ >= 900
  if (beside) {
    asm volatile("griddepcontrol.wait;" ::: "memory");
  }
#endif
}

/** Like follow, in two: what a kernel writes in between is there for one that runs beside it. */
__device__ __forceinline__ void awaitBefore() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}
__device__ __forceinline__ void letNext() {
#if __CUDA_ARCH__ >= 900
  __threadfence();
  __syncthreads();  // one thread speaks for its block
  asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
#endif
}

__device__ __forceinline__ int acquireWord(const int* word) {
  int value;
  asm volatile("ld.acquire.sys.global.s32 %0, [%1];" : "=r"(value) : "l"(word) : "memory");
  return value;
}

__device__ __forceinline__ void releaseWord(int* word, int value) {
  asm volatile("st.release.sys.global.s32 [%0], %1;" ::"l"(word), "r"(value) : "memory");
}

/** Notes for the host what a kernel could not do; one store of sixteen bytes, the last one wins. */
__device__ __forceinline__ void report(uint4* trouble, uint4 what) {
  asm volatile("st.volatile.global.v4.u32 [%0], {%1, %2, %3, %4};" ::"l"(trouble), "r"(what.x),
               "r"(what.y), "r"(what.z), "r"(what.w)
               : "memory");
}
