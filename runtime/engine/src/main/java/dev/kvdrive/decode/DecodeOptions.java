package dev.kvdrive.decode;

import java.time.Duration;

/**
 * How a decode step is run. None of it changes what is computed.
 *
 * @param pipeline whether misses are fetched on a queue of their own while the hits are attended
 * @param graphs whether steps are recorded and launched as graphs
 * @param fetchTimeout how long a chunk may take to come from NVMe before the sequence that needs it
 *     is given up
 */
public record DecodeOptions(boolean pipeline, boolean graphs, Duration fetchTimeout) {
  /** Bound of {@code fetchTimeout} unless said otherwise. */
  public static final Duration DEFAULT_FETCH_TIMEOUT = Duration.ofSeconds(10);

  public DecodeOptions {
    if (fetchTimeout.toMillis() < 1 || fetchTimeout.compareTo(Duration.ofHours(1)) > 0) {
      throw new IllegalArgumentException(
          "the fetch timeout must be between 1 ms and 1 h, got " + fetchTimeout);
    }
  }
}
