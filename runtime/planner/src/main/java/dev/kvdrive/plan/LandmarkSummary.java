package dev.kvdrive.plan;

/**
 * The summary of a chunk that is a {@link MeanSummary}, its landmark, and one F32 behind it: the
 * lowest cosine of any of its keys with their mean. A chunk whose keys agree has nearly 1; one with
 * a key that the mean says little about has less.
 *
 * <p>With {@code m} the mean before it is rounded and {@code k} a key as stored, the cosine is
 * {@code (m . k) / (sqrt(m . m) * sqrt(k . k))}. Products are sums in ascending order of elements
 * from 0, each term a fused multiply-add; all is F32. Where the denominator is 0 the cosine is 1.
 *
 * @param mean what lies before it
 */
public record LandmarkSummary(MeanSummary mean) {
  /** Of the chunks of a layout. */
  public static LandmarkSummary of(KvLayout layout) {
    return new LandmarkSummary(MeanSummary.of(layout));
  }

  /** Offset of the lowest cosine. */
  public int cosineOffset() {
    return mean.bytes();
  }

  /** Bytes of a summary: whole words. */
  public int bytes() {
    return cosineOffset() + Float.BYTES;
  }
}
