package dev.kvdrive.bench.speed;

import dev.kvdrive.model.Model;
import dev.kvdrive.model.tensor.TensorData;
import dev.kvdrive.plan.DeviceKind;
import dev.kvdrive.plan.KvLayout;
import dev.kvdrive.plan.SummaryFormat;

/**
 * Bytes that a decode step of one sequence has to read at least: all weights once, the keys and
 * values that are attended, and, if there is something to select, every summary.
 *
 * @param weights of all matrices; of an embedding that is not also the output, one row
 * @param cache of attended keys and values
 * @param index of summaries
 */
public record StepBytes(long weights, long cache, long index) {
  /**
   * Of a step of a model.
   *
   * @param device that holds the weights
   * @param attendedTokens tokens attended
   * @param tokens tokens in the sequence
   * @param index what is read of each chunk to select; none where everything is attended
   */
  public static StepBytes of(
      Model model,
      DeviceKind device,
      KvLayout layout,
      double attendedTokens,
      int tokens,
      SummaryFormat index) {
    long weights = model.geometry().weightBytes(device);
    if (!model.output().name().equals(model.embedding().name())) {
      TensorData table = model.embedding();
      long row =
          switch (device) {
            case CPU -> table.rowBytes();
            case CUDA -> (long) device.activationBytes() * table.cols();
          };
      weights -= (table.rows() - 1) * row;
    }
    // Of sink and ring, and of chunks in the window.
    double dense = Math.min(attendedTokens, layout.grid().denseTokens());
    return new StepBytes(
        weights,
        (long)
            (dense * layout.bytesPerToken()
                + Math.max(0, attendedTokens - dense) * layout.residentBytes(1)),
        (long) layout.layers()
            * layout.kvHeads()
            * index.indexBytes(layout, layout.grid().closedChunks(tokens)));
  }

  /** All of them, for each token of a step of so many sequences, which reads weights once. */
  public long perToken(int sequences) {
    return weights / sequences + cache + index;
  }
}
