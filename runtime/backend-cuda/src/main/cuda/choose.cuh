// The token of each row, as RowSampling says.
#pragma once

#include <cfloat>

#include "common.cuh"
#include "select.cuh"

#define CHOOSE_WARPS (CHOOSE_THREADS / WARP)
#define DIGITS 8

/** How a row is sampled. */
struct Sampled {
  float temperature, topP, minP;
  int topK;
  unsigned long long draw;

  __device__ __forceinline__ Sampled(const char* from) {
    temperature = *(const float*)(from + SAMPLING_TEMPERATURE);
    topK = *(const int*)(from + SAMPLING_TOP_K);
    topP = *(const float*)(from + SAMPLING_TOP_P);
    minP = *(const float*)(from + SAMPLING_MIN_P);
    draw = *(const unsigned long long*)(from + SAMPLING_DRAW);
  }
};

/** A row of logits, of which a warp has a stretch: its lanes read four neighbours at a time. */
struct Row {
  const float* logits;
  int width, first, end;
  bool aligned;

  __device__ __forceinline__ Row(const ChooseArgs& a) {
    logits = a.logits + blockIdx.x * a.stride;
    width = a.width;
    int stretch = (width + CHOOSE_WARPS * 4 * WARP - 1) / (CHOOSE_WARPS * 4 * WARP) * 4 * WARP;
    first = min((int)(threadIdx.x / WARP) * stretch, width);
    end = min(first + stretch, width);
    aligned = (uintptr_t)logits % 16 == 0;
  }

  /** Logits at to at + 3; what is behind the end counts as minus infinity. */
  __device__ __forceinline__ float4 four(int at) const {
    if (aligned && at + 4 <= end) {
      return *(const float4*)(logits + at);
    }
    return make_float4(at < end ? logits[at] : -INFINITY, at + 1 < end ? logits[at + 1] : -INFINITY,
                       at + 2 < end ? logits[at + 2] : -INFINITY,
                       at + 3 < end ? logits[at + 3] : -INFINITY);
  }

  /** Calls of with the index and the value of each logit of this lane. */
  template <int AHEAD = 4, typename Of>
  __device__ __forceinline__ void each(Of of) const {
    int lane = threadIdx.x % WARP;
#pragma unroll AHEAD
    for (int base = first; base < end; base += 4 * WARP) {
      int at = base + 4 * lane;
      float4 x = four(at);
      of(at, x.x);
      of(at + 1, x.y);
      of(at + 2, x.z);
      of(at + 3, x.w);
    }
  }
};

__device__ __forceinline__ unsigned long long warpTotal(unsigned long long x) {
#pragma unroll
  for (int offset = WARP / 2; offset > 0; offset /= 2) {
    x += __shfl_xor_sync(FULL_MASK, x, offset);
  }
  return x;
}

/** What candidates are: those with a larger key than the last, and with its key those up to a token. */
struct Cut {
  uint32_t key;
  int token;

  __device__ __forceinline__ bool keeps(uint32_t of, int at) const {
    return of > key || (of == key && at <= token);
  }
};

/** Shared memory of a choice. */
struct Choice {
  unsigned long long sums[CHOOSE_WARPS][DIGITS];
  unsigned long long all[DIGITS];
  float most[CHOOSE_WARPS];
  int index[CHOOSE_WARPS];
  int token;
};

/** Sums a number of each warp; the block's threads all get the sum. */
__device__ __forceinline__ unsigned long long blockTotal(unsigned long long x, Choice& c) {
  x = warpTotal(x);
  __syncthreads();
  if (threadIdx.x % WARP == 0) {
    c.sums[threadIdx.x / WARP][0] = x;
  }
  __syncthreads();
  unsigned long long y = c.sums[threadIdx.x % WARP][0];
  return warpTotal(y);
}

/**
 * Cuts candidates to the fewest whose weights reach what is wanted, at least 1: the larger key first,
 * the lower token among equals. By digits of three bits, for each of which a thread sums the weights of
 * its candidates, so that nothing depends on an order. With all threads of a block.
 */
