package dev.kvdrive.cuda;

import dev.kvdrive.device.DeviceBuffer;
import dev.kvdrive.device.DeviceException;
import dev.kvdrive.device.DeviceSlice;
import dev.kvdrive.device.Event;
import dev.kvdrive.device.Graph;
import dev.kvdrive.device.HostBuffer;
import dev.kvdrive.device.Queue;
import dev.kvdrive.plan.Workspace;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;
import jcuda.driver.CUgraph;
import jcuda.driver.CUgraphExec;
import org.jspecify.annotations.Nullable;

/**
 * A stream, with what belongs to work on it: the block that kernel arguments are written to, a
 * workspace, and pinned words in which a kernel says what it could not do.
 */
final class CudaQueue implements Queue {
  /** From this compute capability on a kernel can come while the one before it runs. */
  private static final int EARLY_LAUNCH_CAPABILITY = 90;

  private static final int LEAST_TICKETS = 16384;

  // Codes of what a kernel reports; common.cuh has the same.
  private static final long TROUBLE_BYTES = CudaHostBuffer.PAGE_BYTES;

  /** Set on a thread while it records, so that events know what they mark. */
  private static final ThreadLocal<Boolean> RECORDING = ThreadLocal.withInitial(() -> false);

  private final CudaDevice device;
  private final String name;
  private final Driver driver;
  private final Driver.Stream stream;
  private final KernelLaunch kernels;
  private final boolean overlapsLaunches;
  private final Arguments arguments = new Arguments();
  private final Arena arena = Arena.ofShared();
  private final MemorySegment trouble;
  private final long troubleAddress;
  private final List<Long> workspaces = new ArrayList<>();
  private @Nullable TensorMaps tensorMaps;
  private long workspaceBytes;
  private long widened;
  private long tickets;
  private int ticketCount;
  private long submissions;
  private boolean behindKernel;
  private boolean attends;
  private boolean closed;

  /**
   * @param urgent whether the GPU is to begin with its blocks where those of other streams wait too
   */
  CudaQueue(CudaDevice device, String name, boolean urgent) {
    this.device = device;
    this.name = name;
    driver = device.gpu().driver();
    stream = driver.createStream(urgent);
    kernels = new KernelLaunch(arena, stream);
    overlapsLaunches = device.gpu().capability() >= EARLY_LAUNCH_CAPABILITY;
    trouble = arena.allocate(TROUBLE_BYTES, CudaHostBuffer.PAGE_BYTES);
    troubleAddress = driver.register(trouble.address(), TROUBLE_BYTES);
  }

  /** The stream, for submission by the thread that owns the queue. */
  Driver.Stream stream() {
    enter();
    behindKernel = false;
    attends = false;
    return stream;
  }

  private void enter() {
    if (closed) {
      throw new DeviceException("queue %s was closed".formatted(name));
    }
    driver.enter();
  }

  /** The block for arguments, ready for a struct. */
  Arguments arguments() {
    return arguments.begin();
  }

  /** What encodes the maps that kernels take with their arguments. */
  TensorMaps tensorMaps() {
    if (tensorMaps == null) {
      tensorMaps = new TensorMaps(arena);
    }
    return tensorMaps;
  }

  /** Where kernels report trouble. */
  long trouble() {
    return troubleAddress;
  }

  /**
   * Device memory that work of this queue may use from one submission to the next, at least {@code
   * bytes}. It never moves, so that recordings stay valid; a larger one is a new one.
   */
  long workspace(long bytes) {
    if (workspaceBytes < bytes) {
      long size = Math.max(bytes, CudaDevice.WORKSPACE_BYTES);
      workspaces.add(device.allocateInternal(size));
      workspaceBytes = size;
    }
    return workspaces.getLast();
  }

  /**
   * At least so many counters, by which blocks of a kernel find out which of them is the last. They
   * are zero, and whoever uses them leaves zeros.
   */
  long tickets(int count) {
    if (ticketCount < count) {
      int size = Math.max(count, LEAST_TICKETS);
      tickets = device.allocateInternal(4L * size);
      workspaces.addFirst(tickets);
      ticketCount = size;
    }
    return tickets;
  }

  /**
   * {@link Workspace#WIDENED_BYTES} of device memory, which one queue may need, for a piece of a
   * packed matrix in bf16.
   */
  long widened() {
    if (widened == 0) {
      widened = device.allocateInternal(Workspace.WIDENED_BYTES);
      workspaces.addFirst(widened);
    }
    return widened;
  }

  /** Submits a kernel; its arguments are those that {@link Arguments#end} was last called for. */
  void launch(
      Driver.Function kernel, int x, int y, int z, int threads, int sharedBytes, long struct) {
    submissions++;
    enter();
    boolean early = behindKernel && overlapsLaunches;
    kernels.launch(kernel, x, y, z, threads, sharedBytes, early, struct);
    behindKernel = true;
    attends = false;
  }

  /**
   * Notes that the kernel just launched attends sink and ring, or clusters. The next one may run
   * beside it if it attends something else: each has parts of the state of its own.
   */
  void attending() {
    attends = overlapsLaunches;
  }

  /** Whether nothing was submitted since {@link #attending}. */
  boolean attends() {
    return attends;
  }

  /** Notes a kernel that another library submitted. */
  void submitted() {
    submissions++;
    behindKernel = true;
    attends = false;
  }

  /** Kernels, copies, fills and graphs submitted or recorded so far. */
  long submissions() {
    return submissions;
  }

