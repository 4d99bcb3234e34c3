package dev.kvdrive.schedule;

import dev.kvdrive.device.Device;
import dev.kvdrive.device.ElementType;
import dev.kvdrive.device.ReferenceDevice;
import org.junit.jupiter.api.Nested;

/**
 * The engine with activations and matrices in BF16, as on a GPU: the suites' bounds for such
 * devices hold where no GPU is.
 */
class NarrowDeviceEngineTest {
  private static Device device(long capacityBytes, long hostBytes) {
    return new ReferenceDevice(capacityBytes, hostBytes, ElementType.BF16);
  }

  @Nested
  class ForwardPass extends ForwardPassConformance {
    @Override
    protected Device open(long capacityBytes, long hostBytes, int threads) {
      return device(capacityBytes, hostBytes);
    }
  }

  @Nested
  class SameTokens extends SameTokensConformance {
    @Override
    protected Device open(long capacityBytes, long hostBytes, int threads) {
      return device(capacityBytes, hostBytes);
    }
  }

  @Nested
  class KeptPrompts extends KeptPromptsConformance {
    @Override
    protected Device open(long capacityBytes, long hostBytes, int threads) {
      return device(capacityBytes, hostBytes);
    }
  }

  @Nested
  class Faults extends FaultConformance {
    @Override
    protected Device open(long capacityBytes, long hostBytes, int threads) {
      return device(capacityBytes, hostBytes);
    }
  }

  @Nested
  class Plan extends PlanConformance {
    @Override
    protected Device open(long capacityBytes, long hostBytes, int threads) {
      return device(capacityBytes, hostBytes);
    }
  }

  @Nested
  class Scheduling extends SchedulingConformance {
    @Override
    protected Device open(long capacityBytes, long hostBytes, int threads) {
      return device(capacityBytes, hostBytes);
    }
  }

  @Nested
  class Views extends ViewConformance {
    @Override
    protected Device open(long capacityBytes, long hostBytes, int threads) {
      return device(capacityBytes, hostBytes);
    }
  }

  @Nested
  class Life extends EngineLifeConformance {
    @Override
    protected Device open(long capacityBytes, long hostBytes, int threads) {
      return device(capacityBytes, hostBytes);
    }
  }
}
