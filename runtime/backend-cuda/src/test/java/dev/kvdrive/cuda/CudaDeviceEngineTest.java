package dev.kvdrive.cuda;

import dev.kvdrive.device.Device;
import dev.kvdrive.schedule.EngineLifeConformance;
import dev.kvdrive.schedule.FaultConformance;
import dev.kvdrive.schedule.ForwardPassConformance;
import dev.kvdrive.schedule.KeptPromptsConformance;
import dev.kvdrive.schedule.PlanConformance;
import dev.kvdrive.schedule.PolicyConformance;
import dev.kvdrive.schedule.SameTokensConformance;
import dev.kvdrive.schedule.SchedulingConformance;
import dev.kvdrive.schedule.ViewConformance;
import org.junit.jupiter.api.Nested;
import org.junit.jupiter.api.extension.ExtendWith;

/** The engine on a GPU keeps its invariants; how near logits must be is a matter of bf16. */
@ExtendWith(NeedsGpu.class)
class CudaDeviceEngineTest {
  @Nested
  class ForwardPass extends ForwardPassConformance {
    @Override
    protected Device open(long capacityBytes, long hostBytes, int threads) {
      return CudaDevice.open(0, capacityBytes, hostBytes);
    }
  }

  @Nested
  class SameTokens extends SameTokensConformance {
    @Override
    protected Device open(long capacityBytes, long hostBytes, int threads) {
      return CudaDevice.open(0, capacityBytes, hostBytes);
    }
  }

  @Nested
  class KeptPrompts extends KeptPromptsConformance {
    @Override
    protected Device open(long capacityBytes, long hostBytes, int threads) {
      return CudaDevice.open(0, capacityBytes, hostBytes);
    }
  }

  @Nested
  class Faults extends FaultConformance {
    @Override
    protected Device open(long capacityBytes, long hostBytes, int threads) {
      return CudaDevice.open(0, capacityBytes, hostBytes);
    }
  }

  @Nested
  class Plan extends PlanConformance {
    @Override
    protected Device open(long capacityBytes, long hostBytes, int threads) {
      return CudaDevice.open(0, capacityBytes, hostBytes);
    }
  }

  @Nested
  class Scheduling extends SchedulingConformance {
    @Override
    protected Device open(long capacityBytes, long hostBytes, int threads) {
      return CudaDevice.open(0, capacityBytes, hostBytes);
    }
  }

  @Nested
  class Views extends ViewConformance {
    @Override
    protected Device open(long capacityBytes, long hostBytes, int threads) {
      return CudaDevice.open(0, capacityBytes, hostBytes);
    }
  }

  @Nested
  class Life extends EngineLifeConformance {
    @Override
    protected Device open(long capacityBytes, long hostBytes, int threads) {
      return CudaDevice.open(0, capacityBytes, hostBytes);
    }
  }

  @Nested
  class Policies extends PolicyConformance {
    @Override
    protected Device open(long capacityBytes, long hostBytes, int threads) {
      return CudaDevice.open(0, capacityBytes, hostBytes);
    }
  }
}
