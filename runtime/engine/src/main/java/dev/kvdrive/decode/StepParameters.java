package dev.kvdrive.decode;

import dev.kvdrive.device.Device;
import dev.kvdrive.device.DeviceBuffer;
import dev.kvdrive.device.HostBuffer;
import dev.kvdrive.device.Queue;
import dev.kvdrive.device.StepBatch;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;

/**
 * The numbers that differ from step to step, written by the host to one pinned block and uploaded
 * from there, so that a recorded step serves all of them.
 */
final class StepParameters implements AutoCloseable {
  private static final int UNUSED = -1;

  /** Uploaded arrays; the last two are of the rows as they were before their newest token. */
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

  /** Select counts of rows that attend everything. */
  private final DeviceBuffer everything;

  /**
   * @param queue on which what never changes is written
   */
  StepParameters(Device device, Queue queue, int maxRows) {
    this.maxRows = maxRows;
    block = device.allocateHost("step parameters", 4L * UPLOADED.size() * maxRows);
    try {
      for (String label : UPLOADED) {
        arrays.add(device.allocate(label + " of the step", 4L * maxRows));
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
    put(2, row, seat);
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

  /** Uploads the first {@code rows} rows; the block must not change until that is done. */
  void upload(Queue queue, int rows) {
    for (int array = 0; array < UPLOADED.size(); array++) {
      queue.upload(block, 4L * array * maxRows, arrays.get(array), 0, 4L * rows);
    }
  }

  /** The arrays as operations take them. */
  StepBatch batch(int rows) {
    return new StepBatch(rows, arrays.get(0), arrays.get(1), arrays.get(2), arrays.get(3));
  }

  /** The same where every row attends everything. */
  StepBatch denseBatch(int rows) {
    return new StepBatch(rows, arrays.get(0), arrays.get(1), arrays.get(2), everything);
  }

  /** The rows as they were before their newest token: for what is prefetched. */
  StepBatch before(int rows) {
    return new StepBatch(rows, arrays.get(0), arrays.get(4), arrays.get(2), arrays.get(5));
  }

  @Override
  public void close() {
    arrays.forEach(DeviceBuffer::close);
    block.close();
  }
}
