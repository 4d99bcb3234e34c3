package dev.kvdrive.plan;

/**
 * What a plan has to know of a policy, which decides what a step attends and what stays in the
 * window: pure numbers. The policy itself is the engine's.
 *
 * @param name as users write it
 * @param summary what its index keeps of a chunk
 */
public record PolicyShape(String name, SummaryFormat summary) {
  /** Chunks are chosen by their share of attention, estimated from two-bit keys. */
  public static final PolicyShape KVDRIVE = new PolicyShape("kvdrive", SummaryFormat.twoBit());

  /** Every chunk is attended in every step; there is no index. */
  public static final PolicyShape FULL = new PolicyShape("full", SummaryFormat.none());

  /** Whether it can attend less than everything. */
  public boolean selects() {
    return !summary.equals(SummaryFormat.none());
  }

  /** The same with another index. */
  public PolicyShape withSummary(SummaryFormat format) {
    return new PolicyShape(name, format);
  }
}
