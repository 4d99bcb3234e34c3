package dev.kvdrive.kv.tier;

import dev.kvdrive.device.AttentionOperations;
import dev.kvdrive.device.Device;
import dev.kvdrive.device.DeviceBuffer;
import dev.kvdrive.device.DeviceException;
import dev.kvdrive.device.DeviceSlice;
import dev.kvdrive.device.ElementType;
import dev.kvdrive.device.Event;
import dev.kvdrive.device.Graph;
import dev.kvdrive.device.HostBuffer;
import dev.kvdrive.device.IndexOperations;
import dev.kvdrive.device.KvOperations;
import dev.kvdrive.device.Operations;
import dev.kvdrive.device.Queue;
import dev.kvdrive.device.TensorOperations;
import dev.kvdrive.device.Weight;
import dev.kvdrive.device.WindowOperations;
import dev.kvdrive.model.tensor.TensorData;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.reflect.Proxy;
import java.util.ArrayDeque;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.BiConsumer;
import java.util.function.Consumer;

/**
 * A device that does nothing before it must: work is run when the queue is synchronised, or as far
 * as a test lets it. Whoever counts on submitted work being done, or changes memory that submitted
 * work still reads, is found out. No operations: tests submit their own work.
 */
final class DeferredDevice implements Device {
  private final Set<AutoCloseable> live = new HashSet<>();
  private long used;
  private long host;
  private final Map<String, MemorySegment> hostMemory = new HashMap<>();
  private final Map<String, Consumer<MemorySegment>> beforeRelease = new HashMap<>();

  @Override
  public String description() {
    return "deferred device";
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
    return false;
  }

  @Override
  public int recordedRows(int rows) {
    return rows;
  }

  @Override
  public boolean queuesOverlap() {
    return true;
  }

  @Override
  public long capacityBytes() {
    return Long.MAX_VALUE;
  }

  @Override
  public synchronized long usedBytes() {
    return used;
  }

  @Override
  public long hostCapacityBytes() {
    return Long.MAX_VALUE;
  }

  @Override
  public synchronized long hostBytes() {
    return host;
  }

  @Override
  public synchronized Memory allocate(String label, long bytes) {
    used += bytes;
    return new Memory(label, bytes, false);
  }

  /** What host memory of that name is shown to before it is given back. */
  void beforeRelease(String label, Consumer<MemorySegment> action) {
    beforeRelease.put(label, action);
  }

  /** The last host memory of that name. */
  synchronized MemorySegment host(String label) {
    MemorySegment memory = hostMemory.get(label);
    if (memory == null) {
      throw new IllegalArgumentException("nothing has been allocated as " + label);
    }
    return memory;
  }

  @Override
  public synchronized HostBuffer allocateHost(String label, long bytes) {
    host += bytes;
    Memory memory = new Memory(label, bytes, true);
    hostMemory.put(label, memory.segment);
    return new HostBuffer() {
      @Override
      public String label() {
        return label;
      }

      @Override
      public MemorySegment segment() {
        return memory.segment;
      }

      @Override
      public void close() {
        Consumer<MemorySegment> last = beforeRelease.get(label);
        if (last != null) {
          last.accept(memory.segment);
        }
        memory.close();
      }
    };
  }

  @Override
  public Weight load(String name, List<TensorData> parts) {
    throw new UnsupportedOperationException();
  }

  @Override
  public DeferredQueue createQueue(String name) {
    return new DeferredQueue();
  }

  @Override
  public Event createEvent() {
    return new DeferredEvent();
  }

  @Override
  public Operations operations() {
    return new Operations(
        none(TensorOperations.class),
        only(
            KvOperations.class,
            "place",
            (queue, place) -> place((DeferredQueue) queue, (KvOperations.Place) place)),
        none(IndexOperations.class),
        none(WindowOperations.class),
        none(AttentionOperations.class));
  }

  private static void place(DeferredQueue queue, KvOperations.Place a) {
    queue.submit(
        () -> {
          MemorySegment table = DeferredQueue.memory(a.frameOfExtent());
          MemorySegment changes = DeferredQueue.memory(a.changes());
          for (int i = 0; i < a.count(); i++) {
            table.setAtIndex(
                ValueLayout.JAVA_INT,
                changes.getAtIndex(ValueLayout.JAVA_INT, 2L * i),
                changes.getAtIndex(ValueLayout.JAVA_INT, 2L * i + 1));
          }
        });
  }

