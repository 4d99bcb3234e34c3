package dev.kvdrive.cuda;

import dev.kvdrive.device.DeviceException;
import java.nio.charset.StandardCharsets;
import jcuda.Pointer;
import jcuda.driver.CUcontext;
import jcuda.driver.CUdevice;
import jcuda.driver.CUdevice_attribute;
import jcuda.driver.CUdeviceptr;
import jcuda.driver.CUevent;
import jcuda.driver.CUevent_flags;
import jcuda.driver.CUfunction;
import jcuda.driver.CUfunction_attribute;
import jcuda.driver.CUgraph;
import jcuda.driver.CUgraphExec;
import jcuda.driver.CUgraphNode;
import jcuda.driver.CUmodule;
import jcuda.driver.CUresult;
import jcuda.driver.CUstream;
import jcuda.driver.CUstreamCaptureMode;
import jcuda.driver.CUstream_flags;
import jcuda.driver.JCudaDriver;

/**
 * The CUDA driver as this module uses it: addresses are longs, a result other than success is a
 * {@link DeviceException} with the call's name. The only place that knows jcuda, whose driver part
 * needs nothing but {@code libcuda.so.1}.
 *
 * <p>A CUDA context belongs to a platform thread: {@link #enter} makes it current and refuses
 * virtual threads, which may change their carrier between two calls.
 */
final class Driver {
  /** Pinned memory: visible to all contexts, mapped into the device's address space. */
  private static final int REGISTER_PORTABLE_MAPPED =
      JCudaDriver.CU_MEMHOSTREGISTER_PORTABLE | JCudaDriver.CU_MEMHOSTREGISTER_DEVICEMAP;

  /** {@code CU_EVENT_RECORD_EXTERNAL}. */
  private static final int RECORD_EXTERNAL = 1;

  private final CUdevice device = new CUdevice();
  private final CUcontext context = new CUcontext();
  private final ThreadLocal<Boolean> current = ThreadLocal.withInitial(() -> false);

  /** An address as jcuda takes it. */
  private static final class Address extends CUdeviceptr {
    Address() {}

    Address(long address) {
      super(new CUdeviceptr(), address);
    }

    long value() {
      return getNativePointer() + getByteOffset();
    }
  }

  /** A host address as jcuda takes it. */
  private static final class HostAddress extends Pointer {
    HostAddress(long address) {
      super(address);
    }
  }

  /** A stream whose handle other libraries can be given. */
  static final class Stream extends CUstream {
    /** The driver's handle. */
    long handle() {
      return getNativePointer();
    }
  }

  /** A kernel whose handle other calls can be given. */
  static final class Function extends CUfunction {
    /** The driver's handle. */
    long handle() {
      return getNativePointer();
    }
  }

  /**
   * Opens a GPU's primary context.
   *
   * @param ordinal index among the GPUs that the driver shows
   */
  Driver(int ordinal) {
    check("cuInit", JCudaDriver.cuInit(0));
    int[] count = new int[1];
    check("cuDeviceGetCount", JCudaDriver.cuDeviceGetCount(count));
    if (ordinal < 0 || ordinal >= count[0]) {
      throw new DeviceException(
          "there is no CUDA GPU %d; the driver shows %d".formatted(ordinal, count[0]));
    }
    check("cuDeviceGet", JCudaDriver.cuDeviceGet(device, ordinal));
    check("cuDevicePrimaryCtxRetain", JCudaDriver.cuDevicePrimaryCtxRetain(context, device));
    enter();
  }

  /** Makes the context current on this thread. */
  void enter() {
    if (current.get()) {
      return;
    }
    if (Thread.currentThread().isVirtual()) {
      throw new DeviceException(
          "a CUDA device was called from virtual thread %s; a CUDA context belongs to a platform thread"
              .formatted(Thread.currentThread().getName()));
    }
    check("cuCtxSetCurrent", JCudaDriver.cuCtxSetCurrent(context));
    current.set(true);
  }

  // --- the GPU ---

  String name() {
    byte[] name = new byte[256];
    check("cuDeviceGetName", JCudaDriver.cuDeviceGetName(name, name.length, device));
    int end = 0;
    while (end < name.length && name[end] != 0) {
      end++;
    }
    return new String(name, 0, end, StandardCharsets.UTF_8);
  }

