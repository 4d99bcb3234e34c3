package dev.kvdrive.plan;

/**
 * What a plan has to know of a policy, which decides what a step attends and what stays in the
 * window: pure numbers. The policy itself is the engine's.
 *
 * @param name as users write it
 * @param summary what its index keeps of a chunk
 */
public record PolicyShape(String name, SummaryFormat summary) {
  /** Bits of a fitted key, unless another number is asked for or a head has too few elements. */
  private static final int FITTED_BITS = 128;

  /** Chunks are chosen by their share of attention, estimated from two-bit keys. */
  public static final PolicyShape KVDRIVE = new PolicyShape("kvdrive", SummaryFormat.twoBit());

  /** Every chunk is attended in every step; there is no index. */
  public static final PolicyShape FULL = new PolicyShape("full", SummaryFormat.none());

  /**
   * KVDrive with the index that a model gets where none is asked for: bit planes where a
   * calibration comes with it, else two bits an element, which need none.
   */
  public static PolicyShape kvdrive(ModelGeometry model) {
    int bits =
        Math.min(FITTED_BITS, 2 * model.headDim()) / BitPlaneSummary.WORD * BitPlaneSummary.WORD;
    return model.calibrated() && bits > 0
        ? KVDRIVE.withSummary(SummaryFormat.bitPlanes(bits))
        : KVDRIVE;
  }

  /** Whether it can attend less than everything. */
  public boolean selects() {
    return !summary.equals(SummaryFormat.none());
  }

  /** The same with another index. */
  public PolicyShape withSummary(SummaryFormat format) {
    return new PolicyShape(name, format);
  }
}
