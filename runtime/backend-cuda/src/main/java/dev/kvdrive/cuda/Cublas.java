package dev.kvdrive.cuda;

import dev.kvdrive.device.DeviceException;
import dev.kvdrive.device.DeviceSoftwareException;
import dev.kvdrive.plan.Workspace;
import java.lang.foreign.AddressLayout;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import org.jspecify.annotations.Nullable;

/**
 * cuBLASLt, bound by hand: {@code libcublasLt.so.13}, then {@code .12}, from the loader's path or
 * an installation of CUDA. One algorithm is chosen for each shape when it is first used and kept,
 * so that recordings find everything ready. Thread-safe.
 */
final class Cublas {
  /** Workspace that algorithms may use; NVIDIA's recommendation for Hopper. */
  static final long WORKSPACE_BYTES = Workspace.QUEUE_BYTES;

  private static final List<String> NAMES = List.of("libcublasLt.so.13", "libcublasLt.so.12");

  // cublasLt.h, library_types.h
  private static final int COMPUTE_32F = 68;
  private static final int R_32F = 0;
  private static final int R_16BF = 14;
  private static final int DESC_TRANSA = 3;
  private static final int OP_T = 1;
  private static final int PREFERENCE_MAX_WORKSPACE_BYTES = 1;
  private static final int PREFERENCE_MIN_ALIGNMENT_A_BYTES = 5;
  private static final int PREFERENCE_MIN_ALIGNMENT_B_BYTES = 6;
  private static final int PREFERENCE_MIN_ALIGNMENT_C_BYTES = 7;
  private static final int PREFERENCE_MIN_ALIGNMENT_D_BYTES = 8;

  /** {@code cublasLtMatmulHeuristicResult_t}: the algorithm's 64 bytes come first. */
  private static final long RESULT_BYTES = 96;

  private static final long ALGORITHM_BYTES = 64;
  private static final int MAX_ALIGNMENT = 256;

  private static final AddressLayout P = ValueLayout.ADDRESS;
  private static final ValueLayout.OfInt I = ValueLayout.JAVA_INT;
  private static final ValueLayout.OfLong L = ValueLayout.JAVA_LONG;

  private final MethodHandle descCreate;
  private final MethodHandle descSet;
  private final MethodHandle layoutCreate;
  private final MethodHandle preferenceCreate;
  private final MethodHandle preferenceSet;
  private final MethodHandle preferenceDestroy;
  private final MethodHandle heuristic;
  private final MethodHandle matmul;
  private final MemorySegment handle;
  private final MemorySegment one;
  private final MemorySegment zero;
  private final String description;
  private final Map<Shape, Product> products = new ConcurrentHashMap<>();

  /**
   * What decides about an algorithm: {@code out[rows][outputs] = in[rows][inputs] * weight^T}, with
   * strides in elements and the alignment of the addresses in bytes.
   */
  record Shape(
      int outputs,
      int inputs,
      int rows,
      long inStride,
      long outStride,
      boolean outF32,
      int inAlignment,
      int outAlignment) {}

  /** A prepared product; without an algorithm where the library has none. */
  private record Product(
      MemorySegment desc,
      MemorySegment weight,
      MemorySegment in,
      MemorySegment out,
      @Nullable MemorySegment algorithm) {}

