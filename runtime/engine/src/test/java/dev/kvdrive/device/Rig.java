package dev.kvdrive.device;

import static org.assertj.core.api.Assertions.assertThat;

import dev.kvdrive.model.tensor.TensorData;
import dev.kvdrive.plan.KvType;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * A device with a queue, and everything that a test puts on it and reads from it, which goes
 * through host buffers and transfers. Frees all of it in the end.
 */
final class Rig implements AutoCloseable {
  /** What lies around the rows of a view; no value that a test computes. */
  static final float GUARD = -4096f;

  private static final int GUARD_ELEMENTS = 8;

  final Device device;
  final Queue queue;
  final Operations ops;
  final long usedAtStart;
  final long hostAtStart;

  private final List<AutoCloseable> owned = new ArrayList<>();
  private final Arena files = Arena.ofShared();

  Rig(Device device) {
    this.device = device;
    usedAtStart = device.usedBytes();
    hostAtStart = device.hostBytes();
    queue = device.createQueue("test");
    ops = device.operations();
  }

  /**
   * Rows in a buffer with guards around each of them.
   *
   * @param view where they are
   * @param rows how many
   * @param width elements of each
   * @param type of the elements
   */
  record Rows(Activations view, int rows, int width, ElementType type) {}

  // --- memory ---

  <T extends AutoCloseable> T own(T resource) {
    owned.add(resource);
    return resource;
  }

  DeviceBuffer allocate(String label, long bytes) {
    return own(device.allocate(label, bytes));
  }

  HostBuffer allocateHost(String label, long bytes) {
    return own(device.allocateHost(label, bytes));
  }

  DeviceBuffer buffer(String label, byte[] contents) {
    DeviceBuffer buffer = allocate(label, Math.max(1, contents.length));
    write(buffer, contents);
    return buffer;
  }

  DeviceBuffer ints(String label, int... values) {
    return buffer(label, bytes(values));
  }

  DeviceBuffer floats(String label, float... values) {
    return buffer(label, bytes(values, ElementType.F32));
  }

  /** Rows of the device's activation type. */
  Rows rows(String label, int rows, int width, float[] values) {
    return rows(label, rows, width, values, device.activationType());
  }

  /** Rows to be written by an operation, full of NaN. */
  Rows empty(String label, int rows, int width, ElementType type) {
    float[] values = new float[rows * width];
    Arrays.fill(values, Float.NaN);
    return rows(label, rows, width, values, type);
  }

  /** Rows to be written by an operation, of the device's activation type, full of NaN. */
  Rows empty(String label, int rows, int width) {
    return empty(label, rows, width, device.activationType());
  }

  Rows rows(String label, int rows, int width, float[] values, ElementType type) {
    int stride = Math.ceilDiv(width, GUARD_ELEMENTS) * GUARD_ELEMENTS + GUARD_ELEMENTS;
    long elements = GUARD_ELEMENTS + (long) rows * stride;
    DeviceBuffer buffer = allocate(label, elements * type.bytes());
    Rows made = new Rows(new Activations(buffer, type, GUARD_ELEMENTS, stride), rows, width, type);
    fill(made, values);
    return made;
  }

  /** A weight of the stacked parts. */
  Weight weight(String name, Blocks... parts) {
    List<TensorData> tensors = new ArrayList<>();
    for (Blocks part : parts) {
      MemorySegment data = files.allocate(part.data().length, 32);
      MemorySegment.copy(part.data(), 0, data, ValueLayout.JAVA_BYTE, 0, part.data().length);
      tensors.add(
          new TensorData(name + "." + tensors.size(), part.type(), part.rows(), part.cols(), data));
    }
    return own(device.load(name, tensors));
  }

  /** Writes the rows, and leaves what is around them. */
  void fill(Rows rows, float[] values) {
    int stride = rows.view().stride();
    float[] all = new float[GUARD_ELEMENTS + rows.rows() * stride];
    Arrays.fill(all, GUARD);
    for (int row = 0; row < rows.rows(); row++) {
      int at = GUARD_ELEMENTS + row * stride;
      System.arraycopy(values, row * rows.width(), all, at, rows.width());
    }
    write(rows.view().buffer(), bytes(all, rows.type()));
  }

