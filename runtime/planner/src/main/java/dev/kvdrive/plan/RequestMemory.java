package dev.kvdrive.plan;

/**
 * What HTTP requests may take of heap and direct memory before they are the engine's. The server
 * admits by exactly these numbers, and {@link PodSizes} has room for them.
 *
 * @param connections open connections at most
 * @param largestBodyBytes bytes of one request body at most
 * @param bodyBytes bytes of all bodies that are being read or wait to be worked on
 * @param workBytes heap for parsing bodies and tokenising prompts, {@value #WORK_PER_BODY_BYTE}
 *     bytes for each byte of a body that is worked on
 */
public record RequestMemory(int connections, int largestBodyBytes, long bodyBytes, long workBytes) {
  /**
   * Heap bytes that a byte of a body takes at most while it is parsed and tokenised: the body in
   * one piece, Jackson's tree and strings, the rendered prompt, symbols and boxed tokens. Measured:
   * 10 for prose, 26 for a prompt without any space, 32 for nothing but empty objects.
   */
  public static final int WORK_PER_BODY_BYTE = 40;

  private static final int SMALLEST_BODY_BYTES = 1 << 20;
  private static final int BODY_BYTES_PER_TOKEN = 32;
  private static final int LARGEST_BODY_BYTES = 256 << 20;
  private static final int BODIES_AT_ONCE = 4;
  private static final long LEAST_BODY_BYTES = 32 * ByteSize.MIB;
  private static final int SPARE_CONNECTIONS = 256;
  private static final long HEAP_PER_CONNECTION = 32 * 1024;

  /** Bytes that are read from a connection at once. */
  public static final int READ_BYTES = 16 * 1024;

  /** Bytes that wait to be written to a connection before its answer waits too. */
  public static final int WRITE_BYTES = 32 * 1024;

  /** Threads that read and write connections, each with buffers of its own. */
  public static final int NETWORK_THREADS = 4;

  private static final long DIRECT_BASE = 48 * ByteSize.MIB;

  /**
   * What follows from the requests that a runtime can run: a body holds every prompt that fits the
   * context, even when most of its characters are escaped; every seat and every place in the queue
   * has a connection, and one more for a client that is not served yet.
   *
   * @param contextLength tokens of one sequence
   * @param concurrency seats
   * @param queueLimit places in the queue
   */
  public static RequestMemory of(int contextLength, int concurrency, int queueLimit) {
    int largest =
        Math.clamp(
            (long) contextLength * BODY_BYTES_PER_TOKEN, SMALLEST_BODY_BYTES, LARGEST_BODY_BYTES);
    return new RequestMemory(
        (int) Math.min(2L * ((long) concurrency + queueLimit) + SPARE_CONNECTIONS, 1 << 20),
        largest,
        Math.max(LEAST_BODY_BYTES, (long) BODIES_AT_ONCE * largest),
        (long) WORK_PER_BODY_BYTE * largest);
  }

  /** Heap for all of it. */
  public long heapBytes() {
    return bodyBytes + workBytes + HEAP_PER_CONNECTION * connections;
  }

  /** Direct memory for what connections read and write. */
  public long directBytes() {
    return DIRECT_BASE + (long) (READ_BYTES + WRITE_BYTES) * connections;
  }
}
