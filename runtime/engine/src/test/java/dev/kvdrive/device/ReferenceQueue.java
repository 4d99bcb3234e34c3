package dev.kvdrive.device;

import dev.kvdrive.device.ReferenceDevice.ReferenceBuffer;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.atomic.AtomicInteger;
import org.jspecify.annotations.Nullable;

/**
 * Runs work on the calling thread as it is submitted. After a failure the rest is skipped until
 * {@link #synchronize} has reported it, as on a device whose context saw an error.
 */
final class ReferenceQueue implements Queue {
  private final String name;
  private final AtomicInteger copies;
  private @Nullable Recording recording;
  private @Nullable RuntimeException failure;

  /** What a capture has recorded so far; other queues join it through events. */
  private static final class Recording {
    final List<Runnable> work = new ArrayList<>();
    boolean open = true;
  }

  /** Remembers in which recording it was recorded, so that a queue that awaits it joins. */
  static final class ReferenceEvent implements Event {
    private @Nullable Recording recordedIn;

    @Override
    public boolean isDone() {
      return true;
    }

    @Override
    public void close() {}
  }

  /**
   * @param copies counts those between host and device
   */
  ReferenceQueue(String name, AtomicInteger copies) {
    this.name = name;
    this.copies = copies;
  }

  void submit(Runnable work) {
    Recording target = recording();
    if (target != null) {
      target.work.add(work);
      return;
    }
    if (failure != null) {
      return;
    }
    try {
      work.run();
    } catch (RuntimeException e) {
      failure = e;
    }
  }

  /** The open recording that this queue takes part in, or null. */
  private @Nullable Recording recording() {
    if (recording != null && !recording.open) {
      recording = null;
    }
    return recording;
  }

  @Override
  public void upload(
      HostBuffer source, long sourceOffset, DeviceBuffer target, long targetOffset, long bytes) {
    copies.incrementAndGet();
    requireRange(source.label(), source.bytes(), sourceOffset, bytes);
    requireRange(target.label(), target.bytes(), targetOffset, bytes);
    submit(
        () ->
            MemorySegment.copy(
                source.segment(), sourceOffset, memory(target), targetOffset, bytes));
  }

  @Override
  public void download(
      DeviceBuffer source, long sourceOffset, HostBuffer target, long targetOffset, long bytes) {
    copies.incrementAndGet();
    requireRange(source.label(), source.bytes(), sourceOffset, bytes);
    requireRange(target.label(), target.bytes(), targetOffset, bytes);
    submit(
        () ->
            MemorySegment.copy(
                memory(source), sourceOffset, target.segment(), targetOffset, bytes));
  }

  @Override
  public void copy(
      DeviceBuffer source, long sourceOffset, DeviceBuffer target, long targetOffset, long bytes) {
    requireRange(source.label(), source.bytes(), sourceOffset, bytes);
    requireRange(target.label(), target.bytes(), targetOffset, bytes);
    submit(
        () ->
            MemorySegment.copy(memory(source), sourceOffset, memory(target), targetOffset, bytes));
  }

  @Override
  public void fill(DeviceBuffer target, long offset, long words, int value) {
    requireRange(target.label(), target.bytes(), offset, 4 * words);
    if (offset % 4 != 0) {
      throw new IllegalArgumentException("fill at offset " + offset + ", not a multiple of 4");
    }
    submit(
        () -> {
          for (long i = 0; i < words; i++) {
            memory(target).set(ValueLayout.JAVA_INT, offset + 4 * i, value);
          }
        });
  }

  @Override
  public void record(Event event) {
    ((ReferenceEvent) event).recordedIn = recording();
  }

  @Override
  public void await(Event event) {
    Recording of = ((ReferenceEvent) event).recordedIn;
    if (of != null && of.open) {
      recording = of;
    }
  }

  @Override
  public Graph capture(Runnable work) {
    if (recording() != null) {
      throw new DeviceException("queue " + name + " is recording already");
    }
    Recording recorded = new Recording();
    recording = recorded;
    try {
      work.run();
    } finally {
      recorded.open = false;
    }
    return new ReferenceGraph(List.copyOf(recorded.work));
  }

  @Override
  public void launch(Graph graph) {
    for (Runnable work : ((ReferenceGraph) graph).work()) {
      submit(work);
    }
  }

  @Override
  public void synchronize() {
    RuntimeException seen = failure;
    failure = null;
    if (seen != null) {
      throw new DeviceException("queue " + name + ": " + seen.getMessage(), seen);
    }
  }

  @Override
  public void close() {}

  private static MemorySegment memory(DeviceBuffer buffer) {
    return buffer instanceof DeviceSlice slice
        ? memory(slice.whole()).asSlice(slice.offset(), slice.bytes())
        : ((ReferenceBuffer) buffer).segment();
  }

  private static void requireRange(String label, long size, long offset, long bytes) {
    if (offset < 0 || bytes < 0 || offset > size - bytes) {
      throw new IllegalArgumentException(
          "bytes %d to %d are outside of %s, which has %d"
              .formatted(offset, offset + bytes, label, size));
    }
  }

  private record ReferenceGraph(List<Runnable> work) implements Graph {
    @Override
    public void close() {}
  }
}
