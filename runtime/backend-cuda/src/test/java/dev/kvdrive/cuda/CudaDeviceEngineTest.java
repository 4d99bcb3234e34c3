package dev.kvdrive.cuda;

import dev.kvdrive.device.Device;
import dev.kvdrive.schedule.FaultConformance;
import dev.kvdrive.schedule.SchedulingConformance;
import org.junit.jupiter.api.Nested;
import org.junit.jupiter.api.extension.ExtendWith;

/**
 * The engine on a GPU keeps those of its invariants that hold for any rounding. The suites that
 * compare logits with exact ones expect the precision of F32, which a bf16 device does not have.
 */
@ExtendWith(NeedsGpu.class)
class CudaDeviceEngineTest {
  @Nested
  class Faults extends FaultConformance {
    @Override
    protected Device open(long capacityBytes, int threads) {
      return CudaDevice.open(0, capacityBytes);
    }
  }

  @Nested
  class Scheduling extends SchedulingConformance {
    @Override
    protected Device open(long capacityBytes, int threads) {
      return CudaDevice.open(0, capacityBytes);
    }
  }
}
