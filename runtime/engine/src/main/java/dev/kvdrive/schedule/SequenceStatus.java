package dev.kvdrive.schedule;

import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * A sequence at one moment: how far it is, what it took, where its bytes are. Nothing of what is in
 * it.
 *
 * @param number less than that of any sequence that came later
 * @param id of its request, as its client may have named it
 * @param state what it does
 * @param waitsFor why it waits; null if it does not
 * @param promptTokens tokens of its prompt
 * @param promptRead share of the prompt that is read, in [0, 1]
 * @param mostTokens tokens that it can have in the end
 * @param budget share of the closed chunks that it attends per step, at most
 * @param usage what it took so far
 * @param stalls how often it had to wait for room in DRAM, or for chunks from NVMe
 * @param stalledNanos how long it did
 * @param held its bytes; nothing while it waits for a seat and after its end
 */
public record SequenceStatus(
    long number,
    String id,
    State state,
    @Nullable String waitsFor,
    int promptTokens,
    double promptRead,
    int mostTokens,
    double budget,
    GenerationUsage usage,
    long stalls,
    long stalledNanos,
    Held held) {
  /** What a sequence does. */
  public enum State {
    /** It has no seat yet. */
    WAITING,
    /** Its prompt is read. */
    READING,
    /** It has its first token, and takes part in steps. */
    DECODING,
    /** It has a seat, and waits for room in DRAM or for chunks from NVMe. */
    STALLED,
    /** It has ended by itself. */
    ENDED,
    /** It was cancelled. */
    CANCELLED,
    /** It has ended with an error. */
    FAILED
  }

  /**
   * Where the bytes of a sequence are. Chunks in the window are in a tier below it as well, and
   * those in DRAM may have a copy on NVMe.
   *
   * @param fixedBytes in GPU memory: sink, ring, index and clusters, set aside for its seat
   * @param windowBytes in GPU memory: its windows, as many slots as they have
   * @param residentBytes of these, chunks that are in them
   * @param dramBytes frames with its extents
   * @param nvmeBytes slots with its extents
   * @param copiedBytes of these, copies of what is in DRAM too
   * @param places along its context
   */
  public record Held(
      long fixedBytes,
      long windowBytes,
      long residentBytes,
      long dramBytes,
      long nvmeBytes,
      long copiedBytes,
      Places places) {
    /** Of who has no seat. */
    public static final Held NOTHING = new Held(0, 0, 0, 0, 0, 0, Places.NONE);
  }

  /**
   * Where the closed chunks of a sequence are, in pieces of its context of the same length: of
   * those that a piece has over all layers and KV heads, how many in a thousand. What is not read
   * yet, or is on its way, is nowhere.
   *
   * @param tokens that the pieces are of
   * @param window in the window
   * @param dram in DRAM
   * @param nvme on NVMe only
   */
  public record Places(int tokens, List<Integer> window, List<Integer> dram, List<Integer> nvme) {
    /** No context. */
    public static final Places NONE = new Places(0, List.of(), List.of(), List.of());

    public Places {
      window = List.copyOf(window);
      dram = List.copyOf(dram);
      nvme = List.copyOf(nvme);
    }
  }
}
