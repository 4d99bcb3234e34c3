package dev.kvdrive.kv.meter;

import dev.kvdrive.device.Activations;
import dev.kvdrive.device.AttentionShape;
import dev.kvdrive.device.Device;
import dev.kvdrive.device.ElementType;
import dev.kvdrive.device.HostBuffer;
import dev.kvdrive.device.KvLayer;
import dev.kvdrive.device.Queue;
import dev.kvdrive.device.Selection;
import dev.kvdrive.kv.tier.TieredStore;
import dev.kvdrive.plan.ChunkGrid;
import dev.kvdrive.plan.ChunkLayout;
import dev.kvdrive.plan.EngineSizes;
import dev.kvdrive.plan.KvLayout;
import dev.kvdrive.plan.Workspace;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.Optional;

/**
 * Computes now and then, on the host, what the attention of a step would have been had it attended
 * everything, for one (row, layer, KV head): the queries, the output and the selection of the step,
 * sink and ring are downloaded while it runs, keys and values of chunks are read from their frames
 * in DRAM once it has ended. Nothing that a step computes depends on it.
 *
 * <p>What it costs is bounded. A step is measured after {@link #EVERY} others at the earliest (with
 * a share of 1 every step is, for evaluations), and only while measuring has taken no more than its
 * share of the time of all steps. Of the chunks that were not selected at most {@link #MOST_OTHERS}
 * are read, evenly spread, each for as many as there are to one of them; those that are only on
 * NVMe are stood for by the others. A sample is left out if a selected chunk is not in DRAM, or
 * more than {@link #MOST_SELECTED} are.
 *
 * <p>Engine thread.
 */
public final class AccuracyMeter implements AutoCloseable {
  /** Steps from one that is measured to the next, at least. */
  public static final int EVERY = 16;

  /** Chunks that were not selected of which a sample reads keys and values at most. */
  public static final int MOST_OTHERS = 512;

  /** Selected chunks of a sample at most. */
  public static final int MOST_SELECTED = 4096;

  private final AttentionShape shape;
  private final KvLayout layout;
  private final TieredStore store;
  private final ElementType activations;
  private final double share;
  private final int mostSelected;
  private final HostBuffer host;
  private final long queryAt;
  private final long outputAt;
  private final long countAt;
  private final long selectedAt;

  private final float[] query;
  private final float[] output;
  private final float[] keys;
  private final float[] values;
  private final boolean[] selected;
  private final GroupSoftmax attended;
  private final GroupSoftmax others;

  private long samples;
  private int sinceLast;
  private long stepNanos;
  private long ownNanos;

  private int row;
  private int seat;
  private int position;
  private int layer = -1;
  private int kvHead;

  /**
   * @param share of the time of all steps that measuring may take, in (0, 1]
   * @throws dev.kvdrive.device.DeviceMemoryException if the host has no {@link
   *     Workspace#meterBytes}
   */
  public AccuracyMeter(
      Device device, AttentionShape shape, TieredStore store, EngineSizes sizes, double share) {
    this.shape = shape;
    this.layout = sizes.layout();
    this.store = store;
    this.share = share;
    activations = device.activationType();
    mostSelected = sizes.mostSelected();
    int width = shape.groupSize() * shape.headDim();
    queryAt = 2L * layout.grid().denseTokens() * layout.rowBytes();
    outputAt = queryAt + (long) width * activations.bytes();
    countAt = (outputAt + (long) width * activations.bytes() + 3) / 4 * 4;
    selectedAt = countAt + 4;
    int tokens = Math.max(layout.grid().denseTokens(), layout.grid().chunk());
    query = new float[width];
    output = new float[width];
    keys = new float[tokens * shape.headDim()];
    values = new float[tokens * shape.headDim()];
    selected = new boolean[sizes.maxChunks()];
    attended = new GroupSoftmax(shape.groupSize(), shape.headDim());
    others = new GroupSoftmax(shape.groupSize(), shape.headDim());
    host = device.allocateHost("accuracy meter", Workspace.meterBytes(sizes));
  }

  /**
   * Decides whether a step is measured, and where.
   *
   * @param seats of the rows
   * @param positions of the rows
   * @return whether {@link #capture} is to be called for {@link #layer}
   */
  public boolean begin(int[] seats, int[] positions, int rows) {
    layer = -1;
    if (++sinceLast < (share < 1 ? EVERY : 1) || (share < 1 && ownNanos > share * stepNanos)) {
      return false;
    }
    row = (int) (samples % rows);
    long cell = samples / rows;
    int closed = layout.grid().closedChunks(positions[row] + 1);
    samples++;
    if (closed == 0) {
      return false;
    }
    sinceLast = 0;
    seat = seats[row];
    position = positions[row];
    layer = (int) (cell % layout.layers());
    kvHead = (int) (cell / layout.layers() % layout.kvHeads());
    return true;
  }

  /** The layer that is measured in this step, or -1. */
  public int layer() {
    return layer;
  }

  /**
   * Submits the downloads, behind the attention of {@link #layer} and before anything else uses its
   * workspaces.
   *
   * @param queries of the rows
   * @param out attention output of the rows
   */
  public void capture(
      Queue queue, KvLayer of, Selection selection, Activations queries, Activations out) {
    long rowBytes = layout.rowBytes();
    long denseBytes = 2L * layout.grid().denseTokens() * rowBytes;
    long cellOfSeat = (long) seat * layout.kvHeads() + kvHead;
    queue.download(of.dense(), cellOfSeat * denseBytes, host, 0, denseBytes);
    download(queue, queries, queryAt);
    download(queue, out, outputAt);
    long cell = (long) row * layout.kvHeads() + kvHead;
    queue.download(selection.selectedCount(), 4 * cell, host, countAt, 4);
    queue.download(
        selection.selected(), 4 * cell * mostSelected, host, selectedAt, 4L * mostSelected);
  }

