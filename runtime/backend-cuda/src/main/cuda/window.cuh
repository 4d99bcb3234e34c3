// The window of a (seat, KV head): which selected chunks are in it, which leave it, and how the
// missing ones get there, from DRAM frames or through the mailbox.
#pragma once

#include "common.cuh"
#include "select.cuh"

#define VICTIMS 1024  // victims sorted at a time
#define KEPT 8         // slots of a thread of diff whose keys it keeps
#define KEY_BINS 2048  // equal parts of the range of keys

/** The binary logarithm of one more, straight between powers of two: Uses. */
__device__ __forceinline__ float logarithm(int number) {
  return (float)(__float_as_int(1.0f + number) - __float_as_int(1.0f)) * 0x1p-23f;
}

/** What earlier look-ups add to a chunk's score at a position: Uses.merit. Its products are exact. */
__device__ __forceinline__ float merit(int uses, int position) {
  int age = (int)(((uint32_t)position - ((uint32_t)uses >> 16)) & USES_MOST);
  return USES_OFTEN * logarithm(uses & USES_MOST) - USES_LONG_AGO * logarithm(age);
}

/** So many look-ups, the last at a position: Uses.of. */
__device__ __forceinline__ int usesOf(int times, int position) {
  return (int)((uint32_t)min(times, USES_MOST) | ((uint32_t)position << 16));
}

/** Empties a slot of the pool; the entry of its chunk keeps how often that was looked up: Uses.absent. */
__device__ __forceinline__ void leaves(const Layer& l, int* slotOfChunk, int slot) {
  slotOfChunk[l.chunkOfSlot[slot]] = -1 - (l.usesOfSlot[slot] & USES_MOST);
  l.chunkOfSlot[slot] = -1;
}

// Grid: (kvHeads, rows, parts of a window). The key of each chunk in the window: WindowOperations.Keys.
extern "C" __global__ void keySlots(KeyArgs a) {
  follow();
  const Layer& l = a.layer;
  const Chosen& s = a.chosen;
  int head = blockIdx.x, row = blockIdx.y;
  int seat = a.batch.seats[row];
  if (seat < 0) {
    return;
  }
  int64_t cell = (int64_t)row * l.kvHeads + head;
  int position = a.batch.positions[row];
  bool all = s.selectedCount[cell] >= closedChunks(l, position + 1);
  const float* scores = s.scores + cell * s.maxChunks;
  const int* window = slotList(l, seat, head);
  int slots = windowSlots(l, seat, head);
  for (int i = blockIdx.z * blockDim.x + threadIdx.x; i < slots; i += gridDim.z * blockDim.x) {
    int chunk = l.chunkOfSlot[window[i]];
    if (chunk >= 0) {
      float key = all ? (float)-chunk : scores[chunk];
      if (a.uses && !all) {
        key += merit(l.usesOfSlot[window[i]], position);
      }
      l.keyOfSlot[window[i]] = key;
    }
  }
}

// Grid: (kvHeads, rows). The key of what a pass uses: WindowOperations.recent.
extern "C" __global__ void recent(SelectArgs a) {
  follow();
  const Layer& l = a.layer;
  const Chosen& s = a.chosen;
  int head = blockIdx.x, row = blockIdx.y;
  int seat = a.batch.seats[row];
  if (seat < 0) {
    return;
  }
  int64_t cell = (int64_t)row * l.kvHeads + head;
  int count = passCount(s, cell, a.pass);
  const int* slots = s.slots + cell * s.passChunks;
  const int* window = slotList(l, seat, head);
  for (int i = threadIdx.x; i < count; i += blockDim.x) {
    l.keyOfSlot[window[slots[i]]] = (float)a.batch.positions[row];
  }
}

