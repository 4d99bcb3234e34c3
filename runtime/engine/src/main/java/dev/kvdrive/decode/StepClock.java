package dev.kvdrive.decode;

import dev.kvdrive.device.Queue;
import java.util.EnumMap;
import java.util.Map;

/**
 * Measures how long the stages of a step take, for a step that somebody asked for: at every change
 * of stage it waits for the device, so that what was submitted before has run. Such a step is not
 * run from its recording, and nothing of it overlaps on the device. All other steps, and
 * recordings, pass with a test of one field. Engine thread.
 */
final class StepClock {
  private final Map<StepStage, Long> nanos = new EnumMap<>(StepStage.class);
  private boolean runs;
  private StepStage stage = StepStage.PROJECT;
  private long since;

  /** A step begins, in its first stage. */
  void start() {
    for (StepStage of : StepStage.values()) {
      nanos.put(of, 0L);
    }
    stage = StepStage.PROJECT;
    runs = true;
    since = System.nanoTime();
  }

  /** What is submitted from here on belongs to a stage. */
  void enter(Queue queue, StepStage next) {
    if (!runs || next == stage) {
      return;
    }
    queue.synchronize();
    long now = System.nanoTime();
    nanos.merge(stage, now - since, Long::sum);
    since = now;
    stage = next;
  }

  /** The step has ended, and the queue was waited for. */
  Map<StepStage, Long> stop() {
    nanos.merge(stage, System.nanoTime() - since, Long::sum);
    runs = false;
    return new EnumMap<>(nanos);
  }
}
