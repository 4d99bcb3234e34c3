package dev.kvdrive.device;

import dev.kvdrive.model.tensor.Dequantizer;
import dev.kvdrive.model.tensor.TensorData;
import dev.kvdrive.plan.WeightFormat;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.concurrent.atomic.AtomicInteger;

/**
 * The device SPI in plain scalar code with double accumulation: the oracle of the conformance
 * suite, and a device for the tests of everything above the SPI. Queues run each operation on the
 * calling thread before the call returns; graphs are recorded lists of operations. Not fast.
 */
public final class ReferenceDevice implements Device {
  private final AtomicInteger copies = new AtomicInteger();
  private final long capacity;
  private final long hostCapacity;
  private final Set<ReferenceBuffer> live = new HashSet<>();
  private final ElementType activations;
  private final Operations operations;
  private long used;
  private long host;
  private boolean closed;

  /**
   * With activations in F32.
   *
   * @param capacityBytes hard cap of device memory
   */
  public ReferenceDevice(long capacityBytes) {
    this(capacityBytes, ElementType.F32);
  }

  /**
   * With activations of any type. With BF16 it holds weights as a GPU does ({@link WeightFormat}),
   * so that suites of everything above the SPI can be run with a GPU's rounding where there is
   * none.
   */
  public ReferenceDevice(long capacityBytes, ElementType activations) {
    this(capacityBytes, Long.MAX_VALUE, activations);
  }

  /**
   * With a cap on host memory, too.
   *
   * @param hostBytes hard cap of host memory
   */
  public ReferenceDevice(long capacityBytes, long hostBytes, ElementType activations) {
    this.capacity = capacityBytes;
    this.hostCapacity = hostBytes;
    this.activations = activations;
    operations =
        new Operations(
            new ReferenceTensor(activations),
            new ReferenceKv(activations),
            new ReferenceIndex(activations),
            new ReferenceWindow(activations),
            new ReferenceAttention(activations));
  }

  @Override
  public String description() {
    return "scalar reference device, activations in " + activations;
  }

  @Override
  public ElementType activationType() {
    return activations;
  }

  @Override
  public boolean bitExact() {
    return true;
  }

  @Override
  public boolean prefersGraphs() {
    return false;
  }

  @Override
  public int recordedRows(int rows) {
    return rows;
  }

  /** Not really: so that what is done for devices whose queues do is tested where there is none. */
  @Override
  public boolean queuesOverlap() {
    return true;
  }

  @Override
  public long capacityBytes() {
    return capacity;
  }

  @Override
  public synchronized long usedBytes() {
    return used;
  }

  @Override
  public long hostCapacityBytes() {
    return hostCapacity;
  }

  @Override
  public synchronized long hostBytes() {
    return host;
  }

  @Override
  public synchronized DeviceBuffer allocate(String label, long bytes) {
    reserve(label, bytes);
    return new ReferenceBuffer(label, bytes, 256, false);
  }

  @Override
  public synchronized HostBuffer allocateHost(String label, long bytes) {
    requireOpen();
    if (bytes < 1) {
      throw new IllegalArgumentException("host buffer " + label + " of " + bytes + " bytes");
    }
    host += HostPages.reserve(label, bytes, host, hostCapacity);
    return new ReferenceHostBuffer(new ReferenceBuffer(label, bytes, 4096, true));
  }

  @Override
  public synchronized Weight load(String name, List<TensorData> parts) {
    if (parts.isEmpty()) {
      throw new IllegalArgumentException("weight " + name + " has no parts");
    }
    int cols = parts.getFirst().cols();
    int rows = 0;
    long bytes = 0;
    for (TensorData part : parts) {
      if (part.cols() != cols) {
        throw new IllegalArgumentException(
            "weight %s stacks %s with %d columns on %s with %d"
                .formatted(name, part.name(), part.cols(), parts.getFirst().name(), cols));
      }
      rows += part.rows();
      bytes += part.bytes();
    }
    boolean narrow = activations == ElementType.BF16;
    if (narrow) {
      bytes = bytesOnGpu(parts, rows, cols);
    }
    reserve(name, bytes);
    float[] values = new float[Math.multiplyExact(rows, cols)];
    int at = 0;
    for (TensorData part : parts) {
      boolean rounded = narrow && WeightFormat.of(part.type().name(), rows) == WeightFormat.BF16;
      for (int row = 0; row < part.rows(); row++, at += cols) {
        Dequantizer.row(part, row, values, at);
        for (int i = at; rounded && i < at + cols; i++) {
          values[i] = Bfloat16.widen(Bfloat16.round(values[i]));
        }
      }
    }
    return new ReferenceWeight(name, rows, cols, values, new ReferenceBuffer(name, bytes));
  }

