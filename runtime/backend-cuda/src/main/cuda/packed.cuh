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
 * The eight numbers of a row that a lane has, as pairs of bf16: a number below 128 behind the bits of
 * 128 is 128 more than itself, and so is the sign bit, which is worth 128 more.
 */
__device__ __forceinline__ void widenRow(const uint32_t (&words)[4], int row, uint32_t (&out)[4]) {
#pragma unroll
  for (int i = 0; i < 4; i++) {
    uint32_t x = words[2 * row + i / 2] >> 8 * (i % 2);
    out[i] = differenceOf(maskedOver(x, 0x007f007fu, 0x43004300u),
                          maskedOver(x, 0x00800080u, 0x43004300u));
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

/** The blocks of a row that the warps of a block of threads share: what this one has of them. */
__device__ __forceinline__ int firstOfWarp(int blocks, int warp) {
  return blocks * warp / PACKED_WARPS;
}

/**
 * Asks the cache for the first blocks that a warp will read. Weights never change, so this may come
 * before the kernel before has ended, while memory has less to do.
 */
template <int BITS, int TILES, int COLUMNS>
__device__ __forceinline__ void readAhead(const PackedArgs& a) {
  int warp = threadIdx.x / WARP, lane = threadIdx.x % WARP;
  int passes = (a.rows + 8 * COLUMNS - 1) / (8 * COLUMNS);
  int firstTile = (int)(blockIdx.x / passes) * TILES;
  int tiles = (a.outputs + PACKED_ROWS - 1) / PACKED_ROWS;
  int blocks = a.cols / PACKED_BLOCK;
  int from = firstOfWarp(blocks, warp);
  int to = from + min(firstOfWarp(blocks, warp + 1) - from, a.ahead);
  for (int j = 0; j < TILES; j++) {
    const char* at = a.weight +
                     ((int64_t)min(firstTile + j, tiles - 1) * blocks + from) * packedBytes<BITS>() +
                     2 * BITS * lane;
    for (int b = from; b < to; b++, at += packedBytes<BITS>()) {
      asm volatile("prefetch.global.L2 [%0];" ::"l"(at));
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
 * Warps share the blocks of a row by their number, and what they have is added in the order of the
 * warps. So the order of a sum depends on the length of a row alone: not on how many rows there are,
 * where a row stands, or how many tiles a block of threads has.
 */
template <int BITS, int TILES, int COLUMNS, int DEPTH>
__device__ __forceinline__ void packedProduct(const PackedArgs& a) {
  constexpr int RECORD = packedBytes<BITS>();
  constexpr int OUTPUTS = PACKED_ROWS * TILES;
  constexpr int ROWS = 8 * COLUMNS;
  constexpr int STRIDE = OUTPUTS + 4;  // lanes of a warp write to different banks
  extern __shared__ float parts[];     // [warp][row of eight][output]
  int warp = threadIdx.x / WARP, lane = threadIdx.x % WARP;
  int group = lane / 4, quad = lane % 4;
  int passes = (a.rows + ROWS - 1) / ROWS;
  int firstRow = (int)(blockIdx.x % passes) * ROWS;
  int firstTile = (int)(blockIdx.x / passes) * TILES;
  int tiles = (a.outputs + PACKED_ROWS - 1) / PACKED_ROWS;
  int blocks = a.cols / PACKED_BLOCK;
  int from = firstOfWarp(blocks, warp), to = firstOfWarp(blocks, warp + 1);

  // Of tiles that are not there the last one is computed again, and not written; so are rows.
  const char* weight[TILES];
#pragma unroll
  for (int j = 0; j < TILES; j++) {
    weight[j] = a.weight + ((int64_t)min(firstTile + j, tiles - 1) * blocks + from) * RECORD +
                2 * BITS * lane;
  }
  int stepsAt = 2 * BITS * (WARP - lane) + 4 * group;
  const bf16* in[COLUMNS];
#pragma unroll
  for (int n = 0; n < COLUMNS; n++) {
    int row = min(firstRow + 8 * n + group, a.rows - 1);
    in[n] = a.in.data + row * a.in.stride + from * PACKED_BLOCK + 8 * quad;
  }

  float sums[TILES][COLUMNS][4] = {};
  int left = to - from;
#pragma unroll 1
  for (; left >= DEPTH; left -= DEPTH) {
    addBlocks<BITS, TILES, COLUMNS, DEPTH>(weight, stepsAt, in, sums);
  }
#pragma unroll 1
  for (; left > 0; left--) {
    addBlocks<BITS, TILES, COLUMNS, 1>(weight, stepsAt, in, sums);
  }

  float* own = parts + warp * 8 * STRIDE + 2 * quad * STRIDE + group;
#pragma unroll
  for (int n = 0; n < COLUMNS; n++) {
    if (n > 0) {
      __syncthreads();  // what was there has been read
    }
#pragma unroll
    for (int j = 0; j < TILES; j++) {
      float* at = own + PACKED_ROWS * j;
      at[0] = sums[j][n][0];
      at[STRIDE] = sums[j][n][1];
      at[8] = sums[j][n][2];
      at[STRIDE + 8] = sums[j][n][3];
    }
    __syncthreads();
    for (int i = threadIdx.x; i < 8 * OUTPUTS; i += PACKED_THREADS) {
      int r = firstRow + 8 * n + i / OUTPUTS, output = PACKED_ROWS * firstTile + i % OUTPUTS;
      if (r < a.rows && output < a.outputs) {
        const float* part = parts + i / OUTPUTS * STRIDE + i % OUTPUTS;
        float sum = 0;
#pragma unroll
        for (int w = 0; w < PACKED_WARPS; w++) {
          sum += part[w * 8 * STRIDE];
        }
        char* out = a.out + r * a.outStride * a.outElementBytes;
        if (a.add) {
          sum += element(out, output, a.outElementBytes);
        }
        setElement(out, output, a.outElementBytes, sum);
      }
    }
  }
}

// Grid: (tiles / T) * (rows / (8 * C)), those of the same tiles beside each other, so that they read
// them from memory once. B bits a number, T tiles and C times 8 rows of a block of threads, D blocks
// read ahead, M blocks of threads on a multiprocessor.
#define PACKED_KERNEL(B, T, C, D, M)                                                         \
  extern "C" __global__ void __launch_bounds__(PACKED_THREADS, M) packed_##B##_##T##_##C##_##D( \
      PackedArgs a) {                                                                        \
    readAhead<B, T, C>(a);                                                                   \
    follow();                                                                                \
    packedProduct<B, T, C, D>(a);                                                            \
  }
#define PACKED_KERNELS(B)     \
  PACKED_KERNEL(B, 1, 1, 4, 2) \
  PACKED_KERNEL(B, 2, 1, 2, 2) \
  PACKED_KERNEL(B, 2, 1, 4, 1) \
  PACKED_KERNEL(B, 4, 1, 2, 1) \
  PACKED_KERNEL(B, 1, 2, 4, 1) \
  PACKED_KERNEL(B, 2, 2, 2, 1) \
  PACKED_KERNEL(B, 4, 2, 1, 1) \
  PACKED_KERNEL(B, 1, 4, 2, 1) \
  PACKED_KERNEL(B, 2, 4, 2, 1) \
  PACKED_KERNEL(B, 4, 4, 1, 1)
PACKED_KERNELS(8)
PACKED_KERNELS(4)

/** Rows of a piece of a matrix as bf16, each element rounded once, one warp for each block. */
template <int BITS>
__device__ __forceinline__ void widenTiles(const WidenArgs& a) {
  constexpr int WORDS = BITS / 2;
  int lane = threadIdx.x % WARP;
  int64_t at = (int64_t)blockIdx.x * (blockDim.x / WARP) + threadIdx.x / WARP;
  int blocks = a.cols / PACKED_BLOCK;
  if (at >= (int64_t)a.tiles * blocks) {
    return;
  }
  const char* record = a.weight + at * packedBytes<BITS>();
  uint32_t numbers[WORDS];
  loadNumbers(record + 4 * WORDS * lane, numbers);
  float2 steps = stepsOf(loadSteps(record + 4 * WORDS * WARP + lane / 4 * 4));
  bf16* out = a.out + (at / blocks * PACKED_ROWS + lane / 4) * a.cols + at % blocks * PACKED_BLOCK +
              lane % 4 * 8;
#pragma unroll
  for (int row = 0; row < 2; row++) {
    uint32_t pairs[4];
    widenRow(numbers, row, pairs);
    float step = row == 0 ? steps.x : steps.y;
#pragma unroll
    for (int i = 0; i < 4; i++) {
      pairs[i] = pairOf(__uint_as_float(pairs[i] << 16) * step,
                        __uint_as_float(pairs[i] & 0xffff0000u) * step);
    }
    *(uint4*)(out + (int64_t)row * 8 * a.cols) = make_uint4(pairs[0], pairs[1], pairs[2], pairs[3]);
  }
}

// Grid: blocks of tiles / warps of a block of threads.
extern "C" __global__ void widen_8(WidenArgs a) {
  follow();
  widenTiles<8>(a);
}

extern "C" __global__ void widen_4(WidenArgs a) {
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
