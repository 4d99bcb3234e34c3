package dev.kvdrive.plan;

/**
 * The sizes of a transformer, whatever file they were read from.
 *
 * @param layers transformer layers
 * @param hidden width of the residual stream
 * @param heads query heads
 * @param kvHeads KV heads; divides {@code heads}
 * @param headDim elements of a head
 * @param feedForward inner width of the MLP
 * @param vocabulary rows of the embedding
 */
public record ModelShape(
    int layers, int hidden, int heads, int kvHeads, int headDim, int feedForward, int vocabulary) {

  /** What has the sizes of a transformer can be asked for each of them. */
  public interface Of {
    /** All of them. */
    ModelShape shape();

    default int layers() {
      return shape().layers;
    }

    default int hidden() {
      return shape().hidden;
    }

    default int heads() {
      return shape().heads;
    }

    default int kvHeads() {
      return shape().kvHeads;
    }

    default int headDim() {
      return shape().headDim;
    }

    default int feedForward() {
      return shape().feedForward;
    }

    default int vocabulary() {
      return shape().vocabulary;
    }
  }
}
