// Products of weights that stay as narrow as their file has them (WeightFormat, PackedTiles): with
// few rows as they are, with many as bf16 that is widened piece by piece.
#pragma once

#include <cuda_fp16.h>

#include "common.cuh"

#define PACKED_THREADS (WARP * PACKED_WARPS)

/** Bytes of a block of a tile: the numbers of all lanes, then the steps of rows g and g + 8. */
template <int BITS>
__host__ __device__ constexpr int packedBytes() {
  return PACKED_ROWS * PACKED_BLOCK * BITS / 8 + 2 * PACKED_ROWS;
}

/** The numbers of a lane, read once: they pass by the first cache and leave it to the rows. */
__device__ __forceinline__ void loadNumbers(const char* from, uint32_t (&out)[4]) {
  asm("ld.global.nc.L1::no_allocate.L2::256B.v4.u32 {%0, %1, %2, %3}, [%4];"
      : "=r"(out[0]), "=r"(out[1]), "=r"(out[2]), "=r"(out[3])
      : "l"(from));
}

__device__ __forceinline__ void loadNumbers(const char* from, uint32_t (&out)[2]) {
  asm("ld.global.nc.L1::no_allocate.L2::256B.v2.u32 {%0, %1}, [%2];"
      : "=r"(out[0]), "=r"(out[1])
      : "l"(from));
}

__device__ __forceinline__ uint32_t loadSteps(const char* from) {
  uint32_t out;
  asm("ld.global.nc.L1::no_allocate.u32 %0, [%1];" : "=r"(out) : "l"(from));
  return out;
}

/** (x & mask) | bits, of which no compiler makes two instructions. */
__device__ __forceinline__ uint32_t maskedOver(uint32_t x, uint32_t mask, uint32_t bits) {
  uint32_t out;
  asm("lop3.b32 %0, %1, %2, %3, 0xea;" : "=r"(out) : "r"(x), "r"(mask), "r"(bits));
  return out;
}

/** a - b of two bf16 each; exact where both are whole numbers up to 256. */
__device__ __forceinline__ uint32_t differenceOf(uint32_t a, uint32_t b) {
  uint32_t out;
  asm("fma.rn.bf16x2 %0, %1, %2, %3;" : "=r"(out) : "r"(b), "r"(0xbf80bf80u), "r"(a));
  return out;
}

/**
 * The numbers in the lower bytes of two halves as bf16: a number below 128 behind the bits of
 * 128 is 128 more than itself, and so is the sign bit, which is worth 128 more.
 */
__device__ __forceinline__ uint32_t pairOfBytes(uint32_t x) {
  return differenceOf(maskedOver(x, 0x007f007fu, 0x43004300u),
                      maskedOver(x, 0x00800080u, 0x43004300u));
}

/** The eight numbers of a row that a lane has, as pairs of bf16. */
__device__ __forceinline__ void widenRow(const uint32_t (&words)[4], int row, uint32_t (&out)[4]) {
#pragma unroll
  for (int i = 0; i < 4; i++) {
    out[i] = pairOfBytes(words[2 * row + i / 2] >> 8 * (i % 2));
  }
}

/** The same of numbers of 4 bits, which are stored with 8 added. */
__device__ __forceinline__ void widenRow(const uint32_t (&words)[2], int row, uint32_t (&out)[4]) {
#pragma unroll
  for (int i = 0; i < 4; i++) {
    out[i] = differenceOf(maskedOver(words[row] >> 4 * i, 0x000f000fu, 0x43004300u), 0x43084308u);
  }
}

__device__ __forceinline__ float2 stepsOf(uint32_t steps) {
  return __half22float2(*(const __half2*)&steps);
}

/** d = a b, or d += a b where there is more than the first. */
template <bool FIRST>
__device__ __forceinline__ void product16x8x16(float (&d)[4], uint32_t a0, uint32_t a1, uint32_t a2,
                                               uint32_t a3, uint32_t b0, uint32_t b1) {
  asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
      "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%10, %11, %12, %13};"
      : "=f"(d[0]), "=f"(d[1]), "=f"(d[2]), "=f"(d[3])
      : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1), "f"(FIRST ? 0.f : d[0]),
        "f"(FIRST ? 0.f : d[1]), "f"(FIRST ? 0.f : d[2]), "f"(FIRST ? 0.f : d[3]));
}

