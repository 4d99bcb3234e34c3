package dev.kvdrive.device;

import dev.kvdrive.plan.BitPlaneSummary;
import dev.kvdrive.plan.ChunkGrid;
import dev.kvdrive.plan.KvLayout;
import dev.kvdrive.plan.SummaryFormat;
import dev.kvdrive.plan.TwoBitSummary;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.Comparator;
import java.util.function.IntToDoubleFunction;
import java.util.stream.IntStream;

/** Summaries of every format, scores by them and the best, as the contract says them. */
final class ReferenceIndex extends ReferenceMemory implements IndexOperations {
  ReferenceIndex(ElementType activations) {
    super(activations);
  }

  @Override
  public void summarise(Queue queue, LayerStep step) {
    KvLayer layer = step.layer();
    submit(
        queue,
        () ->
            forEachRow(
                step.batch(),
                (row, seat, position) -> {
                  KvLayout layout = layer.layout();
                  ChunkGrid grid = layout.grid();
                  int chunk = grid.closedChunks(position);
                  if (grid.closedChunks(position + 1) == chunk) {
                    return;
                  }
                  for (int head = 0; head < layout.kvHeads(); head++) {
                    for (int t = 0; t < grid.chunk(); t++) {
                      int ringRow = grid.sink() + grid.ringSlot(grid.firstToken(chunk) + t);
                      long key = denseBase(layer, seat, head) + (long) ringRow * layout.rowBytes();
                      summarise(layer, seat, head, chunk, t, memory(layer.dense()), key);
                    }
                  }
                }));
  }

  @Override
  public void summarise(Queue queue, PromptChunks chunks) {
    KvLayer layer = chunks.layer();
    submit(
        queue,
        () -> {
          KvLayout layout = layer.layout();
          for (int head = 0; head < layout.kvHeads(); head++) {
            for (int chunk = chunks.from(); chunk < chunks.to(); chunk++) {
              for (int t = 0; t < layout.grid().chunk(); t++) {
                int token = layout.grid().firstToken(chunk) + t;
                long key = scratchRow(layout, chunks.scratch(), head, token);
                MemorySegment scratch = memory(chunks.scratch().buffer());
                summarise(layer, chunks.seat(), head, chunk, t, scratch, key);
              }
            }
          }
        });
  }

  private static void summarise(
      KvLayer layer, int seat, int head, int chunk, int token, MemorySegment keys, long at) {
    KvLayout layout = layer.layout();
    SummaryFormat format = layer.index().format();
    long summary =
        (((long) seat * layout.kvHeads() + head) * layer.maxChunks() + chunk)
            * format.bytes(layout);
    float[] key = new float[layout.headDim()];
    for (int i = 0; i < key.length; i++) {
      key[i] = kvAt(layout, keys, at, i);
    }
    represent(format, layout, head, codebook(layer), key, token, memory(layer), summary);
  }

  private static MemorySegment memory(KvLayer layer) {
    return memory(layer.index().memory());
  }

  private static MemorySegment codebook(KvLayer layer) {
    DeviceBuffer codebook = layer.index().codebook();
    return codebook == null ? MemorySegment.NULL : memory(codebook);
  }

  /** Writes a token's part of the summary at {@code at}. */
  static void represent(
      SummaryFormat format,
      KvLayout layout,
      int head,
      MemorySegment codebooks,
      float[] key,
      int token,
      MemorySegment memory,
      long at) {
    switch (format) {
      case SummaryFormat.TwoBit() -> represent(TwoBitSummary.of(layout), key, token, memory, at);
      case SummaryFormat.BitPlanes(int bits) ->
          represent(BitPlaneSummary.of(layout, bits), head, codebooks, key, token, memory, at);
      case SummaryFormat.None() -> throw new IllegalArgumentException("there is no summary");
    }
  }

  private static void represent(
      BitPlaneSummary format,
      int head,
      MemorySegment codebooks,
      float[] key,
      int token,
      MemorySegment memory,
      long at) {
    long book = (long) head * format.codebookBytes();
    float[] z = new float[key.length];
    for (int i = 0; i < z.length; i++) {
      for (int j = 0; j < key.length; j++) {
        float forward = real(codebooks, book + format.forwardOffset(), j * key.length + i);
        z[i] = Math.fma(forward, key[j] - real(codebooks, book, j), z[i]);
      }
    }
    int[] words = new int[format.words()];
    for (int bit = 0; bit < format.bits(); bit++) {
      int element = whole(codebooks, book + format.elementOffset(), bit);
      float coefficient = real(codebooks, book + format.coefficientOffset(), bit);
      if (z[element] >= 0) {
        words[bit / 32] |= 1 << (bit % 32);
        z[element] -= coefficient;
      } else {
        z[element] += coefficient;
      }
    }
    for (int word = 0; word < words.length; word++) {
      memory.set(ValueLayout.JAVA_INT_UNALIGNED, at + format.wordOffset(word, token), words[word]);
    }
  }

