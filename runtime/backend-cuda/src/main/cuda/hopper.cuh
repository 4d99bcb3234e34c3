// Dense causal attention of a block of prompt tokens on the tensor cores of compute capability 9.0: a
// thread has tiles of keys and values copied into shared memory as room becomes free, warpgroups
// multiply them from there. As in prefill.cuh no row's arithmetic depends on the other rows.
#pragma once

#include "prefill.cuh"

#if !defined(__CUDA_ARCH__) || defined(__CUDA_ARCH_FEAT_SM90_ALL)

#define WARPGROUP (4 * WARP)

/** Bytes of a row of a panel: 64 elements, as wide as the swizzle that copies and products share. */
#define PANEL_ROW 128

__device__ __forceinline__ void initBarrier(uint32_t barrier, int arrivals) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(barrier), "r"(arrivals));
}

__device__ __forceinline__ void arrive(uint32_t barrier) {
  asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(barrier) : "memory");
}

__device__ __forceinline__ void expectBytes(uint32_t barrier, int bytes) {
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(barrier), "r"(bytes)
               : "memory");
}

/** Waits until the phase with this parity is over. */
__device__ __forceinline__ void awaitPhase(uint32_t barrier, int parity) {
  asm volatile(
      "{\n"
      ".reg .pred done;\n"
      "again:\n"
      "mbarrier.try_wait.parity.shared::cta.b64 done, [%0], %1;\n"
      "@!done bra again;\n"
      "}" ::"r"(barrier),
      "r"(parity)
      : "memory");
}

/** Has a panel of rows copied; what the map does not have is 0. */
__device__ __forceinline__ void copyPanel(uint32_t to, const char* map, int element, int token,
                                          int plane, uint32_t barrier) {
  asm volatile(
      "cp.async.bulk.tensor.3d.shared::cluster.global.tile.mbarrier::complete_tx::bytes "
      "[%0], [%1, {%2, %3, %4}], [%5];" ::"r"(to),
      "l"(map), "r"(element), "r"(token), "r"(plane), "r"(barrier)
      : "memory");
}

/**
 * Where a product finds a matrix of panels in shared memory: groups of eight rows lie behind each
 * other, the next 64 columns panelBytes further, which only a transposed matrix needs to know.
 */
__device__ __forceinline__ uint64_t matrixAt(uint32_t address, int panelBytes) {
  return (uint64_t)(address >> 4 & 0x3fff) | (uint64_t)(panelBytes >> 4) << 16 |
         (uint64_t)(8 * PANEL_ROW >> 4) << 32 | 1ull << 62;
}

__device__ __forceinline__ void beginProducts() {
  asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
}

__device__ __forceinline__ void commitProducts() {
  asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
}

/** Waits until no more than so many groups of products are under way. */
template <int N>
__device__ __forceinline__ void awaitProducts() {
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(N) : "memory");
}

#define D4(d, i) "+f"(d[i][0]), "+f"(d[i][1]), "+f"(d[i][2]), "+f"(d[i][3])
#define D32(d, i)                                                                                 \
  D4(d, i), D4(d, i + 1), D4(d, i + 2), D4(d, i + 3), D4(d, i + 4), D4(d, i + 5), D4(d, i + 6), \
      D4(d, i + 7)
#define R32 "%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15,%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,%28,%29,%30,%31"
#define R48 R32 ",%32,%33,%34,%35,%36,%37,%38,%39,%40,%41,%42,%43,%44,%45,%46,%47"
#define R64 R48 ",%48,%49,%50,%51,%52,%53,%54,%55,%56,%57,%58,%59,%60,%61,%62,%63"

/** d (+)= a b of 64 x 16 and 16 x 128, a and the columns of b in shared memory. */
__device__ __forceinline__ void multiplyKeys(float (&d)[16][4], uint64_t a, uint64_t b, int add) {
  asm volatile(
      "{\n"
      ".reg .pred p;\n"
      "setp.ne.b32 p, %66, 0;\n"
      "wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 {" R64 "}, %64, %65, p, 1, 1, 0, 0;\n"
      "}"
      : D32(d, 0), D32(d, 8)
      : "l"(a), "l"(b), "r"(add));
}

#define MULTIPLY_VALUES(N, REGISTERS, A0, A1, A2, A3, B, ...)                                     \
  asm volatile("wgmma.mma_async.sync.aligned.m64n" #N "k16.f32.bf16.bf16 {" REGISTERS "}, {" A0   \
               "," A1 "," A2 "," A3 "}, " B ", 1, 1, 1, 1;"                                       \
               : __VA_ARGS__                                                                      \
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b))

/** d += a b of 64 x 16 and 16 x N, a in registers, the rows of b in shared memory. */
__device__ __forceinline__ void multiplyValues(float (&d)[8][4], const uint32_t (&a)[4],
                                               uint64_t b) {
  MULTIPLY_VALUES(64, R32, "%32", "%33", "%34", "%35", "%36", D32(d, 0));
}
__device__ __forceinline__ void multiplyValues(float (&d)[12][4], const uint32_t (&a)[4],
                                               uint64_t b) {
  MULTIPLY_VALUES(96, R48, "%48", "%49", "%50", "%51", "%52", D32(d, 0), D4(d, 8), D4(d, 9),
                  D4(d, 10), D4(d, 11));
}
__device__ __forceinline__ void multiplyValues(float (&d)[16][4], const uint32_t (&a)[4],
                                               uint64_t b) {
  MULTIPLY_VALUES(128, R64, "%64", "%65", "%66", "%67", "%68", D32(d, 0), D32(d, 8));
}

