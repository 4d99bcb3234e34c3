package dev.kvdrive.device;

import dev.kvdrive.device.ReferenceDevice.ReferenceBuffer;
import dev.kvdrive.plan.KvLayout;
import dev.kvdrive.plan.KvType;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/** Where things lie in the reference device's memory; elements are read and stored one by one. */
abstract class ReferenceMemory {
  private final ElementType activations;

  /**
   * @param activations element type of the device's activations
   */
  ReferenceMemory(ElementType activations) {
    this.activations = activations;
  }

  /** What is done for each row with a sequence. */
  interface RowWork {
    void run(int row, int seat, int position);
  }

  static void forEachRow(StepBatch batch, RowWork work) {
    for (int row = 0; row < batch.rows(); row++) {
      int seat = intAt(batch.seats(), row);
      if (seat >= 0) {
        work.run(row, seat, intAt(batch.positions(), row));
      }
    }
  }

  /** Share of its attention that a row may miss. */
  static float mayMiss(StepBatch batch, int row) {
    DeviceBuffer shares = batch.mayMiss();
    return shares == null ? 0 : floatAt(shares, row);
  }

  static int passCount(Selection selection, long cell, int pass) {
    int left = intAt(selection.selectedCount(), cell) - pass * selection.passChunks();
    return Math.clamp(left, 0, selection.passChunks());
  }

  static int selected(Selection selection, long cell, int index) {
    return intAt(selection.selected(), cell * selection.maxSelected() + index);
  }

  static void count(Selection selection, int row, int counter, int plus) {
    long at = (long) row * Selection.COUNTERS + counter;
    setInt(selection.counters(), at, intAt(selection.counters(), at) + plus);
  }

  static long denseBase(KvLayer layer, int seat, int head) {
    KvLayout layout = layer.layout();
    return ((long) seat * layout.kvHeads() + head)
        * 2
        * layout.grid().denseTokens()
        * layout.rowBytes();
  }

  static long windowBase(KvLayer layer, int seat, int head) {
    return intAt(layer.window().slotBase(), (long) seat * (layer.layout().kvHeads() + 1) + head);
  }

  /** Window slots of a (seat, KV head). */
  static int windowSlots(KvLayer layer, int seat, int head) {
    return (int) (windowBase(layer, seat, head + 1) - windowBase(layer, seat, head));
  }

  /** The slot of the pool that is at a place in the list of a window. */
  static long slotAt(KvLayer layer, int seat, int head, int place) {
    return intAt(layer.window().slotTable(), windowBase(layer, seat, head) + place);
  }

  static long extentIndex(KvLayer layer, int seat, int head, int chunk) {
    KvLayout layout = layer.layout();
    return ((long) seat * layout.kvHeads() + head) * layer.maxExtents()
        + chunk / layout.extentChunks();
  }

  static long chunkInFrame(KvLayout layout, int frame, int chunk) {
    return (long) frame * layout.extentBytes()
        + (long) (chunk % layout.extentChunks()) * layout.backing().bytes();
  }

  static long scratchRow(KvLayout layout, PrefillScratch scratch, int head, int token) {
    return ((long) head * 2 * scratch.maxTokens() + token) * layout.rowBytes();
  }

  /** An element of a row of keys or values. */
  interface Row {
    float get(int i);
  }

  double product(AttentionShape shape, Row key, Activations query, int row, int head) {
    MemorySegment memory = memory(require(query).buffer());
    long first = at(query, row, head * shape.headDim());
    double sum = 0;
    for (int i = 0; i < shape.headDim(); i++) {
      sum += (double) key.get(i) * element(memory, first + i);
    }
    return shape.scale() * sum;
  }

  /** A row of single tokens: of sink, ring or a prompt. */
  static Row row(KvLayout layout, MemorySegment memory, long at) {
    return i -> kvAt(layout, memory, at, i);
  }

  static float kvAt(KvLayout layout, MemorySegment memory, long row, int i) {
    return layout.type() == KvType.F32
        ? memory.get(ValueLayout.JAVA_FLOAT, row + 4L * i)
        : Bfloat16.widen(memory.get(ValueLayout.JAVA_SHORT, row + 2L * i));
  }

  static void setKv(KvLayout layout, DeviceBuffer buffer, long row, int i, float value) {
    if (layout.type() == KvType.F32) {
      memory(buffer).set(ValueLayout.JAVA_FLOAT, row + 4L * i, value);
    } else {
      memory(buffer).set(ValueLayout.JAVA_SHORT, row + 2L * i, Bfloat16.round(value));
    }
  }

  float get(Activations x, int row, int i) {
    return element(memory(require(x).buffer()), at(x, row, i));
  }

  private float element(MemorySegment memory, long index) {
    return activations == ElementType.F32
        ? memory.getAtIndex(ValueLayout.JAVA_FLOAT, index)
        : Bfloat16.widen(memory.getAtIndex(ValueLayout.JAVA_SHORT, index));
  }

  void set(Activations x, int row, int i, double value) {
    long index = at(require(x), row, i);
    if (activations == ElementType.F32) {
      setFloat(x.buffer(), index, (float) value);
    } else {
      memory(x.buffer()).setAtIndex(ValueLayout.JAVA_SHORT, index, Bfloat16.round((float) value));
    }
  }

  static long at(Activations x, int row, int i) {
    return x.offset() + (long) row * x.stride() + i;
  }

  static int intAt(DeviceBuffer buffer, long index) {
    return memory(buffer).getAtIndex(ValueLayout.JAVA_INT, index);
  }

  static void setInt(DeviceBuffer buffer, long index, int value) {
    memory(buffer).setAtIndex(ValueLayout.JAVA_INT, index, value);
  }

  static float floatAt(DeviceBuffer buffer, long index) {
    return memory(buffer).getAtIndex(ValueLayout.JAVA_FLOAT, index);
  }

  static void setFloat(DeviceBuffer buffer, long index, float value) {
    memory(buffer).setAtIndex(ValueLayout.JAVA_FLOAT, index, value);
  }

  static MemorySegment memory(DeviceBuffer buffer) {
    return buffer instanceof DeviceSlice slice
        ? memory(slice.whole()).asSlice(slice.offset(), slice.bytes())
        : ((ReferenceBuffer) buffer).segment();
  }

  static void submit(Queue queue, Runnable work) {
    ((ReferenceQueue) queue).submit(work);
  }

  /** A view that this device computes with, or an error before anything is submitted. */
  Activations require(Activations x) {
    if (x.type() != activations) {
      throw new IllegalArgumentException(
          "%s has %s elements; activations of this device are %s"
              .formatted(x.buffer().label(), x.type(), activations));
    }
    return x;
  }
}
