package dev.kvdrive.bench.token;

import dev.kvdrive.device.Activations;
import dev.kvdrive.device.AttentionOperations;
import dev.kvdrive.device.AttentionShape;
import dev.kvdrive.device.Bfloat16;
import dev.kvdrive.device.Device;
import dev.kvdrive.device.DeviceBuffer;
import dev.kvdrive.device.HostBuffer;
import dev.kvdrive.device.IndexOperations;
import dev.kvdrive.device.KvOperations;
import dev.kvdrive.device.LayerStep;
import dev.kvdrive.device.Queue;
import dev.kvdrive.device.StepBatch;
import dev.kvdrive.plan.ChunkGrid;
import dev.kvdrive.plan.KvLayout;
import dev.kvdrive.plan.KvType;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Deque;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;

/**
 * A method's attention in place of a device's, in decode steps: on the host, between two waits for
 * the queue. It has keys and values of every sequence of its own, as they are stored: those of a
 * prompt when sink and ring are seeded, those of a step when they are appended. Sink, the prompt's
 * local tokens and what is generated are attended always; of the prompt's other tokens what the
 * method chooses, with as many tokens as the engine would have selected in chunks.
 *
 * <p>The engine below selects and fetches as ever, for nothing. Engine thread.
 */
final class TokenAttention implements KvOperations, AttentionOperations {
  private final TokenMethod method;
  private final Device device;
  private final KvOperations kv;
  private final AttentionOperations attention;
  private final Map<Long, Sequence> sequences = new HashMap<>();
  private @Nullable Prompt seeded;
  private final Map<Long, float[]> speculated = new HashMap<>();
  private final Deque<float[]> lastQueries = new ArrayDeque<>();
  private @Nullable Begin begun;

  /** The layer whose keys were appended last, while its attention is not finished; -1 for none. */
  private int within = -1;

  private @Nullable HostBuffer staging;

  TokenAttention(TokenMethod method, Device device) {
    this.method = method;
    this.device = device;
    kv = device.operations().kv();
    attention = device.operations().attention();
  }

  /** A layer of a prompt, shared by all sequences that go on from it. */
  @SuppressWarnings("ArrayRecordComponent") // never compared
  private record Prompt(
      int tokens, Rows[] keys, Rows[] values, @Nullable TokenIndex[] indexes, int closed) {}

  /** A layer of a sequence: a prompt, and {@code [kvHeads * headDim]} of each further token. */
  private record Sequence(Prompt prompt, List<float[]> keys, List<float[]> values) {}

  private static long key(int layer, int seat) {
    return (long) layer << 32 | seat;
  }

  private MemorySegment staging(long bytes) {
    HostBuffer buffer = staging;
    if (buffer == null || buffer.bytes() < bytes) {
      if (buffer != null) {
        buffer.close();
      }
      buffer = device.allocateHost("token attention", bytes);
      staging = buffer;
    }
    return buffer.segment();
  }

  private MemorySegment read(Queue queue, DeviceBuffer buffer, long from, long bytes) {
    MemorySegment memory = staging(bytes);
    if (staging != null) {
      queue.download(buffer, from, staging, 0, bytes);
    }
    queue.synchronize();
    return memory;
  }

  private int[] ints(Queue queue, DeviceBuffer buffer, int count) {
    return read(queue, buffer, 0, 4L * count).asSlice(0, 4L * count).toArray(ValueLayout.JAVA_INT);
  }

  private float[] row(Queue queue, Activations rows, int row, int width) {
    long at = 4L * (rows.offset() + (long) row * rows.stride());
    return read(queue, rows.buffer(), at, 4L * width)
        .asSlice(0, 4L * width)
        .toArray(ValueLayout.JAVA_FLOAT);
  }

  // --- keys and values ---

  @Override
  public void append(Queue queue, Append a) {
    kv.append(queue, a);
    within = a.step().layer().layer();
    StepBatch batch = a.step().batch();
    KvLayout layout = a.step().layer().layout();
    int[] seats = ints(queue, batch.seats(), batch.rows());
    int[] positions = ints(queue, batch.positions(), batch.rows());
    int width = layout.kvHeads() * layout.headDim();
    for (int row = 0; row < batch.rows(); row++) {
      Sequence sequence = sequences.get(key(a.step().layer().layer(), seats[row]));
      if (seats[row] < 0 || sequence == null) {
        continue;
      }
      int at = positions[row] - sequence.prompt().tokens();
      put(sequence.keys(), at, stored(row(queue, a.keys(), row, width)));
      put(sequence.values(), at, stored(row(queue, a.values(), row, width)));
    }
  }

  /** A step may be repeated: then its row takes the place of the first. */
  private static void put(List<float[]> rows, int at, float[] row) {
    if (at < rows.size()) {
      rows.set(at, row);
    } else {
      rows.add(row);
    }
  }