template <typename WeightOf>
__device__ __forceinline__ Cut cutTo(const Row& row, Cut within, unsigned long long wanted,
                                     WeightOf weightOf, Choice& c) {
  int warp = threadIdx.x / WARP, lane = threadIdx.x % WARP;
  uint32_t prefix = 0;
  unsigned long long left = wanted;
  for (int shift = 30; shift >= 0; shift -= 3) {
    unsigned long long sums[DIGITS];
#pragma unroll
    for (int d = 0; d < DIGITS; d++) {
      sums[d] = 0;
    }
    row.each<1>([&](int at, float x) {
      uint32_t key = keyOf(x);
      bool counts = at < row.end && within.keeps(key, at) &&
                    (shift == 30 || key >> (shift + 3) == prefix >> (shift + 3));
      unsigned long long weight = counts ? weightOf(x) : 0;
      uint32_t digit = key >> shift & (DIGITS - 1);
#pragma unroll
      for (int d = 0; d < DIGITS; d++) {
        sums[d] += digit == d ? weight : 0;
      }
    });
    __syncthreads();
#pragma unroll
    for (int d = 0; d < DIGITS; d++) {
      unsigned long long sum = warpTotal(sums[d]);
      if (lane == 0) {
        c.sums[warp][d] = sum;
      }
    }
    __syncthreads();
    if (threadIdx.x < DIGITS) {
      unsigned long long sum = 0;
      for (int w = 0; w < CHOOSE_WARPS; w++) {
        sum += c.sums[w][threadIdx.x];
      }
      c.all[threadIdx.x] = sum;
    }
    __syncthreads();
    int digit = DIGITS - 1;
    while (digit > 0 && c.all[digit] < left) {
      left -= c.all[digit--];
    }
    prefix |= (uint32_t)digit << shift;
  }
  // All that are left have one key, so one weight each: how many of them are wanted, and where the last is.
  int equals = 0;
  unsigned long long unit = 0;
  row.each([&](int at, float x) {
    if (at < row.end && keyOf(x) == prefix && within.keeps(prefix, at)) {
      equals++;
      unit = weightOf(x);
    }
  });
  __syncthreads();
  equals = __reduce_add_sync(FULL_MASK, equals);
  if (lane == 0) {
    c.index[warp] = equals;
  }
  if (unit > 0) {
    c.all[0] = unit;  // they all have the same
  }
  if (threadIdx.x == 0) {
    c.token = within.token;
  }
  __syncthreads();
  int wantedEquals = (int)min((left + c.all[0] - 1) / c.all[0], (unsigned long long)row.width);
  int before = __reduce_add_sync(FULL_MASK, lane < warp ? c.index[lane] : 0);
  if (before < wantedEquals && wantedEquals <= before + equals) {
    for (int base = row.first; base < row.end; base += WARP) {
      int at = base + lane;
      bool equal = at < row.end && keyOf(row.logits[at]) == prefix && within.keeps(prefix, at);
      uint32_t votes = __ballot_sync(FULL_MASK, equal);
      if (equal && before + __popc(votes & ((1u << lane) - 1)) + 1 == wantedEquals) {
        c.token = at;
      }
      before += __popc(votes);
    }
  }
  __syncthreads();
  Cut cut = {prefix, c.token};
  __syncthreads();
  return cut;
}

