package dev.kvdrive.decode;

import dev.kvdrive.plan.Workspace;
import java.time.Duration;

/**
 * How a decode step is run. None of it changes what is computed.
 *
 * @param pipeline whether misses are fetched on a queue of their own while something else is
 *     computed; where the queues of a device do not overlap there is one, and it is the drive that
 *     works meanwhile
 * @param microBatches into how many parts the rows of a step are cut in its attention, so that one
 *     part's misses are fetched while the next one selects: at most so many, a power of two; {@link
 *     #ELASTIC} for as many as make steps fastest. Without a pipeline there is one
 * @param elasticPrefetch whether steps prefetch, where their windows do at all, only as long as it
 *     makes them faster: on a device whose window is the memory that chunks come from it does not;
 *     else always
 * @param graphs whether steps are recorded and launched as graphs
 * @param fetchTimeout how long a chunk may take to come from NVMe before the sequence that needs it
 *     is given up
 * @param meterShare of the time of all steps that measuring their accuracy may take, in [0, 1]; 0
 *     for none, 1 for every step
 */
public record DecodeOptions(
    boolean pipeline,
    int microBatches,
    boolean elasticPrefetch,
    boolean graphs,
    Duration fetchTimeout,
    double meterShare) {
  /** {@code microBatches} by what steps take. */
  public static final int ELASTIC = 0;

  /** Bound of {@code fetchTimeout} unless said otherwise. */
  public static final Duration DEFAULT_FETCH_TIMEOUT = Duration.ofSeconds(10);

  /** Share of the time for the meter unless said otherwise. */
  private static final double DEFAULT_METER_SHARE = 0.01;

  public DecodeOptions {
    if (!(meterShare >= 0 && meterShare <= 1)) {
      throw new IllegalArgumentException(
          "the share of the meter must be between 0 and 1, got " + meterShare);
    }
    if (microBatches != ELASTIC
        && (microBatches < 1
            || microBatches > Workspace.MOST_MICRO_BATCHES
            || Integer.bitCount(microBatches) != 1)) {
      throw new IllegalArgumentException(
          "a step is cut into 1, 2 or %d micro-batches, not %d"
              .formatted(Workspace.MOST_MICRO_BATCHES, microBatches));
    }
    if (fetchTimeout.toMillis() < 1 || fetchTimeout.compareTo(Duration.ofHours(1)) > 0) {
      throw new IllegalArgumentException(
          "the fetch timeout must be between 1 ms and 1 h, got " + fetchTimeout);
    }
  }

  /** What an engine does unless told otherwise. */
  public static DecodeOptions of(boolean graphs) {
    return new DecodeOptions(
        true, ELASTIC, true, graphs, DEFAULT_FETCH_TIMEOUT, DEFAULT_METER_SHARE);
  }

  /** The same with another pipeline. */
  public DecodeOptions with(boolean pipelined, int parts) {
    return new DecodeOptions(pipelined, parts, elasticPrefetch, graphs, fetchTimeout, meterShare);
  }

  /** The same with steps recorded or not. */
  public DecodeOptions withGraphs(boolean recorded) {
    return new DecodeOptions(
        pipeline, microBatches, elasticPrefetch, recorded, fetchTimeout, meterShare);
  }

  /** The same with another prefetch. */
  public DecodeOptions withElasticPrefetch(boolean elastic) {
    return new DecodeOptions(pipeline, microBatches, elastic, graphs, fetchTimeout, meterShare);
  }

  /** With nothing measured, and prefetch in every step whose windows do. */
  public DecodeOptions(boolean pipeline, int microBatches, boolean graphs, Duration fetchTimeout) {
    this(pipeline, microBatches, false, graphs, fetchTimeout, 0);
  }

  /** The same with another share for the meter. */
  public DecodeOptions withMeterShare(double share) {
    return new DecodeOptions(pipeline, microBatches, elasticPrefetch, graphs, fetchTimeout, share);
  }
}
