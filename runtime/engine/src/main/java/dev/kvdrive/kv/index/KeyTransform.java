package dev.kvdrive.kv.index;

/**
 * The space in which the keys of one (layer, KV head) are coded. A key {@code k} is {@code z =
 * forward (k - mean)} there, a query {@code q} is {@code v = backward' q}, and {@code q . k = q .
 * mean + v . z}. Fitted so that what coding gets wrong of {@code z} weighs alike in every element:
 * with {@code C} the second moment of the queries, the error of a product is {@code e' C e}, hence
 * {@code A = C^(1/2)}, and {@code forward = U' A} with {@code U} the principal axes of {@code A (k
 * - mean)}, the largest first.
 *
 * @param mean {@code [headDim]}
 * @param forward {@code [headDim][headDim]}, row-major
 * @param backward the inverse of {@code forward}, row-major
 * @param deviation {@code [headDim]} standard deviation of each element of {@code z}, descending
 */
@SuppressWarnings("ArrayRecordComponent") // immutable by contract: nobody writes what is in it
public record KeyTransform(float[] mean, float[] forward, float[] backward, float[] deviation) {
  public KeyTransform {
    int width = mean.length;
    if (width == 0
        || forward.length != width * width
        || backward.length != width * width
        || deviation.length != width) {
      throw new IllegalArgumentException(
          "a key transform of %d elements cannot have %d, %d and %d values"
              .formatted(width, forward.length, backward.length, deviation.length));
    }
  }

  /** Elements of a key. */
  public int width() {
    return mean.length;
  }
}
