package dev.kvdrive.plan;

/**
 * The summary of a chunk that is the mean of its keys: {@code [headDim]} elements of the layout's
 * type. Element {@code i} is the sum of element {@code i} of the keys as stored, from 0 in
 * ascending order of tokens in F32, times {@code 1 / chunk}, rounded to the type.
 *
 * @param headDim elements of a key
 * @param chunk tokens of a chunk
 * @param type of the elements
 */
public record MeanSummary(int headDim, int chunk, KvType type) {
  /** Of the chunks of a layout. */
  public static MeanSummary of(KvLayout layout) {
    return new MeanSummary(layout.headDim(), layout.grid().chunk(), layout.type());
  }

  /** What the sum is multiplied with. */
  public float share() {
    return 1f / chunk;
  }

  /** Bytes of a summary: whole words. */
  public int bytes() {
    return Math.ceilDiv(headDim * type.bytes(), Integer.BYTES) * Integer.BYTES;
  }
}
