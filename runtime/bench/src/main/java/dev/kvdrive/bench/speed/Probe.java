package dev.kvdrive.bench.speed;

/** An engine with a model, ready to be measured again and again. One thread. */
public interface Probe extends AutoCloseable {
  /** The engine, the type of its weights and its threads, for a table. */
  String description();

  /**
   * Reads a prompt that was not read before and writes tokens one by one, greedily.
   *
   * @throws InterruptedException if the thread is interrupted
   */
  SpeedRun run() throws InterruptedException;

  @Override
  void close();
}
