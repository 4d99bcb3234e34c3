package dev.kvdrive.schedule;

import java.time.Duration;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.Iterator;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.function.Predicate;
import org.jspecify.annotations.Nullable;

/**
 * Between the threads that submit and the engine thread: the bounded queue of waiting sequences, in
 * the order of their arrival, and the engine's state (open, draining, stopping, failed).
 * Thread-safe.
 */
final class RequestQueue {
  private static final Duration MIN_RETRY = Duration.ofSeconds(1);
  private static final Duration MAX_RETRY = Duration.ofMinutes(10);

  /** What a longer wait for idleness counts as, so that sums of nanoseconds do not overflow. */
  private static final Duration MAX_WAIT = Duration.ofDays(365);

  private final int limit;
  private final int seats;
  private final Deque<Sequence> waiting = new ArrayDeque<>();
  private long arrivals;
  private final List<Sequence> active = new ArrayList<>();
  private final Speeds speeds = new Speeds();
  private final double prefillShare;
  private boolean signalled;
  private boolean draining;
  private boolean stopping;
  private @Nullable String failure;

  RequestQueue(SchedulingOptions options, int seats) {
    limit = options.queueLimit();
    prefillShare = options.prefillShare();
    this.seats = seats;
  }

  /** How fast the engine is, told by the engine thread. */
  Speeds speeds() {
    return speeds;
  }

  /**
   * Adds sequences that belong together at the end, all or none. A free seat counts as a place, so
   * that a limit of 0 means that a request runs at once or is refused.
   */
  synchronized void add(List<Sequence> group) {
    if (failure != null) {
      throw new GenerationException("the engine has failed and must be restarted: " + failure);
    }
    if (draining || stopping) {
      throw new EngineDrainingException("the engine is shutting down and takes no new requests");
    }
    int taken = active.size() + waiting.size();
    if (taken + group.size() > seats + limit) {
      Duration retry = retryAfter(taken + group.size() - seats - limit);
      Sequence first = waiting.peekFirst();
      String obstacle = first == null || active.size() >= seats ? null : first.obstacle();
      throw new EngineBusyException(
          obstacle != null
              ? "%d of %d places in the queue are taken, and the request that is next waits for more than a seat: %s"
                  .formatted(Math.max(0, taken - seats), limit, obstacle)
              : taken >= seats
                  ? "all %d seats are taken and %d of %d places in the queue; try again in about %d s"
                      .formatted(seats, taken - seats, limit, retry.toSeconds())
                  : "%d generations at once need more than the %d seats and %d places in the queue that are free; ask for fewer, or try again in about %d s"
                      .formatted(group.size(), seats - taken, limit, retry.toSeconds()),
          retry);
    }
    group.forEach(sequence -> sequence.queued(group, arrivals++));
    waiting.addAll(group);
    signal();
  }

  private Duration retryAfter(int places) {
    WaitEstimate estimateOf =
        new WaitEstimate(
            seats, speeds.secondsPerPromptToken(), speeds.secondsPerStep(), prefillShare);
    double seconds =
        estimateOf.secondsUntil(
            places,
            active.stream().map(sequence -> sequence.left(speeds)).toList(),
            waiting.stream().map(sequence -> sequence.left(speeds)).toList());
    // Whole seconds, as in the Retry-After header, so that the text says the same.
    Duration estimate =
        Duration.ofSeconds((long) Math.ceil(Math.min(seconds, (double) MAX_RETRY.toSeconds())));
    return estimate.compareTo(MIN_RETRY) < 0 ? MIN_RETRY : estimate;
  }

  /** The sequence that has waited longest; null if none waits. */
  synchronized @Nullable Sequence first() {
    return waiting.peekFirst();
  }

  /** Those that have waited longest, so many at most. */
  synchronized List<Sequence> firstWaiting(int most) {
    return waiting.stream().limit(most).toList();
  }

  /** Of the sequences that meet a condition the one with the shortest prompt; null if none does. */
  synchronized @Nullable Sequence shortest(Predicate<Sequence> condition) {
    Sequence shortest = null;
    for (Sequence sequence : waiting) {
      if ((shortest == null || sequence.prompt().length < shortest.prompt().length)
          && condition.test(sequence)) {
        shortest = sequence;
      }
    }
    return shortest;
  }

  /** The waiting sequences that one prefill serves together with {@code sequence}, itself first. */
  synchronized List<Sequence> sharing(Sequence sequence) {
    List<Sequence> sharing = new ArrayList<>();
    sharing.add(sequence);
    for (Sequence other : waiting) {
      if (other != sequence && sequence.sharesPrefill(other)) {
        sharing.add(other);
      }
    }
    return sharing;
  }