/**
 * Where a warp of a block of threads is: sixteen slices of the blocks of a row, and so many tiles that
 * SLICES warps have a slice, and each of them SLICES of the slices.
 */
template <int BITS, int TILES, int COLUMNS, int SLICES>
struct PackedPlace {
  static constexpr int RECORD = packedBytes<BITS>();
  static constexpr int ROWS = 8 * COLUMNS;
  static constexpr int OUTPUTS = PACKED_ROWS * TILES * SLICES;  // of a block of threads
  int lane = threadIdx.x % WARP;
  int part = threadIdx.x / WARP / SLICES;  // of a row
  int column = threadIdx.x / WARP % SLICES * TILES;
  int blocks, tiles, firstRow, firstTile;

  __device__ __forceinline__ explicit PackedPlace(const PackedArgs& a) {
    int passes = (a.rows + ROWS - 1) / ROWS;
    blocks = a.cols / PACKED_BLOCK;
    tiles = (a.outputs + PACKED_ROWS - 1) / PACKED_ROWS;
    firstRow = (int)(blockIdx.x % passes) * ROWS;
    firstTile = (int)(blockIdx.x / passes) * TILES * SLICES;
  }

  /** First block of a slice of this warp; of the one behind the last, where it ends. */
  __device__ __forceinline__ int slice(int i) const {
    return blocks * (part * SLICES + i) / PACKED_SLICES;
  }

  /** What a lane reads of a tile first. Of tiles that are not there it is the last one. */
  __device__ __forceinline__ const char* weight(const PackedArgs& a, int j) const {
    int tile = min(firstTile + column + j, tiles - 1);
    return a.weight + ((int64_t)tile * blocks + slice(0)) * RECORD + 2 * BITS * lane;
  }
};

/**
 * Asks the cache for the first blocks that a warp will read. Weights never change, so this may come
 * before the kernel before has ended, while memory has less to do.
 */
template <int BITS, int TILES, int COLUMNS, int SLICES>
__device__ __forceinline__ void readAhead(const PackedArgs& a) {
  PackedPlace<BITS, TILES, COLUMNS, SLICES> place(a);
  int count = min(place.slice(SLICES) - place.slice(0), a.ahead);
  for (int j = 0; j < TILES; j++) {
    const char* at = place.weight(a, j);
    for (int b = 0; b < count; b++) {
      asm volatile("prefetch.global.L2 [%0];" ::"l"(at + b * place.RECORD));
    }
  }
}

/** What a lane reads of some blocks of its tiles: its numbers, and the steps of its rows. */
template <int BITS, int TILES, int DEPTH>
struct PackedPiece {
  static constexpr int RECORD = packedBytes<BITS>();
  uint32_t numbers[DEPTH][TILES][BITS / 2];
  uint32_t steps[DEPTH][TILES];

  /** Steps lie behind the numbers of all lanes. */
  __device__ __forceinline__ void load(const char* const (&from)[TILES], int stepsAt) {
#pragma unroll
    for (int u = 0; u < DEPTH; u++) {
#pragma unroll
      for (int j = 0; j < TILES; j++) {
        loadNumbers(from[j] + u * RECORD, numbers[u][j]);
        steps[u][j] = loadSteps(from[j] + stepsAt + u * RECORD);
      }
    }
  }

  /** A block of 32 elements is summed by two instructions, then multiplied by its step and added. */
  template <int COLUMNS>
  __device__ __forceinline__ void multiply(int u, const uint4 (&x)[COLUMNS],
                                           float (&sums)[TILES][COLUMNS][4]) const {
#pragma unroll
    for (int j = 0; j < TILES; j++) {
      uint32_t low[4], high[4];
      widenRow(numbers[u][j], 0, low);
      widenRow(numbers[u][j], 1, high);
      float2 step = stepsOf(steps[u][j]);
#pragma unroll
      for (int n = 0; n < COLUMNS; n++) {
        float d[4];
        product16x8x16<true>(d, low[0], high[0], low[1], high[1], x[n].x, x[n].y);
        product16x8x16<false>(d, low[2], high[2], low[3], high[3], x[n].z, x[n].w);
        sums[j][n][0] = __fmaf_rn(step.x, d[0], sums[j][n][0]);
        sums[j][n][1] = __fmaf_rn(step.x, d[1], sums[j][n][1]);
        sums[j][n][2] = __fmaf_rn(step.y, d[2], sums[j][n][2]);
        sums[j][n][3] = __fmaf_rn(step.y, d[3], sums[j][n][3]);
      }
    }
  }
};

