package dev.kvdrive.cuda;

import dev.kvdrive.device.DeviceException;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import jcuda.driver.CUresult;

/**
 * Launches kernels, each of which takes one struct. A kernel may be brought to the multiprocessors
 * while the one before it still runs (programmatic dependent launch); jcuda does not bind that, so
 * it is bound by hand. Not for several threads at once.
 */
final class KernelLaunch {
  // CUlaunchConfig: three of the grid, three of a block, shared bytes, stream, attributes, count.
  private static final long CONFIG_BYTES = 56;
  private static final long STREAM = 32;
  private static final long ATTRIBUTES = 40;
  private static final long ATTRIBUTE_COUNT = 48;

  // CUlaunchAttribute: what it is, then, eight bytes on, its value.
  private static final long ATTRIBUTE_BYTES = 72;
  private static final long VALUE = 8;
  private static final int PROGRAMMATIC_STREAM_SERIALIZATION = 6;

  private static final ValueLayout.OfInt I = ValueLayout.JAVA_INT;
  private static final ValueLayout.OfLong L = ValueLayout.JAVA_LONG;

  private final MethodHandle launch;
  private final long config;
  private final MemorySegment fields;
  private final MemorySegment parameters;

  /**
   * @param arena of what it needs
   * @param stream where kernels are launched
   */
  KernelLaunch(Arena arena, Driver.Stream stream) {
    MemorySegment symbol =
        SymbolLookup.libraryLookup("libcuda.so.1", arena)
            .find("cuLaunchKernelEx")
            .orElseThrow(() -> new DeviceException("the driver has no cuLaunchKernelEx"));
    // Addresses are passed as numbers: nothing is allocated.
    launch = Linker.nativeLinker().downcallHandle(symbol, FunctionDescriptor.of(I, L, L, L, L));
    fields = arena.allocate(MemoryLayout.sequenceLayout(CONFIG_BYTES / 8, L));
    MemorySegment attribute = arena.allocate(ATTRIBUTE_BYTES, Long.BYTES);
    attribute.set(I, 0, PROGRAMMATIC_STREAM_SERIALIZATION);
    attribute.set(I, VALUE, 1);
    fields.set(L, STREAM, stream.handle());
    fields.set(L, ATTRIBUTES, attribute.address());
    config = fields.address();
    parameters = arena.allocate(L);
  }

  /**
   * Launches a kernel.
   *
   * @param follows whether the work before it on the stream is a kernel of this module: then it may
   *     come early. It waits by itself, which every kernel does first, or at its end where it may
   *     run beside that one
   * @param struct address of what it takes
   */
  void launch(
      Driver.Function kernel,
      int x,
      int y,
      int z,
      int threads,
      int sharedBytes,
      boolean follows,
      long struct) {
    fields.set(I, 0, x);
    fields.set(I, 4, y);
    fields.set(I, 8, z);
    fields.set(I, 12, threads);
    fields.set(I, 16, 1);
    fields.set(I, 20, 1);
    fields.set(I, 24, sharedBytes);
    fields.set(I, ATTRIBUTE_COUNT, follows ? 1 : 0);
    parameters.set(L, 0, struct);
    int result;
    try {
      result = (int) launch.invokeExact(config, kernel.handle(), parameters.address(), 0L);
    } catch (Throwable t) {
      throw new IllegalStateException(t); // the call itself throws nothing
    }
    if (result != CUresult.CUDA_SUCCESS) {
      throw new CudaException("cuLaunchKernelEx", CUresult.stringFor(result), result);
    }
  }
}
