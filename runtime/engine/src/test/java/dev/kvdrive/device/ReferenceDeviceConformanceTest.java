package dev.kvdrive.device;

import org.junit.jupiter.api.Nested;

/**
 * The oracle keeps the promises that need no oracle: accounting, order, shapes, guards, and that
 * nothing depends on batch, passes, queues or graphs.
 */
class ReferenceDeviceConformanceTest {
  private static Device device(long capacityBytes) {
    return new ReferenceDevice(capacityBytes);
  }

  @Nested
  class Memory extends MemoryConformance {
    @Override
    protected Device open(long capacityBytes) {
      return device(capacityBytes);
    }
  }

  @Nested
  class Queues extends QueueConformance {
    @Override
    protected Device open(long capacityBytes) {
      return device(capacityBytes);
    }
  }

  @Nested
  class Pointwise extends PointwiseConformance {
    @Override
    protected Device open(long capacityBytes) {
      return device(capacityBytes);
    }
  }

  @Nested
  class Matmul extends MatmulConformance {
    @Override
    protected Device open(long capacityBytes) {
      return device(capacityBytes);
    }
  }

  @Nested
  class Append extends AppendConformance {
    @Override
    protected Device open(long capacityBytes) {
      return device(capacityBytes);
    }
  }

  @Nested
  class Select extends SelectConformance {
    @Override
    protected Device open(long capacityBytes) {
      return device(capacityBytes);
    }
  }

  @Nested
  class Diff extends DiffConformance {
    @Override
    protected Device open(long capacityBytes) {
      return device(capacityBytes);
    }
  }

  @Nested
  class Fetch extends FetchConformance {
    @Override
    protected Device open(long capacityBytes) {
      return device(capacityBytes);
    }
  }

  @Nested
  class Attention extends AttentionConformance {
    @Override
    protected Device open(long capacityBytes) {
      return device(capacityBytes);
    }
  }

  @Nested
  class Prefill extends PrefillConformance {
    @Override
    protected Device open(long capacityBytes) {
      return device(capacityBytes);
    }
  }

  @Nested
  class Step extends StepConformance {
    @Override
    protected Device open(long capacityBytes) {
      return device(capacityBytes);
    }
  }
}