/** Writes the queries of a warpgroup into panels. */
template <int D>
__device__ __forceinline__ void stageQueries(const CausalArgs& a, int head, int first, char* to) {
  int headDim = a.layer.headDim;
  const bf16* from = a.query.data + first * a.query.stride + (int64_t)head * headDim;
  bool aligned = ((uintptr_t)from | (2 * a.query.stride)) % 16 == 0;
  for (int i = threadIdx.x % WARPGROUP; i < 64 * D / 8; i += WARPGROUP) {
    int row = i / (D / 8), eighth = i % (D / 8);
    int n = first + row < a.rows ? min(8, headDim - 8 * eighth) : 0;
    const bf16* source = from + row * a.query.stride + 8 * eighth;
    uint4 words = make_uint4(0, 0, 0, 0);
    if (n > 0) {
      if (aligned) {
        words = *(const uint4*)source;
      } else {
        bf16 eight[8];
#pragma unroll
        for (int e = 0; e < 8; e++) {
          eight[e] = source[e];
        }
        words = *(const uint4*)eight;
      }
    }
    *(uint4*)(to + eighth / 8 * 64 * PANEL_ROW + row * PANEL_ROW + 16 * (eighth % 8 ^ row % 8)) =
        words;
  }
}

/** The scores of a tile of keys are under way when it returns. */
template <int D>
__device__ __forceinline__ void multiplyTile(float (&scores)[WIDE_KEYS / 8][4], uint32_t queries,
                                             uint32_t keys) {
  beginProducts();
#pragma unroll
  for (int k = 0; k < D / 16; k++) {
    multiplyKeys(scores, matrixAt(queries + k / 4 * 64 * PANEL_ROW + k % 4 * 32, 16),
                 matrixAt(keys + k / 4 * WIDE_KEYS * PANEL_ROW + k % 4 * 32, 16), k > 0);
  }
  commitProducts();
}

/** The products of weights with a tile of values are under way when it returns. */
template <int D>
__device__ __forceinline__ void addValues(float (&out)[D / 8][4],
                                          const uint32_t (&weights)[WIDE_KEYS / 16][4],
                                          uint32_t values) {
  beginProducts();
#pragma unroll
  for (int k = 0; k < WIDE_KEYS / 16; k++) {
    multiplyValues(out, weights[k], matrixAt(values + k * 16 * PANEL_ROW, WIDE_KEYS * PANEL_ROW));
  }
  commitProducts();
}

/**
 * The first warpgroup copies, each of the others has 64 queries. While the scores of a tile are
 * multiplied and weighed, the values of the tile before are added; and warpgroups take turns (TURNS),
 * so that one multiplies while the other weighs.
 */
