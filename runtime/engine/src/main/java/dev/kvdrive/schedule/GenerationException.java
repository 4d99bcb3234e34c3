package dev.kvdrive.schedule;

/** A generation cannot go on; the message names cause, value and way out. */
public class GenerationException extends RuntimeException {
  public GenerationException(String message) {
    super(message);
  }

  public GenerationException(String message, Throwable cause) {
    super(message, cause);
  }
}
