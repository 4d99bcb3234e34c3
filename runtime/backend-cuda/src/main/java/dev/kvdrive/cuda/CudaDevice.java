package dev.kvdrive.cuda;

import dev.kvdrive.device.Device;
import dev.kvdrive.device.DeviceBuffer;
import dev.kvdrive.device.DeviceException;
import dev.kvdrive.device.DeviceMemoryException;
import dev.kvdrive.device.DeviceSoftwareException;
import dev.kvdrive.device.ElementType;
import dev.kvdrive.device.Event;
import dev.kvdrive.device.HostBuffer;
import dev.kvdrive.device.HostMemory;
import dev.kvdrive.device.HostPages;
import dev.kvdrive.device.Operations;
import dev.kvdrive.device.Queue;
import dev.kvdrive.device.Weight;
import dev.kvdrive.model.tensor.TensorData;
import dev.kvdrive.plan.ByteSize;
import dev.kvdrive.plan.DeviceKind;
import dev.kvdrive.plan.WeightFormat;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * A CUDA GPU as a device, with activations in bf16.
 *
 * <p>The cap bounds what is allocated through this interface, and a plan leaves a part of it to the
 * device itself: {@link dev.kvdrive.plan.Workspace#deviceBytes} for the driver's context with this
 * module's kernels, workspaces of queues and recorded graphs. {@link #open} checks that the GPU has
 * the cap, and free all of it that is not the context's.
 *
 * <p>Weights are held in a {@link WeightFormat} that {@link dev.kvdrive.plan.WeightFormat#of} says,
 * and {@link Weight#bytes} counts that; a plan for {@link dev.kvdrive.plan.DeviceKind#CUDA} counts
 * the same. Sums are F32. Their order depends on what was in the window and, in products with
 * matrices in bf16, on the number of rows: results agree within the error of that ({@link
 * #bitExact} is false).
 *
 * <p>Threads: each thread that calls the device, one of its queues, events or graphs must be a
 * platform thread.
 */
public final class CudaDevice implements Device {
  /**
   * Workspace of each queue that computes: for matrix products and the raw scores of a selection.
   */
  public static final long WORKSPACE_BYTES = Cublas.WORKSPACE_BYTES;

  /** What fetch and land keep between launches, for each mailbox. */
  static final long ROUND_BYTES = 256;

  private final Gpu gpu;
  private final Driver driver;
  private final long capacity;
  private final long hostCapacity;
  private final Operations operations;
  private final Driver.Stream transfers;
  private final Set<CudaBuffer> buffers = new HashSet<>();
  private final Set<CudaHostBuffer> hostBuffers = new HashSet<>();
  private final Set<CudaQueue> queues = new HashSet<>();
  private long used;
  private long host;
  private boolean closed;

  private CudaDevice(Gpu gpu, long capacity, long hostCapacity) {
    this.gpu = gpu;
    this.capacity = capacity;
    this.hostCapacity = hostCapacity;
    driver = gpu.driver();
    operations = CudaOperations.of(gpu);
    transfers = driver.createStream(false);
  }

  /** Opens a GPU with any amount of host memory: {@link #open(int, long, long)}. */
  public static CudaDevice open(int ordinal, long capacityBytes) {
    return open(ordinal, capacityBytes, Long.MAX_VALUE);
  }

  /**
   * Opens a GPU.
   *
   * @param ordinal index among the GPUs that the driver shows
   * @param capacityBytes hard cap of its memory for this device
   * @param hostBytes hard cap of the host memory that is allocated through it, the DRAM tier
   * @throws DeviceException if there is no such GPU, or this build or machine cannot use it
   * @throws DeviceMemoryException if the GPU has less than the cap, or too little of it free
   */
  public static CudaDevice open(int ordinal, long capacityBytes, long hostBytes) {
    if (capacityBytes < 1) {
      throw new IllegalArgumentException("a cap of %d bytes".formatted(capacityBytes));
    }
    DeviceException why = unavailable();
    if (why != null) {
      throw why;
    }
    Gpu gpu = Gpu.open(ordinal);
    gpu.driver().enter();
    Driver driver = gpu.driver();
    String refusal =
        refusal(capacityBytes, gpu.description(), driver.totalBytes(), driver.freeBytes());
    if (refusal != null) {
      throw new DeviceMemoryException(refusal);
    }
    return new CudaDevice(gpu, capacityBytes, hostBytes);
  }

  /**
   * Why a GPU cannot hold a tier, of which a part is for its context, or null if it can.
   *
   * @param free beside the context, which is there already
   */
  static @Nullable String refusal(long tier, String gpu, long total, long free) {
    return tier <= total && tier - DeviceKind.CUDA.contextBytes() <= free
        ? null
        : "a GPU tier of %s was asked for, but %s has %s, of which %s are free beside the driver's context; make the tier smaller, or end what else uses the GPU"
            .formatted(ByteSize.human(tier), gpu, ByteSize.human(total), ByteSize.human(free));
  }

  /**
   * Why this process cannot open a CUDA device and what to do, or null if it can: no driver, no
   * GPU; a {@link DeviceSoftwareException} for kernels or libraries that it comes without.
   */
  public static @Nullable DeviceException unavailable() {
    String noDriver = null;
    try (Arena arena = Arena.ofConfined()) {
      SymbolLookup.libraryLookup("libcuda.so.1", arena);
    } catch (IllegalArgumentException e) {
      noDriver =
          "there is no CUDA driver on this machine (libcuda.so.1 does not load); install NVIDIA's driver 580 or later, or compute on device cpu";
    }
    if (!Gpu.hasKernels()) {
      return new DeviceSoftwareException(
          noDriver == null ? Gpu.NO_KERNELS : noDriver + "; and " + Gpu.NO_KERNELS);
    }
    if (noDriver != null) {
      return new DeviceException(noDriver);
    }
    try {
      Gpu.open(0);
      return null;
    } catch (DeviceException e) {
      return e;
    } catch (LinkageError e) {
      return new DeviceException(String.valueOf(e.getMessage()), e);
    }
  }

  @Override
  public String description() {
    return gpu.description();
  }

  @Override
  public ElementType activationType() {
    return ElementType.BF16;
  }

  @Override
  public boolean bitExact() {
    return false;
  }

  @Override
  public boolean prefersGraphs() {
    return true;
  }

  @Override
  public int recordedRows(int rows) {
    return rows <= 1 ? 1 : Integer.highestOneBit(rows - 1) << 1; // a power of two
  }

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
  public synchronized long ownBytes() {
    driver.enter();
    return Math.max(0, driver.totalBytes() - driver.freeBytes() - used);
  }

  @Override
  public long hostCapacityBytes() {
    return hostCapacity;
  }

  @Override
  public synchronized long hostBytes() {
    return host;
  }

  /** What it runs on, for timings. */
  Gpu gpu() {
    return gpu;
  }

  @Override
  public synchronized DeviceBuffer allocate(String label, long bytes) {
    return allocateBuffer(label, bytes);
  }

  private CudaBuffer allocateBuffer(String label, long bytes) {
    requireOpen();
    if (bytes < 1) {
      throw new IllegalArgumentException("device memory '%s' of %d bytes".formatted(label, bytes));
    }
    if (bytes > capacity - used) {
      throw new DeviceMemoryException(
          "%s needs %d bytes of device memory, but %d of %d are in use"
              .formatted(label, bytes, used, capacity));
    }
    driver.enter();
    CudaBuffer buffer;
    try {
      buffer = new CudaBuffer(this, label, bytes, allocateInternal(bytes));
    } catch (CudaException e) {
      if (e.outOfMemory()) {
        throw new DeviceMemoryException(
            "%s needs %d bytes; %d of the cap of %d are in use, but the GPU has only %d free: something else uses it"
                .formatted(label, bytes, used, capacity, driver.freeBytes()));
      }
      throw e;
    }
    buffers.add(buffer);
    used += bytes;
    return buffer;
  }

  /** Zeroed device memory that the cap does not count; whoever asked frees it. */
  long allocateInternal(long bytes) {
    driver.enter();
    long address = driver.allocate(bytes);
    driver.fillBytes(address, (byte) 0, bytes, transfers);
    driver.synchronize(transfers);
    return address;
  }

  void free(CudaBuffer buffer) {
    synchronized (this) {
      long address = buffer.release();
      if (address != 0) {
        driver.enter();
        driver.free(address);
        buffers.remove(buffer);
        used -= buffer.bytes();
      }
    }
  }

  @Override
  @SuppressWarnings("MustBeClosed") // the buffer owns the arena and closes it
  public HostBuffer allocateHost(String label, long bytes) {
    if (bytes < 1) {
      throw new IllegalArgumentException("host memory '%s' of %d bytes".formatted(label, bytes));
    }
    driver.enter();
    long pinned;
    synchronized (this) {
      pinned = HostPages.reserve(label, bytes, host, hostCapacity);
      host += pinned;
    }
    // Outside of the lock: zeroing and pinning a large tier takes a while.
    Arena arena = Arena.ofShared();
    boolean kept = false;
    try {
      MemorySegment pages = HostMemory.allocate(arena, pinned, HOST_PAGE);
      synchronized (this) {
        requireOpen();
        long address = driver.register(pages.address(), pinned);
        CudaHostBuffer buffer =
            new CudaHostBuffer(this, label, arena, pages, pages.asSlice(0, bytes), address);
        hostBuffers.add(buffer);
        kept = true;
        return buffer;
      }
    } catch (CudaException e) {
      throw new DeviceException(
          "host memory '%s' of %d bytes cannot be pinned: %s"
              .formatted(label, bytes, e.getMessage()),
          e);
    } finally {
      if (!kept) {
        arena.close();
        synchronized (this) {
          host -= pinned;
        }
      }
    }
  }

  void free(CudaHostBuffer buffer) {
    synchronized (this) {
      driver.enter();
      if (buffer.release(driver)) {
        hostBuffers.remove(buffer);
        host -= buffer.pinnedBytes();
      }
    }
  }

  @Override
  public Weight load(String name, List<TensorData> parts) {
    if (parts.isEmpty()) {
      throw new IllegalArgumentException("weight " + name + " has no parts");
    }
    int cols = parts.getFirst().cols();
    int rows = 0;
    for (TensorData part : parts) {
      if (part.cols() != cols) {
        throw new IllegalArgumentException(
            "weight %s stacks %s with %d columns on %s with %d"
                .formatted(name, part.name(), part.cols(), parts.getFirst().name(), cols));
      }
      rows = Math.addExact(rows, part.rows());
    }
    List<CudaWeight.Part> loaded = new ArrayList<>();
    try {
      int firstRow = 0;
      for (int from = 0, to = 0; from < parts.size(); from = to) {
        WeightFormat format = WeightFormat.of(parts.get(from).type().name(), rows);
        while (to < parts.size() && WeightFormat.of(parts.get(to).type().name(), rows) == format) {
          to++;
        }
        CudaWeight.Part part = load(name, format, firstRow, parts.subList(from, to));
        loaded.add(part);
        firstRow += part.rows();
      }
    } catch (RuntimeException e) {
      loaded.forEach(part -> part.memory().close());
      throw e;
    }
    return new CudaWeight(name, rows, cols, loaded);
  }

  private CudaWeight.Part load(
      String name, WeightFormat format, int firstRow, List<TensorData> tensors) {
    int rows = tensors.stream().mapToInt(TensorData::rows).sum();
    CudaBuffer memory;
    synchronized (this) {
      memory = allocateBuffer(name, format.bytes(rows, tensors.getFirst().cols()));
    }
    try {
      WeightUpload.of(tensors, format, driver, memory.address());
    } catch (RuntimeException e) {
      memory.close();
      throw e;
    }
    return new CudaWeight.Part(format, firstRow, rows, memory);
  }

  @Override
  public Queue createQueue(String name) {
    return createQueue(name, false);
  }

  @Override
  public Queue createUrgentQueue(String name) {
    return createQueue(name, true);
  }

  private Queue createQueue(String name, boolean urgent) {
    driver.enter();
    CudaQueue queue = new CudaQueue(this, name, urgent);
    synchronized (this) {
      requireOpen();
      queues.add(queue);
    }
    return queue;
  }

  /** Forgets a closed queue. */
  synchronized void closed(CudaQueue queue) {
    queues.remove(queue);
  }

  @Override
  public Event createEvent() {
    driver.enter();
    return new CudaEvent(driver);
  }

  @Override
  public Operations operations() {
    return operations;
  }

  @Override
  public void close() {
    List<CudaQueue> open;
    synchronized (this) {
      open = List.copyOf(queues);
    }
    open.forEach(CudaQueue::close);
    synchronized (this) {
      List.copyOf(buffers).forEach(CudaBuffer::close);
      List.copyOf(hostBuffers).forEach(CudaHostBuffer::close);
      if (!closed) {
        closed = true;
        driver.enter();
        driver.destroy(transfers);
      }
    }
  }

  private void requireOpen() {
    if (closed) {
      throw new DeviceException("the device on " + gpu.description() + " is closed");
    }
  }
}