template <int D, int GROUPS, bool TURNS>
__device__ __forceinline__ void causalWide(const CausalArgs& a) {
  constexpr int QUERIES = 64 * GROUPS;
  constexpr int PANELS = (D + 63) / 64;
  constexpr int TILE_BYTES = PANELS * WIDE_KEYS * PANEL_ROW;
  extern __shared__ char wide[];
  __shared__ uint64_t barriers[4 * WIDE_STAGES];
  uint32_t base = (uint32_t)__cvta_generic_to_shared(wide);
  uint32_t aligned = (base + 1023) / 1024 * 1024;
  uint32_t keys = aligned + PANELS * QUERIES * PANEL_ROW;
  uint32_t values = keys + WIDE_STAGES * TILE_BYTES;
  uint32_t barrier = (uint32_t)__cvta_generic_to_shared(barriers);
  auto keysCame = [&](int stage) { return barrier + 8 * stage; };
  auto keysLeft = [&](int stage) { return barrier + 8 * (WIDE_STAGES + stage); };
  auto valuesCame = [&](int stage) { return barrier + 8 * (2 * WIDE_STAGES + stage); };
  auto valuesLeft = [&](int stage) { return barrier + 8 * (3 * WIDE_STAGES + stage); };
  int head = blockIdx.x;
  int first = (gridDim.y - 1 - blockIdx.y) * QUERIES;  // the longest rows begin first
  int tiles = (a.start + min(first + QUERIES, a.rows) + WIDE_KEYS - 1) / WIDE_KEYS;
  if (threadIdx.x == 0) {
    for (int s = 0; s < WIDE_STAGES; s++) {
      initBarrier(keysCame(s), 1);
      initBarrier(valuesCame(s), 1);
      initBarrier(keysLeft(s), 4 * GROUPS);
      initBarrier(valuesLeft(s), 4 * GROUPS);
    }
    asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
  }
  __syncthreads();
  if (threadIdx.x < WARPGROUP) {
    asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(GROUPS == 3 ? 32 : 24));
    if (threadIdx.x == 0) {
      int plane = 2 * (head / (a.heads / a.layer.kvHeads));
      for (int t = 0; t < tiles; t++) {
        int stage = t % WIDE_STAGES, parity = t / WIDE_STAGES % 2;
        awaitPhase(keysLeft(stage), parity ^ 1);
        expectBytes(keysCame(stage), TILE_BYTES);
        for (int p = 0; p < PANELS; p++) {
          copyPanel(keys + stage * TILE_BYTES + p * WIDE_KEYS * PANEL_ROW, a.map, 64 * p,
                    t * WIDE_KEYS, plane, keysCame(stage));
        }
        awaitPhase(valuesLeft(stage), parity ^ 1);
        expectBytes(valuesCame(stage), TILE_BYTES);
        for (int p = 0; p < PANELS; p++) {
          copyPanel(values + stage * TILE_BYTES + p * WIDE_KEYS * PANEL_ROW, a.map, 64 * p,
                    t * WIDE_KEYS, plane + 1, valuesCame(stage));
        }
      }
    }
  } else {
    asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(GROUPS == 3 ? 160 : 240));
    int group = threadIdx.x / WARPGROUP - 1;
    int lane = threadIdx.x % WARP;
    int firstOfGroup = first + 64 * group;
    uint32_t queries = aligned + group * PANELS * 64 * PANEL_ROW;
    stageQueries<D>(a, head, firstOfGroup, wide + (queries - base));
    asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
    asm volatile("bar.sync %0, %1;" ::"r"(1 + group), "n"(WARPGROUP) : "memory");
    int row = firstOfGroup + threadIdx.x % WARPGROUP / WARP * 16 + lane / 4;  // the lane's first
    float factor = a.scale * LOG2_E;
    float scores[WIDE_KEYS / 8][4], out[D / 8][4] = {};
    uint32_t weights[WIDE_KEYS / 16][4];
    float most[2] = {-INFINITY, -INFINITY}, sum[2] = {}, keep[2];
    auto myTurn = [&]() {
      if (TURNS) {
        asm volatile("bar.sync %0, %1;" ::"r"(8 + group), "n"(2 * WARPGROUP) : "memory");
      }
    };
    auto nextsTurn = [&]() {
      if (TURNS) {
        asm volatile("bar.arrive %0, %1;" ::"r"(8 + (group + 1) % GROUPS), "n"(2 * WARPGROUP)
                     : "memory");
      }
    };
    auto weigh = [&](int t) {
      if (t * WIDE_KEYS + WIDE_KEYS - 1 > a.start + firstOfGroup) {
        maskTile(scores, t * WIDE_KEYS, a.start + row);
      }
      weighTile(scores, most, sum, keep, factor);
    };
    auto pack = [&]() {
#pragma unroll
      for (int k = 0; k < WIDE_KEYS / 16; k++) {
        packWeights(weights[k], scores, k);
      }
    };
    if (group == GROUPS - 1) {
      nextsTurn();  // the first begins
    }
    myTurn();
    awaitPhase(keysCame(0), 0);
    multiplyTile<D>(scores, queries, keys);
    nextsTurn();
    awaitProducts<0>();
    if (lane == 0) {
      arrive(keysLeft(0));
    }
    weigh(0);
    pack();
    for (int t = 1; t < tiles; t++) {
      int stage = t % WIDE_STAGES, before = (t - 1) % WIDE_STAGES;
      awaitPhase(keysCame(stage), t / WIDE_STAGES % 2);
      myTurn();
      multiplyTile<D>(scores, queries, keys + stage * TILE_BYTES);
      awaitPhase(valuesCame(before), (t - 1) / WIDE_STAGES % 2);
      addValues<D>(out, weights, values + before * TILE_BYTES);
      nextsTurn();
      awaitProducts<1>();
      if (lane == 0) {
        arrive(keysLeft(stage));
      }
      weigh(t);
      awaitProducts<0>();
      if (lane == 0) {
        arrive(valuesLeft(before));
      }
      scaleTile(out, keep);
      pack();
    }
    int last = (tiles - 1) % WIDE_STAGES;
    awaitPhase(valuesCame(last), (tiles - 1) / WIDE_STAGES % 2);
    addValues<D>(out, weights, values + last * TILE_BYTES);
    awaitProducts<0>();
    if (TURNS && group == 0) {
      myTurn();  // takes what the last has given on
    }
    storeTile(a, head, row, out, sum);
  }
}

// Grid: (heads, tiles of queries).
#define WIDE_KERNEL(D, GROUPS, TURNS)                                                       \
  extern "C" __global__ void __launch_bounds__((GROUPS + 1) * WARPGROUP, 1) causal_wide_##D( \
      const __grid_constant__ CausalArgs a) {                                               \
    follow();                                                                               \
    causalWide<D, GROUPS, TURNS>(a);                                                        \
  }
WIDE_KERNEL(64, 3, false)
WIDE_KERNEL(96, 2, true)
WIDE_KERNEL(128, 2, false)

#endif
