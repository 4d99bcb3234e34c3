package dev.kvdrive.schedule;

import dev.kvdrive.decode.DecodeOptions;
import dev.kvdrive.device.Device;
import dev.kvdrive.kv.index.IndexCalibration;
import dev.kvdrive.kv.policy.SelectionObserver;
import dev.kvdrive.kv.tier.NvmeOptions;
import dev.kvdrive.plan.EngineSizes;
import java.nio.file.Path;
import java.util.function.UnaryOperator;
import org.jspecify.annotations.Nullable;

/**
 * How an engine is run. Nothing here but the budget in {@code sizes} changes what is computed.
 *
 * @param sizes what it allocates, from the plan
 * @param nvme how the NVMe tier does its I/O, and where
 * @param decode how decode steps are run
 * @param scheduling who runs when
 * @param calibration of the model, which an index of bit planes needs
 * @param observer is told what is selected, for recordings; null for nobody
 */
public record EngineSettings(
    EngineSizes sizes,
    NvmeOptions nvme,
    DecodeOptions decode,
    SchedulingOptions scheduling,
    @Nullable IndexCalibration calibration,
    @Nullable SelectionObserver observer) {
  /** The defaults for a plan's sizes, a device and an NVMe directory. */
  public static EngineSettings of(EngineSizes sizes, Device device, Path nvmeDirectory) {
    return new EngineSettings(
        sizes,
        NvmeOptions.in(nvmeDirectory),
        DecodeOptions.of(device.prefersGraphs()),
        SchedulingOptions.of(sizes.load().queueLimit()),
        null,
        null);
  }

  public EngineSettings withSizes(EngineSizes others) {
    return new EngineSettings(others, nvme, decode, scheduling, calibration, observer);
  }

  public EngineSettings withNvme(UnaryOperator<NvmeOptions> change) {
    return new EngineSettings(sizes, change.apply(nvme), decode, scheduling, calibration, observer);
  }

  public EngineSettings withDecode(UnaryOperator<DecodeOptions> change) {
    return new EngineSettings(sizes, nvme, change.apply(decode), scheduling, calibration, observer);
  }

  public EngineSettings withScheduling(UnaryOperator<SchedulingOptions> change) {
    return new EngineSettings(sizes, nvme, decode, change.apply(scheduling), calibration, observer);
  }

  public EngineSettings withCalibration(@Nullable IndexCalibration of) {
    return new EngineSettings(sizes, nvme, decode, scheduling, of, observer);
  }

  public EngineSettings withObserver(@Nullable SelectionObserver watcher) {
    return new EngineSettings(sizes, nvme, decode, scheduling, calibration, watcher);
  }
}
