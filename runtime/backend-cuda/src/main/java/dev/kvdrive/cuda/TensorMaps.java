package dev.kvdrive.cuda;

import dev.kvdrive.device.DeviceException;
import java.lang.foreign.AddressLayout;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import jcuda.driver.CUresult;

/**
 * Maps by which the copy engine of a multiprocessor finds tiles of a tensor. The driver encodes
 * them; jcuda does not bind that, so it is bound by hand. Not for several threads at once.
 */
final class TensorMaps {
  static final long BYTES = 128;
  static final int ALIGNMENT = 64;

  // cuda.h
  private static final int BFLOAT16 = 9;
  private static final int INTERLEAVE_NONE = 0;
  private static final int SWIZZLE_128B = 3;
  private static final int L2_PROMOTION_256B = 3;
  private static final int OUT_OF_BOUNDS_ZERO = 0;

  /** Bytes of a row of a tile: what the swizzle permutes. */
  private static final int ROW_BYTES = 128;

  private static final AddressLayout P = ValueLayout.ADDRESS;
  private static final ValueLayout.OfInt I = ValueLayout.JAVA_INT;
  private static final ValueLayout.OfLong L = ValueLayout.JAVA_LONG;

  private final MethodHandle encode;
  private final MemorySegment map;
  private final MemorySegment sizes;
  private final MemorySegment strides;
  private final MemorySegment box;
  private final MemorySegment steps;

  /**
   * @param arena of what it needs
   */
  TensorMaps(Arena arena) {
    MemorySegment symbol =
        SymbolLookup.libraryLookup("libcuda.so.1", arena)
            .find("cuTensorMapEncodeTiled")
            .orElseThrow(() -> new DeviceException("the driver has no cuTensorMapEncodeTiled"));
    encode =
        Linker.nativeLinker()
            .downcallHandle(symbol, FunctionDescriptor.of(I, P, I, I, P, P, P, P, P, I, I, I, I));
    map = arena.allocate(BYTES, ALIGNMENT);
    sizes = arena.allocate(L, 3);
    strides = arena.allocate(L, 2);
    box = arena.allocate(I, 3);
    steps = arena.allocateFrom(I, 1, 1, 1);
  }

  /**
   * A map of bf16 planes of rows; what lies outside of them is read as 0. Tiles have 64 elements of
   * a row, whose eighths are xored with the last three bits of the row.
   *
   * @param address of the first row, a multiple of 16
   * @param width elements of a row, a multiple of 8; rows lie behind each other
   * @param rows of a plane that are there
   * @param planeRows rows from a plane to the next
   * @param tileRows rows of a tile
   * @return good until the next call
   */
  MemorySegment planes(
      long address, int width, int rows, long planeRows, int planes, int tileRows) {
    long rowBytes = 2L * width;
    sizes.setAtIndex(L, 0, width);
    sizes.setAtIndex(L, 1, rows);
    sizes.setAtIndex(L, 2, planes);
    strides.setAtIndex(L, 0, rowBytes);
    strides.setAtIndex(L, 1, planeRows * rowBytes);
    box.setAtIndex(I, 0, ROW_BYTES / 2);
    box.setAtIndex(I, 1, tileRows);
    box.setAtIndex(I, 2, 1);
    int result;
    try {
      result =
          (int)
              encode.invokeExact(
                  map,
                  BFLOAT16,
                  3,
                  MemorySegment.ofAddress(address),
                  sizes,
                  strides,
                  box,
                  steps,
                  INTERLEAVE_NONE,
                  SWIZZLE_128B,
                  L2_PROMOTION_256B,
                  OUT_OF_BOUNDS_ZERO);
    } catch (Throwable t) {
      throw new IllegalStateException(t); // the call itself throws nothing
    }
    if (result != CUresult.CUDA_SUCCESS) {
      throw new CudaException("cuTensorMapEncodeTiled", CUresult.stringFor(result), result);
    }
    return map;
  }
}
