package dev.kvdrive.bench.simulate;

import dev.kvdrive.bench.simulate.Recording.Chosen;
import dev.kvdrive.bench.simulate.Recording.Event;
import dev.kvdrive.bench.simulate.Recording.Opened;
import dev.kvdrive.kv.policy.SelectionObserver.Purpose;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.stream.IntStream;

/** Which chunks of a (layer, KV head) share an extent. */
public enum Placing {
  /** Consecutive ones, as the engine does. */
  POSITION("by position"),

  /**
   * Those that the last tokens of the prompt have selected as often: what can be known when a
   * prompt is written. Chunks that close later follow, by position.
   */
  WARM_UP("by the prompt's last selections"),

  /**
   * Those that the answer will have selected as often: what nobody can know, the bound of any such
   * order that is made once.
   */
  HINDSIGHT("by the answer's selections, known beforehand");

  private final String words;

  Placing(String words) {
    this.words = words;
  }

  /** For a table. */
  public String words() {
    return words;
  }

  /**
   * The place of each chunk of every (sequence, layer, KV head): extents hold consecutive places.
   *
   * @return {@code [sequence][layer * heads + head][chunk]}, sequences in the order in which they
   *     took seats
   */
  List<int[][]> places(Recording recording) {
    RecordingHeader header = recording.header();
    int windows = header.shape().layers() * header.shape().heads();
    List<int[][]> counts = new ArrayList<>();
    int[] sequenceOf = new int[header.shape().seats()];
    for (Event event : recording.events()) {
      if (event instanceof Opened(int seat, double _)) {
        sequenceOf[seat] = counts.size();
        counts.add(new int[windows][header.maxChunks()]);
      } else if (event instanceof Chosen choice && choice.purpose() == counted()) {
        int[] ofWindow =
            counts
                .get(sequenceOf[choice.seat()])[
                choice.layer() * header.shape().heads() + choice.head()];
        for (int chunk : choice.chunks()) {
          ofWindow[chunk]++;
        }
      }
    }
    for (int[][] ofSequence : counts) {
      for (int window = 0; window < windows; window++) {
        ofSequence[window] = this == POSITION ? identity(header) : places(ofSequence[window]);
      }
    }
    return counts;
  }

  private Purpose counted() {
    return this == WARM_UP ? Purpose.WARM_UP : Purpose.STEP;
  }

  private static int[] identity(RecordingHeader header) {
    return IntStream.range(0, header.maxChunks()).toArray();
  }

  private static int[] places(int[] selections) {
    int[] places = new int[selections.length];
    int place = 0;
    for (int chunk :
        IntStream.range(0, selections.length)
            .boxed()
            .sorted(Comparator.comparingInt((Integer chunk) -> -selections[chunk]))
            .mapToInt(Integer::intValue)
            .toArray()) {
      places[chunk] = place++;
    }
    return places;
  }
}
