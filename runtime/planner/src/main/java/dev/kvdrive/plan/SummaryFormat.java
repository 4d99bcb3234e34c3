package dev.kvdrive.plan;

/** What an index keeps of a chunk, in bytes; how it is laid out says the record of the format. */
public enum SummaryFormat {
  /** Nothing: every chunk is attended. */
  NONE {
    @Override
    public int bytes(KvLayout layout) {
      return 0;
    }
  },

  /** The chunk's keys, rotated, with two bits an element: {@link TwoBitSummary}. */
  TWO_BIT {
    @Override
    public int bytes(KvLayout layout) {
      return TwoBitSummary.of(layout).bytes();
    }
  };

  /** Bytes of the summary of one chunk of one (layer, KV head). */
  public abstract int bytes(KvLayout layout);
}
