package dev.kvdrive.plan;

/**
 * Clusters of similar tokens. Their members are the tokens of closed chunks, and of each cluster
 * there is the mean key (the centroid), the mean value and how many tokens it has, by which what a
 * step does not attend is estimated; or closed chunks by their mean keys as summaries have them,
 * and then there is no value: chunks are found by them. What is in sink or ring is in no cluster.
 * All arithmetic is in F32, each operation rounded, in this order, so that clusters have the same
 * bits on every device:
 *
 * <ul>
 *   <li><b>Segments.</b> A prompt's closed chunks are clustered {@link #segment} tokens at a time
 *       and the rest at its end; {@code n} tokens have {@code k = ceil(n / tokens)} clusters,
 *       behind those of the segments before. So a sequence with {@code T} tokens in clusters has
 *       {@code ceil(T / tokens)}, however they got there. Below, chunks stand for tokens where they
 *       are the members.
 *   <li><b>Likeness.</b> A member is compared by a row of elements: its key, and where {@link
 *       #comparesValues} its value times {@code w} behind it, since an estimate is as good as the
 *       values of a cluster agree. {@code w} is a power of two, of the (sequence, KV head), at
 *       which values weigh about a quarter of what keys do. The first segment says it: over the
 *       tokens that its centroids start from, for each element the sum from 0 in that order by
 *       their number is the mean, and a chain of fused multiply-adds from 0 its squared
 *       differences; these summed up from 0 over the elements are {@code K} of keys and {@code V}
 *       of values. With {@code e} the exponent of {@code K / V} it is {@code w = 2^floor((e - 1) /
 *       2)}, and 0 where the quotient is not positive, finite and normal, or the sequence had no
 *       closed chunk to build from.
 *   <li><b>Building</b> (k-means). Centroid {@code j} starts as the row of the segment's token
 *       {@code floor(j n / k)}. {@link #ROUNDS} times each token {@code x} goes to the centroid
 *       {@code c} with the largest {@code x.c - |c|^2 / 2}, the lower among equals, and each
 *       centroid becomes the mean of its tokens' rows, or stays where it has none. {@code |c|^2} is
 *       a chain of fused multiply-adds from 0 over the elements in ascending order, and times -0.5
 *       the start of such a chain over {@code x[i] c[i]}; a mean is the sum from 0 over the tokens
 *       in ascending order, divided by their number. After the last round the values themselves
 *       have the same mean, 0 where there is no token.
 *   <li><b>Joining.</b> Of a chunk that closes later each token goes to the cluster as it is stored
 *       before the chunk (the centroid, and the mean value times {@code w}), by the rule above.
 *       Where the tokens so far fill their clusters ({@code T} a multiple of {@link #tokens}) the
 *       chunk's first token opens a cluster instead, and the others do not see it. Then the tokens
 *       join in ascending order: with {@code m} tokens in the cluster, key and value {@code x} make
 *       of a row {@code r} as it is stored {@code r + (x - r) / (m + 1)}, or {@code x} where {@code
 *       m} is 0.
 *   <li><b>Storing</b> in 8 bits. With {@code a} the largest absolute element of a row, an element
 *       is {@code rint(x * (127 / a))}, at most 127 from 0, and stands for that many steps of
 *       {@code a / 127}; where {@code a} is below {@link TwoBitSummary#SMALLEST_KEY}, the step and
 *       all elements are 0.
 *   <li><b>Storing</b> in 4 bits. Of a centroid it is the difference from {@code m}, the mean key
 *       of the tokens by which {@code w} is said, or 0 where there were none; {@code m} is added
 *       again where it is read. Each {@link #GROUP} elements from the first on have a step {@code
 *       s}, of the number that {@link #stepCode} gives for their largest absolute element. With
 *       {@code r = 1 / s}, or 0 where {@code s} is 0, an element is {@code 8 + floor(x * r)}, from
 *       0 to 15, and stands for {@code (element - 7.5) * s}.
 * </ul>
 *
 * A cluster is, little-endian: the number of tokens (16 bits, counted up to {@value
 * #MOST_COUNTED}), padded to 4 bytes where elements have 8 bits; the row of the centroid, and that
 * of the mean value where members are tokens. A row in 8 bits is its step (F32) and its elements,
 * padded to whole words. One in 4 bits is its groups' steps (8 bits each), and bytes of which the
 * {@code i}th has element {@code i} in its low half and the one {@link #half} of a row further in
 * its high half; the last is padded to 2 bytes.
 *
 * @param tokens of a cluster on average: whole chunks
 * @param segment tokens that are clustered together: whole clusters
 * @param members what is in a cluster
 * @param bits of an element as it is stored: 8 or 4
 */