/** Eight elements of each row of activations that a lane has. */
template <int COLUMNS>
__device__ __forceinline__ void loadRows(const bf16* const (&from)[COLUMNS], int offset,
                                         uint4 (&x)[COLUMNS]) {
#pragma unroll
  for (int n = 0; n < COLUMNS; n++) {
    x[n] = *(const uint4*)(from[n] + offset);
  }
}

/**
 * Adds the product of the next blocks. All of the weights are asked for before any is used, and so are
 * the activations, which come from a cache, where there are registers for them.
 */
template <int BITS, int TILES, int COLUMNS, int DEPTH>
__device__ __forceinline__ void addBlocks(const char* (&weight)[TILES], int stepsAt,
                                          const bf16* (&in)[COLUMNS],
                                          float (&sums)[TILES][COLUMNS][4]) {
  PackedPiece<BITS, TILES, DEPTH> piece;
  piece.load(weight, stepsAt);
  if (COLUMNS <= 2) {
    uint4 x[DEPTH][COLUMNS];
#pragma unroll
    for (int u = 0; u < DEPTH; u++) {
      loadRows(in, u * PACKED_BLOCK, x[u]);
    }
#pragma unroll
    for (int u = 0; u < DEPTH; u++) {
      piece.multiply(u, x[u], sums);
    }
  } else {
#pragma unroll
    for (int u = 0; u < DEPTH; u++) {
      uint4 x[COLUMNS];
      loadRows(in, u * PACKED_BLOCK, x);
      piece.multiply(u, x, sums);
    }
  }
#pragma unroll
  for (int j = 0; j < TILES; j++) {
    weight[j] += DEPTH * piece.RECORD;
  }
#pragma unroll
  for (int n = 0; n < COLUMNS; n++) {
    in[n] += DEPTH * PACKED_BLOCK;
  }
}

/**
 * Rows of weights are the rows of the matrix instruction, rows of activations its columns. A lane
 * takes eight neighbouring elements of a block from both, in the same order: sixteen bytes of
 * activations, and of the weights what lies for it in one piece.
 *
 * The blocks of a row are summed in sixteen slices; four slices are added one after the other, then
 * the four sums. So the order of a sum depends on the length of a row alone: not on how many rows
 * there are, where a row stands, or which kernel it is. Where there are enough tiles, warps take four
 * slices each and four share the same: these read the same activations, which are more than the
 * weights then, and find them in their multiprocessor's cache.
 */
