package dev.kvdrive.plan;

/**
 * What an index keeps of closed chunks, in bytes; how it is laid out says the record of the format.
 */
public sealed interface SummaryFormat {
  /** Bytes of one summary of one (layer, KV head). */
  int bytes(KvLayout layout);

  /**
   * Consecutive chunks that a summary is of: summary {@code i} is of those from {@code i} times
   * this on.
   */
  default int chunks() {
    return 1;
  }

  /** Summaries of one (layer, KV head) with so many closed chunks; the last may be of fewer. */
  default int summaries(int closedChunks) {
    return Math.ceilDiv(closedChunks, chunks());
  }

  /** Bytes of all summaries of one (layer, KV head) with so many closed chunks. */
  default long indexBytes(KvLayout layout, int closedChunks) {
    return (long) summaries(closedChunks) * bytes(layout);
  }

  /** Bytes that each (layer, KV head) has once for all seats, to write and read summaries with. */
  default int codebookBytes(KvLayout layout) {
    return 0;
  }

  /** Whether scores by it estimate shares of attention, for how much is missed to be known. */
  default boolean estimatesShares() {
    return false;
  }

  /** As users see it: {@code none}, {@code two-bit}, {@code planes-128}, {@code min-max}. */
  String word();

  /**
   * The index of policy {@code kvdrive} that a user has written: {@code two-bit}, or {@code
   * planes-N} for N bits a key.
   *
   * @throws IllegalArgumentException if it is neither, with what there is
   */
  static SummaryFormat parse(String word) {
    if (word.equals("two-bit")) {
      return twoBit();
    }
    if (word.matches("planes-[1-9][0-9]{0,3}")) {
      return bitPlanes(Integer.parseInt(word.substring("planes-".length())));
    }
    throw new IllegalArgumentException(
        "there is no index '%s'; write two-bit, or planes-64, planes-96, planes-128 and so on for as many bits a key"
            .formatted(word));
  }

  /** Nothing: every chunk is attended. */
  static SummaryFormat none() {
    return new None();
  }

  /** The chunk's keys, rotated, with two bits an element: {@link TwoBitSummary}. */
  static SummaryFormat twoBit() {
    return new TwoBit();
  }

  /**
   * The chunk's keys in a space fitted to keys and queries: {@link BitPlaneSummary}. Needs a
   * calibration of the model.
   *
   * @param bits of each key
   */
  static SummaryFormat bitPlanes(int bits) {
    return new BitPlanes(bits);
  }

  /** The mean of a chunk's keys: {@link MeanSummary}. */
  static SummaryFormat mean() {
    return new Mean();
  }

  /**
   * The mean of a chunk's keys, and how far the farthest of them turns away: {@link
   * LandmarkSummary}.
   */
  static SummaryFormat landmark() {
    return new Landmark();
  }

  /** The smallest and the largest of each element of the keys of a page: {@link MinMaxSummary}. */
  static SummaryFormat minMax() {
    return new MinMax();
  }

  /** See {@link #none}. */
  record None() implements SummaryFormat {
    @Override
    public String word() {
      return "none";
    }

    @Override
    public int bytes(KvLayout layout) {
      return 0;
    }
  }

  /** See {@link #twoBit}. */
  record TwoBit() implements SummaryFormat {
    @Override
    public String word() {
      return "two-bit";
    }

    @Override
    public boolean estimatesShares() {
      return true;
    }

    @Override
    public int bytes(KvLayout layout) {
      return TwoBitSummary.of(layout).bytes();
    }
  }

  /** See {@link #bitPlanes}. */
  record BitPlanes(int bits) implements SummaryFormat {
    public BitPlanes {
      if (bits < BitPlaneSummary.WORD || bits % BitPlaneSummary.WORD != 0) {
        throw new IllegalArgumentException(
            "an index has whole words of %d bits a key, got %d; write for instance planes-96 or planes-128"
                .formatted(BitPlaneSummary.WORD, bits));
      }
    }

    @Override
    public String word() {
      return "planes-" + bits;
    }

    @Override
    public boolean estimatesShares() {
      return true;
    }

    @Override
    public int bytes(KvLayout layout) {
      return BitPlaneSummary.of(layout, bits).bytes();
    }

    @Override
    public int codebookBytes(KvLayout layout) {
      return BitPlaneSummary.of(layout, bits).codebookBytes();
    }
  }

  /** See {@link #mean}. */
  record Mean() implements SummaryFormat {
    @Override
    public String word() {
      return "mean";
    }

    @Override
    public int bytes(KvLayout layout) {
      return MeanSummary.of(layout).bytes();
    }
  }

  /** See {@link #landmark}. */
  record Landmark() implements SummaryFormat {
    @Override
    public String word() {
      return "landmark";
    }

    @Override
    public int bytes(KvLayout layout) {
      return LandmarkSummary.of(layout).bytes();
    }
  }

  /** See {@link #minMax}. */
  record MinMax() implements SummaryFormat {
    @Override
    public String word() {
      return "min-max";
    }

    @Override
    public int bytes(KvLayout layout) {
      return MinMaxSummary.of(layout).bytes();
    }

    @Override
    public int chunks() {
      return MinMaxSummary.CHUNKS;
    }
  }
}
