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

  private final int maxRows;
  private final HostBuffer block;
  private final List<DeviceBuffer> arrays = new ArrayList<>();

  StepParameters(Device device, int maxRows) {
    this.maxRows = maxRows;
    block = device.allocateHost("step parameters", 4L * 4 * maxRows);
    try {
      for (String label : List.of("tokens", "positions", "seats", "select counts")) {
        arrays.add(device.allocate(label + " of the step", 4L * maxRows));
      }
    } catch (RuntimeException e) {
      close();
      throw e;
    }
  }

  void set(int row, int token, int position, int seat, int selectCount) {
    put(0, row, token);
    put(1, row, position);
    put(2, row, seat);
    put(3, row, selectCount);
  }

  /** Makes rows {@code [from, to)} unused. */
  void pad(int from, int to) {
    for (int row = from; row < to; row++) {
      set(row, UNUSED, 0, UNUSED, 0);
    }
  }

  private void put(int array, int row, int value) {
    block.segment().setAtIndex(ValueLayout.JAVA_INT, (long) array * maxRows + row, value);
  }

  /** Uploads the first {@code rows} rows; the block must not change until that is done. */
  void upload(Queue queue, int rows) {
    for (int array = 0; array < arrays.size(); array++) {
      queue.upload(block, 4L * array * maxRows, arrays.get(array), 0, 4L * rows);
    }
  }

  /** The arrays as operations take them. */
  StepBatch batch(int rows) {
    return new StepBatch(rows, arrays.get(0), arrays.get(1), arrays.get(2), arrays.get(3));
  }

  @Override
  public void close() {
    arrays.forEach(DeviceBuffer::close);
    block.close();
  }
}
