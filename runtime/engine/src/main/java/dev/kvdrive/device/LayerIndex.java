package dev.kvdrive.device;

import dev.kvdrive.plan.SummaryFormat;
import org.jspecify.annotations.Nullable;

/**
 * What is kept of a layer's closed chunks, to choose among them and to estimate the others.
 *
 * @param format of a summary; the same bits on every device
 * @param summaries {@code [seats][kvHeads][format.summaries(maxChunks)]} summaries; null if the
 *     format has none
 * @param codebook {@code [kvHeads]} codebooks of the format, written once when the engine starts;
 *     null if it needs none
 * @param clusters that estimate what is not attended, or find chunks; null for none
 */
public record LayerIndex(
    SummaryFormat format,
    @Nullable DeviceBuffer summaries,
    @Nullable DeviceBuffer codebook,
    @Nullable LayerClusters clusters) {
  /** Without codebook and clusters. */
  public LayerIndex(SummaryFormat format, @Nullable DeviceBuffer summaries) {
    this(format, summaries, null, null);
  }

  /** The clusters of an index that has them. */
  public LayerClusters clustering() {
    if (clusters == null) {
      throw new IllegalStateException("an index of format " + format + " has no clusters");
    }
    return clusters;
  }

  /** The summaries of a format that has them. */
  public DeviceBuffer memory() {
    if (summaries == null) {
      throw new IllegalStateException("an index of format " + format + " has no summaries");
    }
    return summaries;
  }

  /** The codebooks of a format that needs them. */
  public DeviceBuffer codebooks() {
    if (codebook == null) {
      throw new IllegalStateException("an index of format " + format + " has no codebook");
    }
    return codebook;
  }
}
