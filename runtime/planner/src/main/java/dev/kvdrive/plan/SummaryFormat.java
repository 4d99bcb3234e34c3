package dev.kvdrive.plan;

/** What an index keeps of a chunk, in bytes; how it is laid out says the record of the format. */
public sealed interface SummaryFormat {
  /** Bytes of the summary of one chunk of one (layer, KV head). */
  int bytes(KvLayout layout);

  /** Bytes that each (layer, KV head) has once for all seats, to write and read summaries with. */
  default int codebookBytes(KvLayout layout) {
    return 0;
  }

  /** As users write it: {@code none}, {@code two-bit}, {@code planes-128}. */
  String word();

  /**
   * The index that a user has written: {@code two-bit}, or {@code planes-N} for N bits a key.
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
    public int bytes(KvLayout layout) {
      return BitPlaneSummary.of(layout, bits).bytes();
    }

    @Override
    public int codebookBytes(KvLayout layout) {
      return BitPlaneSummary.of(layout, bits).codebookBytes();
    }
  }
}
