package dev.kvdrive.device;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.VarHandle;

/**
 * How a device asks the host for chunks that are only on NVMe, without the host being asked first.
 *
 * <p>{@link WindowOperations#fetch} writes the requests of one (layer, pass) and then increments
 * {@link #ROUND} with release; the host's reader threads see it, deliver each chunk to its transit
 * slot, set its status with release and, when all requests of the round are done, set {@link
 * #SERVED} to the round. {@link WindowOperations#land} waits for that, a bounded time; a round
 * without requests is not announced and costs nothing. After a wait that ran out, the device sets
 * {@link #STOPPED} and turns every later NVMe miss of the step into a fault, so that a late
 * delivery can never be taken for another one; the engine clears it between steps, after the reader
 * has become idle.
 *
 * <p>Control words are 32-bit, little endian, at {@code index * 4} of {@link #control}.
 *
 * @param capacity requests of one round: {@code maxRows * kvHeads * passChunks}
 * @param control {@code (REQUESTS_AT + capacity * REQUEST_WORDS) * 4} bytes
 * @param transit {@code capacity} chunks; request {@code i}'s transit index is {@code (row *
 *     kvHeads + kvHead) * passChunks + index within the pass}
 * @param doorbell called by devices that share the host's threads when a round was announced; other
 *     devices are polled by the reader while a step is in flight
 */
public record Mailbox(int capacity, HostBuffer control, HostBuffer transit, Runnable doorbell) {
  /** Word: number of requests of the current round; written by the device. */
  public static final int COUNT = 0;

  /** Word: rounds announced so far; written by the device, with release. */
  public static final int ROUND = 1;

  /** Word: last round completely served; written by the host, with release. */
  public static final int SERVED = 16;

  /** Word: 1 after a wait ran out; written by the device, cleared by the host. */
  public static final int STOPPED = 2;

  /** Word index of the first request. */
  public static final int REQUESTS_AT = 32;

  /** Words of a request: layer, seat, KV head, chunk, transit index, status. */
  public static final int REQUEST_WORDS = 6;

  /** Status of a request that has not been served. */
  public static final int PENDING = 0;

  /** Status of a request whose chunk lies in its transit slot. */
  public static final int DELIVERED = 1;

  /** Status of a request that cannot be served; the host keeps the reason. */
  public static final int FAILED = 2;

  private static final VarHandle WORD = ValueLayout.JAVA_INT.varHandle();

  /** Bytes of {@link #control} for a capacity. */
  public static long controlBytes(int capacity) {
    return 4L * (REQUESTS_AT + (long) capacity * REQUEST_WORDS);
  }

  /** Reads control word {@code index} with acquire. */
  public int acquire(int index) {
    return (int) WORD.getAcquire(words(), 4L * index);
  }

  /** Writes control word {@code index} with release. */
  public void release(int index, int value) {
    WORD.setRelease(words(), 4L * index, value);
  }

  /** Word index of word {@code word} of request {@code request}. */
  public static int requestWord(int request, int word) {
    return REQUESTS_AT + request * REQUEST_WORDS + word;
  }

  private MemorySegment words() {
    return control.segment();
  }
}
