package dev.kvdrive.server.settings;

/**
 * A number of bytes that is configured as people write it, for instance {@code 512Mi}.
 *
 * @param bytes not negative
 */
public record TierBytes(long bytes) {
  public TierBytes {
    if (bytes < 0) {
      throw new IllegalArgumentException("bytes must not be negative, got " + bytes);
    }
  }
}
