package dev.kvdrive.kv.policy;

/**
 * Is told what is selected, for each (row, layer, KV head) in the order in which it is: so that it
 * can be recorded and replayed. Costs a wait for the device in each layer, and graphs. Engine
 * thread.
 */
public interface SelectionObserver {
  /** What chunks were selected for. */
  enum Purpose {
    /** The attention of a step. */
    STEP,

    /** Filling a window by a token at the end of a prompt. */
    WARM_UP,

    /** What a step is likely to attend in this layer, chosen before it gets there. */
    PREFETCH
  }

  /**
   * A choice.
   *
   * @param purpose what for
   * @param layer of the model
   * @param seat of the sequence
   * @param head of the layer's KV heads
   * @param position of the token
   * @param closed chunks there were to choose from
   * @param chunks that were chosen, ascending
   * @param scores of all closed chunks; empty where all were chosen
   */
  @SuppressWarnings("ArrayRecordComponent") // made for the observer, never written again
  record Choice(
      Purpose purpose,
      int layer,
      int seat,
      int head,
      int position,
      int closed,
      int[] chunks,
      float[] scores) {
    /** Whether every chunk was chosen. */
    public boolean all() {
      return chunks.length >= closed;
    }
  }

  /**
   * A sequence has taken a seat.
   *
   * @param budget share of its chunks that it attends
   */
  void opened(int seat, double budget);

  /** A sequence has left its seat. */
  void closed(int seat);

  /** A choice was made. */
  void chosen(Choice choice);

  /** All rows of a step have run. */
  void stepped();
}