// Grid: rows.
extern "C" __global__ void __launch_bounds__(CHOOSE_THREADS) choose(ChooseArgs a) {
  follow();
  __shared__ Choice c;
  static_assert(CHOOSE_WARPS == WARP, "a lane has what a warp has found");
  int warp = threadIdx.x / WARP, lane = threadIdx.x % WARP;
  Row row(a);
  Sampled how(a.sampling + (int64_t)blockIdx.x * SAMPLING_BYTES);
  float most = -INFINITY;
  int likeliest = INT32_MAX;
  bool usable = true, infinite = false;
  row.each([&](int at, float x) {
    bool here = at < row.end;
    usable = usable && !(here && isnan(x));
    infinite = infinite || (here && isinf(x));
    if (here && (x > most || (x == most && at < likeliest))) {
      most = x;
      likeliest = at;
    }
  });
  auto better = [&](float x, int at) {
    if (x > most || (x == most && at < likeliest)) {
      most = x;
      likeliest = at;
    }
  };
  for (int offset = WARP / 2; offset > 0; offset /= 2) {
    float x = __shfl_xor_sync(FULL_MASK, most, offset);
    int at = __shfl_xor_sync(FULL_MASK, likeliest, offset);
    better(x, at);
  }
  if (lane == 0) {
    c.most[warp] = most;
    c.index[warp] = likeliest;
  }
  usable = usable && !(infinite && how.temperature > 0);
  usable = __syncthreads_and(usable);
  most = c.most[lane];
  likeliest = c.index[lane];
  for (int offset = WARP / 2; offset > 0; offset /= 2) {
    float x = __shfl_xor_sync(FULL_MASK, most, offset);
    int at = __shfl_xor_sync(FULL_MASK, likeliest, offset);
    better(x, at);
  }
  __syncthreads();
  if (!usable || how.temperature == 0) {
    if (threadIdx.x == 0) {
      a.out[blockIdx.x] = usable ? likeliest : -1;
    }
    return;
  }
  float inverse = fminf(1.f / how.temperature, FLT_MAX);
  auto weightOf = [&](float x) { return expf((x - most) * inverse); };
  auto massOf = [&](float x) -> unsigned long long {
    return (unsigned long long)(weightOf(x) * (float)SAMPLING_WHOLE);
  };
  Cut cut = {0, INT32_MAX};
  if (how.topK > 0 && how.topK < row.width) {
    cut = cutTo(row, cut, how.topK, [](float x) -> unsigned long long { return 1; }, c);
  }
  if (how.topP < 1) {
    unsigned long long mass = 0;
    row.each([&](int at, float x) {
      mass += at < row.end && cut.keeps(keyOf(x), at) ? massOf(x) : 0;
    });
    mass = blockTotal(mass, c);
    unsigned long long wanted = (unsigned long long)ceil((double)how.topP * (double)mass);
    cut = cutTo(row, cut, max(wanted, 1ull), massOf, c);
  }
  auto keptMass = [&](int at, float x) -> unsigned long long {
    return at < row.end && cut.keeps(keyOf(x), at) && weightOf(x) >= how.minP ? massOf(x) : 0;
  };
  unsigned long long mine = 0;
  row.each([&](int at, float x) { mine += keptMass(at, x); });
  mine = warpTotal(mine);
  __syncthreads();
  if (lane == 0) {
    c.sums[warp][0] = mine;
  }
  __syncthreads();
  unsigned long long ofLane = c.sums[lane][0];
  unsigned long long sum = warpTotal(ofLane);
  unsigned long long before = warpTotal(lane < warp ? ofLane : 0);
  unsigned long long target = __umul64hi(how.draw, sum);
  if (target < before || target >= before + mine) {
    return;
  }
  // The stretch of this warp has it: where the running sum exceeds the target.
  for (int base = row.first; base < row.end; base += WARP) {
    int at = base + lane;
    unsigned long long mass = at < row.end ? keptMass(at, row.logits[at]) : 0;
    unsigned long long until = mass;
#pragma unroll
    for (int offset = 1; offset < WARP; offset *= 2) {
      unsigned long long other = __shfl_up_sync(FULL_MASK, until, offset);
      until += lane >= offset ? other : 0;
    }
    bool exceeds = before + until > target;
    uint32_t votes = __ballot_sync(FULL_MASK, exceeds);
    if (votes != 0) {
      if (lane == __ffs(votes) - 1) {
        a.out[blockIdx.x] = at;
      }
      return;
    }
    before += __shfl_sync(FULL_MASK, until, WARP - 1);
  }
}
