package dev.kvdrive.cpu;

import dev.kvdrive.cpu.ThreadScratch.Use;
import dev.kvdrive.device.AttentionShape;
import dev.kvdrive.device.Bfloat16;
import dev.kvdrive.plan.KvType;
import dev.kvdrive.plan.TwoBitSummary;

/** Rotated keys of two bits an element. */
record TwoBitSummaries(TwoBitSummary format, KvType type) implements Summaries {
  private static final int BLOCK = TokenSums.BLOCK;

  @Override
  public void write(KeyRow rows, long target, boolean first, ThreadScratch scratch) {
    int headDim = format.headDim();
    int block = format.rotationBlock();
    int padded = KvRows.padded(headDim);
    long keys = scratch.floats(Use.KEYS, padded);
    for (int t = 0; t < format.chunk(); t++) {
      KvRows.widen(type, rows.at(t), 1, headDim, keys, padded);
      TwoBitKeys.rotate(keys, headDim, block);
      long codes = target + (long) t * format.codeBytes();
      float cell = TwoBitKeys.encode(keys, headDim, codes, format.codeBytes());
      Memory.putShort(target + format.stepOffset() + 2L * t, Bfloat16.round(cell / block));
    }
  }

  @Override
  public void products(
      AttentionShape shape,
      long queries,
      long summaries,
      int count,
      long products,
      long stride,
      ThreadScratch scratch) {
    int group = shape.groupSize();
    int headDim = shape.headDim();
    int padded = KvRows.padded(headDim);
    long scaled = scratch.floats(Use.QUERIES, (long) group * padded);
    for (int g = 0; g < group; g++) {
      StepAttention.scale(
          queries + 4L * g * headDim, headDim, shape.scale(), scaled + 4L * g * padded, padded);
      TwoBitKeys.rotate(scaled + 4L * g * padded, headDim, format.rotationBlock());
    }
    int tokens = format.chunk();
    // The keys of one token of each chunk of a block, and of all its tokens the steps and products.
    long keys = scratch.floats(Use.KEYS, (long) BLOCK * padded);
    long steps = scratch.floats(Use.VALUES, (long) tokens * BLOCK);
    long ofQuery = (long) tokens * BLOCK + Lanes.N;
    long ofTokens = scratch.floats(Use.SUMS, group * ofQuery);
    for (int chunk = 0; chunk < count; chunk += BLOCK) {
      int some = Math.min(BLOCK, count - chunk);
      for (int t = 0; t < tokens; t++) {
        for (int c = 0; c < some; c++) {
          long from = summaries + (long) (chunk + c) * format.bytes();
          TwoBitKeys.decode(
              from + (long) t * format.codeBytes(), headDim, keys + 4L * c * padded, padded);
          short step = Memory.getShort(from + format.stepOffset() + 2L * t);
          Memory.putFloat(steps + 4L * (t * BLOCK + c), Bfloat16.widen(step));
        }
        for (int g = 0; g < group; g++) {
          KvRows.products(
              scaled + 4L * g * padded,
              keys,
              some,
              padded,
              ofTokens + 4 * (g * ofQuery + (long) t * BLOCK));
        }
      }
      for (int g = 0; g < group; g++) {
        long own = ofTokens + 4L * g * ofQuery;
        takeSteps(own, steps, tokens, some);
        TokenSums.logSumExp(own, tokens, some, products + g * stride + 4L * chunk);
      }
    }
  }

  /** Multiplies the products of the chunks of a block with the steps of their tokens. */
  private static void takeSteps(long products, long steps, int tokens, int count) {
    for (int t = 0; t < tokens; t++) {
      for (long c = 0; c < 4L * count; c += 4L * Lanes.N) {
        long at = 4L * t * BLOCK + c;
        Lanes.store(Lanes.load(products + at).mul(Lanes.load(steps + at)), products + at);
      }
    }
  }
}
