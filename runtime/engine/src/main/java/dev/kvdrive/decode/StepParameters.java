package dev.kvdrive.decode;

import dev.kvdrive.device.Device;
import dev.kvdrive.device.DeviceBuffer;
import dev.kvdrive.device.DeviceSlice;
import dev.kvdrive.device.HostBuffer;
import dev.kvdrive.device.Queue;
import dev.kvdrive.device.RowSampling;
import dev.kvdrive.device.StepBatch;
import dev.kvdrive.plan.Workspace;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;

/**
 * The numbers that differ from step to step, written by the host to one pinned block and uploaded
 * from there, so that a recorded step serves all of them.
 */
final class StepParameters implements AutoCloseable {
  private static final int UNUSED = -1;

  /** Index of the seats. */
  private static final int SEATS = 2;

  /**
   * Arrays of all rows: tokens, positions, seats, select counts, and positions and select counts as
   * they were before the newest token; shares of attention that may be missed. Behind them are the
   * seats of micro-batches, and before all of them how tokens are chosen.
   */
  private static final int OF_ROWS = 7;

  /** Index of the shares, which are F32. */
  private static final int SHARES = 6;

  private static final int ARRAYS = OF_ROWS + Workspace.MICRO_BATCH_ARRAYS;

  private final int maxRows;
  private final long arraysAt;
  private final HostBuffer block;
  private final DeviceBuffer uploaded;
  private final DeviceBuffer sampling;
  private final List<DeviceBuffer> arrays = new ArrayList<>();
  private final List<DeviceBuffer> owned = new ArrayList<>();

  /** Select counts of rows that attend everything. */
  private final DeviceBuffer everything;

  /**
   * @param queue on which what never changes is written
   */
  StepParameters(Device device, Queue queue, int maxRows) {
    this.maxRows = maxRows;
    arraysAt = (long) RowSampling.BYTES * maxRows;
    block = device.allocateHost("step parameters", arraysAt + 4L * ARRAYS * maxRows);
    try {
      uploaded = device.allocate("parameters of the step", block.bytes());
      owned.add(uploaded);
      sampling = new DeviceSlice(uploaded, 0, arraysAt);
      for (int array = 0; array < ARRAYS; array++) {
        arrays.add(new DeviceSlice(uploaded, arraysAt + 4L * array * maxRows, 4L * maxRows));
      }
      everything = device.allocate("select counts of dense layers", 4L * maxRows);
      owned.add(everything);
      queue.fill(everything, 0, maxRows, Integer.MAX_VALUE);
      queue.synchronize();
    } catch (RuntimeException e) {
      close();
      throw e;
    }
  }

  void set(
      int row,
      int token,
      int position,
      int seat,
      int selectCount,
      int selectBefore,
      float mayMiss) {
    put(0, row, token);
    put(1, row, position);
    put(SEATS, row, seat);
    put(3, row, selectCount);
    put(4, row, Math.max(0, position - 1));
    put(5, row, selectBefore);
    put(SHARES, row, Float.floatToRawIntBits(mayMiss));
    sample(row, 0, 0, 1, 0, 0);
  }

  /** How the token of a row is chosen: {@link RowSampling}. */
  void sample(int row, float temperature, int topK, float topP, float minP, long draw) {
    long at = (long) RowSampling.BYTES * row;
    RowSampling.write(block.segment(), at, temperature, topK, topP, minP, draw);
  }

  /** How tokens are chosen, on the device. */
  DeviceBuffer sampling() {
    return sampling;
  }

  /** Makes rows {@code [from, to)} unused. */
  void pad(int from, int to) {
    for (int row = from; row < to; row++) {
      set(row, UNUSED, 0, UNUSED, 0, 0, 0);
    }
  }

  private void put(int array, int row, int value) {
    block.segment().set(ValueLayout.JAVA_INT, at(array, row), value);
  }

  /** Cuts the first {@code rows} rows into {@code depth} micro-batches of neighbours. */
  void cut(int rows, int depth) {
    for (int part = 0; depth > 1 && part < depth; part++) {
      int to = until(rows, depth, part);
      for (int row = 0; row < rows; row++) {
        boolean in = row < to && row >= until(rows, depth, part - 1);
        put(indexOf(depth, part), row, in ? get(SEATS, row) : UNUSED);
      }
    }
  }

  /** Uploads everything at once; the block must not change until that is done. */
  void upload(Queue queue) {
    queue.upload(block, 0, uploaded, 0, block.bytes());
  }

  /** Row behind the last one of a micro-batch. */
  private static int until(int rows, int depth, int part) {
    return (int) ((long) rows * (part + 1) / depth);
  }

  /**
   * Index of the seats of a micro-batch, where the rows of others are unused: first those of two,
   * then those of four.
   */
  private static int indexOf(int depth, int part) {
    return OF_ROWS + depth - 2 + part;
  }

  private int get(int array, int row) {
    return block.segment().get(ValueLayout.JAVA_INT, at(array, row));
  }

  private long at(int array, int row) {
    return arraysAt + 4L * ((long) array * maxRows + row);
  }

  /**
   * The arrays as operations take them.
   *
   * @param partly whether rows may miss shares of their attention
   */
  StepBatch batch(int rows, boolean partly) {
    return new StepBatch(
        rows,
        arrays.get(0),
        arrays.get(1),
        arrays.get(SEATS),
        arrays.get(3),
        partly ? arrays.get(SHARES) : null);
  }

  /** The micro-batches of a batch. */
  List<StepBatch> parts(StepBatch batch, int depth) {
    List<StepBatch> all = new ArrayList<>();
    for (int part = 0; depth > 1 && part < depth; part++) {
      all.add(
          new StepBatch(
              batch.rows(),
              batch.tokens(),
              batch.positions(),
              arrays.get(indexOf(depth, part)),
              batch.selectCounts(),
              batch.mayMiss()));
    }
    return depth == 1 ? List.of(batch) : all;
  }

  /** The same where every row attends everything. */
  StepBatch denseBatch(int rows) {
    return new StepBatch(rows, arrays.get(0), arrays.get(1), arrays.get(SEATS), everything);
  }

  /** The rows as they were before their newest token: for what is prefetched. */
  StepBatch before(int rows, boolean partly) {
    return new StepBatch(
        rows,
        arrays.get(0),
        arrays.get(4),
        arrays.get(SEATS),
        arrays.get(5),
        partly ? arrays.get(SHARES) : null);
  }

  @Override
  public void close() {
    owned.forEach(DeviceBuffer::close);
    block.close();
  }
}
