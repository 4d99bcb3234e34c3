package dev.kvdrive.device;

import dev.kvdrive.plan.ChunkGrid;
import dev.kvdrive.plan.KvLayout;
import dev.kvdrive.plan.LandmarkSummary;
import dev.kvdrive.plan.SummaryFormat;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.function.IntToDoubleFunction;
import java.util.function.IntUnaryOperator;
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
                    float[][] keys = new float[grid.chunk()][];
                    for (int t = 0; t < keys.length; t++) {
                      int ringRow = grid.sink() + grid.ringSlot(grid.firstToken(chunk) + t);
                      long key = denseBase(layer, seat, head) + (long) ringRow * layout.rowBytes();
                      keys[t] = key(layout, memory(layer.dense()), key);
                    }
                    summarise(layer, seat, head, chunk, keys);
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
          MemorySegment scratch = memory(chunks.scratch().buffer());
          for (int head = 0; head < layout.kvHeads(); head++) {
            for (int chunk = chunks.from(); chunk < chunks.to(); chunk++) {
              float[][] keys = new float[layout.grid().chunk()][];
              for (int t = 0; t < keys.length; t++) {
                int token = layout.grid().firstToken(chunk) + t;
                keys[t] = key(layout, scratch, scratchRow(layout, chunks.scratch(), head, token));
              }
              summarise(layer, chunks.seat(), head, chunk, keys);
            }
          }
        });
  }

  @Override
  public void cluster(Queue queue, Cluster segment) {
    PromptChunks chunks = segment.chunks();
    KvLayer layer = chunks.layer();
    submit(
        queue,
        () -> {
          KvLayout layout = layer.layout();
          MemorySegment scratch = memory(chunks.scratch().buffer());
          long toValue = (long) chunks.scratch().maxTokens() * layout.rowBytes();
          for (int head = 0; head < layout.kvHeads(); head++) {
            long first = scratchRow(layout, chunks.scratch(), head, layout.grid().firstToken(0));
            ReferenceClusters.Rows keys =
                t -> key(layout, scratch, first + (long) t * layout.rowBytes());
            ReferenceClusters.Rows values =
                t -> key(layout, scratch, first + toValue + (long) t * layout.rowBytes());
            int seat = chunks.seat();
            boolean tokens = layer.index().clustering().format().estimates();
            new ReferenceClusters(layer, seat, head)
                .build(
                    chunks.from(),
                    chunks.to(),
                    tokens ? keys : means(layer, seat, head),
                    tokens ? values : means(layer, seat, head));
          }
        });
  }

  /** The summaries of chunks, which are means. */
  private static ReferenceClusters.Rows means(KvLayer layer, int seat, int head) {
    return chunk ->
        key(layer.layout(), memory(layer.index().memory()), summaryAt(layer, seat, head, chunk));
  }

  @Override
  public void join(Queue queue, Join join) {
    KvLayer layer = join.step().layer();
    submit(
        queue,
        () ->
            forEachRow(
                join.step().batch(),
                (row, seat, position) -> {
                  KvLayout layout = layer.layout();
                  ChunkGrid grid = layout.grid();
                  int chunk = grid.closedChunks(position);
                  if (grid.closedChunks(position + 1) == chunk) {
                    return;
                  }
                  MemorySegment dense = memory(layer.dense());
                  long toValue = (long) grid.denseTokens() * layout.rowBytes();
                  for (int head = 0; head < layout.kvHeads(); head++) {
                    long base = denseBase(layer, seat, head);
                    ReferenceClusters.Rows keys =
                        t ->
                            key(
                                layout,
                                dense,
                                base
                                    + (long) (grid.sink() + grid.ringSlot(grid.sink() + t))
                                        * layout.rowBytes());
                    ReferenceClusters.Rows values =
                        t ->
                            key(
                                layout,
                                dense,
                                base
                                    + toValue
                                    + (long) (grid.sink() + grid.ringSlot(grid.sink() + t))
                                        * layout.rowBytes());
                    boolean tokens = layer.index().clustering().format().estimates();
                    new ReferenceClusters(layer, seat, head)
                        .join(
                            chunk,
                            tokens ? keys : means(layer, seat, head),
                            tokens ? values : means(layer, seat, head));
                  }
                }));
  }

  private static float[] key(KvLayout layout, MemorySegment memory, long at) {
    float[] key = new float[layout.headDim()];
    for (int i = 0; i < key.length; i++) {
      key[i] = kvAt(layout, memory, at, i);
    }
    return key;
  }

  private static void summarise(KvLayer layer, int seat, int head, int chunk, float[][] keys) {
    summary(layer, head)
        .write(
            keys,
            chunk % layer.index().format().chunks() == 0,
            memory(layer.index().memory()),
            summaryAt(layer, seat, head, chunk));
  }

  private static ReferenceSummary summary(KvLayer layer, int head) {
    DeviceBuffer codebook = layer.index().codebook();
    return ReferenceSummary.of(
        layer.index().format(),
        layer.layout(),
        head,
        codebook == null ? MemorySegment.NULL : memory(codebook));
  }

  /** Where the summary is that a chunk belongs to. */
  private static long summaryAt(KvLayer layer, int seat, int head, int chunk) {
    long of = (long) seat * layer.layout().kvHeads() + head;
    return (of * layer.index().format().summaries(layer.maxChunks())
            + chunk / layer.index().format().chunks())
        * layer.index().format().bytes(layer.layout());
  }

  @Override
  public void score(Queue queue, Score a) {
    KvLayer layer = a.step().layer();
    require(a.query());
    submit(
        queue,
        () ->
            forEachRow(
                a.step().batch(),
                (row, seat, position) -> {
                  int closed = layer.layout().grid().closedChunks(position + 1);
                  for (int head = 0; head < a.shape().kvHeads(); head++) {
                    score(a, row, seat, head, closed);
                  }
                }));
  }

  private void score(Score a, int row, int seat, int head, int closed) {
    SummaryFormat format = a.step().layer().index().format();
    double[] merged =
        merged(
            a,
            head,
            format.summaries(closed),
            products(a, row, seat, head, i -> i * format.chunks()),
            h -> beside(a, row, head, h));
    for (int c = 0; c < closed; c++) {
      setFloat(
          a.selection().scores(), scoreAt(a, row, head) + c, (float) merged[c / format.chunks()]);
    }
  }

  /**
   * Log of what a query's shares are of beside its products with the summaries, as these are
   * without what they have in common.
   */
  private double beside(Score a, int row, int head, int query) {
    AttentionState begun = a.begun();
    if (begun == null || mayMiss(a.step().batch(), row) == 0) {
      return Double.NEGATIVE_INFINITY;
    }
    int first = query * a.shape().headDim();
    return new ReferenceAttention.Fold(a.shape(), begun, row, query).logMass()
        - summary(a.step().layer(), head)
            .common(j -> get(a.query(), row, first + j), a.shape().scale());
  }

  private static long scoreAt(Score a, int row, int head) {
    return ((long) row * a.shape().kvHeads() + head) * a.selection().maxChunks();
  }

  /** Of queries with the summaries of chunks. */
  private Product products(Score a, int row, int seat, int head, IntUnaryOperator chunk) {
    KvLayer layer = a.step().layer();
    ReferenceSummary summary = summary(layer, head);
    MemorySegment memory = memory(layer.index().memory());
    return query -> {
      double[] turned =
          summary.turned(
              j -> get(a.query(), row, query * a.shape().headDim() + j), a.shape().scale());
      return i ->
          summary.product(turned, memory, summaryAt(layer, seat, head, chunk.applyAsInt(i)));
    };
  }

  /** Of a query with things. */
  private interface Product {
    IntToDoubleFunction of(int query);
  }

  private static double[] merged(Score a, int head, int count, Product product) {
    return merged(a, head, count, product, h -> Double.NEGATIVE_INFINITY);
  }

  /**
   * Merges the products of a group's queries.
   *
   * @param beside log of what the shares of a query are of as well
   */
  private static double[] merged(
      Score a, int head, int count, Product product, IntToDoubleFunction beside) {
    AttentionShape shape = a.shape();
    double[] merged = new double[count];
    Arrays.fill(merged, Double.NEGATIVE_INFINITY);
    for (int h = head * shape.groupSize(); h < (head + 1) * shape.groupSize(); h++) {
      int query = h;
      double[] products = new double[count];
      Arrays.setAll(products, product.of(query));
      double[] all = Arrays.copyOf(products, count + 1);
      all[count] = beside.applyAsDouble(query);
      double minus =
          a.merge() == Merge.LARGEST_SHARE && count > 0 ? ReferenceSummary.logSumExp(all) : 0;
      for (int i = 0; i < count; i++) {
        merged[i] = Math.max(merged[i], products[i] - minus);
      }
    }
    return merged;
  }

  @Override
  public void scoreOpened(Queue queue, ScoreOpened opened) {
    Score a = opened.of();
    require(a.query());
    submit(
        queue,
        () ->
            forEachRow(
                a.step().batch(),
                (row, seat, position) -> {
                  int closed = a.step().layer().layout().grid().closedChunks(position + 1);
                  long open = (long) intAt(a.step().batch().selectCounts(), row) * opened.times();
                  for (int head = 0; head < a.shape().kvHeads(); head++) {
                    if (closed > 0) {
                      scoreOpened(a, row, seat, head, closed, Math.clamp(open, 1, closed));
                    }
                  }
                }));
  }

  private void scoreOpened(Score a, int row, int seat, int head, int closed, int open) {
    ReferenceClusters clusters = new ReferenceClusters(a.step().layer(), seat, head);
    double[] weights =
        merged(
            a,
            head,
            clusters.count(),
            h ->
                j ->
                    clusters.size(j) == 0
                        ? Double.NEGATIVE_INFINITY
                        : product(a, row, h, clusters.centroid(j)));
    double[] ofChunks = new double[closed];
    for (int c = 0; c < closed; c++) {
      ofChunks[c] =
          c < clusters.clustered() ? weights[clusters.clusterOf(c)] : Double.POSITIVE_INFINITY;
    }
    double[] sorted = ofChunks.clone();
    Arrays.sort(sorted);
    int[] opened =
        IntStream.range(0, closed).filter(c -> ofChunks[c] >= sorted[closed - open]).toArray();
    double[] merged = merged(a, head, opened.length, products(a, row, seat, head, i -> opened[i]));
    for (int c = 0; c < closed; c++) {
      int i = Arrays.binarySearch(opened, c);
      double score = i < 0 ? Double.NEGATIVE_INFINITY : merged[i];
      setFloat(a.selection().scores(), scoreAt(a, row, head) + c, (float) score);
    }
  }

  private double product(Score a, int row, int query, float[] centroid) {
    double product = 0;
    for (int i = 0; i < centroid.length; i++) {
      product += (double) get(a.query(), row, query * a.shape().headDim() + i) * centroid[i];
    }
    return a.shape().scale() * product;
  }

  @Override
  public void scoreClusters(Queue queue, ScoreClusters a) {
    KvLayer layer = a.step().layer();
    int chunk = layer.layout().grid().chunk();
    require(a.query());
    submit(
        queue,
        () ->
            forEachRow(
                a.step().batch(),
                (row, seat, position) -> {
                  int closed = layer.layout().grid().closedChunks(position + 1);
                  for (int head = 0; head < a.shape().kvHeads(); head++) {
                    ReferenceClusters clusters = new ReferenceClusters(layer, seat, head);
                    double[] weights = clusterWeights(a, clusters, row, head);
                    long at = ((long) row * a.shape().kvHeads() + head) * a.selection().maxChunks();
                    for (int c = 0; c < closed; c++) {
                      double sum = 0;
                      for (int t = 0; t < chunk; t++) {
                        sum += weights[clusters.clusterOf(c * chunk + t)];
                      }
                      setFloat(a.selection().scores(), at + c, (float) Math.log(sum));
                    }
                  }
                }));
  }

  /** The sum of the softmax of the group's heads over the clusters that have tokens. */
  private double[] clusterWeights(ScoreClusters a, ReferenceClusters clusters, int row, int head) {
    AttentionShape shape = a.shape();
    double[] weights = new double[clusters.count()];
    for (int h = head * shape.groupSize(); h < (head + 1) * shape.groupSize(); h++) {
      double[] shares = new double[weights.length];
      double all = 0;
      for (int j = 0; j < weights.length; j++) {
        double product = 0;
        float[] centroid = clusters.centroid(j);
        for (int i = 0; i < centroid.length; i++) {
          product += (double) get(a.query(), row, h * shape.headDim() + i) * centroid[i];
        }
        shares[j] = clusters.size(j) == 0 ? 0 : Math.exp(shape.scale() * product);
        all += shares[j];
      }
      for (int j = 0; j < weights.length; j++) {
        weights[j] += shares[j] / all;
      }
    }
    return weights;
  }

  @Override
  public void pin(Queue queue, Pin a) {
    StepBatch batch = a.step().batch();
    KvLayer layer = a.step().layer();
    Selection selection = a.selection();
    int cosine = LandmarkSummary.of(layer.layout()).cosineOffset();
    submit(
        queue,
        () ->
            forEachRow(
                batch,
                (row, seat, position) -> {
                  int closed = layer.layout().grid().closedChunks(position + 1);
                  int wanted = Math.min(intAt(batch.selectCounts(), row), selection.maxSelected());
                  if (wanted >= closed) {
                    return;
                  }
                  for (int head = 0; head < layer.layout().kvHeads(); head++) {
                    long scores =
                        ((long) row * layer.layout().kvHeads() + head) * selection.maxChunks();
                    int of = head;
                    Comparator<Integer> lowest =
                        Comparator.comparingDouble(
                            c ->
                                kvFloat(
                                    layer.index().memory(),
                                    summaryAt(layer, seat, of, c) + cosine));
                    IntStream.range(0, closed)
                        .boxed()
                        .sorted(lowest.thenComparing(Comparator.naturalOrder()))
                        .limit((long) wanted * a.of() / a.per())
                        .forEach(
                            c -> setFloat(selection.scores(), scores + c, Float.POSITIVE_INFINITY));
                  }
                }));
  }

  private static float kvFloat(DeviceBuffer buffer, long bytes) {
    return floatAt(buffer, bytes / Float.BYTES);
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
                  int most = Math.min(wanted, closed);
                  for (int head = 0; head < layer.layout().kvHeads(); head++) {
                    long cell = (long) row * layer.layout().kvHeads() + head;
                    IntToDoubleFunction score =
                        c -> floatAt(selection.scores(), cell * selection.maxChunks() + c);
                    Comparator<Integer> best =
                        Comparator.comparingDouble(c -> -score.applyAsDouble(c));
                    List<Integer> ordered =
                        IntStream.range(0, closed)
                            .boxed()
                            .sorted(best.thenComparing(Comparator.naturalOrder()))
                            .toList();
                    int count = most;
                    if (mayMiss(batch, row) > 0) {
                      count = closed;
                      double missed = 0;
                      while (count > 0) {
                        missed += Math.exp(score.applyAsDouble(ordered.get(count - 1)));
                        if (missed > mayMiss(batch, row)) {
                          break;
                        }
                        count--;
                      }
                      count = Math.max(count, (most + 3) / 4);
                      count = Math.min(count, most);
                    }
                    int[] chosen =
                        ordered.stream()
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
}