  private static float[] stored(float[] row) {
    for (int i = 0; i < row.length; i++) {
      row[i] = Bfloat16.widen(Bfloat16.round(row[i]));
    }
    return row;
  }

  @Override
  public void store(Queue queue, Store store) {
    seeded = null;
    kv.store(queue, store);
  }

  @Override
  public void close(Queue queue, Close close) {
    kv.close(queue, close);
  }

  @Override
  public void recall(Queue queue, Recall recall) {
    seeded = null;
    kv.recall(queue, recall);
  }

  @Override
  public void seed(Queue queue, Seed a) {
    kv.seed(queue, a);
    Prompt prompt = seeded;
    if (prompt == null) {
      prompt = prompt(queue, a);
      seeded = prompt;
    }
    sequences.put(
        key(a.layer().layer(), a.seat()),
        new Sequence(prompt, new ArrayList<>(), new ArrayList<>()));
  }

  /**
   * Chunks are scored: with the queries of a layer that computes, or with those that the layer
   * before predicts for it.
   */
  void scored(Queue queue, IndexOperations.Score a) {
    int layer = a.step().layer().layer();
    if (layer == within) {
      return;
    }
    StepBatch batch = a.step().batch();
    int[] seats = ints(queue, batch.seats(), batch.rows());
    for (int row = 0; row < batch.rows(); row++) {
      if (seats[row] >= 0) {
        speculated.put(
            key(layer, seats[row]),
            row(queue, a.query(), row, a.shape().heads() * a.shape().headDim()));
      }
    }
  }

  private Prompt prompt(Queue queue, Seed a) {
    KvLayout layout = a.layer().layout();
    if (layout.type() != KvType.BF16) {
      throw new IllegalArgumentException(
          "policy %s takes keys and values in BF16; leave --kv-type out".formatted(method.word()));
    }
    ChunkGrid grid = layout.grid();
    int heads = layout.kvHeads();
    long bytes = 2L * heads * a.scratch().maxTokens() * layout.rowBytes();
    short[] all =
        read(queue, a.scratch().buffer(), 0, bytes)
            .asSlice(0, bytes)
            .toArray(ValueLayout.JAVA_SHORT);
    int closed = grid.chunk() * grid.closedChunks(a.tokens());
    float scale = (float) (1 / Math.sqrt(layout.headDim()));
    Rows[] keys = new Rows[heads];
    Rows[] values = new Rows[heads];
    @Nullable TokenIndex[] indexes = new TokenIndex[heads];
    IntStream.range(0, heads)
        .parallel()
        .forEach(
            head -> {
              keys[head] = rows(all, 2 * head, a, layout.headDim());
              values[head] = rows(all, 2 * head + 1, a, layout.headDim());
              if (closed > 0) {
                Rows ofKeys =
                    new Rows(keys[head].elements(), grid.sink(), closed, layout.headDim());
                Rows ofValues =
                    new Rows(values[head].elements(), grid.sink(), closed, layout.headDim());
                indexes[head] =
                    method.index(
                        new ClosedTokens(
                            ofKeys, ofValues, queries(head, heads, layout.headDim()), scale));
              }
            });
    return new Prompt(a.tokens(), keys, values, indexes, closed);
  }

  /** The last queries of a KV head's group. */
  private float[][] queries(int head, int kvHeads, int headDim) {
    List<float[]> queries = new ArrayList<>();
    for (float[] row : lastQueries) {
      int group = row.length / headDim / kvHeads;
      for (int g = 0; g < group; g++) {
        int from = (head * group + g) * headDim;
        queries.add(Arrays.copyOfRange(row, from, from + headDim));
      }
    }
    return queries.toArray(float[][]::new);
  }

  private static Rows rows(short[] all, int part, Seed a, int width) {
    short[] own = new short[a.tokens() * width];
    System.arraycopy(all, part * a.scratch().maxTokens() * width, own, 0, own.length);
    return new Rows(own, 0, a.tokens(), width);
  }

  @Override
  public void reset(Queue queue, Reset reset) {
    sequences.remove(key(reset.layer().layer(), reset.seat()));
    speculated.remove(key(reset.layer().layer(), reset.seat()));
    kv.reset(queue, reset);
  }

  @Override
  public void place(Queue queue, Place place) {
    kv.place(queue, place);
  }

  // --- attention ---

  @Override
  public void begin(Queue queue, Begin begin) {
    begun = begin;
  }

  @Override
  public void hits(Queue queue, Attend attend) {}

  @Override
  public void misses(Queue queue, Attend attend) {}

  @Override
  public void estimate(Queue queue, Estimate estimate) {
    // What is estimated is the method's.
  }