public record ClusterFormat(int tokens, int segment, Members members, int bits) {
  /** What is in a cluster. */
  public enum Members {
    /** Tokens by their keys and values. */
    TOKENS,
    /** Tokens by their keys alone, with their values. */
    TOKENS_BY_KEYS,
    /** Chunks by the means of their keys. */
    CHUNKS
  }

  /** Rounds of k-means. */
  public static final int ROUNDS = 6;

  /** Tokens of a segment unless a test wants others. */
  public static final int SEGMENT = 8192;

  /** Clusters of a (layer, KV head) at most: the number of one has 16 bits. */
  public static final int MOST = 1 << Short.SIZE;

  /** Largest absolute element as it is stored in 8 bits. */
  public static final int LARGEST = 127;

  /** Elements of a row in 4 bits that have a step together. */
  public static final int GROUP = 32;

  /** Steps from 0 to the largest absolute element of a group. */
  public static final float STEPS = 7.5f;

  /** Tokens of a cluster that are counted. */
  public static final int MOST_COUNTED = 0xffff;

  /** Bits of a float behind those that the number of a step has: three of the fraction stay. */
  public static final int STEP_SHIFT = 20;

  /** Of the float {@code 2^-20}, before the one whose number is 1. */
  public static final int STEP_BIAS = (127 - 20) << 3;

  private static final int MOST_STEP = 0xff;
  private static final int BYTE = 8;
  private static final int NIBBLE = 4;
  private static final int FEWEST_TOKENS = 8;
  private static final int MOST_TOKENS = 1024;

  public ClusterFormat {
    if (tokens < FEWEST_TOKENS
        || tokens > MOST_TOKENS
        || Integer.bitCount(tokens) != 1
        || segment < tokens
        || segment % tokens != 0) {
      throw new IllegalArgumentException(
          "clusters have a power of two of tokens from %d to %d and whole segments of them, got %d and %d; write for instance clusters-64"
              .formatted(FEWEST_TOKENS, MOST_TOKENS, tokens, segment));
    }
    if (bits != BYTE && bits != NIBBLE) {
      throw new IllegalArgumentException(
          "clusters are kept in %d or %d bits an element, got %d; write for instance clusters-32 or clusters-16x4"
              .formatted(BYTE, NIBBLE, bits));
    }
    if (bits == NIBBLE && members != Members.TOKENS) {
      throw new IllegalArgumentException(
          "only clusters of tokens by keys and values are kept in %d bits".formatted(NIBBLE));
    }
  }

  /** Of tokens, in 8 bits, with segments as they are unless a test wants others. */
  public static ClusterFormat of(int tokens) {
    return new ClusterFormat(tokens, SEGMENT, Members.TOKENS, BYTE);
  }

  /** The same in 4 bits. */
  public ClusterFormat inNibbles() {
    return new ClusterFormat(tokens, segment, members, NIBBLE);
  }

  /** Of tokens, by their keys alone. */
  public static ClusterFormat byKeys(int tokens) {
    return new ClusterFormat(tokens, SEGMENT, Members.TOKENS_BY_KEYS, BYTE);
  }

  /** Of chunks, so many of their tokens to a cluster. */
  public static ClusterFormat ofChunks(int tokens) {
    return new ClusterFormat(tokens, SEGMENT, Members.CHUNKS, BYTE);
  }

  /** Whether clusters have mean values, by which tokens that are not attended are estimated. */
  public boolean estimates() {
    return members != Members.CHUNKS;
  }

  /** Whether tokens are alike by their values too. */
  public boolean comparesValues() {
    return members == Members.TOKENS;
  }

  /**
   * The weight of values beside keys whose elements differ by so much in all.
   *
   * @param keys sum of squared differences from the mean
   * @param values the same of values
   */
  public static float valueWeight(float keys, float values) {
    float quotient = keys / values;
    boolean normal = quotient >= Float.MIN_NORMAL && quotient <= Float.MAX_VALUE;
    return normal ? Math.scalb(1f, Math.floorDiv(Math.getExponent(quotient) - 1, 2)) : 0;
  }

