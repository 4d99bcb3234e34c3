package dev.kvdrive.cpu;

import dev.kvdrive.cpu.ThreadScratch.Use;
import dev.kvdrive.device.AttentionShape;
import dev.kvdrive.device.Bfloat16;
import dev.kvdrive.plan.KvType;
import dev.kvdrive.plan.TwoBitSummary;

/**
 * Rotated keys of two bits an element.
 *
 * @param order of the words of a summary
 */
record TwoBitSummaries(TwoBitSummary format, KvType type, NibbleKernels.Order order)
    implements Summaries {
  private static final int BLOCK = NibbleKernels.BLOCK;

  TwoBitSummaries(TwoBitSummary format, KvType type) {
    this(
        format,
        type,
        NibbleKernels.Order.byToken(format.chunk(), format.codeBytes() / Integer.BYTES));
  }

  @Override
  public void write(long[] rows, long target, boolean first, ThreadScratch scratch) {
    int headDim = format.headDim();
    int block = format.rotationBlock();
    int padded = KvRows.padded(headDim);
    long keys = scratch.floats(Use.KEYS, padded);
    for (int t = 0; t < format.chunk(); t++) {
      KvRowKernels.widen(type, rows[t], 1, headDim, keys, padded);
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
    int words = format.codeBytes() / Integer.BYTES;
    int tableFloats = NibbleKernels.tableFloats(words);
    long tables = scratch.floats(Use.VALUES, (long) group * tableFloats);
    for (int g = 0; g < group; g++) {
      TwoBitKeys.tables(scaled + 4L * g * padded, headDim, words, tables + 4L * g * tableFloats);
    }
    int tokens = order.tokens();
    long codes = scratch.floats(Use.KEYS, (long) order.all() * BLOCK);
    long steps = scratch.floats(Use.OUTPUT, (long) tokens * BLOCK);
    long sumBytes = 4L * tokens * BLOCK;
    long ofTokens = scratch.floats(Use.SUMS, (long) group * tokens * BLOCK);
    long square = scratch.floats(Use.WEIGHTS, TransposeKernels.SCRATCH_FLOATS);
    for (int chunk = 0; chunk < count; chunk += BLOCK) {
      int some = Math.min(BLOCK, count - chunk);
      long from = summaries + (long) chunk * format.bytes();
      steps(from + format.stepOffset(), some, steps);
      TransposeKernels.words(from, format.bytes(), some, order.all(), codes, square);
      NibbleKernels.products(order, tables, group, codes, ofTokens);
      for (int g = 0; g < group; g++) {
        SummaryKernels.multiply(ofTokens + g * sumBytes, tokens, BLOCK, some, steps);
        TokenKernels.logSumExp(
            ofTokens + g * sumBytes, tokens, some, products + g * stride + 4L * chunk, square);
      }
    }
  }

  /** Writes the steps of the tokens of a block of chunks to {@code float[tokens][BLOCK]}. */
  private void steps(long first, int count, long steps) {
    for (int c = 0; c < count; c++) {
      long of = first + (long) c * format.bytes();
      for (int t = 0; t < format.chunk(); t++) {
        float step = Bfloat16.widen(Memory.getShort(of + 2L * t));
        Memory.putFloat(steps + 4L * (t * BLOCK + c), step);
      }
    }
  }
}
