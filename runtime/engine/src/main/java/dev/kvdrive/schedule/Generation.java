package dev.kvdrive.schedule;

/** Handle of a submitted request. Thread-safe. */
public interface Generation {
  /** The request's id. */
  String id();

  /**
   * Ends the generation as soon as the current step allows and frees its memory. The listener gets
   * {@code onFinish} with {@link FinishReason#CANCELLED}. No effect once finished.
   */
  void cancel();
}
