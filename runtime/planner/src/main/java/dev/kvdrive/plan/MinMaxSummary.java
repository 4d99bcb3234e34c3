package dev.kvdrive.plan;

/**
 * The summary of a page of {@value #CHUNKS} chunks that is, of each element, the smallest and the
 * largest that any key of the page has: {@code smallest[headDim]}, then {@code largest[headDim]},
 * elements of the layout's type. Tokens count in ascending order, and one takes the place of what
 * is there only where it is less (or more), so that of two zeros the first stays.
 *
 * <p>A page begins with its first chunk and is widened by the second: the summary of a page of
 * which only one has closed is that one's. For a query {@code q} no key of the page has a larger
 * product than the sum of {@code max(q[i] * smallest[i], q[i] * largest[i])}.
 *
 * @param headDim elements of a key
 * @param type of the elements
 */
public record MinMaxSummary(int headDim, KvType type) {
  /** Chunks of a page. */
  public static final int CHUNKS = 2;

  /** Of the chunks of a layout. */
  public static MinMaxSummary of(KvLayout layout) {
    return new MinMaxSummary(layout.headDim(), layout.type());
  }

  /** Offset of the largest elements. */
  public int largestOffset() {
    return headDim * type.bytes();
  }

  /** Bytes of a summary. */
  public int bytes() {
    return 2 * largestOffset();
  }
}
