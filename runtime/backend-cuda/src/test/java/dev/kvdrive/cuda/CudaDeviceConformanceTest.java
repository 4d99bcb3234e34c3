package dev.kvdrive.cuda;

import dev.kvdrive.device.AppendConformance;
import dev.kvdrive.device.AttentionConformance;
import dev.kvdrive.device.ClusterConformance;
import dev.kvdrive.device.Device;
import dev.kvdrive.device.DiffConformance;
import dev.kvdrive.device.FetchConformance;
import dev.kvdrive.device.MatmulConformance;
import dev.kvdrive.device.MemoryConformance;
import dev.kvdrive.device.PaperConformance;
import dev.kvdrive.device.PointwiseConformance;
import dev.kvdrive.device.PrefillConformance;
import dev.kvdrive.device.QueueConformance;
import dev.kvdrive.device.SelectConformance;
import dev.kvdrive.device.StepConformance;
import dev.kvdrive.model.tensor.TensorType;
import dev.kvdrive.plan.WeightFormat;
import org.junit.jupiter.api.Nested;
import org.junit.jupiter.api.extension.ExtendWith;

/** The conformance suite of the SPI on a GPU. */
@ExtendWith(NeedsGpu.class)
class CudaDeviceConformanceTest {
  @Nested
  class Memory extends MemoryConformance {
    @Override
    protected Device open(long capacityBytes, long hostBytes) {
      return CudaDevice.open(0, capacityBytes, hostBytes);
    }
  }

  @Nested
  class Queues extends QueueConformance {
    @Override
    protected Device open(long capacityBytes, long hostBytes) {
      return CudaDevice.open(0, capacityBytes, hostBytes);
    }
  }

  @Nested
  class Pointwise extends PointwiseConformance {
    @Override
    protected Device open(long capacityBytes, long hostBytes) {
      return CudaDevice.open(0, capacityBytes, hostBytes);
    }
  }

  @Nested
  class Matmul extends MatmulConformance {
    @Override
    protected Device open(long capacityBytes, long hostBytes) {
      return CudaDevice.open(0, capacityBytes, hostBytes);
    }

    @Override
    protected int exactRows(TensorType type) {
      return WeightFormat.of(type.name(), 2).packed() ? CudaTensor.MOST_PACKED_ROWS : 0;
    }
  }

  @Nested
  class Append extends AppendConformance {
    @Override
    protected Device open(long capacityBytes, long hostBytes) {
      return CudaDevice.open(0, capacityBytes, hostBytes);
    }
  }

  @Nested
  class Select extends SelectConformance {
    @Override
    protected Device open(long capacityBytes, long hostBytes) {
      return CudaDevice.open(0, capacityBytes, hostBytes);
    }
  }

  @Nested
  class Cluster extends ClusterConformance {
    @Override
    protected Device open(long capacityBytes, long hostBytes) {
      return CudaDevice.open(0, capacityBytes, hostBytes);
    }
  }

  @Nested
  class Diff extends DiffConformance {
    @Override
    protected Device open(long capacityBytes, long hostBytes) {
      return CudaDevice.open(0, capacityBytes, hostBytes);
    }
  }

  @Nested
  class Fetch extends FetchConformance {
    @Override
    protected Device open(long capacityBytes, long hostBytes) {
      return CudaDevice.open(0, capacityBytes, hostBytes);
    }
  }

  @Nested
  class Attention extends AttentionConformance {
    @Override
    protected Device open(long capacityBytes, long hostBytes) {
      return CudaDevice.open(0, capacityBytes, hostBytes);
    }
  }

  @Nested
  class Prefill extends PrefillConformance {
    @Override
    protected Device open(long capacityBytes, long hostBytes) {
      return CudaDevice.open(0, capacityBytes, hostBytes);
    }
  }

  @Nested
  class Step extends StepConformance {
    @Override
    protected Device open(long capacityBytes, long hostBytes) {
      return CudaDevice.open(0, capacityBytes, hostBytes);
    }
  }

  @Nested
  class Papers extends PaperConformance {
    @Override
    protected Device open(long capacityBytes, long hostBytes) {
      return CudaDevice.open(0, capacityBytes, hostBytes);
    }
  }
}
