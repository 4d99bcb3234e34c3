// Embedding, norms, rotation, MLP gate, and products that cuBLASLt has no kernel for.
#pragma once

#include "common.cuh"
#include "packed.cuh"

// Grid: rows. Of a table in several pieces each is launched: the first answers for tokens that no
// table has, each for those in its rows.
extern "C" __global__ void embed(EmbedArgs a) {
  follow();
  int row = blockIdx.x;
  int token = a.tokens[row];
  bf16* out = a.out.data + row * a.out.stride;
  if (token < 0 || token >= a.allRows) {
    if (a.firstRow != 0) {
      return;
    }
    if (token >= 0 && threadIdx.x == 0) {
      report(a.trouble, make_uint4(TROUBLE_TOKEN, row, token, a.allRows));
    }
    for (int i = threadIdx.x; i < a.cols; i += blockDim.x) {
      out[i] = narrow<bf16>(0.f);
    }
    return;
  }
  token -= a.firstRow;
  if (token < 0 || token >= a.tableRows) {
    return;
  }
  if (a.tableBits == 16) {
    const bf16* from = (const bf16*)a.table + (int64_t)token * a.cols;
    if (a.factor == 1.f) {
      copyBytes((char*)out, (const char*)from, 2 * a.cols, threadIdx.x, blockDim.x);
    } else {
      for (int i = threadIdx.x; i < a.cols; i += blockDim.x) {
        out[i] = narrow<bf16>(widen(from[i]) * a.factor);
      }
    }
    return;
  }
  for (int i = threadIdx.x; i < a.cols; i += blockDim.x) {
    float x = a.tableBits == 8   ? packedElement<8>((const char*)a.table, a.cols, token, i)
              : a.tableBits == 4 ? packedElement<4>((const char*)a.table, a.cols, token, i)
                                 : ((const float*)a.table)[(int64_t)token * a.cols + i];
    out[i] = narrow<bf16>(x * a.factor);
  }
}

// Grid: (heads, rows); head h of a row starts at element h * width. In place or not.
extern "C" __global__ void rmsNorm(NormArgs a) {
  follow();
  __shared__ float shared[WARP];
  const bf16* in = a.in.data + blockIdx.y * a.in.stride + (int64_t)blockIdx.x * a.width;
  bf16* out = a.out.data + blockIdx.y * a.out.stride + (int64_t)blockIdx.x * a.width;
  bool aligned = ((uintptr_t)in | (uintptr_t)out) % 16 == 0;
  float sum = 0;
  for (int i = 8 * threadIdx.x; i < a.width; i += 8 * blockDim.x) {
    float x[8];
    load8(in + i, a.width - i, aligned, x);
#pragma unroll
    for (int k = 0; k < 8; k++) {
      sum += x[k] * x[k];
    }
  }
  float factor = 1.f / sqrtf(blockSum(sum, shared) / a.width + a.epsilon);
  for (int i = 8 * threadIdx.x; i < a.width; i += 8 * blockDim.x) {
    float x[8];
    int n = min(8, a.width - i);
    load8(in + i, n, aligned, x);
    if (aligned && n == 8) {
      bf16 packed[8];
#pragma unroll
      for (int k = 0; k < 8; k++) {
        packed[k] = narrow<bf16>(x[k] * factor * a.gain[i + k]);
      }
      *(uint4*)(out + i) = *(const uint4*)packed;
    } else {
      for (int k = 0; k < n; k++) {
        out[i + k] = narrow<bf16>(widen(in[i + k]) * factor * a.gain[i + k]);
      }
    }
  }
}

// Grid: (blocks over width, rows).
extern "C" __global__ void addBias(BiasArgs a) {
  follow();
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < a.width) {
    bf16* x = a.x.data + blockIdx.y * a.x.stride + i;
    *x = narrow<bf16>(widen(*x) + a.bias[i]);
  }
}

// Grid: (blocks over width, rows).
extern "C" __global__ void add(AddArgs a) {
  follow();
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < a.width) {
    bf16* out = a.out.data + blockIdx.y * a.out.stride + i;
    *out = narrow<bf16>(widen(*out) + widen(a.x.data[blockIdx.y * a.x.stride + i]));
  }
}

