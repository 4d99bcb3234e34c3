package dev.kvdrive.schedule;

import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * The sequences of an engine as its thread saw them between two turns.
 *
 * @param number of the view; 0 if there was none yet
 * @param sequences those with a seat, in the order of their seats, then those that wait, in the
 *     order of their arrival; the first of them if there are many
 * @param unseen how many there are beside these
 * @param ended those that have ended last, the latest first
 * @param step the last step that was timed; null if there is none
 */
public record EngineView(
    long number,
    List<SequenceStatus> sequences,
    int unseen,
    List<SequenceStatus> ended,
    @Nullable TimedStep step) {
  /** Before the first. */
  public static final EngineView NONE = new EngineView(0, List.of(), 0, List.of(), null);

  public EngineView {
    sequences = List.copyOf(sequences);
    ended = List.copyOf(ended);
  }
}
