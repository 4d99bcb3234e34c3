package dev.kvdrive.plan;

/**
 * The summary of a chunk that is its keys as strings of signs in a space fitted to keys and
 * queries, and the codebook that each (layer, KV head) writes and reads them with. All arithmetic
 * is in F32:
 *
 * <ul>
 *   <li>A key {@code k} as stored is {@code z = forward (k - mean)} there: each element a sum in
 *       ascending order of the key's elements, each term a fused multiply-add, from 0.
 *   <li>Bit {@code b} belongs to element {@code element[b]}; the bits of an element follow each
 *       other. The first is the sign of the element (1: not negative), each further one that of
 *       what is left when {@code coefficient} of the bit before, with its sign, is taken off.
 *   <li>So a key stands for {@code z[i] = sum of +-coefficient[b]} over the bits of element {@code
 *       i}, and its product with a query {@code q} is {@code q . mean + (backward' q) . z}.
 *   <li>Bit {@code b} is bit {@code b % 32} of word {@code b / 32}. A summary has the first words
 *       of all tokens, then the second words, and so on.
 * </ul>
 *
 * A codebook is, in 32-bit words: {@code mean[headDim]}, {@code forward} by columns {@code
 * [headDim][headDim]}, {@code backward} by rows {@code [headDim][headDim]}, {@code
 * coefficient[bits]}, then {@code element[bits]} as integers.
 *
 * @param headDim elements of a key
 * @param chunk tokens of a chunk
 * @param bits of each key, whole words
 */
public record BitPlaneSummary(int headDim, int chunk, int bits) {
  /** Bits of a word. */
  public static final int WORD = 32;

  /** Bits of an element at most. */
  public static final int MOST = 3;

  public BitPlaneSummary {
    int most = MOST * headDim / WORD * WORD;
    if (bits < WORD || bits % WORD != 0 || bits > most) {
      throw new IllegalArgumentException(
          "an index of keys of %d elements has from %d to %d bits a key, in steps of %d; got %d"
              .formatted(headDim, WORD, most, WORD, bits));
    }
  }

  /** Of the chunks of a layout. */
  public static BitPlaneSummary of(KvLayout layout, int bits) {
    return new BitPlaneSummary(layout.headDim(), layout.grid().chunk(), bits);
  }

  /** Words of the code of one token. */
  public int words() {
    return bits / WORD;
  }

  /** Bytes of a summary. */
  public int bytes() {
    return chunk * words() * Integer.BYTES;
  }

  /** Where the word of a token lies in a summary. */
  public int wordOffset(int word, int token) {
    return (word * chunk + token) * Integer.BYTES;
  }

  /** Where {@code forward} starts in a codebook. */
  public int forwardOffset() {
    return Float.BYTES * headDim;
  }

  /** Where {@code backward} starts in a codebook. */
  public int backwardOffset() {
    return Float.BYTES * headDim * (headDim + 1);
  }

  /** Where {@code coefficient} starts in a codebook. */
  public int coefficientOffset() {
    return Float.BYTES * headDim * (2 * headDim + 1);
  }

  /** Where {@code element} starts in a codebook. */
  public int elementOffset() {
    return coefficientOffset() + Float.BYTES * bits;
  }

  /** Bytes of a codebook. */
  public int codebookBytes() {
    return elementOffset() + Integer.BYTES * bits;
  }
}
