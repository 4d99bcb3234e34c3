package dev.kvdrive.kv.extent;

import dev.kvdrive.plan.StoreHeap;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/**
 * Whose an extent is and which of theirs. It is bound to the bytes on NVMe, so that those of
 * another are never taken for them.
 *
 * @param identity of its sequence or prompt, tenant included: {@link ExtentTable#identity}
 * @param extent its number in its (layer, KV head)
 */
public record ExtentLabel(long identity, int layer, int kvHead, int extent) {
  static final int BYTES = StoreHeap.LABEL_BYTES;

  /** Writes it to an array of {@link #BYTES}. */
  void to(byte[] bytes) {
    ByteBuffer.wrap(bytes)
        .order(ByteOrder.LITTLE_ENDIAN)
        .putLong(identity)
        .putInt(layer)
        .putInt(kvHead)
        .putInt(extent);
  }
}
