package dev.kvdrive.device;

import org.junit.jupiter.api.Nested;

/**
 * The oracle keeps the promises that need no oracle: accounting, order, shapes, guards, and that
 * nothing depends on batch, passes, queues or graphs.
 */
class ReferenceDeviceConformanceTest {
  private static Device device(long capacityBytes, long hostBytes) {
    return new ReferenceDevice(capacityBytes, hostBytes, ElementType.F32);
  }

  @Nested
  class Memory extends MemoryConformance {
    @Override
    protected Device open(long capacityBytes, long hostBytes) {
      return device(capacityBytes, hostBytes);
    }
  }

  @Nested
  class Queues extends QueueConformance {
    @Override
    protected Device open(long capacityBytes, long hostBytes) {
      return device(capacityBytes, hostBytes);
    }
  }

  @Nested
  class Pointwise extends PointwiseConformance {
    @Override
    protected Device open(long capacityBytes, long hostBytes) {
      return device(capacityBytes, hostBytes);
    }
  }

  @Nested
  class Matmul extends MatmulConformance {
    @Override
    protected Device open(long capacityBytes, long hostBytes) {
      return device(capacityBytes, hostBytes);
    }
  }

  @Nested
  class Append extends AppendConformance {
    @Override
    protected Device open(long capacityBytes, long hostBytes) {
      return device(capacityBytes, hostBytes);
    }
  }

  @Nested
  class Select extends SelectConformance {
    @Override
    protected Device open(long capacityBytes, long hostBytes) {
      return device(capacityBytes, hostBytes);
    }
  }

  @Nested
  class Cluster extends ClusterConformance {
    @Override
    protected Device open(long capacityBytes, long hostBytes) {
      return device(capacityBytes, hostBytes);
    }
  }

  @Nested
  class Diff extends DiffConformance {
    @Override
    protected Device open(long capacityBytes, long hostBytes) {
      return device(capacityBytes, hostBytes);
    }
  }

  @Nested
  class Fetch extends FetchConformance {
    @Override
    protected Device open(long capacityBytes, long hostBytes) {
      return device(capacityBytes, hostBytes);
    }
  }

  @Nested
  class Attention extends AttentionConformance {
    @Override
    protected Device open(long capacityBytes, long hostBytes) {
      return device(capacityBytes, hostBytes);
    }
  }

  @Nested
  class Prefill extends PrefillConformance {
    @Override
    protected Device open(long capacityBytes, long hostBytes) {
      return device(capacityBytes, hostBytes);
    }
  }

  @Nested
  class Step extends StepConformance {
    @Override
    protected Device open(long capacityBytes, long hostBytes) {
      return device(capacityBytes, hostBytes);
    }
  }

  @Nested
  class Papers extends PaperConformance {
    @Override
    protected Device open(long capacityBytes, long hostBytes) {
      return device(capacityBytes, hostBytes);
    }
  }
}
