package dev.kvdrive.bench.eval;

/** Hears how an evaluation gets on, on the thread that runs it. */
public interface EvalListener {
  /** A sample is done. */
  void finished(EvalResult result);

  /**
   * More prompt tokens were read, over all samples so far, a part of those that run included.
   *
   * @param tokens of finished samples and, by the share that is done, of running ones
   */
  default void read(long tokens) {}
}