  /** Version of CUDA that the driver speaks, for instance 13000 for 13.0. */
  int version() {
    int[] version = new int[1];
    check("cuDriverGetVersion", JCudaDriver.cuDriverGetVersion(version));
    return version[0];
  }

  int multiprocessors() {
    return attribute(CUdevice_attribute.CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT);
  }

  /** Compute capability, for instance 90 for 9.0. */
  int computeCapability() {
    return 10 * attribute(CUdevice_attribute.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)
        + attribute(CUdevice_attribute.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR);
  }

  /** Bytes of shared memory that a block may have if its kernel asks for them. */
  int sharedBytesOfBlock() {
    return attribute(CUdevice_attribute.CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN);
  }

  private int attribute(int attribute) {
    int[] value = new int[1];
    check("cuDeviceGetAttribute", JCudaDriver.cuDeviceGetAttribute(value, attribute, device));
    return value[0];
  }

  /** Bytes of device memory, in use or not. */
  long totalBytes() {
    long[] total = new long[1];
    check("cuMemGetInfo", JCudaDriver.cuMemGetInfo(new long[1], total));
    return total[0];
  }

  /** Bytes of device memory that are free now. */
  long freeBytes() {
    long[] free = new long[1];
    long[] total = new long[1];
    check("cuMemGetInfo", JCudaDriver.cuMemGetInfo(free, total));
    return free[0];
  }

  // --- memory ---

  /** Device memory; what it contains is not defined. */
  long allocate(long bytes) {
    Address address = new Address();
    check("cuMemAlloc", JCudaDriver.cuMemAlloc(address, bytes));
    return address.value();
  }

  void free(long address) {
    check("cuMemFree", JCudaDriver.cuMemFree(new Address(address)));
  }

  /**
   * Pins touched host memory, whole pages of 4096 bytes, and maps it into the device's addresses.
   *
   * @return its address on the device
   */
  long register(long hostAddress, long bytes) {
    HostAddress host = new HostAddress(hostAddress);
    check(
        "cuMemHostRegister", JCudaDriver.cuMemHostRegister(host, bytes, REGISTER_PORTABLE_MAPPED));
    Address address = new Address();
    check("cuMemHostGetDevicePointer", JCudaDriver.cuMemHostGetDevicePointer(address, host, 0));
    return address.value();
  }

  void unregister(long hostAddress) {
    check("cuMemHostUnregister", JCudaDriver.cuMemHostUnregister(new HostAddress(hostAddress)));
  }

  // --- streams ---

  /**
   * A stream.
   *
   * @param urgent of the highest priority there is; else of the lowest
   */
  Stream createStream(boolean urgent) {
    int[] lowest = {0};
    int[] highest = {0};
    check("cuCtxGetStreamPriorityRange", JCudaDriver.cuCtxGetStreamPriorityRange(lowest, highest));
    Stream stream = new Stream();
    check(
        "cuStreamCreateWithPriority",
        JCudaDriver.cuStreamCreateWithPriority(
            stream, CUstream_flags.CU_STREAM_NON_BLOCKING, (urgent ? highest : lowest)[0]));
    return stream;
  }

  void destroy(Stream stream) {
    check("cuStreamDestroy", JCudaDriver.cuStreamDestroy(stream));
  }

  void synchronize(Stream stream) {
    check("cuStreamSynchronize", JCudaDriver.cuStreamSynchronize(stream));
  }

  void upload(long host, long device, long bytes, Stream stream) {
    check(
        "cuMemcpyHtoDAsync",
        JCudaDriver.cuMemcpyHtoDAsync(new Address(device), new HostAddress(host), bytes, stream));
  }

  void download(long device, long host, long bytes, Stream stream) {
    check(
        "cuMemcpyDtoHAsync",
        JCudaDriver.cuMemcpyDtoHAsync(new HostAddress(host), new Address(device), bytes, stream));
  }

  void copy(long from, long to, long bytes, Stream stream) {
    check(
        "cuMemcpyDtoDAsync",
        JCudaDriver.cuMemcpyDtoDAsync(new Address(to), new Address(from), bytes, stream));
  }

  void fillBytes(long address, byte value, long bytes, Stream stream) {
    check(
        "cuMemsetD8Async", JCudaDriver.cuMemsetD8Async(new Address(address), value, bytes, stream));
  }

  void fillWords(long address, int value, long words, Stream stream) {
    check(
        "cuMemsetD32Async",
        JCudaDriver.cuMemsetD32Async(new Address(address), value, words, stream));
  }

