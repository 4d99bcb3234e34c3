package dev.kvdrive.schedule;

import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * Where the time of one decode step went. It was run stage after stage, so that it took somewhat
 * longer than others.
 *
 * @param number of the step since start
 * @param sequences that took part
 * @param nanos the whole step
 * @param stageNanos of these, each stage, in the order in which a layer has them
 * @param hits selected chunks found in windows
 * @param dramMisses selected chunks fetched from DRAM
 * @param nvmeMisses selected chunks fetched from NVMe
 */
public record TimedStep(
    long number,
    int sequences,
    long nanos,
    Map<String, Long> stageNanos,
    long hits,
    long dramMisses,
    long nvmeMisses) {
  public TimedStep {
    stageNanos = Collections.unmodifiableMap(new LinkedHashMap<>(stageNanos));
  }
}
