package dev.kvdrive.cpu;

import dev.kvdrive.device.Device;
import dev.kvdrive.device.DeviceBuffer;
import dev.kvdrive.device.DeviceException;
import dev.kvdrive.device.DeviceMemoryException;
import dev.kvdrive.device.ElementType;
import dev.kvdrive.device.Event;
import dev.kvdrive.device.HostBuffer;
import dev.kvdrive.device.HostPages;
import dev.kvdrive.device.Operations;
import dev.kvdrive.device.Queue;
import dev.kvdrive.device.Weight;
import dev.kvdrive.model.tensor.TensorData;
import java.lang.foreign.Arena;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.concurrent.atomic.AtomicReference;
import org.jspecify.annotations.Nullable;

/**
 * A device of CPU threads. Its GPU tier is a budget on host memory, so that the data flow of the
 * engine is the real one; computation is F32 with the Vector API. Weights are read in place, in
 * their mapped files.
 *
 * <p>Results are the same bits on any number of threads, for any mix of rows in a batch or block,
 * compiled or interpreted; the vectors are as wide as the machine's, so that another machine may
 * add in another order.
 */
public final class CpuDevice implements Device {
  /** Threads that can be asked for. */
  public static final int MAX_THREADS = 1024;

  private static final int MIN_VECTOR_BITS = 128;
  private static final long DEVICE_ALIGNMENT = 256;

  private final long capacity;
  private final long hostCapacity;
  private final ComputePool pool;
  private final Arena arena = Arena.ofShared();
  private final Operations operations;
  private final AtomicReference<@Nullable Throwable> failure = new AtomicReference<>();
  private final Set<AutoCloseable> live = new HashSet<>();
  private long used;
  private long host;
  private boolean closed;

  private CpuDevice(long capacity, long hostCapacity, int threads) {
    this.capacity = capacity;
    this.hostCapacity = hostCapacity;
    pool = new ComputePool(threads);
    ThreadScratch[] scratch = new ThreadScratch[threads];
    for (int i = 0; i < threads; i++) {
      scratch[i] = new ThreadScratch(arena);
    }
    operations = CpuOperations.of(pool, scratch);
  }

  /** Opens a device with any amount of host memory: {@link #open(long, long, int)}. */
  public static CpuDevice open(long capacityBytes, int threads) {
    return open(capacityBytes, Long.MAX_VALUE, threads);
  }

  /**
   * Opens a device.
   *
   * @param capacityBytes hard cap of its memory, the GPU tier
   * @param hostBytes hard cap of the host memory that is allocated through it, the DRAM tier
   * @param threads threads that compute; 0 for the processors the JVM sees, which follow the
   *     container's CPU quota
   * @throws DeviceException if the JVM was started without the vector module, or has no vectors
   * @throws IllegalArgumentException if {@code capacityBytes} is not positive or {@code threads}
   *     negative or absurd
   */
  public static CpuDevice open(long capacityBytes, long hostBytes, int threads) {
    if (capacityBytes < 1) {
      throw new IllegalArgumentException(
          "the CPU device needs memory, its budget is %d bytes".formatted(capacityBytes));
    }
    if (threads < 0 || threads > MAX_THREADS) {
      throw new IllegalArgumentException(
          "the CPU device takes 1 to %d threads, or 0 for all processors, got %d"
              .formatted(MAX_THREADS, threads));
    }
    DeviceException why = unavailable();
    if (why != null) {
      throw why;
    }
    return new CpuDevice(
        capacityBytes,
        hostBytes,
        threads == 0 ? Runtime.getRuntime().availableProcessors() : threads);
  }

  /** Why this JVM cannot run a CPU device, with the way out, or null if it can. */
  static @Nullable DeviceException unavailable() {
    if (ModuleLayer.boot().findModule("jdk.incubator.vector").isEmpty()) {
      return new DeviceException(
          "the CPU device computes with the Vector API, which this JVM was started without:"
              + " add --add-modules jdk.incubator.vector to the java command");
    }
    if (Lanes.F.vectorBitSize() < MIN_VECTOR_BITS) {
      return new DeviceException(
          "the CPU device needs vectors of at least %d bits, this JVM has %d on this %s processor: use a HotSpot JVM with its C2 compiler on x86-64 or AArch64"
              .formatted(MIN_VECTOR_BITS, Lanes.F.vectorBitSize(), System.getProperty("os.arch")));
    }
    return null;
  }

