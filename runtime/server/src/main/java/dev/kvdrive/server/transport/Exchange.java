package dev.kvdrive.server.transport;

import java.time.Duration;

/**
 * A request and what became of it.
 *
 * @param requestId of the request; empty if it never got one
 * @param method as sent; empty if it could not be read
 * @param path without the query; empty if it could not be read
 * @param status of the answer; 0 if there was none
 * @param bytes of the answer's body
 * @param duration from the head of the request to the end of the answer
 * @param complete whether the whole answer went out before the connection closed
 */
public record Exchange(
    String requestId,
    String method,
    String path,
    int status,
    long bytes,
    Duration duration,
    boolean complete) {

  /** Told about exchanges on the threads of the network; must return quickly. */
  public interface Listener {
    /** An exchange is over. */
    default void ended(Exchange exchange) {}

    /** A request was answered with an error before it reached any handler. */
    void refused(int status, String reason);
  }
}
