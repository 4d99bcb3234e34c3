package dev.kvdrive.kv.policy;

import dev.kvdrive.device.Device;
import dev.kvdrive.device.HostBuffer;
import dev.kvdrive.device.Queue;
import dev.kvdrive.device.Selection;
import dev.kvdrive.kv.policy.SelectionObserver.Choice;
import dev.kvdrive.kv.policy.SelectionObserver.Purpose;
import dev.kvdrive.plan.EngineSizes;
import dev.kvdrive.plan.Workspace;
import java.lang.foreign.ValueLayout;

/** Reads the workspace of selection for a {@link SelectionObserver}. */
public final class SelectionTap implements AutoCloseable {
  private final SelectionObserver observer;
  private final Selection selection;
  private final EngineSizes sizes;
  private final HostBuffer host;

  /**
   * @throws dev.kvdrive.device.DeviceMemoryException if the host has no {@link
   *     Workspace#observerBytes} beside what the plan counts
   */
  public SelectionTap(
      Device device, Selection selection, EngineSizes sizes, SelectionObserver observer) {
    this.observer = observer;
    this.selection = selection;
    this.sizes = sizes;
    host = device.allocateHost("observed selection", Workspace.observerBytes(sizes));
  }

  /** Who is told. */
  public SelectionObserver observer() {
    return observer;
  }

  /**
   * Waits for the queue and tells what the workspace holds.
   *
   * @param seats of the rows
   * @param positions of the rows
   */
  public void read(
      Queue queue, Purpose purpose, int layer, int[] seats, int[] positions, int rows) {
    int heads = sizes.layout().kvHeads();
    long countsAt = 4L * selection.maxRows() * heads * selection.maxSelected();
    long scoresAt = countsAt + 4L * selection.maxRows() * heads;
    queue.download(selection.selected(), 0, host, 0, selection.selected().bytes());
    queue.download(selection.selectedCount(), 0, host, countsAt, selection.selectedCount().bytes());
    queue.download(selection.scores(), 0, host, scoresAt, selection.scores().bytes());
    queue.synchronize();
    for (int row = 0; row < rows; row++) {
      int closed = sizes.layout().grid().closedChunks(positions[row] + 1);
      for (int head = 0; head < heads; head++) {
        long cell = (long) row * heads + head;
        int[] chunks = new int[host.segment().get(ValueLayout.JAVA_INT, countsAt + 4 * cell)];
        for (int i = 0; i < chunks.length; i++) {
          chunks[i] =
              host.segment().getAtIndex(ValueLayout.JAVA_INT, cell * selection.maxSelected() + i);
        }
        float[] scores = new float[chunks.length >= closed ? 0 : closed];
        for (int chunk = 0; chunk < scores.length; chunk++) {
          scores[chunk] =
              host.segment()
                  .get(
                      ValueLayout.JAVA_FLOAT,
                      scoresAt + 4 * (cell * selection.maxChunks() + chunk));
        }
        observer.chosen(
            new Choice(purpose, layer, seats[row], head, positions[row], closed, chunks, scores));
      }
    }
  }

  @Override
  public void close() {
    host.close();
  }
}