  @Override
  public String description() {
    return "CPU, %d threads, vectors of %d bits (%s)"
        .formatted(pool.threads(), Lanes.F.vectorBitSize(), System.getProperty("os.arch"));
  }

  @Override
  public ElementType activationType() {
    return ElementType.F32;
  }

  @Override
  public boolean bitExact() {
    return true;
  }

  @Override
  public boolean prefersGraphs() {
    return true; // what is recorded is run again without an object being made
  }

  @Override
  public int recordedRows(int rows) {
    return rows;
  }

  @Override
  public boolean queuesOverlap() {
    return false;
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
    try {
      return keep(new CpuBuffer(label, bytes, DEVICE_ALIGNMENT, b -> release(b, bytes, 0)));
    } catch (OutOfMemoryError e) {
      used -= bytes;
      throw outOfMemory(label, bytes, e);
    }
  }

  @Override
  public synchronized HostBuffer allocateHost(String label, long bytes) {
    requireOpen();
    requirePositive(label, bytes);
    long pages = HostPages.reserve(label, bytes, host, hostCapacity);
    try {
      CpuBuffer buffer = keep(new CpuBuffer(label, bytes, HOST_PAGE, b -> release(b, 0, pages)));
      host += pages;
      return new CpuBuffer.Host(buffer);
    } catch (OutOfMemoryError e) {
      throw outOfMemory(label, bytes, e);
    }
  }

  @Override
  public synchronized Weight load(String name, List<TensorData> parts) {
    long bytes = parts.stream().mapToLong(TensorData::bytes).sum();
    reserve(name, bytes);
    try {
      AtomicReference<@Nullable CpuWeight> self = new AtomicReference<>();
      CpuWeight weight =
          new CpuWeight(
              name,
              parts,
              () -> {
                CpuWeight loaded = self.get();
                if (loaded != null) {
                  release(loaded, bytes, 0);
                }
              });
      self.set(weight);
      return keep(weight);
    } catch (RuntimeException e) {
      used -= bytes;
      throw e;
    }
  }

  @Override
  public Queue createQueue(String name) {
    return new CpuQueue(name, failure);
  }

  @Override
  public Event createEvent() {
    return new CpuQueue.CpuEvent();
  }

  @Override
  public Operations operations() {
    return operations;
  }

  @Override
  public void close() {
    List<AutoCloseable> left;
    synchronized (this) {
      if (closed) {
        return;
      }
      closed = true;
      left = List.copyOf(live);
    }
    for (AutoCloseable memory : left) {
      switch (memory) {
        case CpuBuffer buffer -> buffer.close();
        case CpuWeight weight -> weight.close();
        default -> throw new AssertionError(memory);
      }
    }
    pool.close();
    arena.close();
  }

  private <T extends AutoCloseable> T keep(T memory) {
    live.add(memory);
    return memory;
  }

  private synchronized void release(AutoCloseable memory, long deviceBytes, long hostBytes) {
    if (live.remove(memory)) {
      used -= deviceBytes;
      host -= hostBytes;
    }
  }

  private void reserve(String label, long bytes) {
    requireOpen();
    requirePositive(label, bytes);
    if (bytes > capacity - used) {
      throw new DeviceMemoryException(
          "%s needs %,d bytes of device memory, but %,d of the budget of %,d are in use"
              .formatted(label, bytes, used, capacity));
    }
    used += bytes;
  }

  private static void requirePositive(String label, long bytes) {
    if (bytes < 1) {
      throw new IllegalArgumentException("a buffer for %s of %d bytes".formatted(label, bytes));
    }
  }

  private static DeviceMemoryException outOfMemory(String label, long bytes, OutOfMemoryError e) {
    DeviceMemoryException failure =
        new DeviceMemoryException(
            "the operating system has no %,d bytes for %s".formatted(bytes, label));
    failure.initCause(e);
    return failure;
  }

  private void requireOpen() {
    if (closed) {
      throw new DeviceException("the CPU device is closed");
    }
  }
}