  // --- events ---

  /**
   * A new event.
   *
   * @param timing whether {@link #milliseconds} may be asked
   */
  CUevent createEvent(boolean timing) {
    CUevent event = new CUevent();
    int flags = timing ? CUevent_flags.CU_EVENT_DEFAULT : CUevent_flags.CU_EVENT_DISABLE_TIMING;
    check("cuEventCreate", JCudaDriver.cuEventCreate(event, flags));
    return event;
  }

  void destroy(CUevent event) {
    check("cuEventDestroy", JCudaDriver.cuEventDestroy(event));
  }

  void record(CUevent event, Stream stream) {
    check("cuEventRecord", JCudaDriver.cuEventRecord(event, stream));
  }

  /** Records an event that a graph marks each time it runs, for timings. */
  void recordInGraph(CUevent event, Stream stream) {
    check(
        "cuEventRecordWithFlags",
        JCudaDriver.cuEventRecordWithFlags(event, stream, RECORD_EXTERNAL));
  }

  void await(CUevent event, Stream stream) {
    check("cuStreamWaitEvent", JCudaDriver.cuStreamWaitEvent(stream, event, 0));
  }

  boolean isDone(CUevent event) {
    int result = JCudaDriver.cuEventQuery(event);
    if (result == CUresult.CUDA_ERROR_NOT_READY) {
      return false;
    }
    check("cuEventQuery", result);
    return true;
  }

  /** Time between two recorded events that are done. */
  float milliseconds(CUevent from, CUevent to) {
    float[] time = new float[1];
    check("cuEventElapsedTime", JCudaDriver.cuEventElapsedTime(time, from, to));
    return time[0];
  }

  // --- graphs ---

  /** Begins to record what this thread submits to the stream. */
  void beginCapture(Stream stream) {
    check(
        "cuStreamBeginCapture",
        JCudaDriver.cuStreamBeginCapture(
            stream, CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL));
  }

  CUgraph endCapture(Stream stream) {
    CUgraph graph = new CUgraph();
    check("cuStreamEndCapture", JCudaDriver.cuStreamEndCapture(stream, graph));
    return graph;
  }

  CUgraphExec instantiate(CUgraph graph) {
    CUgraphExec exec = new CUgraphExec();
    check("cuGraphInstantiate", JCudaDriver.cuGraphInstantiate(exec, graph, 0L));
    return exec;
  }

  int nodes(CUgraph graph) {
    long[] count = new long[1];
    check("cuGraphGetNodes", JCudaDriver.cuGraphGetNodes(graph, (CUgraphNode[]) null, count));
    return Math.toIntExact(count[0]);
  }

  void launch(CUgraphExec exec, Stream stream) {
    check("cuGraphLaunch", JCudaDriver.cuGraphLaunch(exec, stream));
  }

  void destroy(CUgraphExec exec) {
    check("cuGraphExecDestroy", JCudaDriver.cuGraphExecDestroy(exec));
  }

  void destroy(CUgraph graph) {
    check("cuGraphDestroy", JCudaDriver.cuGraphDestroy(graph));
  }

  // --- kernels ---

  CUmodule loadModule(byte[] fatbin) {
    CUmodule module = new CUmodule();
    check("cuModuleLoadData", JCudaDriver.cuModuleLoadData(module, fatbin));
    return module;
  }

  Function function(CUmodule module, String name) {
    Function function = new Function();
    check(
        "cuModuleGetFunction of " + name, JCudaDriver.cuModuleGetFunction(function, module, name));
    return function;
  }

  /** Lets blocks of a kernel have up to {@code bytes} of dynamic shared memory. */
  void allowShared(CUfunction function, int bytes) {
    check(
        "cuFuncSetAttribute",
        JCudaDriver.cuFuncSetAttribute(
            function, CUfunction_attribute.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, bytes));
  }

  /** Bytes of static shared memory of a kernel. */
  int staticShared(CUfunction function) {
    int[] bytes = new int[1];
    check(
        "cuFuncGetAttribute",
        JCudaDriver.cuFuncGetAttribute(
            bytes, CUfunction_attribute.CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES, function));
    return bytes[0];
  }

  private static void check(String call, int result) {
    if (result != CUresult.CUDA_SUCCESS) {
      throw new CudaException(call, CUresult.stringFor(result), result);
    }
  }
}
