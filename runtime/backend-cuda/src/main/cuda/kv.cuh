// Where keys and values are written: ring, frames, scratch of a prompt, maps of a seat.
#pragma once

#include "common.cuh"

/** Where a chunk is, or comes, in its frame; null, and trouble, if its extent has none. */
__device__ __forceinline__ char* frameOfChunk(const Layer& l, int seat, int head, int chunk,
                                              char* frames, int frameCount, uint4* trouble) {
  int frame = l.frameOfExtent[extentIndex(l, seat, head, chunk)];
  if (frame >= 0 && frame < frameCount) {
    return frames + chunkInFrame(l, frame, chunk);
  }
  if (threadIdx.x == 0) {
    report(trouble, make_uint4(TROUBLE_FRAME | (uint32_t)l.layer << 8, chunk,
                               (uint32_t)seat << 16 | (uint32_t)head, frame));
  }
  return nullptr;
}

/**
 * Writes a chunk to its frame in its backing form, with all threads of a block. Its token t is row rowOf(t) of {K[..], V[..]} at base, the values keyToValue bytes behind the keys.
 */
template <typename RowOf>
__device__ void closeChunk(const Layer& l, int seat, int head, int chunk, char* frames,
                           int frameCount, uint4* trouble, const char* base, int64_t keyToValue,
                           RowOf rowOf) {
  char* to = frameOfChunk(l, seat, head, chunk, frames, frameCount, trouble);
  if (to == nullptr) {
    return;
  }
  int bytes = rowBytes(l);
  if (l.backingElementBytes == 1) {
    int warps = blockDim.x / WARP;
    for (int r = threadIdx.x / WARP; r < 2 * l.chunk; r += warps) {
      int t = r % l.chunk, half = r / l.chunk;
      encodeRowByWarp(l, base + (int64_t)rowOf(t) * bytes + half * keyToValue,
                      to + half * l.backingHalf, t, threadIdx.x % WARP);
    }
    return;
  }
  for (int t = 0; t < l.chunk; t++) {
    const char* from = base + (int64_t)rowOf(t) * bytes;
    copyBytes(to + t * bytes, from, bytes, threadIdx.x, blockDim.x);
    copyBytes(to + l.backingHalf + t * bytes, from + keyToValue, bytes, threadIdx.x, blockDim.x);
  }
}

// Grid: (kvHeads, rows).
extern "C" __global__ void append(AppendArgs a) {
  follow();
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

__device__ __forceinline__ char* scratchRow(const Layer& l, char* scratch, int maxTokens, int head,
                                            int token) {
  return scratch + ((int64_t)head * 2 * maxTokens + token) * rowBytes(l);
}

// Grid: (kvHeads, rows).
extern "C" __global__ void store(StoreArgs a) {
  follow();
  const Layer& l = a.layer;
  int head = blockIdx.x, row = blockIdx.y;
  char* key = scratchRow(l, a.scratch, a.maxTokens, head, a.start + row);
  char* value = key + (int64_t)a.maxTokens * rowBytes(l);
  const bf16* fromKey = a.keys.data + row * a.keys.stride + (int64_t)head * l.headDim;
  const bf16* fromValue = a.values.data + row * a.values.stride + (int64_t)head * l.headDim;
  for (int i = threadIdx.x; i < l.headDim; i += blockDim.x) {
    setElement(key, i, l.elementBytes, widen(fromKey[i]));
    setElement(value, i, l.elementBytes, widen(fromValue[i]));
  }
  int token = a.start + row;
  if (l.backingElementBytes == 1 && token >= l.sink && token < a.closing) {
    __syncthreads();
    if (threadIdx.x < 2 * WARP) {
      roundRowByWarp(l, threadIdx.x < WARP ? key : value, threadIdx.x % WARP);
    }
  }
}

// Grid: (chunks, kvHeads).
extern "C" __global__ void closeChunks(PromptArgs a) {
  follow();
  int chunk = a.start + blockIdx.x, head = blockIdx.y;
  closeChunk(a.layer, a.seat, head, chunk, a.frames, a.frameCount, a.trouble,
             scratchRow(a.layer, a.scratch, a.maxTokens, head, firstToken(a.layer, chunk)),
             (int64_t)a.maxTokens * rowBytes(a.layer), [](int t) { return t; });
}

// Grid: (chunks, kvHeads). A warp a row: its place in the scratch may be anything.
extern "C" __global__ void recallChunks(PromptArgs a) {
  follow();
  const Layer& l = a.layer;
  int chunk = a.start + blockIdx.x, head = blockIdx.y;
  const char* from = frameOfChunk(l, a.seat, head, chunk, a.frames, a.frameCount, a.trouble);
  if (from == nullptr) {
    return;
  }
  int bytes = rowBytes(l);
  char* to = scratchRow(l, a.scratch, a.maxTokens, head, firstToken(l, chunk));
  int warps = blockDim.x / WARP, lane = threadIdx.x % WARP;
  for (int r = threadIdx.x / WARP; r < 2 * l.chunk; r += warps) {
    int t = r % l.chunk, half = r / l.chunk;
    const char* source = from + half * l.backingHalf;
    char* row = to + (int64_t)t * bytes + (int64_t)half * a.maxTokens * bytes;
    if (l.backingElementBytes != 1) {
      copyBytes(row, source + t * bytes, bytes, lane, WARP);
      continue;
    }
    float step = stepOf(l, source, t);
    const int8* codes = (const int8*)source + t * l.headDim;
    for (int i = lane; i < l.headDim; i += WARP) {
      setElement(row, i, l.elementBytes, __fmul_rn((float)codes[i], step));
    }
  }
}

// Grid: (denseTokens, kvHeads); a block copies one token, if there is one for it.
extern "C" __global__ void seed(PromptArgs a) {
  follow();
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
  const char* from = scratchRow(l, a.scratch, a.maxTokens, head, token);
  char* to = denseBase(l, a.seat, head) + (int64_t)denseRow(l, token) * bytes;
  copyBytes(to, from, bytes, threadIdx.x, blockDim.x);
  copyBytes(to + (int64_t)denseTokens(l) * bytes, from + (int64_t)a.maxTokens * bytes, bytes,
            threadIdx.x, blockDim.x);
}

// Grid: any; strides over the maps of the seat.
extern "C" __global__ void resetSeat(ResetArgs a) {
  follow();
  const Layer& l = a.layer;
  int64_t first = (int64_t)blockIdx.x * blockDim.x + threadIdx.x;
  int64_t step = (int64_t)gridDim.x * blockDim.x;
  int64_t chunks = (int64_t)l.kvHeads * l.maxChunks;
  for (int64_t i = first; i < chunks; i += step) {
    l.slotOfChunk[a.seat * chunks + i] = -1;
  }
  int64_t slots = windowBase(l, a.seat, l.kvHeads);  // the lists of a seat lie together
  for (int64_t i = windowBase(l, a.seat, 0) + first; i < slots; i += step) {
    l.chunkOfSlot[l.slotTable[i]] = -1;
  }
  int64_t extents = (int64_t)l.kvHeads * l.maxExtents;
  for (int64_t i = first; i < extents; i += step) {
    l.lastUse[a.seat * extents + i] = -1;
  }
  for (int64_t i = first; l.clustered != nullptr && i < l.kvHeads; i += step) {
    l.clustered[(int64_t)a.seat * l.kvHeads + i] = 0;
  }
}

// Grid: as many threads as changes: KvOperations.Place.
extern "C" __global__ void place(PlaceArgs a) {
  follow();
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < a.count) {
    a.frameOfExtent[a.changes[i].x] = a.changes[i].y;
  }
}