// Grid: rows. Double precision, rounded once.
extern "C" __global__ void angles(const __grid_constant__ AnglesArgs a) {
  follow();
  double position = a.positions[blockIdx.x];
  double magnitude = a.magnitude;
  if (a.growth != 0.f) {
    magnitude *= 1. + a.growth * log1p((double)(a.positions[blockIdx.x] / a.period));
  }
  float* out = a.out + 2ll * blockIdx.x * a.pairs;
  for (int i = threadIdx.x; i < a.pairs; i += blockDim.x) {
    double angle = position * a.inverseFrequencies[i];
    double sine, cosine;
    sincos(angle, &sine, &cosine);
    out[2 * i] = (float)(cosine * magnitude);
    out[2 * i + 1] = (float)(sine * magnitude);
  }
}

// Grid: (blocks over heads * pairs, rows).
extern "C" __global__ void rotate(RotateArgs a) {
  follow();
  int index = blockIdx.x * blockDim.x + threadIdx.x;
  if (index >= a.heads * a.pairs) {
    return;
  }
  int head = index / a.pairs, i = index % a.pairs;
  bf16* x = a.x.data + blockIdx.y * a.x.stride + head * a.headDim;
  const float* angle = a.angles + 2 * ((int64_t)blockIdx.y * a.pairs + i);
  bf16* first = x + (a.interleaved ? 2 * i : i);
  bf16* second = x + (a.interleaved ? 2 * i + 1 : i + a.pairs);
  float p = widen(*first), q = widen(*second), cosine = angle[0], sine = angle[1];
  *first = narrow<bf16>(p * cosine - q * sine);
  *second = narrow<bf16>(q * cosine + p * sine);
}

__device__ __forceinline__ float silu(float x) { return x / (1.f + expf(-x)); }

// Grid: (blocks over width / 8, rows). In place or not.
extern "C" __global__ void siluMultiply(SiluArgs a) {
  follow();
  int i = 8 * (blockIdx.x * blockDim.x + threadIdx.x);
  int n = min(8, a.width - i);
  if (n <= 0) {
    return;
  }
  const bf16* gate = a.gate.data + blockIdx.y * a.gate.stride + i;
  const bf16* up = a.up.data + blockIdx.y * a.up.stride + i;
  bf16* out = a.out.data + blockIdx.y * a.out.stride + i;
  bool aligned = ((uintptr_t)gate | (uintptr_t)up | (uintptr_t)out) % 16 == 0;
  float g[8], u[8];
  load8(gate, n, aligned, g);
  load8(up, n, aligned, u);
  if (aligned && n == 8) {
    bf16 packed[8];
#pragma unroll
    for (int k = 0; k < 8; k++) {
      packed[k] = narrow<bf16>(silu(g[k]) * u[k]);
    }
    *(uint4*)out = *(const uint4*)packed;
  } else {
#pragma unroll
    for (int k = 0; k < 8; k++) {
      if (k < n) {
        out[k] = narrow<bf16>(silu(g[k]) * u[k]);
      }
    }
  }
}

// Grid: (outputs / warps of a block, rows); one warp for each output. For shapes that cuBLASLt has
// no algorithm for: odd sizes and strides, vectors.
extern "C" __global__ void multiply(MultiplyArgs a) {
  follow();
  int output = blockIdx.x * (blockDim.x / WARP) + threadIdx.x / WARP;
  int lane = threadIdx.x % WARP;
  if (output >= a.outputs) {
    return;
  }
  const bf16* in = a.in.data + blockIdx.y * a.in.stride;
  const char* weight = (const char*)a.weight + (int64_t)output * a.cols * a.weightElementBytes;
  float sum = 0;
  for (int i = lane; i < a.cols; i += WARP) {
    sum += element(weight, i, a.weightElementBytes) * widen(in[i]);
  }
  sum = warpSum(sum);
  if (lane == 0) {
    char* out = a.out + blockIdx.y * a.outStride * a.outElementBytes;
    if (a.add) {
      sum += element(out, output, a.outElementBytes);
    }
    setElement(out, output, a.outElementBytes, sum);
  }
}
