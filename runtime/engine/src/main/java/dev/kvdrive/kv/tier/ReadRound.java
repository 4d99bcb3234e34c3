package dev.kvdrive.kv.tier;

import java.util.Arrays;

/**
 * The requests of one mailbox round, grouped by extent: each extent is read once, whatever number
 * of its chunks was asked for. Filled by the reader; from then on guarded by the lock of {@link
 * NvmeIo}.
 */
final class ReadRound {
  static final int NO_FRAME = -1;
  private static final int NONE = -1;

  /** What has become of the read of one extent. */
  enum State {
    WAITING,
    READING,
    DELIVERING,
    DELIVERED,
    FAILED
  }

  /** Round as announced by the device. */
  int round;

  /** Requests of the round. */
  int requests;

  /** Extents to read. */
  int reads;

  /** By request. */
  int[] chunk = {};

  int[] transit = {};
  private int[] next = {};

  /** By read. */
  int[] extent = {};

  int[] slot = {};
  int[] checksum = {};
  long[] identity = {};

  /** Frame the extent is read into, to stay there; or {@link #NO_FRAME}. */
  int[] frame = {};

  State[] state = {};
  private int[] first = {};

  /** Next read nobody has taken. */
  int nextRead;

  /** Reads that have neither delivered nor failed. */
  int remaining;

  /** No delivery any more. */
  boolean cancelled;

  private int[] readOfKey = {};
  private int[] keyOfBucket = {};
  private int[] usedBuckets = {};
  private int used;

  /** Starts over for a round of {@code count} requests. */
  void begin(int number, int count) {
    round = number;
    requests = count;
    reads = 0;
    nextRead = 0;
    remaining = 0;
    cancelled = false;
    for (int i = 0; i < used; i++) {
      keyOfBucket[usedBuckets[i]] = NONE;
    }
    used = 0;
    if (chunk.length < count) {
      chunk = new int[count];
      transit = new int[count];
      next = new int[count];
      extent = new int[count];
      slot = new int[count];
      checksum = new int[count];
      identity = new long[count];
      frame = new int[count];
      state = new State[count];
      first = new int[count];
      int buckets = Integer.highestOneBit(Math.max(1, count)) * 4;
      readOfKey = new int[buckets];
      keyOfBucket = new int[buckets];
      Arrays.fill(keyOfBucket, NONE);
      usedBuckets = new int[count];
    }
  }

  /**
   * Adds a request to the read of its extent.
   *
   * @return the read, which is new (and yet to be described) if it is {@code reads - 1} and {@link
   *     #isNew}
   */
  int add(int request, int extentIndex) {
    int mask = keyOfBucket.length - 1;
    int bucket = (extentIndex * 0x9e3779b1) >>> 7 & mask;
    while (keyOfBucket[bucket] != NONE && keyOfBucket[bucket] != extentIndex) {
      bucket = (bucket + 1) & mask;
    }
    int read;
    if (keyOfBucket[bucket] == NONE) {
      keyOfBucket[bucket] = extentIndex;
      usedBuckets[used++] = bucket;
      read = reads++;
      readOfKey[bucket] = read;
      extent[read] = extentIndex;
      state[read] = State.WAITING;
      frame[read] = NO_FRAME;
      next[request] = NONE;
      remaining++;
    } else {
      read = readOfKey[bucket];
      next[request] = first[read];
    }
    first[read] = request;
    return read;
  }

  /** Whether a read has only the request that was added last. */
  boolean isNew(int read) {
    return next[first[read]] == NONE;
  }

  /** First request of a read. */
  int firstRequest(int read) {
    return first[read];
  }

  /** Request after {@code request}, or -1. */
  int nextRequest(int request) {
    return next[request];
  }
}
