package dev.kvdrive.bench.simulate;

import dev.kvdrive.bench.simulate.Recording.Chosen;
import dev.kvdrive.bench.simulate.Recording.Event;
import dev.kvdrive.bench.simulate.Recording.Opened;
import dev.kvdrive.kv.policy.SelectionObserver.Purpose;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/** When each chunk of a window will be selected by a step, known from the end of a recording. */
final class Future {
  /** Later than any step. */
  static final int NEVER = Integer.MAX_VALUE;

  /** {@code [chunk]} positions, ascending; the first {@code counts[chunk]} of them. */
  private final int[][] positions;

  private final int[] counts;

  Future(int maxChunks) {
    positions = new int[maxChunks][];
    counts = new int[maxChunks];
  }

  /**
   * Of a whole recording.
   *
   * @return {@code [sequence][layer * heads + head]}, sequences in the order in which they took
   *     seats
   */
  static List<Future[]> of(Recording recording) {
    RecordingHeader header = recording.header();
    List<Future[]> sequences = new ArrayList<>();
    int[] sequenceOf = new int[header.shape().seats()];
    for (Event event : recording.events()) {
      if (event instanceof Opened(int seat, double _)) {
        sequenceOf[seat] = sequences.size();
        Future[] windows = new Future[header.shape().layers() * header.shape().heads()];
        Arrays.setAll(windows, window -> new Future(header.maxChunks()));
        sequences.add(windows);
      } else if (event instanceof Chosen choice && choice.purpose() == Purpose.STEP) {
        Future future =
            sequences
                .get(sequenceOf[choice.seat()])[
                choice.layer() * header.shape().heads() + choice.head()];
        for (int chunk : choice.chunks()) {
          future.selects(chunk, choice.position());
        }
      }
    }
    return sequences;
  }

  /** A step at a position, which is behind those before, selects a chunk. */
  void selects(int chunk, int position) {
    int[] before = positions[chunk];
    int count = counts[chunk]++;
    int[] of =
        before == null
            ? new int[4]
            : count == before.length ? Arrays.copyOf(before, 2 * count) : before;
    of[count] = position;
    positions[chunk] = of;
  }

  /** The first position from one on whose step selects a chunk, or {@link #NEVER}. */
  int next(int chunk, int from) {
    if (counts[chunk] == 0) {
      return NEVER;
    }
    int at = Arrays.binarySearch(positions[chunk], 0, counts[chunk], from);
    int index = at >= 0 ? at : -at - 1;
    return index < counts[chunk] ? positions[chunk][index] : NEVER;
  }
}
