package dev.kvdrive.decode;

import dev.kvdrive.device.Device;
import dev.kvdrive.device.DeviceBuffer;
import dev.kvdrive.device.HostBuffer;
import dev.kvdrive.device.Queue;
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

  /** Index of the seats in {@link #UPLOADED}. */
  private static final int SEATS = 2;

  /** Arrays of all rows; the last two are of the rows as they were before their newest token. */
  private static final List<String> UPLOADED =
      List.of(
          "tokens",
          "positions",
          "seats",
          "select counts",
          "positions before",
          "select counts before");

  private final int maxRows;
  private final HostBuffer block;
  private final List<DeviceBuffer> arrays = new ArrayList<>();

  /** Seats where the rows of other micro-batches are unused, see {@link #indexOf}. */
  private final List<DeviceBuffer> parts = new ArrayList<>();

  /** Select counts of rows that attend everything. */
  private final DeviceBuffer everything;

  /**
   * @param queue on which what never changes is written
   */
  StepParameters(Device device, Queue queue, int maxRows) {
    this.maxRows = maxRows;
    int all = UPLOADED.size() + Workspace.MICRO_BATCH_ARRAYS;
    block = device.allocateHost("step parameters", 4L * all * maxRows);
    try {
      for (String label : UPLOADED) {
        arrays.add(device.allocate(label + " of the step", 4L * maxRows));
      }
      for (int part = 0; part < Workspace.MICRO_BATCH_ARRAYS; part++) {
        parts.add(device.allocate("seats of a micro-batch", 4L * maxRows));
      }
      everything = device.allocate("select counts of dense layers", 4L * maxRows);
      arrays.add(everything);
      queue.fill(everything, 0, maxRows, Integer.MAX_VALUE);
      queue.synchronize();
    } catch (RuntimeException e) {
      close();
      throw e;
    }
  }

  void set(int row, int token, int position, int seat, int selectCount, int selectBefore) {
    put(0, row, token);
    put(1, row, position);
    put(SEATS, row, seat);
    put(3, row, selectCount);
    put(4, row, Math.max(0, position - 1));
    put(5, row, selectBefore);
  }

  /** Makes rows {@code [from, to)} unused. */
  void pad(int from, int to) {
    for (int row = from; row < to; row++) {
      set(row, UNUSED, 0, UNUSED, 0, 0);
    }
  }

  private void put(int array, int row, int value) {
    block.segment().setAtIndex(ValueLayout.JAVA_INT, (long) array * maxRows + row, value);
  }

  /** Cuts the first {@code rows} rows into {@code depth} micro-batches of neighbours. */
  void cut(int rows, int depth) {
    for (int part = 0; depth > 1 && part < depth; part++) {
      int to = until(rows, depth, part);
      for (int row = 0; row < rows; row++) {
        boolean in = row < to && row >= until(rows, depth, part - 1);
        put(UPLOADED.size() + indexOf(depth, part), row, in ? get(SEATS, row) : UNUSED);
      }
    }
  }

  /** Row behind the last one of a micro-batch. */
  private static int until(int rows, int depth, int part) {
    return (int) ((long) rows * (part + 1) / depth);
  }

  /** Place of a micro-batch's array: first those of two, then those of four. */
  private static int indexOf(int depth, int part) {
    return depth - 2 + part;
  }

  /**
   * Uploads the first {@code rows} rows; the block must not change until that is done.
   *
   * @param depth as last {@link #cut}
   */
  void upload(Queue queue, int rows, int depth) {
    for (int array = 0; array < UPLOADED.size(); array++) {
      upload(queue, array, arrays.get(array), rows);
    }
    for (int part = 0; depth > 1 && part < depth; part++) {
      int at = indexOf(depth, part);
      upload(queue, UPLOADED.size() + at, parts.get(at), rows);
    }
  }

  private void upload(Queue queue, int array, DeviceBuffer to, int rows) {
    queue.upload(block, 4L * array * maxRows, to, 0, 4L * rows);
  }

  private int get(int array, int row) {
    return block.segment().getAtIndex(ValueLayout.JAVA_INT, (long) array * maxRows + row);
  }

  /** The arrays as operations take them. */
  StepBatch batch(int rows) {
    return batch(rows, arrays.get(SEATS), arrays.get(3));
  }

  /** The micro-batches of a batch. */
  List<StepBatch> parts(StepBatch batch, int depth) {
    List<StepBatch> all = new ArrayList<>();
    for (int part = 0; depth > 1 && part < depth; part++) {
      all.add(batch(batch.rows(), parts.get(indexOf(depth, part)), batch.selectCounts()));
    }
    return depth == 1 ? List.of(batch) : all;
  }

  private StepBatch batch(int rows, DeviceBuffer seats, DeviceBuffer selectCounts) {
    return new StepBatch(rows, arrays.get(0), arrays.get(1), seats, selectCounts);
  }

  /** The same where every row attends everything. */
  StepBatch denseBatch(int rows) {
    return batch(rows, arrays.get(SEATS), everything);
  }

  /** The rows as they were before their newest token: for what is prefetched. */
  StepBatch before(int rows) {
    return new StepBatch(rows, arrays.get(0), arrays.get(4), arrays.get(SEATS), arrays.get(5));
  }

  @Override
  public void close() {
    arrays.forEach(DeviceBuffer::close);
    parts.forEach(DeviceBuffer::close);
    block.close();
  }
}
