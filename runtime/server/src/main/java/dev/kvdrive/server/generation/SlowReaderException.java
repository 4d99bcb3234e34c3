package dev.kvdrive.server.generation;

/** The reader of a stream was too slow and lost its generations. */
public final class SlowReaderException extends RuntimeException {
  public SlowReaderException(String message) {
    super(message, null, false, false);
  }
}