  private static <T> T none(Class<T> verbs) {
    return only(verbs, "", (queue, argument) -> {});
  }

  /** Verbs of which this device has but one. */
  private static <T> T only(Class<T> verbs, String name, BiConsumer<Object, Object> verb) {
    return verbs.cast(
        Proxy.newProxyInstance(
            verbs.getClassLoader(),
            new Class<?>[] {verbs},
            (proxy, method, arguments) -> {
              if (!method.getName().equals(name)) {
                throw new UnsupportedOperationException(method.getName());
              }
              verb.accept(arguments[0], arguments[1]);
              return null;
            }));
  }

  @Override
  public void close() {
    if (!live.isEmpty()) {
      throw new IllegalStateException("not closed: " + live);
    }
  }

  /** Device or host memory. */
  final class Memory implements DeviceBuffer {
    private final String label;
    private final long bytes;
    private final boolean onHost;
    private final Arena arena = Arena.ofShared();
    final MemorySegment segment;
    private boolean open = true;

    Memory(String label, long bytes, boolean onHost) {
      this.label = label;
      this.bytes = bytes;
      this.onHost = onHost;
      segment = arena.allocate(bytes, 4096);
      live.add(this);
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
      synchronized (DeferredDevice.this) {
        if (open) {
          open = false;
          live.remove(this);
          if (onHost) {
            host -= bytes;
          } else {
            used -= bytes;
          }
          arena.close();
        }
      }
    }

    @Override
    public String toString() {
      return label;
    }
  }

  private static final class DeferredEvent implements Event {
    private int pending;

    @Override
    public boolean isDone() {
      return pending == 0;
    }

    @Override
    public void close() {}
  }

  /** Runs its work late, in order, on the thread that asks for it. */
  static final class DeferredQueue implements Queue {
    private final ArrayDeque<Runnable> pending = new ArrayDeque<>();

    void submit(Runnable work) {
      pending.add(work);
    }

    /** Runs the oldest {@code count} pieces of work. */
    void run(int count) {
      for (int i = 0; i < count && !pending.isEmpty(); i++) {
        pending.remove().run();
      }
    }

    int pending() {
      return pending.size();
    }

    @Override
    public void upload(
        HostBuffer source, long sourceOffset, DeviceBuffer target, long targetOffset, long bytes) {
      submit(
          () ->
              MemorySegment.copy(
                  source.segment(), sourceOffset, memory(target), targetOffset, bytes));
    }

    @Override
    public void download(
        DeviceBuffer source, long sourceOffset, HostBuffer target, long targetOffset, long bytes) {
      submit(
          () ->
              MemorySegment.copy(
                  memory(source), sourceOffset, target.segment(), targetOffset, bytes));
    }

    @Override
    public void copy(
        DeviceBuffer source,
        long sourceOffset,
        DeviceBuffer target,
        long targetOffset,
        long bytes) {
      submit(
          () ->
              MemorySegment.copy(
                  memory(source), sourceOffset, memory(target), targetOffset, bytes));
    }

    @Override
    public void fill(DeviceBuffer target, long offset, long words, int value) {
      submit(
          () -> {
            for (long i = 0; i < words; i++) {
              memory(target).set(ValueLayout.JAVA_INT, offset + 4 * i, value);
            }
          });
    }

    @Override
    public void record(Event event) {
      DeferredEvent deferred = (DeferredEvent) event;
      deferred.pending++;
      submit(() -> deferred.pending--);
    }

    @Override
    public void await(Event event) {
      throw new UnsupportedOperationException();
    }

    @Override
    public Graph capture(Runnable work) {
      throw new UnsupportedOperationException();
    }

    @Override
    public void launch(Graph graph) {
      throw new UnsupportedOperationException();
    }

    @Override
    public void synchronize() {
      try {
        while (!pending.isEmpty()) {
          pending.remove().run();
        }
      } catch (RuntimeException e) {
        pending.clear();
        throw new DeviceException("work failed: " + e.getMessage(), e);
      }
    }

    @Override
    public void close() {}

    static MemorySegment memory(DeviceBuffer buffer) {
      return buffer instanceof DeviceSlice slice
          ? memory(slice.whole()).asSlice(slice.offset(), slice.bytes())
          : ((Memory) buffer).segment;
    }
  }
}
