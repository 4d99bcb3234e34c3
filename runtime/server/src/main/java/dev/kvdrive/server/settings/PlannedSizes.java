package dev.kvdrive.server.settings;

import dev.kvdrive.plan.ByteSize;
import dev.kvdrive.plan.DeviceKind;
import dev.kvdrive.plan.ModelGeometry;
import dev.kvdrive.plan.ModelShape;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * The sizes of a model that were stated before anybody had seen its file, and planned with.
 *
 * @param layers as all that follow: see {@link ModelShape}
 * @param weightBytes bytes of all weights; may be rounded up
 * @param gpuWeightBytes bytes of all weights on a GPU; 0 where nobody said
 * @param statedIn where they can be corrected
 */
public record PlannedSizes(
    int layers,
    int hidden,
    int heads,
    int kvHeads,
    int headDim,
    int feedForward,
    int vocabulary,
    long weightBytes,
    long gpuWeightBytes,
    @Nullable String statedIn) {
  /** Weights that are stated as the size of their files differ by the files' headers. */
  private static final double MOST_BEYOND = 1.01;

  /**
   * What {@code file}, which has been read, has otherwise than it was stated, as {@code field is
   * stated as value and is value}; empty if the plan was made with its sizes. Fewer bytes of
   * weights than stated only leave room.
   */
  public List<String> differences(ModelGeometry file) {
    List<String> found = new ArrayList<>();
    compare(found, "layers", layers, file.layers());
    compare(found, "hidden", hidden, file.hidden());
    compare(found, "heads", heads, file.heads());
    compare(found, "kvHeads", kvHeads, file.kvHeads());
    compare(found, "headDim", headDim, file.headDim());
    compare(found, "feedForward", feedForward, file.feedForward());
    compare(found, "vocabulary", vocabulary, file.vocabulary());
    compare(found, "weights", weightBytes, file.weightBytes());
    if (gpuWeightBytes > 0) {
      compare(found, "weights on a GPU", gpuWeightBytes, file.weightBytes(DeviceKind.CUDA));
    }
    return found;
  }

  private static void compare(List<String> found, String what, long stated, long are) {
    if (are > stated * MOST_BEYOND) {
      found.add(
          "%s are stated as %s and are %s"
              .formatted(what, ByteSize.human(stated), ByteSize.human(are)));
    }
  }

  private static void compare(List<String> found, String field, int stated, int is) {
    if (stated != is) {
      found.add("%s is stated as %d and is %d".formatted(field, stated, is));
    }
  }

  /** Sizes as a specification states them, to be copied. */
  public static String statement(ModelGeometry file) {
    return "{layers: %d, hidden: %d, heads: %d, kvHeads: %d, headDim: %d, feedForward: %d, vocabulary: %d, maxContext: %d, weights: \"%d\"%s}"
        .formatted(
            file.layers(),
            file.hidden(),
            file.heads(),
            file.kvHeads(),
            file.headDim(),
            file.feedForward(),
            file.vocabulary(),
            file.maxContext(),
            file.weightBytes(),
            file.packed().none()
                ? ""
                : ", gpuWeights: \"%d\"".formatted(file.weightBytes(DeviceKind.CUDA)));
  }
}