  private void download(Queue queue, Activations rows, long at) {
    int width = shape.groupSize() * shape.headDim();
    Activations from = rows.row(row).from(kvHead * width);
    long bytes = activations.bytes();
    queue.download(rows.buffer(), from.offset() * bytes, host, at, width * bytes);
  }

  /**
   * Notes that the step has ended, and computes what was measured in it.
   *
   * @param nanos that the step took
   * @param worthless whether a row of the step must not be looked at
   * @return nothing if nothing was, or what it needs is not in DRAM
   */
  public Optional<AccuracySample> end(long nanos, boolean worthless) {
    stepNanos += nanos;
    if (layer < 0 || worthless) {
      return Optional.empty();
    }
    long start = System.nanoTime();
    try {
      return sample();
    } finally {
      ownNanos += System.nanoTime() - start;
    }
  }

  /** The row that is measured in this step. */
  public int row() {
    return row;
  }

  private Optional<AccuracySample> sample() {
    MemorySegment memory = host.segment();
    int closed = layout.grid().closedChunks(position + 1);
    int count = memory.get(ValueLayout.JAVA_INT, countAt);
    if (count > MOST_SELECTED) {
      return Optional.empty();
    }
    int width = shape.groupSize() * shape.headDim();
    ChunkReader.read(activations, memory, queryAt, width, query);
    ChunkReader.read(activations, memory, outputAt, width, output);
    attended.clear();
    others.clear();
    addDense(memory);
    Arrays.fill(selected, 0, closed, false);
    for (int i = 0; i < count; i++) {
      int chunk = memory.get(ValueLayout.JAVA_INT, selectedAt + 4L * i);
      selected[chunk] = true;
      if (!add(attended, chunk, 1)) {
        return Optional.empty();
      }
    }
    int rest = closed - count;
    if (rest > 0 && !addOthers(closed, rest)) {
      return Optional.empty();
    }
    return Optional.of(compare());
  }

  /** Sink and ring. */
  private void addDense(MemorySegment memory) {
    ChunkGrid grid = layout.grid();
    int elements = grid.denseTokens() * shape.headDim();
    ChunkReader.read(layout.type(), memory, 0, elements, keys);
    ChunkReader.read(
        layout.type(), memory, (long) grid.denseTokens() * layout.rowBytes(), elements, values);
    int tokens = position + 1;
    attended.add(query, shape.scale(), keys, values, 0, Math.min(tokens, grid.sink()), 1);
    int ring = grid.ringTokens(tokens);
    for (int token = tokens - ring; token < tokens; token++) {
      int slot = grid.sink() + grid.ringSlot(token);
      attended.add(query, shape.scale(), keys, values, slot, 1, 1);
    }
  }

  /** Evenly spread ones of those that were not selected, as far as they are in DRAM. */
  private boolean addOthers(int closed, int rest) {
    int stride = Math.ceilDiv(rest, MOST_OTHERS);
    int present = 0;
    int seen = 0;
    for (int pass = 0; pass < 2; pass++) {
      // How many each stands for is known once all were looked at.
      seen = 0;
      for (int chunk = 0; chunk < closed; chunk++) {
        if (selected[chunk] || seen++ % stride != 0 || !inDram(chunk)) {
          continue;
        }
        if (pass == 0) {
          present++;
        } else {
          add(others, chunk, (double) rest / present);
        }
      }
      if (present == 0) {
        return false;
      }
    }
    return true;
  }

  private boolean inDram(int chunk) {
    return store.frame(layer, seat, kvHead, chunk / layout.extentChunks()) >= 0;
  }

  private boolean add(GroupSoftmax to, int chunk, double weight) {
    int frame = store.frame(layer, seat, kvHead, chunk / layout.extentChunks());
    if (frame < 0) {
      return false;
    }
    ChunkLayout backing = layout.backing();
    MemorySegment memory = store.frames().memory().segment();
    long at =
        (long) frame * layout.extentBytes()
            + (long) (chunk % layout.extentChunks()) * backing.bytes();
    ChunkReader.read(backing, memory, at, keys);
    ChunkReader.read(backing, memory, at + backing.valueOffset(), values);
    to.add(query, shape.scale(), keys, values, 0, backing.chunk(), weight);
    return true;
  }

  private AccuracySample compare() {
    double missed = 0;
    double error = 0;
    for (int g = 0; g < shape.groupSize(); g++) {
      double share = 1 / (1 + Math.exp(attended.logMass(g) - others.logMass(g)));
      missed += share;
      double difference = 0;
      double norm = 0;
      for (int i = 0; i < shape.headDim(); i++) {
        double full = (1 - share) * attended.mean(g, i) + share * others.mean(g, i);
        double off = output[g * shape.headDim() + i] - full;
        difference += off * off;
        norm += full * full;
      }
      error += norm == 0 ? 0 : Math.sqrt(difference / norm);
    }
    return new AccuracySample(
        row, layer, kvHead, missed / shape.groupSize(), error / shape.groupSize());
  }

  @Override
  public void close() {
    host.close();
  }
}
