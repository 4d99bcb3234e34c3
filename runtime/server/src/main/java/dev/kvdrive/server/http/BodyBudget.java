package dev.kvdrive.server.http;

import dev.kvdrive.plan.RequestMemory;
import dev.kvdrive.server.openai.ApiException;
import java.time.Duration;
import java.util.concurrent.Semaphore;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.Supplier;

/**
 * The bytes that request bodies may take of the heap, as the plan has them: those of bodies that
 * are being read or wait, and those of the work on them. Bytes are taken before they are read; who
 * gets none is told to come back. A quarter is left to small bodies, so that a few large ones that
 * stall do not keep everybody out. Thread-safe.
 */
final class BodyBudget {
  /** What the smallest body counts. */
  static final int LEAST_BYTES = 1024;

  /** Bodies up to this size always have a part of the room that larger ones leave them. */
  static final int SMALL_BYTES = 64 * 1024;

  private static final int SMALL_PART = 4;
  private static final int WORK_UNIT_BYTES = 1024;
  private static final Duration RETRY_AFTER = Duration.ofSeconds(1);

  private final long limitBytes;
  private final int workUnits;
  private final AtomicLong takenBytes = new AtomicLong();
  private final AtomicInteger bodies = new AtomicInteger();
  private final Semaphore work;

  BodyBudget(RequestMemory memory) {
    limitBytes = memory.bodyBytes();
    workUnits =
        (int) Math.min(Math.ceilDiv(memory.workBytes(), WORK_UNIT_BYTES), Integer.MAX_VALUE);
    work = new Semaphore(workUnits, true);
  }

  /**
   * Opens the account of one body.
   *
   * @param bytes that it will have at least
   * @throws ApiException 429 if there is no room
   */
  Share take(long bytes) {
    long first = Math.max(LEAST_BYTES, bytes);
    grow(first, first);
    bodies.incrementAndGet();
    return new Share(first);
  }

  private void grow(long bytes, long total) {
    long room = roomFor(total);
    long before;
    do {
      before = takenBytes.get();
      if (bytes > room - before) {
        throw ApiException.bodies(
            "The requests that are being read fill the server's %d bytes for bodies; this one needs %d more. Try again later."
                .formatted(room, bytes),
            RETRY_AFTER);
      }
    } while (!takenBytes.compareAndSet(before, before + bytes));
  }

  /** Bytes that all bodies may have together once one of so many bytes is among them. */
  long roomFor(long bytes) {
    return bytes <= SMALL_BYTES ? limitBytes : limitBytes - limitBytes / SMALL_PART;
  }

  /** Bytes of all open accounts. */
  long takenBytes() {
    return takenBytes.get();
  }

  /** Bytes that may be taken. */
  long limitBytes() {
    return limitBytes;
  }

  /** Requests with an open account. */
  int bodies() {
    return bodies.get();
  }

  /**
   * Works on a body once there is heap for it, and gives its bytes back. Waits for others' work, so
   * not for the event loop.
   *
   * @param bytes of the body
   * @throws ApiException if the request is over
   */
  <T> T work(Share share, int bytes, Supplier<T> task) {
    if (!share.workBegins()) {
      throw ApiException.clientLeft();
    }
    try {
      long wanted =
          Math.ceilDiv(
              (long) Math.max(LEAST_BYTES, bytes) * RequestMemory.WORK_PER_BODY_BYTE,
              WORK_UNIT_BYTES);
      int units = (int) Math.min(wanted, workUnits);
      work.acquireUninterruptibly(units);
      try {
        return task.get();
      } finally {
        work.release(units);
      }
    } finally {
      share.workEnds();
    }
  }

  /** The account of one body. Thread-safe. */
  final class Share {
    private long bytes;
    private boolean working;
    private boolean closed;

    private Share(long bytes) {
      this.bytes = bytes;
    }

    /**
     * Makes sure of bytes beyond those taken so far.
     *
     * @param total that the body has now
     * @throws ApiException 429 if there is no room
     */
    synchronized void ensure(long total) {
      if (closed) {
        throw ApiException.clientLeft();
      }
      if (total > bytes) {
        grow(total - bytes, total);
        bytes = total;
      }
    }

    /**
     * Keeps the bytes taken until {@link #workEnds}, whatever becomes of the request; false if it
     * is over.
     */
    synchronized boolean workBegins() {
      working = !closed;
      return working;
    }

    /** Gives everything back, because what came of the body is now the request's own. */
    synchronized void workEnds() {
      working = false;
      closed = true;
      giveBack();
    }

    /** Gives everything back, once nobody works on it. Idempotent. */
    synchronized void close() {
      closed = true;
      if (!working) {
        giveBack();
      }
    }

    private void giveBack() {
      if (bytes > 0) {
        takenBytes.addAndGet(-bytes);
        bodies.decrementAndGet();
        bytes = 0;
      }
    }
  }
}