  @Override
  public void causal(Queue queue, Causal causal) {
    attention.causal(queue, causal);
    if (causal.start() == 0) {
      lastQueries.clear();
    }
    int width = causal.shape().heads() * causal.shape().headDim();
    for (int row = Math.max(0, causal.rows() - method.queries()); row < causal.rows(); row++) {
      lastQueries.add(row(queue, causal.query(), row, width));
      if (lastQueries.size() > method.queries()) {
        lastQueries.removeFirst();
      }
    }
  }

  @Override
  public void finish(Queue queue, Finish a) {
    Begin begin = begun;
    if (begin == null) {
      throw new IllegalStateException("an attention ends that has not begun");
    }
    within = -1;
    LayerStep step = a.step();
    StepBatch batch = step.batch();
    AttentionShape shape = a.shape();
    int width = shape.heads() * shape.headDim();
    int[] seats = ints(queue, batch.seats(), batch.rows());
    int[] counts = ints(queue, batch.selectCounts(), batch.rows());
    for (int row = 0; row < batch.rows(); row++) {
      Sequence sequence = sequences.get(key(step.layer().layer(), seats[row]));
      if (seats[row] < 0 || sequence == null) {
        continue;
      }
      int chunk = step.layer().layout().grid().chunk();
      int layer = step.layer().layer();
      long budget = method.dense(layer) ? Integer.MAX_VALUE : (long) counts[row] * chunk;
      // Before the first layer there is none that could predict its queries.
      float[] chooser = layer == 0 ? null : speculated.get(key(layer, seats[row]));
      float[] query = row(queue, begin.query(), row, width);
      float[] out = new float[width];
      IntStream.range(0, shape.kvHeads())
          .parallel()
          .forEach(
              head ->
                  attend(
                      sequence,
                      shape,
                      step.layer().layout().grid().sink(),
                      head,
                      (int) Math.min(budget, Integer.MAX_VALUE),
                      chooser == null ? query : chooser,
                      query,
                      out));
      MemorySegment memory = staging(4L * width);
      MemorySegment.copy(out, 0, memory, ValueLayout.JAVA_FLOAT, 0, width);
      if (staging != null) {
        long at = 4L * (a.out().offset() + (long) row * a.out().stride());
        queue.upload(staging, 0, a.out().buffer(), at, 4L * width);
      }
      queue.synchronize();
    }
  }

  private static void attend(
      Sequence sequence,
      AttentionShape shape,
      int sink,
      int head,
      int budget,
      float[] chooser,
      float[] query,
      float[] out) {
    int dim = shape.headDim();
    Prompt prompt = sequence.prompt();
    float[][] queries = ofGroup(query, shape, head);
    TokenIndex index = prompt.indexes()[head];
    List<TokenIndex.Attended> attended =
        index != null && budget < prompt.closed()
            ? index.choose(ofGroup(chooser, shape, head), budget)
            : TokenIndex.same(
                queries,
                new TokenIndex.Attended(IntStream.range(0, prompt.closed()).toArray(), List.of()));
    Rows keys = prompt.keys()[head];
    Rows values = prompt.values()[head];
    for (int g = 0; g < queries.length; g++) {
      float[] q = queries[g];
      RunningSoftmax softmax = new RunningSoftmax(dim);
      for (int t = 0; t < prompt.tokens(); t++) {
        if (t < sink || t >= sink + prompt.closed()) {
          softmax.add(shape.scale() * keys.product(t, q), 1, values.row(t), 0);
        }
      }
      TokenIndex.Attended chosen = attended.get(g);
      for (int i = 0; i < chosen.tokens().length; i++) {
        int t = sink + chosen.tokens()[i];
        double logit = shape.scale() * keys.product(t, q) + chosen.corrections()[i];
        softmax.add(logit, 1, values.row(t), 0);
      }
      for (TokenIndex.Estimate estimate : chosen.estimates()) {
        double logit = 0;
        for (int i = 0; i < dim; i++) {
          logit += q[i] * estimate.key()[i];
        }
        softmax.add(shape.scale() * logit, estimate.tokens(), estimate.value(), 0);
      }
      for (int t = 0; t < sequence.keys().size(); t++) {
        double logit = 0;
        for (int i = 0; i < dim; i++) {
          logit += q[i] * sequence.keys().get(t)[head * dim + i];
        }
        softmax.add(shape.scale() * logit, 1, sequence.values().get(t), head * dim);
      }
      softmax.write(out, (head * queries.length + g) * dim);
    }
  }

  private static float[][] ofGroup(float[] query, AttentionShape shape, int head) {
    float[][] queries = new float[shape.groupSize()][];
    for (int g = 0; g < queries.length; g++) {
      int from = (head * queries.length + g) * shape.headDim();
      queries[g] = Arrays.copyOfRange(query, from, from + shape.headDim());
    }
    return queries;
  }

  void free() {
    if (staging != null) {
      staging.close();
    }
  }
}
