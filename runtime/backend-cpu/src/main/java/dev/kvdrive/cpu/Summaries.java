package dev.kvdrive.cpu;

import dev.kvdrive.device.AttentionShape;
import dev.kvdrive.plan.BitPlaneSummary;
import dev.kvdrive.plan.KvLayout;
import dev.kvdrive.plan.LandmarkSummary;
import dev.kvdrive.plan.MeanSummary;
import dev.kvdrive.plan.MinMaxSummary;
import dev.kvdrive.plan.SummaryFormat;
import dev.kvdrive.plan.TwoBitSummary;

/**
 * How the summaries of a KV head are written and what products queries have with them: a format.
 */
interface Summaries {
  /**
   * Writes a chunk's keys to its summary.
   *
   * @param rows addresses of the keys
   * @param target address of the summary
   * @param first whether the chunk begins the summary; otherwise it is added
   */
  void write(long[] rows, long target, boolean first, ThreadScratch scratch);

  /**
   * The products of each query of a group with summaries.
   *
   * @param queries address of {@code [groupSize][headDim]} floats
   * @param summaries address of {@code count} of them
   * @param products address of a row of floats for each query, {@code stride} bytes apart, with
   *     room for a vector behind the last
   */
  void products(
      AttentionShape shape,
      long queries,
      long summaries,
      int count,
      long products,
      long stride,
      ThreadScratch scratch);

  /**
   * What a query's products with all keys have in common, which {@link #products} leaves out.
   *
   * @param query address of {@code headDim} floats
   */
  default double common(long query, float scale) {
    return 0;
  }

  /** Those of a layer's KV heads. */
  static Summaries[] of(KvMemory kv) {
    Summaries[] all = new Summaries[kv.layout.kvHeads()];
    for (int head = 0; head < all.length; head++) {
      all[head] = of(kv, head);
    }
    return all;
  }

  private static Summaries of(KvMemory kv, int head) {
    KvLayout layout = kv.layout;
    return switch (kv.layer.index().format()) {
      case SummaryFormat.TwoBit() -> new TwoBitSummaries(TwoBitSummary.of(layout), layout.type());
      case SummaryFormat.BitPlanes(int bits) ->
          new BitPlaneSummaries(BitPlaneSummary.of(layout, bits), layout.type(), kv.codebook(head));
      case SummaryFormat.Mean() ->
          new MeanSummaries(MeanSummary.of(layout), MeanSummary.of(layout).bytes());
      case SummaryFormat.Landmark() -> new LandmarkSummaries(LandmarkSummary.of(layout));
      case SummaryFormat.MinMax() ->
          new MinMaxSummaries(MinMaxSummary.of(layout), layout.grid().chunk());
      case SummaryFormat.None() -> throw new IllegalStateException("there are no summaries");
    };
  }
}
