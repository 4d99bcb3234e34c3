package dev.kvdrive.kv.tier;

import dev.kvdrive.plan.StoreHeap;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * The requests of one mailbox round, grouped by extent: each extent is read once, whatever number
 * of its chunks was asked for. Filled by the reader; from then on guarded by the lock of {@link
 * ReadQueue}.
 */
final class ReadRound {
  static final int NONE = -1;

  /** Round as announced by the device. */
  int number;

  /** By request. */
  final int[] chunk;

  final int[] transit;
  private final int[] next;

  /** One for each extent. */
  final List<ReadJob> jobs = new ArrayList<>();

  /** Next job nobody has taken. */
  int taken;

  /** When the device had asked, and when all was answered, by {@code System.nanoTime}. */
  long askedAt;

  long servedAt;

  /** Jobs whose requests have no answer yet. */
  int remaining;

  private final int[] jobOfKey;
  private final int[] keyOfBucket;
  private final int[] usedBuckets;
  private int used;

  /**
   * @param capacity requests of a round at most
   */
  ReadRound(int capacity) {
    chunk = new int[capacity];
    transit = new int[capacity];
    next = new int[capacity];
    int buckets = StoreHeap.buckets(capacity);
    jobOfKey = new int[buckets];
    keyOfBucket = new int[buckets];
    Arrays.fill(keyOfBucket, NONE);
    usedBuckets = new int[capacity];
  }

  /** Starts over. */
  void begin(int announced) {
    number = announced;
    jobs.clear();
    taken = 0;
    remaining = 0;
    askedAt = System.nanoTime();
    servedAt = askedAt;
    for (int i = 0; i < used; i++) {
      keyOfBucket[usedBuckets[i]] = NONE;
    }
    used = 0;
  }

  /** Adds a request to the job of its extent; false if there is no such job yet. */
  boolean join(int request, int extent) {
    int bucket = bucket(extent);
    if (keyOfBucket[bucket] == NONE) {
      return false;
    }
    ReadJob job = jobs.get(jobOfKey[bucket]);
    next[request] = job.firstRequest;
    job.firstRequest = request;
    return true;
  }

  /** Adds a job for an extent that has none yet, with its first request. */
  void add(int request, ReadJob job) {
    int bucket = bucket(job.extent);
    keyOfBucket[bucket] = job.extent;
    usedBuckets[used++] = bucket;
    jobOfKey[bucket] = jobs.size();
    job.firstRequest = request;
    next[request] = NONE;
    jobs.add(job);
    remaining++;
  }

  private int bucket(int extent) {
    int mask = keyOfBucket.length - 1;
    int bucket = (extent * 0x9e3779b1) >>> 7 & mask;
    while (keyOfBucket[bucket] != NONE && keyOfBucket[bucket] != extent) {
      bucket = (bucket + 1) & mask;
    }
    return bucket;
  }

  /** Request after {@code request} of the same job, or -1. */
  int nextRequest(int request) {
    return next[request];
  }
}
