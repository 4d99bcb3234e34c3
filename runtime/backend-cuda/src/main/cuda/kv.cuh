// Where keys and values are written: ring, frames, index, scratch of a prompt, maps of a seat.
#pragma once

#include "common.cuh"

/**
 * Writes the representative of a chunk, with all threads of a block: its keys are rotated in shared
 * memory, then a warp writes codes and step of a token. Every operation rounds as KvLayout says.
 */
template <typename RowOf>
__device__ void represent(const Layer& l, char* representative, const char* base, RowOf rowOf) {
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
    uint32_t* codes = (uint32_t*)(representative + t * codeBytes(l));
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
      ((bf16*)(representative + stepOffset(l)))[t] =
          narrow<bf16>(__fdiv_rn(cell, (float)rotationBlock(l)));
    }
  }
}

/**
 * Writes a chunk to its frame and its representative to the index, with all threads of a block. Its
 * token t is row rowOf(t) of {K[..], V[..]} at base, the values keyToValue bytes behind the keys.
 */
template <typename RowOf>
__device__ void closeChunk(const Layer& l, int seat, int head, int chunk, char* frames,
                           int frameCount, uint4* trouble, const char* base, int64_t keyToValue,
                           RowOf rowOf) {
  int frame = l.frameOfExtent[extentIndex(l, seat, head, chunk)];
  if (frame < 0 || frame >= frameCount) {
    if (threadIdx.x == 0) {
      report(trouble, make_uint4(TROUBLE_FRAME | (uint32_t)l.layer << 8, chunk,
                                 (uint32_t)seat << 16 | (uint32_t)head, frame));
    }
    return;
  }
  int bytes = rowBytes(l);
  char* to = frames + chunkInFrame(l, frame, chunk);
  for (int t = 0; t < l.chunk; t++) {
    const char* from = base + (int64_t)rowOf(t) * bytes;
    copyBytes(to + t * bytes, from, bytes, threadIdx.x, blockDim.x);
    copyBytes(to + valueOffset(l) + t * bytes, from + keyToValue, bytes, threadIdx.x, blockDim.x);
  }
  represent(l, representatives(l, seat, head) + (int64_t)chunk * representativeBytes(l), base, rowOf);
}

struct AppendArgs {
  Layer layer;
  Batch batch;
  Rows keys;
  Rows values;
  char* frames;
  uint4* trouble;
  int frameCount;
  int pad;
};

// Grid: (kvHeads, rows).
extern "C" __global__ void append(AppendArgs a) {
  const Layer& l = a.layer;
  int head = blockIdx.x, row = blockIdx.y;
  int seat = a.batch.seats[row];
  if (seat < 0) {
    return;
  }
  int position = a.batch.positions[row];
  char* base = denseBase(l, seat, head);
  int64_t keyToValue = (int64_t)denseTokens(l) * rowBytes(l);
  int closing = closedChunks(l, position);
  if (closedChunks(l, position + 1) > closing) {
    int first = firstToken(l, closing);
    closeChunk(l, seat, head, closing, a.frames, a.frameCount, a.trouble, base, keyToValue,
               [&](int t) { return denseRow(l, first + t); });
  }
  // The new token's row is never one of the closing chunk: the ring has room for both.
  char* to = base + (int64_t)denseRow(l, position) * rowBytes(l);
  const bf16* key = a.keys.data + row * a.keys.stride + (int64_t)head * l.headDim;
  const bf16* value = a.values.data + row * a.values.stride + (int64_t)head * l.headDim;
  for (int i = threadIdx.x; i < l.headDim; i += blockDim.x) {
    setElement(to, i, l.elementBytes, widen(key[i]));
    setElement(to + keyToValue, i, l.elementBytes, widen(value[i]));
  }
}

struct ScratchArgs {
  Layer layer;
  Rows keys;
  Rows values;
  char* scratch;
  char* frames;
  uint4* trouble;
  int maxTokens;
  int start;   // store: first token; closeChunks: first chunk; seed: tokens of the prompt
  int seat;
  int frameCount;
};

__device__ __forceinline__ char* scratchRow(const ScratchArgs& a, int head, int token) {
  return a.scratch + ((int64_t)head * 2 * a.maxTokens + token) * rowBytes(a.layer);
}

// Grid: (kvHeads, rows).
extern "C" __global__ void store(ScratchArgs a) {
  const Layer& l = a.layer;
  int head = blockIdx.x, row = blockIdx.y;
  char* key = scratchRow(a, head, a.start + row);
  char* value = key + (int64_t)a.maxTokens * rowBytes(l);
  const bf16* fromKey = a.keys.data + row * a.keys.stride + (int64_t)head * l.headDim;
  const bf16* fromValue = a.values.data + row * a.values.stride + (int64_t)head * l.headDim;
  for (int i = threadIdx.x; i < l.headDim; i += blockDim.x) {
    setElement(key, i, l.elementBytes, widen(fromKey[i]));
    setElement(value, i, l.elementBytes, widen(fromValue[i]));
  }
}

// Grid: (chunks, kvHeads).
extern "C" __global__ void closeChunks(ScratchArgs a) {
  int chunk = a.start + blockIdx.x, head = blockIdx.y;
  closeChunk(a.layer, a.seat, head, chunk, a.frames, a.frameCount, a.trouble,
             scratchRow(a, head, firstToken(a.layer, chunk)),
             (int64_t)a.maxTokens * rowBytes(a.layer), [](int t) { return t; });
}

// Grid: (denseTokens, kvHeads); a block copies one token, if there is one for it.
extern "C" __global__ void seed(ScratchArgs a) {
  const Layer& l = a.layer;
  int head = blockIdx.y;
  int token = blockIdx.x;
  if (token >= l.sink) {
    token = firstToken(l, closedChunks(l, a.start)) + token - l.sink;
  }
  if (token >= a.start) {
    return;
  }
  int bytes = rowBytes(l);
  const char* from = scratchRow(a, head, token);
  char* to = denseBase(l, a.seat, head) + (int64_t)denseRow(l, token) * bytes;
  copyBytes(to, from, bytes, threadIdx.x, blockDim.x);
  copyBytes(to + (int64_t)denseTokens(l) * bytes, from + (int64_t)a.maxTokens * bytes, bytes,
            threadIdx.x, blockDim.x);
}

struct ResetArgs {
  Layer layer;
  int seat;
  int pad;
};

// Grid: any; strides over the maps of the seat.
extern "C" __global__ void resetSeat(ResetArgs a) {
  const Layer& l = a.layer;
  int64_t first = (int64_t)blockIdx.x * blockDim.x + threadIdx.x;
  int64_t step = (int64_t)gridDim.x * blockDim.x;
  int64_t chunks = (int64_t)l.kvHeads * l.maxChunks;
  for (int64_t i = first; i < chunks; i += step) {
    l.slotOfChunk[a.seat * chunks + i] = -1;
  }
  for (int64_t i = first; i < l.totalSlots; i += step) {
    l.chunkOfSlot[(int64_t)a.seat * l.totalSlots + i] = -1;
    l.attentionOfSlot[(int64_t)a.seat * l.totalSlots + i] = 0;
  }
  int64_t extents = (int64_t)l.kvHeads * l.maxExtents;
  for (int64_t i = first; i < extents; i += step) {
    l.lastUse[a.seat * extents + i] = -1;
  }
}