template <int BITS, int TILES, int COLUMNS, int DEPTH, int SLICES>
__device__ __forceinline__ void packedProduct(const PackedArgs& a) {
  static_assert(SLICES == 1 || SLICES == 4, "slices are added in fours");
  typedef PackedPlace<BITS, TILES, COLUMNS, SLICES> Place;
  constexpr int PARTS = PACKED_SLICES / SLICES;
  constexpr int STRIDE = Place::OUTPUTS + 4;  // lanes of a warp write to different banks
  extern __shared__ float parts[];            // [part][row of eight][output]
  Place place(a);
  int group = place.lane / 4, quad = place.lane % 4;

  const char* weight[TILES];
#pragma unroll
  for (int j = 0; j < TILES; j++) {
    weight[j] = place.weight(a, j);
  }
  int stepsAt = 2 * BITS * (WARP - place.lane) + 4 * group;
  const bf16* in[COLUMNS];
#pragma unroll
  for (int n = 0; n < COLUMNS; n++) {
    // Rows that are not there are the last one, and not written.
    int row = min(place.firstRow + 8 * n + group, a.rows - 1);
    in[n] = a.in.data + row * a.in.stride + place.slice(0) * PACKED_BLOCK + 8 * quad;
  }

  float sums[TILES][COLUMNS][4];
  float before[TILES][COLUMNS][4];
#pragma unroll 1
  for (int i = 0; i < SLICES; i++) {
#pragma unroll
    for (int k = 0; k < TILES * COLUMNS * 4; k++) {
      sums[k / 4 / COLUMNS][k / 4 % COLUMNS][k % 4] = 0;
    }
    int left = place.slice(i + 1) - place.slice(i);
#pragma unroll 1
    for (; left >= DEPTH; left -= DEPTH) {
      addBlocks<BITS, TILES, COLUMNS, DEPTH>(weight, stepsAt, in, sums);
    }
#pragma unroll 1
    for (; left > 0; left--) {
      addBlocks<BITS, TILES, COLUMNS, 1>(weight, stepsAt, in, sums);
    }
    if (SLICES > 1) {
#pragma unroll
      for (int k = 0; k < TILES * COLUMNS * 4; k++) {
        float& sum = before[k / 4 / COLUMNS][k / 4 % COLUMNS][k % 4];
        float slice = sums[k / 4 / COLUMNS][k / 4 % COLUMNS][k % 4];
        sum = i == 0 ? slice : sum + slice;
      }
    }
  }

  float* own = parts + (place.part * 8 + 2 * quad) * STRIDE + PACKED_ROWS * place.column + group;
#pragma unroll
  for (int n = 0; n < COLUMNS; n++) {
    if (n > 0) {
      __syncthreads();  // what was there has been read
    }
#pragma unroll
    for (int j = 0; j < TILES; j++) {
      const float(&x)[4] = SLICES > 1 ? before[j][n] : sums[j][n];
      float* at = own + PACKED_ROWS * j;
      at[0] = x[0];
      at[STRIDE] = x[1];
      at[8] = x[2];
      at[STRIDE + 8] = x[3];
    }
    __syncthreads();
    for (int i = threadIdx.x; i < 8 * Place::OUTPUTS; i += PACKED_THREADS) {
      int row = place.firstRow + 8 * n + i / Place::OUTPUTS;
      int output = PACKED_ROWS * place.firstTile + i % Place::OUTPUTS;
      if (row < a.rows && output < a.outputs) {
        const float* part = parts + i / Place::OUTPUTS * STRIDE + i % Place::OUTPUTS;
        float sum = 0;
#pragma unroll
        for (int p = 0; p < PARTS; p += PARTS / 4) {
          float four = part[p * 8 * STRIDE];
#pragma unroll
          for (int k = 1; k < PARTS / 4; k++) {
            four += part[(p + k) * 8 * STRIDE];
          }
          sum = p == 0 ? four : sum + four;
        }
        char* out = a.out + row * a.outStride * a.outElementBytes;
        if (a.add) {
          sum += element(out, output, a.outElementBytes);
        }
        setElement(out, output, a.outElementBytes, sum);
      }
    }
  }
}

// Grid: (tiles / (T * S)) * (rows / (8 * C)), those of the same tiles beside each other, so that they
// read them from memory once. B bits a number, T tiles of a warp, C times 8 rows, D blocks read ahead,
// S slices of a warp, M blocks of threads on a multiprocessor.
#define PACKED_KERNEL(B, T, C, D, S, M)                                                              \
  extern "C" __global__ void __launch_bounds__(PACKED_THREADS, M) packed_##B##_##T##_##C##_##D##_##S(\
      PackedArgs a) {                                                                                \
    readAhead<B, T, C, S>(a);                                                                        \
    follow();                                                                                        \
    packedProduct<B, T, C, D, S>(a);                                                                 \
  }
#define PACKED_KERNELS(B)         \
  PACKED_KERNEL(B, 1, 1, 4, 1, 2) \
  PACKED_KERNEL(B, 2, 1, 2, 1, 2) \
  PACKED_KERNEL(B, 2, 2, 2, 1, 1) \
  PACKED_KERNEL(B, 1, 2, 4, 4, 1) \
  PACKED_KERNEL(B, 2, 2, 2, 4, 1) \
  PACKED_KERNEL(B, 2, 4, 2, 1, 1) \
  PACKED_KERNEL(B, 1, 4, 2, 4, 1) \
  PACKED_KERNEL(B, 1, 4, 4, 4, 1) \
  PACKED_KERNEL(B, 2, 4, 2, 4, 1)