/** Whether a chunk is one of count ascending ones. */
__device__ __forceinline__ bool isSelected(const int* selected, int count, int chunk) {
  int low = 0, high = count;
  while (low < high) {
    int middle = (low + high) / 2;
    if (selected[middle] < chunk) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low < count && selected[low] == chunk;
}

// Grid: (kvHeads, rows). Takes chunks out of windows: WindowOperations.Forget.
extern "C" __global__ void forget(ForgetArgs a) {
  follow();
  const Layer& l = a.layer;
  const Chosen& s = a.chosen;
  int head = blockIdx.x, row = blockIdx.y;
  int seat = a.batch.seats[row];
  if (seat < 0) {
    return;
  }
  int64_t cell = (int64_t)row * l.kvHeads + head;
  const int* selected = s.selected + cell * s.maxSelected;
  int count = s.selectedCount[cell];
  int* slotOfChunk = l.slotOfChunk + ((int64_t)seat * l.kvHeads + head) * l.maxChunks;
  const int* window = slotList(l, seat, head);
  int slots = windowSlots(l, seat, head);
  for (int i = threadIdx.x; i < slots; i += blockDim.x) {
    int chunk = l.chunkOfSlot[window[i]];
    if (chunk >= 0 && (a.all || !isSelected(selected, count, chunk))) {
      leaves(l, slotOfChunk, window[i]);
    }
  }
}

/** Sorts size (a power of two) keys in shared memory, ascending, with all threads of the block. */
__device__ __forceinline__ void bitonicSort(uint64_t* keys, int size) {
  bool across = true;  // whether others than this warp have written what it compares
  for (int span = 2; span <= size; span *= 2) {
    for (int step = span / 2; step > 0; step /= 2) {
      // Up to a step of 32 the 32 pairs of a warp are of 64 neighbours, which are its own.
      if (across || step > WARP) {
        __syncthreads();
      } else {
        __syncwarp();
      }
      across = step > WARP;
      for (int i = threadIdx.x; i < size / 2; i += blockDim.x) {
        int low = 2 * i - (i & (step - 1));
        bool ascending = (low & span) == 0;
        uint64_t a = keys[low], b = keys[low + step];
        if ((a > b) == ascending) {
          keys[low] = b;
          keys[low + step] = a;
        }
      }
    }
  }
  __syncthreads();
}

/**
 * Finds the count slots with the lowest keys, the lower slot among equals, in no order but that of the
 * slots, and fills up to size with keys behind them all. With all threads of a block.
 */
template <typename KeyAt>
__device__ __forceinline__ void takeLowest(int slots, int count, int size, KeyAt keyAt,
                                           uint64_t* taken, Radix& radix, int* ranks) {
  int equal;
  uint32_t threshold = radixSelect<false>(slots, count, keyAt, radix, equal);
  for (int i = count + threadIdx.x; i < size; i += blockDim.x) {
    taken[i] = UINT64_MAX;
  }
  int out = 0, equalsTaken = 0;
  for (int base = 0; base < slots; base += blockDim.x) {
    int i = base + threadIdx.x;
    uint32_t key = 0;
    bool candidate = i < slots && keyAt(i, key);
    bool equals = candidate && key == threshold;
    int equalsHere, takenHere;
    int rank = blockRank(equals, ranks, equalsHere);
    bool take = candidate && (key < threshold || (equals && equalsTaken + rank < equal));
    equalsTaken += equalsHere;
    rank = blockRank(take, ranks, takenHere);
    if (take) {
      taken[out + rank] = (uint64_t)key << 32 | (uint32_t)i;
    }
    out += takenHere;
  }
}

/** The keys of up to KEPT slots of each thread of diff, slot threadIdx.x + k * DIFF_THREADS the k-th. */
struct KeptKeys {
  float of[KEPT];
  uint32_t empty = 0, candidates = 0;  // a bit for each

  /** Asks for them; nothing here needs to be waited for. */
  __device__ __forceinline__ KeptKeys(const Layer& l, const int* window, int slots) {
    int chunk[KEPT];
#pragma unroll
    for (int k = 0; k < KEPT; k++) {
      int i = threadIdx.x + k * DIFF_THREADS;
      int slot = i < slots ? window[i] : -1;
      chunk[k] = slot >= 0 ? l.chunkOfSlot[slot] : 0;
      of[k] = slot >= 0 ? l.keyOfSlot[slot] : 0.f;
    }
#pragma unroll
    for (int k = 0; k < KEPT; k++) {
      empty |= (uint32_t)(chunk[k] < 0) << k;
    }
  }

  /** Leaves those that must stay out. */
  __device__ __forceinline__ void choose(const uint32_t* held, int slots) {
#pragma unroll
    for (int k = 0; k < KEPT; k++) {
      int i = threadIdx.x + k * DIFF_THREADS;
      bool candidate = i < slots && !(held[i / 32] >> i % 32 & 1);
      candidates |= (uint32_t)candidate << k;
    }
  }

  /** 0 for an empty slot, otherwise as keys are ordered. */
  __device__ __forceinline__ uint32_t orderOf(int k) const {
    return empty >> k & 1 ? 0u : max(1u, keyOf(of[k]));
  }

  /** Which part of the range from least a key is in; a larger key is in none before. */
  __device__ __forceinline__ int binOf(int k, float least, float binsOfOne) const {
    float x = of[k];
    if (empty >> k & 1) {
      return 0;
    }
    if (x != x) {
      return __float_as_int(x) < 0 ? 1 : KEY_BINS - 1;  // as keyOf orders them
    }
    return x > least ? min(KEY_BINS - 1, 1 + __float2int_rz((x - least) * binsOfOne)) : 1;
  }
};

/** What a block shares to find the lowest of its keys. */
struct KeyBins {
  int counts[KEY_BINS];
  int sums[WARP];
  float least[WARP], most[WARP];
  int last, taken;

  __device__ __forceinline__ void clear() {
    for (int i = threadIdx.x; i < KEY_BINS; i += blockDim.x) {
      counts[i] = 0;
    }
    if (threadIdx.x == 0) {
      taken = 0;
    }
  }

  /**
   * Finds at least the count lowest candidates of all threads and puts what they have, key and slot, behind
   * each other in no order. With all threads of a block; returns how many there are, and when these are
   * more than VICTIMS not all have found room.
   */
  __device__ __forceinline__ int takeLowest(const KeptKeys& keys, int count, uint64_t* victims) {
    int warp = threadIdx.x / WARP, lane = threadIdx.x % WARP;
    float low = INFINITY, high = -INFINITY;
#pragma unroll
    for (int k = 0; k < KEPT; k++) {
      bool counts = (keys.candidates & ~keys.empty) >> k & 1 && fabsf(keys.of[k]) < INFINITY;
      low = counts ? fminf(low, keys.of[k]) : low;
      high = counts ? fmaxf(high, keys.of[k]) : high;
    }
    high = warpMost(high);
    low = -warpMost(-low);
    if (lane == 0) {
      least[warp] = low;
      most[warp] = high;
    }
    __syncthreads();
    low = lane < DIFF_THREADS / WARP ? least[lane] : INFINITY;
    high = lane < DIFF_THREADS / WARP ? most[lane] : -INFINITY;
    high = warpMost(high);
    low = -warpMost(-low);
    float binsOfOne = high > low ? (KEY_BINS - 2) / (high - low) : 0.f;
#pragma unroll
    for (int k = 0; k < KEPT; k++) {
      if (keys.candidates >> k & 1) {
        atomicAdd(&counts[keys.binOf(k, low, binsOfOne)], 1);
      }
    }
    __syncthreads();
    constexpr int EACH = KEY_BINS / DIFF_THREADS;
    int first = threadIdx.x * EACH, mine = 0;
#pragma unroll
    for (int k = 0; k < EACH; k++) {
      mine += counts[first + k];
    }
    int sum = mine;
#pragma unroll
    for (int offset = 1; offset < WARP; offset *= 2) {
      int other = __shfl_up_sync(FULL_MASK, sum, offset);
      sum += lane >= offset ? other : 0;
    }
    if (lane == WARP - 1) {
      sums[warp] = sum;
    }
    __syncthreads();
    int before = sum - mine + __reduce_add_sync(FULL_MASK, lane < warp ? sums[lane] : 0);
    if (before < count && before + mine >= count) {  // one thread: there are as many candidates
      int bin = first;
      for (; before + counts[bin] < count; bin++) {
        before += counts[bin];
      }
      last = bin;
    }
    __syncthreads();
#pragma unroll
    for (int k = 0; k < KEPT; k++) {
      if (keys.candidates >> k & 1 && keys.binOf(k, low, binsOfOne) <= last) {
        int at = atomicAdd(&taken, 1);
        if (at < VICTIMS) {
          victims[at] =
              (uint64_t)keys.orderOf(k) << 32 | (uint32_t)(threadIdx.x + k * DIFF_THREADS);
        }
      }
    }
    __syncthreads();
    return taken;
  }
};

// Grid: (kvHeads, rows). Dynamic shared memory: a bit for each slot of the largest window.
extern "C" __global__ void __launch_bounds__(DIFF_THREADS) diff(SelectArgs a) {
  follow();
  extern __shared__ uint32_t held[];  // slots that must stay: needed by this pass, or given already
  __shared__ uint64_t victims[VICTIMS];
  __shared__ KeyBins bins;
  __shared__ Radix radix;
  __shared__ int ranks[WARP + 1];
  const Layer& l = a.layer;
  const Chosen& s = a.chosen;
  int head = blockIdx.x, row = blockIdx.y;
  int seat = a.batch.seats[row];
  if (seat < 0) {
    return;
  }
  int64_t cell = (int64_t)row * l.kvHeads + head;
  int position = a.batch.positions[row];
  int from = a.pass * s.passChunks;
  int count = passCount(s, cell, a.pass);
  int slots = windowSlots(l, seat, head);
  const int* window = slotList(l, seat, head);
  int* slotOfChunk = l.slotOfChunk + ((int64_t)seat * l.kvHeads + head) * l.maxChunks;
  const int* selected = s.selected + cell * s.maxSelected + from;
  int* slotsOfPass = s.slots + cell * s.passChunks;
  int* missesOfPass = s.misses + cell * s.passChunks;
  for (int i = threadIdx.x; i < (slots + 31) / 32; i += blockDim.x) {
    held[i] = 0;
  }
  bool kept = slots <= KEPT * DIFF_THREADS;
  KeptKeys keys(l, window, kept ? slots : 0);
  bins.clear();
  __syncthreads();
  int misses = 0;
  for (int base = 0; base < count; base += blockDim.x) {
    int i = base + threadIdx.x;
    int slot = i < count ? slotOfChunk[selected[i]] : 0;
    if (i < count) {
      slotsOfPass[i] = slot;
      if (slot >= 0) {
        atomicOr(&held[slot / 32], 1u << slot % 32);
        int* uses = l.usesOfSlot + window[slot];
        *uses = usesOf((*uses & USES_MOST) + 1, position);
      }
    }
    int missesHere;
    int rank = blockRank(i < count && slot < 0, ranks, missesHere);
    if (i < count && slot < 0) {
      missesOfPass[misses + rank] = i;
    }
    misses += missesHere;
  }
  if (threadIdx.x == 0) {
    s.missCount[cell] = misses;
    if (count > misses) {
      atomicAdd(&s.counters[row * COUNTERS + HITS_COUNTER], count - misses);
    }
  }
  // Victims: empty slots first, then by key, then by slot. As many at a time as can be sorted; an
  // empty slot comes as 0, others as the bits of their key in the order of floats.
  for (int done = 0; done < misses; done += VICTIMS) {
    int batch = min(misses - done, VICTIMS);
    int found = VICTIMS + 1;
    if (kept && done == 0 && misses <= VICTIMS) {
      keys.choose(held, slots);
      found = bins.takeLowest(keys, batch, victims);
    }
    int size = 1;
    while (size < (found <= VICTIMS ? found : batch)) {
      size *= 2;
    }
    if (found <= VICTIMS) {
      for (int i = found + threadIdx.x; i < size; i += blockDim.x) {
        victims[i] = UINT64_MAX;
      }
    } else {  // too many in one bin, or for the registers
      auto keyAt = [&](int i, uint32_t& key) {
        if (held[i / 32] >> i % 32 & 1) {
          return false;
        }
        int slot = window[i];
        key = l.chunkOfSlot[slot] < 0 ? 0 : max(1u, keyOf(l.keyOfSlot[slot]));
        return true;
      };
      takeLowest(slots, batch, size, keyAt, victims, radix, ranks);
    }
    bitonicSort(victims, size);
    for (int m = threadIdx.x; m < batch; m += blockDim.x) {
      int slot = (int)(uint32_t)victims[m];
      atomicOr(&held[slot / 32], 1u << slot % 32);
      if (l.chunkOfSlot[window[slot]] >= 0) {
        leaves(l, slotOfChunk, window[slot]);
      }
      int i = missesOfPass[done + m];
      int chunk = selected[i];
      l.chunkOfSlot[window[slot]] = chunk;
      l.usesOfSlot[window[slot]] = usesOf(-slotOfChunk[chunk], position);
      slotOfChunk[chunk] = slot;
      slotsOfPass[i] = slot;
    }
    __syncthreads();
  }
}

/** What fetch and land share between launches, in device memory; one for each mailbox. */
struct Round {
  int tickets;   // blocks of a fetch that are done
  int requests;  // requests of the fetch that runs
  int refused;   // whether a block of it found the mailbox stopped
  int waiting;   // requests of the last fetch, for land
};

/** Takes a chunk that does not come out of the window; one thread. */
__device__ __forceinline__ void takeOut(const Layer& l, const Chosen& s, int row, int seat, int head,
                                        int indexOfPass) {
  int64_t cell = (int64_t)row * l.kvHeads + head;
  int* slot = s.slots + cell * s.passChunks + indexOfPass;
  int at = slotList(l, seat, head)[*slot];
  leaves(l, l.slotOfChunk + ((int64_t)seat * l.kvHeads + head) * l.maxChunks, at);
  *slot = -1;
}

/** Takes a chunk that did not come out of the window and counts a fault; one thread. */
__device__ __forceinline__ void fault(const Layer& l, const Chosen& s, int row, int seat, int head,
                                      int indexOfPass) {
  takeOut(l, s, row, seat, head, indexOfPass);
  atomicAdd(&s.counters[row * COUNTERS + FAULT_COUNTER], 1);
}

/**
 * Calls of with the row, the KV head, and the number of the miss among those of this cell, of a miss for each lane, as
 * often as there are misses that fall to this warp; the row is negative for lanes without one. Warps of all blocks take
 * misses in turns: some cells miss much, others little.
 */
template <typename Of>
__device__ __forceinline__ void eachMiss(const FetchArgs& a, Of of) {
  constexpr int EACH = FETCH_CELLS / FETCH_THREADS;
  __shared__ int until[FETCH_CELLS];  // misses of the cells so far
  __shared__ int sums[WARP];
  const Layer& l = a.layer;
  int warp = threadIdx.x / WARP, lane = threadIdx.x % WARP, warps = FETCH_THREADS / WARP;
  int cells = a.rows * l.kvHeads;
  for (int base = 0; base < cells; base += FETCH_CELLS) {
    int here = min(FETCH_CELLS, cells - base);
    int mine = 0, count[EACH];
#pragma unroll
    for (int k = 0; k < EACH; k++) {
      int cell = threadIdx.x * EACH + k;
      bool used = cell < here && a.batch.seats[(base + cell) / l.kvHeads] >= 0;
      mine += used ? a.chosen.missCount[base + cell] : 0;
      count[k] = mine;
    }
    int sum = mine;
#pragma unroll
    for (int offset = 1; offset < WARP; offset *= 2) {
      int other = __shfl_up_sync(FULL_MASK, sum, offset);
      sum += lane >= offset ? other : 0;
    }
    __syncthreads();
    if (lane == WARP - 1) {
      sums[warp] = sum;
    }
    __syncthreads();
    int before = sum - mine + __reduce_add_sync(FULL_MASK, lane < warp ? sums[lane] : 0);
#pragma unroll
    for (int k = 0; k < EACH; k++) {
      until[threadIdx.x * EACH + k] = before + count[k];
    }
    __syncthreads();
    int all = until[FETCH_CELLS - 1];
    int turn = gridDim.x * warps;
    for (int first = blockIdx.x * warps + warp; first < all; first += turn * WARP) {
      int m = first + lane * turn;
      int low = 0, high = here - 1;  // the first cell with until > m
      while (low < high) {
        int middle = (low + high) / 2;
        if (until[middle] > m) {
          high = middle;
        } else {
          low = middle + 1;
        }
      }
      int cell = base + low;
      of(m < all ? cell / l.kvHeads : -1, cell % l.kvHeads, m - (low == 0 ? 0 : until[low - 1]));
    }
  }
}

// Grid: blocks; a warp copies two chunks at a time. The last block announces the round.
extern "C" __global__ void __launch_bounds__(FETCH_THREADS) fetch(FetchArgs a) {
  follow();
  const Layer& l = a.layer;
  const Chosen& s = a.chosen;
  int lane = threadIdx.x % WARP, stopped = -1;
  // Each lane finds out where one of the warp's chunks is and where it goes; then the warp brings them.
  eachMiss(a, [&](int row, int head, int m) {
    const char* from = nullptr;
    char* to = nullptr;
    if (row >= 0) {
      int seat = a.batch.seats[row];
      int64_t cell = (int64_t)row * l.kvHeads + head;
      int i = s.misses[cell * s.passChunks + m];
      int chunk = s.selected[cell * s.maxSelected + a.pass * s.passChunks + i];
      int64_t extent = extentIndex(l, seat, head, chunk);
      int frame = l.frameOfExtent[extent];
      l.lastUse[extent] = a.batch.positions[row];
      if (frame >= 0) {
        to = chunkInSlot(l, slotList(l, seat, head)[s.slots[cell * s.passChunks + i]]);
        from = a.frames + chunkInFrame(l, frame, chunk);
        atomicAdd(&s.counters[row * COUNTERS + DRAM_COUNTER], 1);
      } else {
        if (stopped < 0) {
          stopped = acquireWord(a.control + MAIL_STOPPED) != 0;
        }
        if (stopped) {
          atomicExch(&a.round->refused, 1);
          fault(l, s, row, seat, head, i);
        } else {
          int request = atomicAdd(&a.round->requests, 1);
          volatile int* words =
              a.control + MAIL_REQUESTS_AT + (int64_t)request * MAIL_REQUEST_WORDS;
          words[0] = l.layer;
          words[1] = seat;
          words[2] = head;
          words[3] = chunk;
          words[4] = (int)(cell * s.passChunks + i);
          words[5] = 0;
        }
      }
    }
    __syncwarp();
    bringChunksByWarp(l, to, from, lane);
  });
  __threadfence_system();
  __syncthreads();
  if (threadIdx.x == 0) {
    int blocks = gridDim.x;
    if (atomicAdd(&a.round->tickets, 1) == blocks - 1) {
      __threadfence_system();
      int requests = atomicExch(&a.round->requests, 0);
      int refused = atomicExch(&a.round->refused, 0);
      atomicExch(&a.round->tickets, 0);
      a.round->waiting = refused ? 0 : requests;
      if (!refused) {
        releaseWord(a.control + MAIL_COUNT, requests);
        if (requests > 0) {
          releaseWord(a.control + MAIL_ROUND, acquireWord(a.control + MAIL_ROUND) + 1);
        }
      }
    }
  }
}

// Grid: blocks; a warp copies two chunks at a time. What is not in DRAM leaves the window again.
extern "C" __global__ void __launch_bounds__(FETCH_THREADS) prefetch(FetchArgs a) {
  follow();
  const Layer& l = a.layer;
  const Chosen& s = a.chosen;
  int lane = threadIdx.x % WARP;
  eachMiss(a, [&](int row, int head, int m) {
    const char* from = nullptr;
    char* to = nullptr;
    if (row >= 0) {
      int seat = a.batch.seats[row];
      int64_t cell = (int64_t)row * l.kvHeads + head;
      int i = s.misses[cell * s.passChunks + m];
      int chunk = s.selected[cell * s.maxSelected + a.pass * s.passChunks + i];
      int64_t extent = extentIndex(l, seat, head, chunk);
      int frame = l.frameOfExtent[extent];
      if (frame >= 0) {
        int slot = slotList(l, seat, head)[s.slots[cell * s.passChunks + i]];
        l.lastUse[extent] = a.batch.positions[row];
        if (a.marks) {
          a.marks[slot] = 1;
        }
        atomicAdd(&s.counters[row * COUNTERS + DRAM_COUNTER], 1);
        to = chunkInSlot(l, slot);
        from = a.frames + chunkInFrame(l, frame, chunk);
      } else {
        takeOut(l, s, row, seat, head, i);
      }
    }
    __syncwarp();
    bringChunksByWarp(l, to, from, lane);
  });
}

// Grid: (kvHeads, rows). Hits of what was prefetched: WindowOperations.Credit.
extern "C" __global__ void credit(CreditArgs a) {
  follow();
  const Layer& l = a.layer;
  const Chosen& s = a.chosen;
  int head = blockIdx.x, row = blockIdx.y;
  int seat = a.batch.seats[row];
  if (seat < 0) {
    return;
  }
  int64_t cell = (int64_t)row * l.kvHeads + head;
  const int* window = slotList(l, seat, head);
  const int* slots = s.slots + cell * s.passChunks;
  for (int m = threadIdx.x; m < s.missCount[cell]; m += blockDim.x) {
    a.marks[window[slots[s.misses[cell * s.passChunks + m]]]] = 0;
  }
  __syncthreads();
  int count = passCount(s, cell, a.pass), credited = 0;
  for (int i = threadIdx.x; i < count; i += blockDim.x) {
    int* mark = a.marks + window[slots[i]];
    credited += *mark;
    *mark = 0;
  }
  if (credited > 0) {
    atomicAdd(&s.counters[row * COUNTERS + PREFETCHED_COUNTER], credited);
  }
}

// Grid: (kvHeads, rows). Ages of the selected chunks: WindowOperations.Observe.
extern "C" __global__ void observe(ObserveArgs a) {
  follow();
  const Layer& l = a.layer;
  const Chosen& s = a.chosen;
  int head = blockIdx.x, row = blockIdx.y;
  int seat = a.batch.seats[row];
  if (seat < 0) {
    return;
  }
  int64_t cell = (int64_t)row * l.kvHeads + head;
  int position = a.batch.positions[row];
  int count = s.selectedCount[cell];
  if (count >= closedChunks(l, position + 1)) {
    return;
  }
  int64_t window = (int64_t)seat * l.kvHeads + head;
  int* last = a.lastSelected + window * l.maxChunks;
  int* ages = a.ages + window * AGE_CLASSES;
  for (int i = threadIdx.x; i < count; i += blockDim.x) {
    int chunk = s.selected[cell * s.maxSelected + i];
    int before = last[chunk];
    if (before != position) {
      int ageClass = AGE_NEVER;
      if (before >= 0) {
        int age = position - before;
        int power = 31 - __clz(age);
        ageClass = power == 0 ? 0 : min(AGE_NEVER - 1, 2 * power - 1 + (age >> (power - 1) & 1));
      }
      atomicAdd(&ages[ageClass], 1);
      last[chunk] = position;
    }
  }
}

// Grid: (kvHeads). Empties the slots of a seat from keep on: WindowOperations.Trim.
extern "C" __global__ void trim(TrimArgs a) {
  follow();
  const Layer& l = a.layer;
  int head = blockIdx.x;
  int64_t cell = (int64_t)a.seat * l.kvHeads + head;
  const int* window = slotList(l, a.seat, head);
  int slots = windowSlots(l, a.seat, head);
  for (int i = a.keep[cell] + threadIdx.x; i < slots; i += blockDim.x) {
    if (l.chunkOfSlot[window[i]] >= 0) {
      leaves(l, l.slotOfChunk + cell * l.maxChunks, window[i]);
    }
  }
}

__device__ __forceinline__ uint64_t nanoseconds() {
  uint64_t time;
  asm volatile("mov.u64 %0, %globaltimer;" : "=l"(time));
  return time;
}

// Grid: a few blocks, each of which waits on its own; one warp copies a chunk.
extern "C" __global__ void __launch_bounds__(256) land(FetchArgs a) {
  follow();
  const Layer& l = a.layer;
  const Chosen& s = a.chosen;
  int requests = a.round->waiting;
  if (requests == 0) {
    return;
  }
  if (threadIdx.x == 0) {
    uint64_t start = nanoseconds();
    int round = acquireWord(a.control + MAIL_ROUND);
    while (acquireWord(a.control + MAIL_SERVED) != round) {
      if (nanoseconds() - start >= (uint64_t)a.timeoutMillis * 1000000) {
        releaseWord(a.control + MAIL_STOPPED, 1);
        break;
      }
      __nanosleep(2000);
    }
  }
  __syncthreads();
  int warp = threadIdx.x / WARP, lane = threadIdx.x % WARP, warps = blockDim.x / WARP;
  for (int r = blockIdx.x * warps + warp; r < requests; r += gridDim.x * warps) {
    const int* words = a.control + MAIL_REQUESTS_AT + (int64_t)r * MAIL_REQUEST_WORDS;
    // One lane looks: all must take the same way, and a late delivery may change the status.
    int status = lane == 0 ? acquireWord(words + 5) : 0;
    status = __shfl_sync(FULL_MASK, status, 0);
    __syncwarp();  // what lane 0 acquired, the others see too
    int seat = ((volatile const int*)words)[1];
    int head = ((volatile const int*)words)[2];
    int transit = ((volatile const int*)words)[4];
    int row = transit / s.passChunks / l.kvHeads;
    if (status == MAIL_DELIVERED) {
      int slot = s.slots[transit];
      bringChunkByWarp(l, chunkInSlot(l, slotList(l, seat, head)[slot]),
                       a.transit + transit * backingBytes(l), lane);
      if (lane == 0) {
        atomicAdd(&s.counters[row * COUNTERS + NVME_COUNTER], 1);
      }
    } else if (lane == 0) {
      fault(l, s, row, seat, head, transit % s.passChunks);
    }
  }
}