  private static float real(MemorySegment memory, long from, int index) {
    return memory.get(ValueLayout.JAVA_FLOAT_UNALIGNED, from + 4L * index);
  }

  private static int whole(MemorySegment memory, long from, int index) {
    return memory.get(ValueLayout.JAVA_INT_UNALIGNED, from + 4L * index);
  }

  /**
   * What the summary at {@code at} holds of a token, in a space in which {@link #query} writes
   * queries: products are those of query and key but for what is the same for all keys.
   */
  static double[] represented(
      SummaryFormat format,
      KvLayout layout,
      int head,
      MemorySegment codebooks,
      MemorySegment memory,
      long at,
      int token) {
    return switch (format) {
      case SummaryFormat.TwoBit() -> represented(TwoBitSummary.of(layout), memory, at, token);
      case SummaryFormat.BitPlanes(int bits) -> {
        BitPlaneSummary planes = BitPlaneSummary.of(layout, bits);
        long book = (long) head * planes.codebookBytes();
        double[] key = new double[layout.headDim()];
        for (int bit = 0; bit < bits; bit++) {
          int word = whole(memory, at + planes.wordOffset(bit / 32, token), 0);
          double coefficient = real(codebooks, book + planes.coefficientOffset(), bit);
          int element = whole(codebooks, book + planes.elementOffset(), bit);
          key[element] += (word >> (bit % 32) & 1) != 0 ? coefficient : -coefficient;
        }
        yield key;
      }
      case SummaryFormat.None() -> throw new IllegalArgumentException("there is no summary");
    };
  }

  /** A query in the space of what summaries hold. */
  static double[] query(
      SummaryFormat format,
      KvLayout layout,
      int head,
      MemorySegment codebooks,
      IntToDoubleFunction query) {
    double[] out = new double[layout.headDim()];
    for (int i = 0; i < out.length; i++) {
      switch (format) {
        case SummaryFormat.TwoBit() ->
            out[i] = rotated(TwoBitSummary.of(layout).rotationBlock(), query, i);
        case SummaryFormat.BitPlanes(int bits) -> {
          BitPlaneSummary planes = BitPlaneSummary.of(layout, bits);
          long book = (long) head * planes.codebookBytes() + planes.backwardOffset();
          for (int j = 0; j < out.length; j++) {
            out[i] += real(codebooks, book, j * out.length + i) * query.applyAsDouble(j);
          }
        }
        case SummaryFormat.None() -> throw new IllegalArgumentException("there is no summary");
      }
    }
    return out;
  }

  /** Writes a token's part of the summary at {@code at}. */
  static void represent(
      TwoBitSummary format, float[] key, int token, MemorySegment memory, long at) {
    int block = format.rotationBlock();
    float[] rotated = key.clone();
    for (int h = 1; h < block; h *= 2) {
      for (int i = 0; i < key.length; i++) {
        if ((i & h) == 0) {
          float a = rotated[i];
          float b = rotated[i + h];
          rotated[i] = a + b;
          rotated[i + h] = a - b;
        }
      }
    }
    float largest = 0;
    for (float element : rotated) {
      largest = Math.max(largest, Math.abs(element));
    }
    float width = largest < TwoBitSummary.SMALLEST_KEY ? 0 : 0.375f * largest;
    int[] words = new int[format.codeBytes() / 4];
    for (int i = 0; i < 16 * words.length; i++) {
      float steps = i < key.length && width > 0 ? rotated[i] * (1 / width) : 0;
      words[i / 16] |= Math.clamp(2 + (int) Math.floor(steps), 0, 3) << (2 * (i % 16));
    }
    for (int word = 0; word < words.length; word++) {
      memory.set(
          ValueLayout.JAVA_INT_UNALIGNED,
          at + (long) token * format.codeBytes() + 4L * word,
          words[word]);
    }
    memory.set(
        ValueLayout.JAVA_SHORT_UNALIGNED,
        at + format.stepOffset() + 2L * token,
        Bfloat16.round(width / block));
  }

  /** What the summary at {@code at} holds of a token: a rotated key, a block times smaller. */
  static double[] represented(TwoBitSummary format, MemorySegment memory, long at, int token) {
    double step =
        Bfloat16.widen(
            memory.get(ValueLayout.JAVA_SHORT_UNALIGNED, at + format.stepOffset() + 2L * token));
    double[] key = new double[format.headDim()];
    for (int i = 0; i < key.length; i++) {
      int word =
          memory.get(
              ValueLayout.JAVA_INT_UNALIGNED,
              at + (long) token * format.codeBytes() + 4L * (i / 16));
      key[i] = (((word >> (2 * (i % 16))) & 3) - 1.5) * step;
    }
    return key;
  }

