package dev.kvdrive.schedule;

import dev.kvdrive.decode.DecodeOptions;
import dev.kvdrive.device.Device;
import dev.kvdrive.kv.index.IndexCalibration;
import dev.kvdrive.kv.policy.SelectionObserver;
import dev.kvdrive.kv.tier.ExtentFile;
import dev.kvdrive.kv.tier.NvmeOptions;
import dev.kvdrive.plan.EngineSizes;
import java.nio.file.Path;
import java.time.Duration;
import org.jspecify.annotations.Nullable;

/**
 * How an engine is run. Nothing here but the budget in {@code sizes} changes what is computed.
 *
 * @param sizes what it allocates, from the plan
 * @param nvme how the NVMe tier does its I/O, and where
 * @param extentFiles makes the NVMe tier's files; null for the operating system's
 * @param queueLimit requests that may wait for a seat
 * @param decode how decode steps are run
 * @param prefillShare share of the time that prefill takes while other sequences decode, in (0, 1):
 *     what it leaves is the decode rate that running users keep
 * @param warmUpTokens length of the prompt that the engine runs before it is ready; 0 for none
 * @param turnTimeout how long a turn of the engine thread, a prefill quantum and a decode step, may
 *     last before the engine counts as failed
 * @param calibration of the model, which an index of bit planes needs
 * @param observer is told what is selected; null for nobody
 */
public record EngineSettings(
    EngineSizes sizes,
    NvmeOptions nvme,
    ExtentFile.@Nullable Opener extentFiles,
    int queueLimit,
    DecodeOptions decode,
    double prefillShare,
    int warmUpTokens,
    Duration turnTimeout,
    @Nullable IndexCalibration calibration,
    @Nullable SelectionObserver observer) {
  /** Bound of a turn unless said otherwise: far longer than any work takes. */
  public static final Duration DEFAULT_TURN_TIMEOUT = Duration.ofMinutes(2);

  /** Share of the time for prefill unless said otherwise. */
  public static final double DEFAULT_PREFILL_SHARE = 0.5;

  /** Length of the warm-up prompt unless said otherwise. */
  public static final int DEFAULT_WARM_UP_TOKENS = 512;

  /** Requests that may wait for a seat at most, whatever is asked for. */
  public static final int MAX_QUEUE = 1 << 16;

  public EngineSettings {
    if (queueLimit < 0 || queueLimit > MAX_QUEUE) {
      throw new IllegalArgumentException(
          "the queue limit must be between 0 and %d, got %d".formatted(MAX_QUEUE, queueLimit));
    }
    if (!(prefillShare > 0 && prefillShare < 1)) {
      throw new IllegalArgumentException(
          "the prefill share must be between 0 and 1 (both excluded), got " + prefillShare);
    }
    if (warmUpTokens < 0) {
      throw new IllegalArgumentException(
          "the warm-up prompt cannot have %d tokens".formatted(warmUpTokens));
    }
  }

  /** The defaults for a plan's sizes, a device and an NVMe directory. */
  public static EngineSettings of(
      EngineSizes sizes, Device device, Path nvmeDirectory, int queueLimit) {
    return new EngineSettings(
        sizes,
        NvmeOptions.in(nvmeDirectory),
        null,
        queueLimit,
        new DecodeOptions(
            true,
            DecodeOptions.ELASTIC,
            true,
            device.prefersGraphs(),
            DecodeOptions.DEFAULT_FETCH_TIMEOUT,
            DecodeOptions.DEFAULT_METER_SHARE),
        DEFAULT_PREFILL_SHARE,
        DEFAULT_WARM_UP_TOKENS,
        DEFAULT_TURN_TIMEOUT,
        null,
        null);
  }

  public EngineSettings withSizes(EngineSizes others) {
    return new EngineSettings(
        others,
        nvme,
        extentFiles,
        queueLimit,
        decode,
        prefillShare,
        warmUpTokens,
        turnTimeout,
        calibration,
        observer);
  }

  public EngineSettings withNvme(NvmeOptions options) {
    return new EngineSettings(
        sizes,
        options,
        extentFiles,
        queueLimit,
        decode,
        prefillShare,
        warmUpTokens,
        turnTimeout,
        calibration,
        observer);
  }

  /** The same with a limit of the bytes written to NVMe in 24 hours; 0 for none. */
  public EngineSettings withWritesPerDay(long bytes) {
    return withNvme(nvme.withWritesPerDay(bytes, nvme.clock()));
  }

  public EngineSettings withExtentFiles(ExtentFile.Opener opener) {
    return new EngineSettings(
        sizes,
        nvme,
        opener,
        queueLimit,
        decode,
        prefillShare,
        warmUpTokens,
        turnTimeout,
        calibration,
        observer);
  }

  public EngineSettings withDecode(DecodeOptions options) {
    return new EngineSettings(
        sizes,
        nvme,
        extentFiles,
        queueLimit,
        options,
        prefillShare,
        warmUpTokens,
        turnTimeout,
        calibration,
        observer);
  }

  public EngineSettings withPrefillShare(double share) {
    return new EngineSettings(
        sizes,
        nvme,
        extentFiles,
        queueLimit,
        decode,
        share,
        warmUpTokens,
        turnTimeout,
        calibration,
        observer);
  }

  public EngineSettings withWarmUpTokens(int tokens) {
    return new EngineSettings(
        sizes,
        nvme,
        extentFiles,
        queueLimit,
        decode,
        prefillShare,
        tokens,
        turnTimeout,
        calibration,
        observer);
  }

  public EngineSettings withTurnTimeout(Duration timeout) {
    return new EngineSettings(
        sizes,
        nvme,
        extentFiles,
        queueLimit,
        decode,
        prefillShare,
        warmUpTokens,
        timeout,
        calibration,
        observer);
  }

  public EngineSettings withCalibration(@Nullable IndexCalibration of) {
    return new EngineSettings(
        sizes,
        nvme,
        extentFiles,
        queueLimit,
        decode,
        prefillShare,
        warmUpTokens,
        turnTimeout,
        of,
        observer);
  }

  /** The same, watched: for recordings, not for serving. */
  public EngineSettings withObserver(@Nullable SelectionObserver watcher) {
    return new EngineSettings(
        sizes,
        nvme,
        extentFiles,
        queueLimit,
        decode,
        prefillShare,
        warmUpTokens,
        turnTimeout,
        calibration,
        watcher);
  }
}