  /** An F32 vector. */
  Weight vector(String name, float... values) {
    return weight(name, Blocks.of(1, values.length, values));
  }

  // --- transfers ---

  void write(DeviceBuffer target, byte[] contents) {
    if (contents.length > 0) {
      try (HostBuffer host = device.allocateHost("upload", contents.length)) {
        MemorySegment.copy(contents, 0, host.segment(), ValueLayout.JAVA_BYTE, 0, contents.length);
        queue.upload(host, 0, target, 0, contents.length);
        queue.synchronize();
      }
    }
  }

  byte[] read(DeviceBuffer source) {
    queue.synchronize();
    try (HostBuffer host = device.allocateHost("download", source.bytes())) {
      queue.download(source, 0, host, 0, source.bytes());
      queue.synchronize();
      return host.segment().toArray(ValueLayout.JAVA_BYTE);
    }
  }

  int[] readInts(DeviceBuffer source) {
    int[] values = new int[(int) (source.bytes() / 4)];
    ByteBuffer.wrap(read(source)).order(ByteOrder.LITTLE_ENDIAN).asIntBuffer().get(values);
    return values;
  }

  float[] readFloats(DeviceBuffer source) {
    return floats(read(source), ElementType.F32);
  }

  /** The rows, after a check that what lies around them is as it was. */
  float[] read(Rows rows) {
    float[] all = floats(read(rows.view().buffer()), rows.type());
    float[] values = new float[rows.rows() * rows.width()];
    int stride = rows.view().stride();
    for (int i = 0; i < all.length; i++) {
      int row = (i - GUARD_ELEMENTS) / stride;
      int column = (i - GUARD_ELEMENTS) % stride;
      if (i < GUARD_ELEMENTS || column >= rows.width()) {
        if (all[i] != GUARD) {
          assertThat(all[i])
              .as("%s: element %d outside of its rows", rows.view().buffer().label(), i)
              .isEqualTo(GUARD);
        }
      } else {
        values[row * rows.width() + column] = all[i];
      }
    }
    return values;
  }

  // --- bytes of values ---

  static byte[] bytes(int... values) {
    ByteBuffer bytes = ByteBuffer.allocate(4 * values.length).order(ByteOrder.LITTLE_ENDIAN);
    bytes.asIntBuffer().put(values);
    return bytes.array();
  }

  static byte[] bytes(float[] values, ElementType type) {
    ByteBuffer bytes =
        ByteBuffer.allocate(type.bytes() * values.length).order(ByteOrder.LITTLE_ENDIAN);
    for (float value : values) {
      if (type == ElementType.F32) {
        bytes.putFloat(value);
      } else {
        bytes.putShort(Bfloat16.round(value));
      }
    }
    return bytes.array();
  }

  static byte[] bytes(float[] values, KvType type) {
    return bytes(values, type == KvType.F32 ? ElementType.F32 : ElementType.BF16);
  }

  static float[] floats(byte[] bytes, KvType type) {
    return floats(bytes, type == KvType.F32 ? ElementType.F32 : ElementType.BF16);
  }

  static float[] floats(byte[] bytes, ElementType type) {
    ByteBuffer from = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
    float[] values = new float[bytes.length / type.bytes()];
    for (int i = 0; i < values.length; i++) {
      values[i] = type == ElementType.F32 ? from.getFloat() : Bfloat16.widen(from.getShort());
    }
    return values;
  }

  /** Gives back what the test allocated. */
  void freeAll() {
    queue.synchronize();
    for (AutoCloseable resource : owned.reversed()) {
      try {
        resource.close();
      } catch (Exception e) {
        throw new IllegalStateException(e);
      }
    }
    owned.clear();
  }

  @Override
  public void close() {
    queue.close();
    device.close();
    files.close();
  }
}