  /** An element of a rotated vector, by the definition of the transform. */
  static double rotated(int block, IntToDoubleFunction vector, int i) {
    double sum = 0;
    for (int j = i - i % block; j < i - i % block + block; j++) {
      sum +=
          Integer.bitCount(i & j & (block - 1)) % 2 == 0
              ? vector.applyAsDouble(j)
              : -vector.applyAsDouble(j);
    }
    return sum;
  }

  @Override
  public void score(Queue queue, Score a) {
    StepBatch batch = a.step().batch();
    KvLayer layer = a.step().layer();
    AttentionShape shape = a.shape();
    Activations query = require(a.query());
    Selection selection = a.selection();
    submit(
        queue,
        () ->
            forEachRow(
                batch,
                (row, seat, position) -> {
                  int closed = layer.layout().grid().closedChunks(position + 1);
                  for (int head = 0; head < shape.kvHeads(); head++) {
                    score(layer, shape, query, selection, row, seat, head, closed);
                  }
                }));
  }

  @Override
  public void best(Queue queue, Best a) {
    StepBatch batch = a.step().batch();
    KvLayer layer = a.step().layer();
    Selection selection = a.selection();
    submit(
        queue,
        () ->
            forEachRow(
                batch,
                (row, seat, position) -> {
                  int closed = layer.layout().grid().closedChunks(position + 1);
                  int wanted = Math.min(intAt(batch.selectCounts(), row), selection.maxSelected());
                  int count = Math.min(wanted, closed);
                  for (int head = 0; head < layer.layout().kvHeads(); head++) {
                    long cell = (long) row * layer.layout().kvHeads() + head;
                    Comparator<Integer> best =
                        Comparator.comparingDouble(
                            c -> -floatAt(selection.scores(), cell * selection.maxChunks() + c));
                    int[] chosen =
                        IntStream.range(0, closed)
                            .boxed()
                            .sorted(best.thenComparing(Comparator.naturalOrder()))
                            .limit(count)
                            .mapToInt(Integer::intValue)
                            .sorted()
                            .toArray();
                    for (int i = 0; i < chosen.length; i++) {
                      setInt(selection.selected(), cell * selection.maxSelected() + i, chosen[i]);
                    }
                    setInt(selection.selectedCount(), cell, chosen.length);
                  }
                }));
  }

  private void score(
      KvLayer layer,
      AttentionShape shape,
      Activations query,
      Selection selection,
      int row,
      int seat,
      int head,
      int closed) {
    SummaryFormat format = layer.index().format();
    KvLayout layout = layer.layout();
    MemorySegment codebooks = codebook(layer);
    double[] merged = new double[closed];
    Arrays.fill(merged, Double.NEGATIVE_INFINITY);
    for (int h = head * shape.groupSize(); h < (head + 1) * shape.groupSize(); h++) {
      int first = h * shape.headDim();
      double[] turned = query(format, layout, head, codebooks, j -> get(query, row, first + j));
      double[] scores = new double[closed];
      double max = Double.NEGATIVE_INFINITY;
      for (int c = 0; c < closed; c++) {
        long at =
            (((long) seat * shape.kvHeads() + head) * layer.maxChunks() + c) * format.bytes(layout);
        double[] ofTokens = new double[layout.grid().chunk()];
        for (int t = 0; t < ofTokens.length; t++) {
          double[] key = represented(format, layout, head, codebooks, memory(layer), at, t);
          for (int i = 0; i < key.length; i++) {
            ofTokens[t] += shape.scale() * turned[i] * key[i];
          }
        }
        scores[c] = logSumExp(ofTokens);
        max = Math.max(max, scores[c]);
      }
      double sum = 0;
      for (double s : scores) {
        sum += Math.exp(s - max);
      }
      double logSum = max + Math.log(sum);
      for (int c = 0; c < closed; c++) {
        merged[c] = Math.max(merged[c], scores[c] - logSum);
      }
    }
    long at = ((long) row * shape.kvHeads() + head) * selection.maxChunks();
    for (int c = 0; c < closed; c++) {
      setFloat(selection.scores(), at + c, (float) merged[c]);
    }
  }

  private static double logSumExp(double[] scores) {
    double max = Arrays.stream(scores).max().orElseThrow();
    double sum = 0;
    for (double score : scores) {
      sum += Math.exp(score - max);
    }
    return max + Math.log(sum);
  }
}
