package dev.kvdrive.cpu;

import dev.kvdrive.device.Device;
import dev.kvdrive.plan.DeviceKind;
import dev.kvdrive.schedule.EngineLifeConformance;
import dev.kvdrive.schedule.FaultConformance;
import dev.kvdrive.schedule.ForwardPassConformance;
import dev.kvdrive.schedule.KeptPromptsConformance;
import dev.kvdrive.schedule.KillConformance;
import dev.kvdrive.schedule.PlanConformance;
import dev.kvdrive.schedule.PolicyConformance;
import dev.kvdrive.schedule.SameTokensConformance;
import dev.kvdrive.schedule.SchedulingConformance;
import dev.kvdrive.schedule.StepAllocationConformance;
import dev.kvdrive.schedule.ViewConformance;
import org.junit.jupiter.api.Nested;

/** The engine on the CPU device keeps its invariants on any number of threads. */
class CpuDeviceEngineTest {
  @Nested
  class ForwardPass extends ForwardPassConformance {
    @Override
    protected Device open(long capacityBytes, long hostBytes, int threads) {
      return CpuDevice.open(capacityBytes, hostBytes, threads);
    }
  }

  @Nested
  class SameTokens extends SameTokensConformance {
    @Override
    protected Device open(long capacityBytes, long hostBytes, int threads) {
      return CpuDevice.open(capacityBytes, hostBytes, threads);
    }
  }

  @Nested
  class KeptPrompts extends KeptPromptsConformance {
    @Override
    protected Device open(long capacityBytes, long hostBytes, int threads) {
      return CpuDevice.open(capacityBytes, hostBytes, threads);
    }
  }

  @Nested
  class Faults extends FaultConformance {
    @Override
    protected Device open(long capacityBytes, long hostBytes, int threads) {
      return CpuDevice.open(capacityBytes, hostBytes, threads);
    }
  }

  @Nested
  class Plan extends PlanConformance {
    @Override
    protected Device open(long capacityBytes, long hostBytes, int threads) {
      return CpuDevice.open(capacityBytes, hostBytes, threads);
    }
  }

  @Nested
  class Scheduling extends SchedulingConformance {
    @Override
    protected Device open(long capacityBytes, long hostBytes, int threads) {
      return CpuDevice.open(capacityBytes, hostBytes, threads);
    }
  }

  @Nested
  class Views extends ViewConformance {
    @Override
    protected Device open(long capacityBytes, long hostBytes, int threads) {
      return CpuDevice.open(capacityBytes, hostBytes, threads);
    }
  }

  @Nested
  class Life extends EngineLifeConformance {
    @Override
    protected Device open(long capacityBytes, long hostBytes, int threads) {
      return CpuDevice.open(capacityBytes, hostBytes, threads);
    }
  }

  @Nested
  class Policies extends PolicyConformance {
    @Override
    protected Device open(long capacityBytes, long hostBytes, int threads) {
      return CpuDevice.open(capacityBytes, hostBytes, threads);
    }
  }

  @Nested
  class StepAllocation extends StepAllocationConformance {
    @Override
    protected Device open(long capacityBytes, long hostBytes, int threads) {
      return CpuDevice.open(capacityBytes, hostBytes, threads);
    }
  }

  @Nested
  class Killed extends KillConformance {
    @Override
    protected DeviceKind kind() {
      return DeviceKind.CPU;
    }

    @Override
    protected Device open(long capacityBytes, long hostBytes, int threads) {
      return CpuDevice.open(capacityBytes, hostBytes, threads);
    }
  }
}