  /** Loads the library and makes a handle for the context that is current. */
  Cublas() {
    SymbolLookup library = load();
    descCreate = bind(library, "cublasLtMatmulDescCreate", P, I, I);
    descSet = bind(library, "cublasLtMatmulDescSetAttribute", P, I, P, L);
    layoutCreate = bind(library, "cublasLtMatrixLayoutCreate", P, I, L, L, L);
    preferenceCreate = bind(library, "cublasLtMatmulPreferenceCreate", P);
    preferenceSet = bind(library, "cublasLtMatmulPreferenceSetAttribute", P, I, P, L);
    preferenceDestroy = bind(library, "cublasLtMatmulPreferenceDestroy", P);
    heuristic = bind(library, "cublasLtMatmulAlgoGetHeuristic", P, P, P, P, P, P, P, I, P, P);
    matmul = bind(library, "cublasLtMatmul", P, P, P, P, P, P, P, P, P, P, P, P, P, P, L, P);
    MethodHandle create = bind(library, "cublasLtCreate", P);
    MethodHandle version =
        Linker.nativeLinker()
            .downcallHandle(
                library.find("cublasLtGetVersion").orElseThrow(), FunctionDescriptor.of(L));
    Arena arena = Arena.global();
    MemorySegment cell = arena.allocate(P);
    try {
      check("cublasLtCreate", (int) create.invokeExact(cell));
      description = "cuBLASLt " + (long) version.invokeExact();
    } catch (Throwable t) {
      throw failure(t);
    }
    handle = cell.get(P, 0);
    one = arena.allocateFrom(ValueLayout.JAVA_FLOAT, 1f);
    zero = arena.allocateFrom(ValueLayout.JAVA_FLOAT, 0f);
  }

  private static SymbolLookup load() {
    StringBuilder tried = new StringBuilder();
    for (String name : NAMES) {
      for (String candidate : candidates(name)) {
        try {
          return SymbolLookup.libraryLookup(candidate, Arena.global());
        } catch (IllegalArgumentException e) {
          tried.append(tried.isEmpty() ? "" : ", ").append(candidate);
        }
      }
    }
    throw new DeviceSoftwareException(
        "cuBLASLt was not found (tried %s); install CUDA's cublas library or add its folder to LD_LIBRARY_PATH"
            .formatted(tried));
  }

  /** The name for the loader, then files of CUDA installations. */
  private static List<String> candidates(String name) {
    List<String> out = new java.util.ArrayList<>(List.of(name));
    String home = System.getenv("CUDA_HOME");
    for (String root : home == null ? List.of("/usr/local/cuda") : List.of(home)) {
      for (String folder : List.of("lib64", "lib", "targets/x86_64-linux/lib")) {
        Path file = Path.of(root, folder, name);
        if (Files.exists(file)) {
          out.add(file.toString());
        }
      }
    }
    return out;
  }

  private static MethodHandle bind(SymbolLookup library, String name, MemoryLayout... arguments) {
    MemorySegment symbol =
        library
            .find(name)
            .orElseThrow(() -> new DeviceException("cuBLASLt has no function " + name));
    return Linker.nativeLinker().downcallHandle(symbol, FunctionDescriptor.of(I, arguments));
  }

  /** For logs. */
  String description() {
    return description;
  }

  /**
   * Submits {@code out = in * weight^T (+ out)}.
   *
   * @param add whether to add to {@code out}
   * @param workspace {@link #WORKSPACE_BYTES} bytes that only this stream uses
   * @param stream the driver's handle
   * @return false if the library has no algorithm for the shape; nothing was submitted then
   */
  boolean multiply(
      Shape shape, boolean add, long weight, long in, long out, long workspace, long stream) {
    Product product = products.get(shape);
    if (product == null) {
      product = prepare(shape);
      products.put(shape, product);
    }
    MemorySegment algorithm = product.algorithm();
    if (algorithm == null) {
      return false;
    }
    // A conditional as an argument of invokeExact would have type Object.
    MemorySegment beta = add ? one : zero;
    try {
      check(
          "cublasLtMatmul",
          (int)
              matmul.invokeExact(
                  handle,
                  product.desc(),
                  one,
                  MemorySegment.ofAddress(weight),
                  product.weight(),
                  MemorySegment.ofAddress(in),
                  product.in(),
                  beta,
                  MemorySegment.ofAddress(out),
                  product.out(),
                  MemorySegment.ofAddress(out),
                  product.out(),
                  algorithm,
                  MemorySegment.ofAddress(workspace),
                  WORKSPACE_BYTES,
                  MemorySegment.ofAddress(stream)));
      return true;
    } catch (Throwable t) {
      throw failure(t);
    }
  }