  /** Parts of one format that follow each other are one piece there. */
  private static long bytesOnGpu(List<TensorData> parts, int rows, int cols) {
    long bytes = 0;
    for (int from = 0, to = 0; from < parts.size(); from = to) {
      WeightFormat format = WeightFormat.of(parts.get(from).type().name(), rows);
      long piece = 0;
      while (to < parts.size() && WeightFormat.of(parts.get(to).type().name(), rows) == format) {
        piece += parts.get(to++).rows();
      }
      bytes += format.bytes(piece, cols);
    }
    return bytes;
  }

  @Override
  public Queue createQueue(String name) {
    return new ReferenceQueue(name, copies);
  }

  /** Copies between host and device so far. */
  public int copies() {
    return copies.get();
  }

  @Override
  public Event createEvent() {
    return new ReferenceQueue.ReferenceEvent();
  }

  @Override
  public Operations operations() {
    return operations;
  }

  @Override
  public synchronized void close() {
    for (ReferenceBuffer buffer : List.copyOf(live)) {
      buffer.close();
    }
    closed = true;
  }

  private void reserve(String label, long bytes) {
    requireOpen();
    if (bytes < 1) {
      throw new IllegalArgumentException("device buffer " + label + " of " + bytes + " bytes");
    }
    if (bytes > capacity - used) {
      throw new DeviceMemoryException(
          "%s needs %d bytes of device memory, but %d of %d are in use"
              .formatted(label, bytes, used, capacity));
    }
    used += bytes;
  }

  private void requireOpen() {
    if (closed) {
      throw new DeviceException("the reference device is closed");
    }
  }

  /** One allocation, or the accounting of a weight. */
  final class ReferenceBuffer implements DeviceBuffer {
    private final String label;
    private final long bytes;
    private final boolean onHost;
    private final Arena arena = Arena.ofShared();
    private final MemorySegment segment;
    private boolean open = true;

    ReferenceBuffer(String label, long bytes, long alignment, boolean onHost) {
      this.label = label;
      this.bytes = bytes;
      this.onHost = onHost;
      this.segment = arena.allocate(bytes, alignment);
      live.add(this);
    }

    ReferenceBuffer(String label, long bytes) {
      this.label = label;
      this.bytes = bytes;
      this.onHost = false;
      this.segment = MemorySegment.NULL;
      live.add(this);
    }

    /** The memory; access after {@link #close} throws. */
    MemorySegment segment() {
      return segment;
    }

    @Override
    public String label() {
      return label;
    }

    @Override
    public long bytes() {
      return bytes;
    }

    @Override
    public void close() {
      synchronized (ReferenceDevice.this) {
        if (!open) {
          return;
        }
        open = false;
        live.remove(this);
        if (onHost) {
          host -= HostPages.reserve(label, bytes, 0, Long.MAX_VALUE);
        } else {
          used -= bytes;
        }
        arena.close();
      }
    }
  }

  private record ReferenceHostBuffer(ReferenceBuffer memory) implements HostBuffer {
    @Override
    public String label() {
      return memory.label();
    }

    @Override
    public MemorySegment segment() {
      return memory.segment();
    }

    @Override
    public void close() {
      memory.close();
    }
  }

  /** A weight as floats. */
  record ReferenceWeight(
      String name,
      int rows,
      int cols,
      @SuppressWarnings("ArrayRecordComponent") float[] values,
      ReferenceBuffer account)
      implements Weight {
    @Override
    public long bytes() {
      return account.bytes();
    }

    @Override
    public void close() {
      account.close();
    }
  }
}
