package dev.kvdrive.device;

import dev.kvdrive.plan.ChunkGrid;
import dev.kvdrive.plan.KvLayout;
import dev.kvdrive.plan.TwoBitSummary;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.Comparator;
import java.util.function.IntToDoubleFunction;
import java.util.stream.IntStream;

/** Summaries of two bits an element, scores by them and the best, as the contract says them. */
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
    TwoBitSummary format = TwoBitSummary.of(layout);
    long summary =
        (((long) seat * layout.kvHeads() + head) * layer.maxChunks() + chunk) * format.bytes();
    float[] key = new float[layout.headDim()];
    for (int i = 0; i < key.length; i++) {
      key[i] = kvAt(layout, keys, at, i);
    }
    represent(format, key, token, memory(layer.index().memory()), summary);
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
    Activations query = a.query();
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
    TwoBitSummary format = TwoBitSummary.of(layer.layout());
    double[] merged = new double[closed];
    Arrays.fill(merged, Double.NEGATIVE_INFINITY);
    for (int h = head * shape.groupSize(); h < (head + 1) * shape.groupSize(); h++) {
      int first = h * shape.headDim();
      double[] rotated = new double[shape.headDim()];
      for (int i = 0; i < rotated.length; i++) {
        rotated[i] = rotated(format.rotationBlock(), j -> get(query, row, first + j), i);
      }
      double[] scores = new double[closed];
      double max = Double.NEGATIVE_INFINITY;
      for (int c = 0; c < closed; c++) {
        long at = (((long) seat * shape.kvHeads() + head) * layer.maxChunks() + c) * format.bytes();
        scores[c] = chunkScore(format, shape, memory(layer.index().memory()), at, rotated);
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

  /** log of the sum of exp(scale * query . key) over the keys of a summary. */
  private static double chunkScore(
      TwoBitSummary format, AttentionShape shape, MemorySegment memory, long at, double[] rotated) {
    double[] scores = new double[format.chunk()];
    double max = Double.NEGATIVE_INFINITY;
    for (int t = 0; t < scores.length; t++) {
      double[] key = represented(format, memory, at, t);
      double sum = 0;
      for (int i = 0; i < key.length; i++) {
        sum += rotated[i] * key[i];
      }
      scores[t] = shape.scale() * sum;
      max = Math.max(max, scores[t]);
    }
    double sum = 0;
    for (double score : scores) {
      sum += Math.exp(score - max);
    }
    return max + Math.log(sum);
  }
}
