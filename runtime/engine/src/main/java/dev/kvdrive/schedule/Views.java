package dev.kvdrive.schedule;

/**
 * Between those who watch the engine and its thread: who wants a view says so and gets the one
 * before, and the engine thread makes a new one between two turns. While nobody asks, a turn costs
 * the test of one field.
 */
final class Views {
  /** Views take this share of the engine thread's time at most. */
  private static final double SHARE = 0.01;

  private volatile boolean wanted;
  private volatile EngineView last = EngineView.NONE;
  private long notBefore = System.nanoTime();

  /** Asks for a new view and gives the last; any thread. */
  EngineView ask() {
    wanted = true;
    return last;
  }

  /** Whether a view is to be made now; engine thread. */
  boolean due() {
    return wanted && System.nanoTime() - notBefore >= 0;
  }

  /**
   * A view was made; engine thread.
   *
   * @param began when, by {@link System#nanoTime}
   */
  void made(EngineView view, long began) {
    long now = System.nanoTime();
    notBefore = now + (long) ((now - began) / SHARE);
    wanted = false;
    last = view;
  }
}
