package dev.kvdrive.cuda;

import dev.kvdrive.device.Event;
import jcuda.driver.CUevent;

/** An event without timing. */
final class CudaEvent implements Event {
  private final Driver driver;
  private final CUevent event;
  private volatile boolean captured;
  private boolean closed;

  CudaEvent(Driver driver) {
    this.driver = driver;
    event = driver.createEvent(false);
  }

  /** The driver's event, for a recording of work or of a graph. */
  CUevent event() {
    return event;
  }

  /** Notes whether the last recording was part of a graph; it then marks no work of its own. */
  void recorded(boolean inCapture) {
    captured = inCapture;
  }

  @Override
  public boolean isDone() {
    if (captured) {
      return true;
    }
    driver.enter();
    return driver.isDone(event);
  }

  @Override
  public synchronized void close() {
    if (!closed) {
      closed = true;
      driver.enter();
      driver.destroy(event);
    }
  }
}
