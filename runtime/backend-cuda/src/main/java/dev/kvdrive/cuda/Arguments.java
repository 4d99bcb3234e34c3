package dev.kvdrive.cuda;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import jcuda.Pointer;

/**
 * The one struct that every kernel takes, written field by field in the order of the C declaration.
 * The driver copies it when a kernel is launched or recorded, so one block serves a queue. Values
 * must lie at multiples of their size, as C places them: the structs are declared so that they do,
 * and {@link #end} checks the size against the one that the kernels assert.
 */
final class Arguments {
  /** The driver's limit for the arguments of a kernel. */
  private static final int MAX_BYTES = 4096;

  private final ByteBuffer block =
      ByteBuffer.allocateDirect(MAX_BYTES).order(ByteOrder.nativeOrder());
  private final Pointer pointer = Pointer.to(Pointer.to(block.duplicate()));

  /** Starts a struct. */
  Arguments begin() {
    block.clear();
    return this;
  }

  Arguments put(long value) {
    if (block.position() % 8 != 0) {
      throw new IllegalStateException("a 64-bit field at byte " + block.position());
    }
    block.putLong(value);
    return this;
  }

  Arguments put(int value) {
    block.putInt(value);
    return this;
  }

  Arguments put(float value) {
    block.putFloat(value);
    return this;
  }

  /**
   * Ends a struct.
   *
   * @param bytes its size in C
   * @return what a launch takes
   */
  Pointer end(int bytes) {
    if (block.position() != bytes) {
      throw new IllegalStateException(
          "a struct of %d bytes got %d".formatted(bytes, block.position()));
    }
    return pointer;
  }
}