  @Override
  public void upload(
      HostBuffer source, long sourceOffset, DeviceBuffer target, long targetOffset, long bytes) {
    requireRange(source.label(), source.bytes(), sourceOffset, bytes);
    requireRange(target.label(), target.bytes(), targetOffset, bytes);
    long from = host(source) + sourceOffset;
    long to = address(target) + targetOffset;
    if (bytes > 0) {
      submissions++;
      driver.upload(from, to, bytes, stream());
    }
  }

  @Override
  public void download(
      DeviceBuffer source, long sourceOffset, HostBuffer target, long targetOffset, long bytes) {
    requireRange(source.label(), source.bytes(), sourceOffset, bytes);
    requireRange(target.label(), target.bytes(), targetOffset, bytes);
    long from = address(source) + sourceOffset;
    long to = host(target) + targetOffset;
    if (bytes > 0) {
      submissions++;
      driver.download(from, to, bytes, stream());
    }
  }

  @Override
  public void copy(
      DeviceBuffer source, long sourceOffset, DeviceBuffer target, long targetOffset, long bytes) {
    requireRange(source.label(), source.bytes(), sourceOffset, bytes);
    requireRange(target.label(), target.bytes(), targetOffset, bytes);
    long from = address(source) + sourceOffset;
    long to = address(target) + targetOffset;
    if (bytes > 0) {
      submissions++;
      driver.copy(from, to, bytes, stream());
    }
  }

  @Override
  public void fill(DeviceBuffer target, long offset, long words, int value) {
    if (offset % 4 != 0 || words < 0 || words > Long.MAX_VALUE / 4) {
      throw new IllegalArgumentException(
          "a fill of %d words at offset %d, which must be a multiple of 4"
              .formatted(words, offset));
    }
    requireRange(target.label(), target.bytes(), offset, 4 * words);
    long to = address(target) + offset;
    if (words > 0) {
      submissions++;
      driver.fillWords(to, value, words, stream());
    }
  }

  private static void requireRange(String label, long size, long offset, long bytes) {
    if (offset < 0 || bytes < 0 || offset > size - bytes) {
      throw new IllegalArgumentException(
          "%d bytes at offset %d are outside of %s, which has %d"
              .formatted(bytes, offset, label, size));
    }
  }

  /** Where the device has a buffer. */
  static long address(DeviceBuffer buffer) {
    return buffer instanceof DeviceSlice slice
        ? address(slice.whole()) + slice.offset()
        : ((CudaBuffer) buffer).address();
  }

  private static long host(HostBuffer buffer) {
    CudaHostBuffer own = (CudaHostBuffer) buffer;
    own.address(); // refuses closed memory
    return own.hostAddress();
  }

  @Override
  public void record(Event event) {
    CudaEvent own = (CudaEvent) event;
    enter(); // an event is nothing that a kernel waits for
    driver.record(own.event(), stream);
    own.recorded(RECORDING.get());
  }

  @Override
  public void await(Event event) {
    driver.await(((CudaEvent) event).event(), stream());
  }

  @Override
  public Graph capture(Runnable work) {
    if (RECORDING.get()) {
      throw new DeviceException("queue %s is asked to record within a recording".formatted(name));
    }
    driver.beginCapture(stream());
    RECORDING.set(true);
    CUgraph graph;
    try {
      work.run();
    } catch (RuntimeException | Error e) {
      abandon(e);
      throw e;
    } finally {
      RECORDING.set(false);
    }
    graph = driver.endCapture(stream);
    behindKernel = false;
    try {
      CUgraphExec exec = driver.instantiate(graph);
      return new CudaGraph(driver, exec, driver.nodes(graph));
    } finally {
      driver.destroy(graph);
    }
  }

  private void abandon(Throwable cause) {
    behindKernel = false;
    try {
      driver.destroy(driver.endCapture(stream));
    } catch (DeviceException e) {
      cause.addSuppressed(e);
    }
  }

  @Override
  public void launch(Graph graph) {
    submissions++;
    driver.launch(((CudaGraph) graph).exec(), stream());
  }

  @Override
  public void synchronize() {
    try {
      driver.synchronize(stream());
    } catch (CudaException e) {
      throw new DeviceException(
          "queue %s: %s; the GPU's context is lost, the process must be started again"
              .formatted(name, e.getMessage()),
          e);
    }
    int code = trouble.getAtIndex(ValueLayout.JAVA_INT, 0);
    if (code != 0) {
      int a = trouble.getAtIndex(ValueLayout.JAVA_INT, 1);
      int b = trouble.getAtIndex(ValueLayout.JAVA_INT, 2);
      int c = trouble.getAtIndex(ValueLayout.JAVA_INT, 3);
      trouble.asSlice(0, 16).fill((byte) 0);
      throw new DeviceException("queue %s: %s".formatted(name, describe(code, a, b, c)));
    }
  }

  private static String describe(int code, int a, int b, int c) {
    return switch (code & 0xff) {
      case Constants.TROUBLE_TOKEN ->
          "token %d of row %d is not in an embedding of %d rows".formatted(b, a, c);
      case Constants.TROUBLE_FRAME ->
          "chunk %d of layer %d, KV head %d, seat %d closes, but its extent has no DRAM frame (%d)"
              .formatted(a, code >>> 8, b & 0xffff, b >>> 16, c);
      default -> "a kernel reports code %d (%d, %d, %d)".formatted(code, a, b, c);
    };
  }

  @Override
  public void close() {
    if (closed) {
      return;
    }
    closed = true;
    driver.enter();
    driver.synchronize(stream);
    driver.destroy(stream);
    workspaces.forEach(driver::free);
    driver.unregister(trouble.address());
    arena.close();
    device.closed(this);
  }
}