  /** Takes a waiting sequence out to run it. */
  synchronized void admit(Sequence sequence) {
    if (!waiting.remove(sequence)) {
      throw new IllegalStateException("request " + sequence.id() + " does not wait");
    }
    active.add(sequence);
  }

  /** Takes a waiting sequence out that cannot be run. */
  synchronized void withdraw(Sequence sequence) {
    waiting.remove(sequence);
    notifyAll();
  }

  /** Takes out the waiting sequences that were cancelled. */
  synchronized List<Sequence> takeCancelled() {
    List<Sequence> cancelled = new ArrayList<>();
    for (Iterator<Sequence> i = waiting.iterator(); i.hasNext(); ) {
      Sequence sequence = i.next();
      if (sequence.cancelled()) {
        i.remove();
        cancelled.add(sequence);
      }
    }
    if (!cancelled.isEmpty()) {
      notifyAll();
    }
    return cancelled;
  }

  /** Takes out everything that waits. */
  synchronized List<Sequence> takeAll() {
    List<Sequence> all = new ArrayList<>(waiting);
    waiting.clear();
    notifyAll();
    return all;
  }

  /** An admitted sequence has ended. */
  synchronized void ended(Sequence sequence) {
    active.remove(sequence);
    notifyAll();
  }

  /** Wakes the engine thread if it waits for work. */
  synchronized void signal() {
    signalled = true;
    notifyAll();
  }

  /** Blocks the engine thread until something was signalled since the last call. */
  synchronized void awaitSignal() throws InterruptedException {
    while (!signalled) {
      wait();
    }
    signalled = false;
  }

  /** Like {@link #awaitSignal()}, for a while at most. */
  synchronized void awaitSignal(long millis) throws InterruptedException {
    long deadline = System.nanoTime() + TimeUnit.MILLISECONDS.toNanos(millis);
    long left = millis;
    while (!signalled && left > 0) {
      wait(left);
      left = TimeUnit.NANOSECONDS.toMillis(deadline - System.nanoTime());
    }
    signalled = false;
  }

  synchronized void drain() {
    draining = true;
    signal();
  }

  synchronized void stop() {
    stopping = true;
    signal();
  }

  /** The engine cannot go on: from now on nothing is accepted. */
  synchronized void fail(String cause) {
    failure = cause;
    notifyAll();
  }

  /** Every admitted sequence has ended because the engine has. */
  synchronized void allEnded() {
    active.clear();
    notifyAll();
  }

  /** Waits until nothing runs and nothing waits; returns whether that happened in time. */
  synchronized boolean awaitIdle(Duration timeout) throws InterruptedException {
    Duration bounded = timeout.compareTo(MAX_WAIT) < 0 ? timeout : MAX_WAIT;
    long deadline = System.nanoTime() + bounded.toNanos();
    while (active.size() + waiting.size() > 0) {
      long millis = (deadline - System.nanoTime() + 999_999) / 1_000_000;
      if (millis <= 0) {
        return false;
      }
      wait(millis);
    }
    return true;
  }

  /**
   * For a start, which can be given up at every step.
   *
   * @throws EngineDrainingException if the engine is to stop
   */
  synchronized void checkGoesOn() {
    if (stopping) {
      throw new EngineDrainingException("the engine was closed while it started");
    }
  }

  synchronized boolean stopping() {
    return stopping;
  }

  synchronized boolean draining() {
    return draining || stopping;
  }

  /**
   * How full the engine is, in the terms by which {@link #add} admits: a free seat is a place, so
   * it counts as taken by one that waits.
   *
   * @param active sequences that the engine thread has admitted
   * @param seated seats that are taken, or free and kept for one that waits
   * @param withoutRoom of these, free ones kept for sequences that are next and have no room in the
   *     tiers
   * @param queued places in the queue that are taken, at most {@code limit}
   */
  record Occupancy(int active, int seated, int withoutRoom, int queued) {}

  synchronized Occupancy occupancy() {
    int taken = active.size() + waiting.size();
    int seated = Math.min(taken, seats);
    Sequence next = waiting.peekFirst();
    boolean roomLacks = next != null && next.obstacle() != null;
    return new Occupancy(
        active.size(), seated, roomLacks ? seated - active.size() : 0, taken - seated);
  }

  synchronized int active() {
    return active.size();
  }

  /**
   * Sequences that the engine thread has not admitted, those with a free seat kept for them too.
   */
  synchronized int waiting() {
    return waiting.size();
  }

  synchronized @Nullable String failure() {
    return failure;
  }

  int limit() {
    return limit;
  }
}
