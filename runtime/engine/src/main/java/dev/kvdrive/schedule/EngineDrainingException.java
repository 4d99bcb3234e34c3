package dev.kvdrive.schedule;

/** The engine is shutting down and takes no new requests. */
public final class EngineDrainingException extends GenerationException {
  public EngineDrainingException(String message) {
    super(message);
  }
}
