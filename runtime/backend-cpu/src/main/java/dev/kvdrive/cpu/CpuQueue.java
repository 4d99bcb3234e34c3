package dev.kvdrive.cpu;

import dev.kvdrive.device.DeviceBuffer;
import dev.kvdrive.device.DeviceException;
import dev.kvdrive.device.DeviceSlice;
import dev.kvdrive.device.Event;
import dev.kvdrive.device.Graph;
import dev.kvdrive.device.HostBuffer;
import dev.kvdrive.device.Queue;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.atomic.AtomicReference;
import org.jspecify.annotations.Nullable;

/**
 * Runs work as it is submitted, on the submitting thread and the compute pool, so that the queues
 * of a device run in the order of submission and events have nothing to wait for. A CPU has no
 * second engine that could copy while it computes; what does run beside it is the drive, between
 * {@code fetch}, which announces requests first, and {@code land}, which waits for them.
 *
 * <p>After a failure the work of all queues of the device is skipped until a {@link #synchronize}
 * has reported it, as on a GPU whose context saw an error.
 */
final class CpuQueue implements Queue {
  private final String name;
  private final AtomicReference<@Nullable Throwable> failure;
  private @Nullable Recording recording;

  /**
   * @param failure first failure that was not reported, shared by the queues of a device
   */
  CpuQueue(String name, AtomicReference<@Nullable Throwable> failure) {
    this.name = name;
    this.failure = failure;
  }

  /** What a graph is made of, in the order of submission, and the queues that take part. */
  static final class Recording {
    private final List<Runnable> work = new ArrayList<>();
    private final List<CpuQueue> queues = new ArrayList<>();
    private boolean open = true;
  }

  /** Runs or records one operation. */
  void submit(Runnable work) {
    Recording target = recording;
    if (target != null) {
      target.work.add(work);
    } else if (failure.get() == null) {
      try {
        work.run();
      } catch (RuntimeException | Error e) {
        failure.compareAndSet(null, e);
      }
    }
  }

  @Override
  public void upload(
      HostBuffer source, long sourceOffset, DeviceBuffer target, long targetOffset, long bytes) {
    requireRange(source.label(), source.bytes(), sourceOffset, bytes);
    requireRange(target.label(), target.bytes(), targetOffset, bytes);
    copy(source.segment(), sourceOffset, memory(target), targetOffset, bytes);
  }

  @Override
  public void download(
      DeviceBuffer source, long sourceOffset, HostBuffer target, long targetOffset, long bytes) {
    requireRange(source.label(), source.bytes(), sourceOffset, bytes);
    requireRange(target.label(), target.bytes(), targetOffset, bytes);
    copy(memory(source), sourceOffset, target.segment(), targetOffset, bytes);
  }

  @Override
  public void copy(
      DeviceBuffer source, long sourceOffset, DeviceBuffer target, long targetOffset, long bytes) {
    requireRange(source.label(), source.bytes(), sourceOffset, bytes);
    requireRange(target.label(), target.bytes(), targetOffset, bytes);
    copy(memory(source), sourceOffset, memory(target), targetOffset, bytes);
  }

  private void copy(MemorySegment from, long at, MemorySegment to, long toAt, long bytes) {
    submit(() -> MemorySegment.copy(from, at, to, toAt, bytes));
  }

  @Override
  public void fill(DeviceBuffer target, long offset, long words, int value) {
    requireRange(target.label(), target.bytes(), offset, 4 * words);
    if (offset % 4 != 0) {
      throw new IllegalArgumentException("fill at offset " + offset + ", not a multiple of 4");
    }
    long at = CpuBuffer.address(target) + offset;
    submit(() -> Memory.fillInts(at, words, value));
  }

  @Override
  public void record(Event event) {
    ((CpuEvent) event).recording = recording;
  }

  /** Awaiting an event that was recorded inside a recording joins that recording. */
  @Override
  public void await(Event event) {
    Recording joined = ((CpuEvent) event).recording;
    if (joined != null && joined.open && recording != joined) {
      if (recording != null) {
        throw new DeviceException("queue " + name + " cannot join a second recording");
      }
      join(joined);
    }
  }

  private void join(Recording joined) {
    recording = joined;
    joined.queues.add(this);
  }

  @Override
  public Graph capture(Runnable recorded) {
    if (recording != null) {
      throw new DeviceException("queue " + name + " is recording already");
    }
    Recording own = new Recording();
    join(own);
    try {
      recorded.run();
    } finally {
      own.open = false;
      own.queues.forEach(queue -> queue.recording = null);
    }
    return new CpuGraph(List.copyOf(own.work));
  }

  @Override
  public void launch(Graph graph) {
    List<Runnable> work = ((CpuGraph) graph).work();
    for (int i = 0; i < work.size(); i++) {
      submit(work.get(i));
    }
  }

  @Override
  public void synchronize() {
    Throwable seen = failure.getAndSet(null);
    if (seen != null) {
      throw new DeviceException("queue " + name + ": " + seen.getMessage(), seen);
    }
  }

  @Override
  public void close() {}

  private static MemorySegment memory(DeviceBuffer buffer) {
    if (buffer instanceof DeviceSlice slice) {
      return memory(slice.whole()).asSlice(slice.offset(), slice.bytes());
    }
    if (!(buffer instanceof CpuBuffer cpu)) {
      throw new DeviceException(buffer.label() + " is not memory of the CPU device");
    }
    return cpu.memory();
  }

  private static void requireRange(String label, long size, long offset, long bytes) {
    if (offset < 0 || bytes < 0 || offset > size - bytes) {
      throw new IllegalArgumentException(
          "bytes %d to %d are outside of %s, which has %d"
              .formatted(offset, offset + bytes, label, size));
    }
  }

  /** Always done: what it marks ran before it. */
  static final class CpuEvent implements Event {
    private @Nullable Recording recording;

    @Override
    public boolean isDone() {
      return true;
    }

    @Override
    public void close() {}
  }

  private record CpuGraph(List<Runnable> work) implements Graph {
    @Override
    public void close() {}
  }
}
