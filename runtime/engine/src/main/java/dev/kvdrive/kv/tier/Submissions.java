package dev.kvdrive.kv.tier;

import dev.kvdrive.device.Device;
import dev.kvdrive.device.Event;
import dev.kvdrive.device.Queue;

/**
 * How far the device has come with the work it was given, without waiting for it. Work between two
 * calls of {@link #advance} has one number; what the host may do with memory that the device was
 * told to use depends on whether that number is done.
 */
final class Submissions implements AutoCloseable {
  private static final int EVENTS = 8;

  private final Event[] events = new Event[EVENTS];
  private final long[] numbers = new long[EVENTS];
  private long current = 1;
  private long done;

  Submissions(Device device) {
    for (int i = 0; i < EVENTS; i++) {
      events[i] = device.createEvent();
    }
  }

  /** Number of the work that is submitted from now on, until the next call. */
  long advance(Queue queue) {
    poll();
    int at = (int) (current % EVENTS);
    if (numbers[at] <= done) {
      queue.record(events[at]);
      numbers[at] = current;
    }
    return ++current;
  }

  /** Number of the work that is submitted now. */
  long current() {
    return current;
  }

  /** Whether the work of a number, and all before it, has finished. */
  boolean isDone(long number) {
    return number <= done;
  }

  /** Looks at the events. */
  void poll() {
    for (int i = 0; i < EVENTS; i++) {
      if (numbers[i] > done && events[i].isDone()) {
        done = numbers[i];
      }
    }
  }

  /**
   * Waits for everything submitted.
   *
   * @param finished the highest number of which nothing is yet to be submitted
   */
  void synchronize(Queue queue, long finished) {
    queue.synchronize();
    done = Math.max(done, finished);
  }

  @Override
  public void close() {
    for (Event event : events) {
      event.close();
    }
  }
}
