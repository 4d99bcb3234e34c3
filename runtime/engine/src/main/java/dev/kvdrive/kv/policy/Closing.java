package dev.kvdrive.kv.policy;

import dev.kvdrive.device.IndexOperations;
import dev.kvdrive.device.LayerStep;
import dev.kvdrive.device.PromptChunks;
import dev.kvdrive.device.Queue;

/** Chunks that have just closed, in a step or in a prompt, and the verbs for them. */
public final class Closing {
  private final Runnable summarise;
  private final Runnable join;

  private Closing(Runnable summarise, Runnable join) {
    this.summarise = summarise;
    this.join = join;
  }

  /** Of the chunks that a step has closed, while they are in the ring. */
  public static Closing inStep(IndexOperations index, Queue queue, LayerStep step) {
    return new Closing(
        () -> index.summarise(queue, step),
        () -> index.join(queue, new IndexOperations.Join(step)));
  }

  /** Of chunks of a prompt, which lie in the scratch. */
  public static Closing inPrompt(IndexOperations index, Queue queue, PromptChunks chunks) {
    return new Closing(() -> index.summarise(queue, chunks), () -> {});
  }

  /** Writes the chunks' summaries in the format of the policy's shape. */
  public void summarise() {
    summarise.run();
  }

  /**
   * Takes a step's chunks, or their tokens, into clusters, after they have summaries; those of a
   * prompt wait for their segment.
   */
  public void join() {
    join.run();
  }
}
