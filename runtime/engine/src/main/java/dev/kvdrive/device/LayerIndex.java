package dev.kvdrive.device;

import dev.kvdrive.plan.SummaryFormat;
import org.jspecify.annotations.Nullable;

/**
 * What is kept of a layer's closed chunks to choose among them.
 *
 * @param format of a summary; the same bits on every device
 * @param summaries {@code [seats][kvHeads][maxChunks]} summaries; null if the format has none
 */
public record LayerIndex(SummaryFormat format, @Nullable DeviceBuffer summaries) {
  /** The summaries of a format that has them. */
  public DeviceBuffer memory() {
    if (summaries == null) {
      throw new IllegalStateException("an index of format " + format + " has no summaries");
    }
    return summaries;
  }
}