  /** The alignment of an address as a shape counts it. */
  static int alignment(long address) {
    return (int) Math.min(MAX_ALIGNMENT, Long.lowestOneBit(address));
  }

  private Product prepare(Shape shape) {
    // Column-major, as the library sees it: weight is [inputs x outputs], transposed; in is
    // [inputs x rows]; out is [outputs x rows].
    Arena arena = Arena.global();
    int outType = shape.outF32() ? R_32F : R_16BF;
    try (Arena own = Arena.ofConfined()) {
      MemorySegment cell = own.allocate(P);
      check("cublasLtMatmulDescCreate", (int) descCreate.invokeExact(cell, COMPUTE_32F, R_32F));
      MemorySegment desc = cell.get(P, 0);
      check(
          "cublasLtMatmulDescSetAttribute",
          (int) descSet.invokeExact(desc, DESC_TRANSA, own.allocateFrom(I, OP_T), 4L));
      MemorySegment weight = layout(cell, R_16BF, shape.inputs(), shape.outputs(), shape.inputs());
      MemorySegment in = layout(cell, R_16BF, shape.inputs(), shape.rows(), shape.inStride());
      MemorySegment out = layout(cell, outType, shape.outputs(), shape.rows(), shape.outStride());
      check("cublasLtMatmulPreferenceCreate", (int) preferenceCreate.invokeExact(cell));
      MemorySegment preference = cell.get(P, 0);
      check(
          "cublasLtMatmulPreferenceSetAttribute",
          (int)
              preferenceSet.invokeExact(
                  preference,
                  PREFERENCE_MAX_WORKSPACE_BYTES,
                  own.allocateFrom(L, WORKSPACE_BYTES),
                  8L));
      prefer(preference, own, PREFERENCE_MIN_ALIGNMENT_A_BYTES, MAX_ALIGNMENT);
      prefer(preference, own, PREFERENCE_MIN_ALIGNMENT_B_BYTES, shape.inAlignment());
      prefer(preference, own, PREFERENCE_MIN_ALIGNMENT_C_BYTES, shape.outAlignment());
      prefer(preference, own, PREFERENCE_MIN_ALIGNMENT_D_BYTES, shape.outAlignment());
      MemorySegment result = own.allocate(RESULT_BYTES, 8);
      MemorySegment found = own.allocate(I);
      int status =
          (int)
              heuristic.invokeExact(
                  handle, desc, weight, in, out, out, preference, 1, result, found);
      check("cublasLtMatmulPreferenceDestroy", (int) preferenceDestroy.invokeExact(preference));
      MemorySegment algorithm = null;
      if (status == 0 && found.get(I, 0) > 0) {
        algorithm = arena.allocate(ALGORITHM_BYTES, 8);
        MemorySegment.copy(result, 0, algorithm, 0, ALGORITHM_BYTES);
      }
      return new Product(desc, weight, in, out, algorithm);
    } catch (Throwable t) {
      throw failure(t);
    }
  }

  private MemorySegment layout(MemorySegment cell, int type, long rows, long cols, long stride)
      throws Throwable {
    check(
        "cublasLtMatrixLayoutCreate",
        (int) layoutCreate.invokeExact(cell, type, rows, cols, Math.max(stride, rows)));
    return cell.get(P, 0);
  }

  private void prefer(MemorySegment preference, Arena own, int attribute, int value)
      throws Throwable {
    check(
        "cublasLtMatmulPreferenceSetAttribute",
        (int) preferenceSet.invokeExact(preference, attribute, own.allocateFrom(I, value), 4L));
  }

  private static void check(String call, int status) {
    if (status != 0) {
      throw new DeviceException("%s: status %d".formatted(call, status));
    }
  }

  private static RuntimeException failure(Throwable t) {
    if (t instanceof RuntimeException e) {
      return e;
    }
    if (t instanceof Error e) {
      throw e;
    }
    return new DeviceException("cuBLASLt cannot be called: " + t, t);
  }
}
