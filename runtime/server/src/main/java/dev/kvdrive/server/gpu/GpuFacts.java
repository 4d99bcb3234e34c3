package dev.kvdrive.server.gpu;

import java.util.OptionalDouble;
import java.util.OptionalLong;

/**
 * What a card told at one time; of a figure that it does not tell there is none.
 *
 * @param memoryUsedBytes device memory in use, by whatever process, and what the driver keeps
 * @param memoryBytes device memory of the card
 * @param busy share of the last sample of the driver in which a kernel ran, in [0, 1]
 * @param memoryBusy share of it in which device memory was read or written, in [0, 1]
 * @param correctedErrors memory errors since the driver was loaded that ECC has corrected
 * @param uncorrectedErrors memory errors since then that it has not
 * @param throttled bits of why clocks are lower than they could be, see {@link ThrottleReason}
 * @param celsius temperature of the chip
 * @param watts power that the card draws
 */
public record GpuFacts(
    OptionalLong memoryUsedBytes,
    OptionalLong memoryBytes,
    OptionalDouble busy,
    OptionalDouble memoryBusy,
    OptionalLong correctedErrors,
    OptionalLong uncorrectedErrors,
    OptionalLong throttled,
    OptionalLong celsius,
    OptionalDouble watts) {

  /** Of a card that tells nothing any more. */
  static final GpuFacts NONE =
      new GpuFacts(
          OptionalLong.empty(),
          OptionalLong.empty(),
          OptionalDouble.empty(),
          OptionalDouble.empty(),
          OptionalLong.empty(),
          OptionalLong.empty(),
          OptionalLong.empty(),
          OptionalLong.empty(),
          OptionalDouble.empty());
}
