package dev.kvdrive.bench.speed;

import dev.kvdrive.model.Model;
import dev.kvdrive.model.tensor.TensorData;
import dev.kvdrive.plan.ClusterFormat;
import dev.kvdrive.plan.DeviceKind;
import dev.kvdrive.plan.KvLayout;
import dev.kvdrive.plan.PolicyShape;
import org.jspecify.annotations.Nullable;

/**
 * Bytes that a decode step of one sequence has to read at least: all weights once, the keys and
 * values that are attended, and, if there is something to select, every summary and every cluster.
 *
 * @param weights of all matrices; of an embedding that is not also the output, one row
 * @param cache of attended keys and values
 * @param index of summaries
 * @param clusters by which the rest is estimated
 */
public record StepBytes(long weights, long cache, long index, long clusters) {
  /**
   * Of a step of a model.
   *
   * @param device that holds the weights
   * @param attendedTokens tokens attended
   * @param tokens tokens in the sequence
   * @param selecting the policy; null where everything is attended
   */
  public static StepBytes of(
      Model model,
      DeviceKind device,
      KvLayout layout,
      double attendedTokens,
      int tokens,
      @Nullable PolicyShape selecting) {
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
    long heads = (long) layout.layers() * layout.kvHeads();
    int closed = layout.grid().closedChunks(tokens);
    ClusterFormat clusters = selecting == null ? null : selecting.clusters();
    // Of sink and ring, and of chunks in the window.
    double dense = Math.min(attendedTokens, layout.grid().denseTokens());
    return new StepBytes(
        weights,
        (long)
            (dense * layout.bytesPerToken()
                + Math.max(0, attendedTokens - dense) * layout.residentBytes(1)),
        heads * (selecting == null ? 0 : selecting.summary().indexBytes(layout, closed)),
        heads
            * (clusters == null
                ? 0
                : (long) clusters.clusters(layout, closed) * clusters.bytes(layout)));
  }

  /** All of them, for each token of a step of so many sequences, which reads weights once. */
  public long perToken(int sequences) {
    return weights / sequences + cache + index + clusters;
  }
}
