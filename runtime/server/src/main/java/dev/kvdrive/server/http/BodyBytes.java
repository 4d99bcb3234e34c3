package dev.kvdrive.server.http;

import java.util.ArrayList;
import java.util.List;
import org.springframework.core.io.buffer.DataBuffer;

/**
 * A body in heap segments, so that nothing of it stays in the buffers of the network and no array
 * is larger than a collector likes. Takes from its share exactly what it allocates. Used by one
 * thread at a time.
 */
final class BodyBytes {
  private static final int SMALLEST_SEGMENT = 1024;
  private static final int LARGEST_SEGMENT = 64 * 1024;

  private final BodyBudget.Share share;
  private final long announced;
  private final int limit;
  private final List<byte[]> segments = new ArrayList<>();
  private long allocated;

  /** Also read by who watches the pace. */
  private volatile int size;

  private int used;

  /**
   * @param announced bytes that the body will have; negative if it does not say
   * @param limit bytes that it may have
   */
  BodyBytes(BodyBudget.Share share, long announced, int limit) {
    this.share = share;
    this.announced = announced;
    this.limit = limit;
  }

  /** Heap bytes that it holds. */
  long allocatedBytes() {
    return allocated;
  }

  /** Bytes so far. */
  int size() {
    return size;
  }

  /**
   * Copies the buffer's bytes; the buffer stays the caller's.
   *
   * @return false if the body is now larger than its limit
   */
  boolean add(DataBuffer buffer) {
    int total = size;
    while (buffer.readableByteCount() > 0) {
      if (segments.isEmpty() || used == segments.getLast().length) {
        if (total >= limit) {
          return false;
        }
        open();
      }
      byte[] last = segments.getLast();
      int count = Math.min(buffer.readableByteCount(), last.length - used);
      buffer.read(last, used, count);
      used += count;
      total += count;
      size = total;
    }
    return true;
  }

  private void open() {
    long rest = announced > size ? announced - size : Math.max(SMALLEST_SEGMENT, size);
    int length = (int) Math.min(Math.min(rest, LARGEST_SEGMENT), (long) limit - size);
    share.ensure(allocated + length);
    segments.add(new byte[length]);
    allocated += length;
    used = 0;
  }

  /** The body in one piece; the segments are given up. */
  byte[] join() {
    byte[] whole = new byte[size];
    int at = 0;
    for (byte[] segment : segments) {
      int count = Math.min(segment.length, size - at);
      System.arraycopy(segment, 0, whole, at, count);
      at += count;
    }
    segments.clear();
    allocated = 0;
    return whole;
  }
}
