package dev.kvdrive.cli.cluster;

import org.jspecify.annotations.Nullable;

/** What was asked of a cluster cannot be had; the message says why, and the way out. */
public final class ClusterException extends RuntimeException {
  private static final long serialVersionUID = 1;

  /** What a person reads, and what it came from, if anything. */
  public ClusterException(String message, @Nullable Throwable cause) {
    super(message, cause);
  }
}