PACKED_KERNELS(8)
PACKED_KERNELS(4)

/** Rows of a piece of a matrix as bf16, each element rounded once; a warp has some blocks of a tile. */
template <int BITS>
__device__ __forceinline__ void widenTiles(const WidenArgs& a) {
  constexpr int WORDS = BITS / 2;
  constexpr int RECORD = packedBytes<BITS>();
  int warp = threadIdx.x / WARP, lane = threadIdx.x % WARP;
  int blocks = a.cols / PACKED_BLOCK;
  int first = blockIdx.y * WIDEN_BLOCKS + warp;
  const char* tile = a.weight + (int64_t)blockIdx.x * blocks * RECORD;
  uint32_t numbers[WIDEN_BLOCKS / WIDEN_WARPS][WORDS];
  uint32_t steps[WIDEN_BLOCKS / WIDEN_WARPS];
#pragma unroll
  for (int u = 0; u < WIDEN_BLOCKS / WIDEN_WARPS; u++) {
    const char* record = tile + min(first + u * WIDEN_WARPS, blocks - 1) * RECORD;
    loadNumbers(record + 4 * WORDS * lane, numbers[u]);
    steps[u] = loadSteps(record + 4 * WORDS * WARP + lane / 4 * 4);
  }
  bf16* out = a.out + ((int64_t)blockIdx.x * PACKED_ROWS + lane / 4) * a.cols + lane % 4 * 8;
#pragma unroll
  for (int u = 0; u < WIDEN_BLOCKS / WIDEN_WARPS; u++) {
    int block = first + u * WIDEN_WARPS;
    if (block < blocks) {
      float2 step = stepsOf(steps[u]);
#pragma unroll
      for (int row = 0; row < 2; row++) {
        uint32_t pairs[4];
        widenRow(numbers[u], row, pairs);
        float by = row == 0 ? step.x : step.y;
#pragma unroll
        for (int i = 0; i < 4; i++) {
          __nv_bfloat162 pair = __floats2bfloat162_rn(__uint_as_float(pairs[i] << 16) * by,
                                                      __uint_as_float(pairs[i] & 0xffff0000u) * by);
          pairs[i] = *(uint32_t*)&pair;
        }
        *(uint4*)(out + (int64_t)row * 8 * a.cols + block * PACKED_BLOCK) =
            make_uint4(pairs[0], pairs[1], pairs[2], pairs[3]);
      }
    }
  }
}

// Grid: (tiles, blocks of a row / WIDEN_BLOCKS).
extern "C" __global__ void __launch_bounds__(WARP * WIDEN_WARPS) widen_8(WidenArgs a) {
  follow();
  widenTiles<8>(a);
}

extern "C" __global__ void __launch_bounds__(WARP * WIDEN_WARPS) widen_4(WidenArgs a) {
  follow();
  widenTiles<4>(a);
}

/** One element of a packed matrix. */
template <int BITS>
__device__ __forceinline__ float packedElement(const char* weight, int cols, int row, int i) {
  int64_t block = (int64_t)(row / PACKED_ROWS) * (cols / PACKED_BLOCK) + i / PACKED_BLOCK;
  const char* record = weight + block * packedBytes<BITS>();
  int lane = row % 8 * 4 + i % PACKED_BLOCK / 8;
  int half = row % PACKED_ROWS / 8, e = i % 8;
  const __half* steps = (const __half*)(record + packedBytes<BITS>() - 2 * PACKED_ROWS);
  int number;
  if (BITS == 8) {
    // Bytes 1 and 2 of a word have changed places.
    int byte = e % 4 == 1 ? 2 : e % 4 == 2 ? 1 : e % 4;
    number = ((const int8*)record)[16 * lane + 8 * half + e / 4 * 4 + byte];
  } else {
    uint32_t word = ((const uint32_t*)record)[2 * lane + half];
    number = (int)(word >> (e / 2 * 4 + e % 2 * 16) & 15) - 8;
  }
  return number * __half2float(steps[row % 8 * 2 + half]);
}