  /**
   * As users see it: {@code clusters-64}, in 4 bits {@code clusters-16x4}, by keys alone {@code
   * key-clusters-16}, of chunks {@code centroids-32}.
   */
  public String word() {
    return switch (members) {
          case TOKENS -> "clusters-";
          case TOKENS_BY_KEYS -> "key-clusters-";
          case CHUNKS -> "centroids-";
        }
        + tokens
        + (bits == BYTE ? "" : "x" + bits);
  }

  /** Members that a chunk is or has. */
  public int ofChunk(KvLayout layout) {
    return estimates() ? layout.grid().chunk() : 1;
  }

  /** Whether elements have 4 bits. */
  public boolean nibbles() {
    return bits == NIBBLE;
  }

  /**
   * The number of a group's step: the nearest to the one by which its largest absolute element is
   * {@value #STEPS} steps, or 0 for a step of 0.
   */
  public static int stepCode(float largest) {
    int rounded = Float.floatToRawIntBits(largest / STEPS) + (1 << (STEP_SHIFT - 1));
    return Math.clamp((rounded >> STEP_SHIFT) - STEP_BIAS, 0, MOST_STEP);
  }

  /** The step of that number: above {@code 2^-20}, {@code (1 + i / 8) 2^j}. */
  public static float step(int code) {
    return code == 0 ? 0 : Float.intBitsToFloat((code + STEP_BIAS) << STEP_SHIFT);
  }

  /** Bytes of the elements of a row in 4 bits; also how far apart those in a byte are. */
  public static int half(int headDim) {
    return Math.ceilDiv(headDim, 2);
  }

  /** Bytes of the steps of a row in 4 bits. */
  public static int groups(int headDim) {
    return Math.ceilDiv(headDim, GROUP);
  }

  private int unit() {
    return nibbles() ? Short.BYTES : Integer.BYTES;
  }

  /** Bytes of a row: a centroid or a mean value. */
  public int rowBytes(KvLayout layout) {
    int dim = layout.headDim();
    return nibbles()
        ? groups(dim) + half(dim)
        : Float.BYTES + Math.ceilDiv(dim, Float.BYTES) * Float.BYTES;
  }

  /** Where the centroid starts, behind the number of tokens. */
  public int centroidOffset() {
    return unit();
  }

  /** Where the mean value starts. */
  public int valueOffset(KvLayout layout) {
    return centroidOffset() + rowBytes(layout);
  }

  /** Bytes of a cluster. */
  public int bytes(KvLayout layout) {
    int rows = estimates() ? 2 : 1;
    return Math.ceilDiv(centroidOffset() + rows * rowBytes(layout), unit()) * unit();
  }

  /** Elements by which members are compared. */
  public int depth(KvLayout layout) {
    return (comparesValues() ? 2 : 1) * layout.headDim();
  }

  /**
   * Floats that are said with the first segment of a (sequence, KV head): {@code w} and, where
   * elements have 4 bits, {@code m}.
   */
  public int baseFloats(KvLayout layout) {
    return 1 + (nibbles() ? layout.headDim() : 0);
  }

  /** Chunks of a segment. */
  public int segmentChunks(KvLayout layout) {
    return segment / layout.grid().chunk();
  }

  /** Clusters of so many chunks. */
  public int clusters(KvLayout layout, int chunks) {
    return Math.ceilDiv(chunks * layout.grid().chunk(), tokens);
  }

  /** Bytes of a token of one (layer, KV head): its share of a cluster, and the cluster's number. */
  public double bytesOfToken(KvLayout layout) {
    return (double) bytes(layout) / tokens
        + (double) Short.BYTES * ofChunk(layout) / layout.grid().chunk();
  }

  /**
   * Bytes that a (seat, layer, KV head) with room for {@code maxChunks} chunks has: the clusters,
   * the number of the cluster of each member, how many chunks are in clusters, and what they have
   * as a base.
   */
  public long bytesOfHead(KvLayout layout, int maxChunks) {
    return (long) clusters(layout, maxChunks) * bytes(layout)
        + (long) Short.BYTES * maxChunks * ofChunk(layout)
        + Integer.BYTES
        + (long) Float.BYTES * baseFloats(layout);
  }
}
