package dev.kvdrive.device;

import dev.kvdrive.model.tensor.TensorData;
import dev.kvdrive.plan.DeviceKind;
import java.util.List;

/**
 * One compute device: its memory under a hard cap (the GPU tier), device-readable host memory, and
 * queues of operations. The CPU backend's "GPU memory" is a budgeted arena in host memory, so that
 * all logic above runs without a GPU.
 *
 * <p>Threads: allocation and {@link #close} are thread-safe; each {@link Queue} belongs to one
 * platform thread at a time. Virtual threads must not call a device (a CUDA context belongs to a
 * platform thread).
 */
public interface Device extends AutoCloseable {
  /** Host memory is allocated in multiples of this many bytes. */
  int HOST_PAGE = DeviceKind.HOST_PAGE;

  /** For logs and plans: kind, model, threads or multiprocessors, driver. */
  String description();

  /**
   * Element type of {@link Activations} on this device. Logits, scores and angles are always F32.
   */
  ElementType activationType();

  /**
   * Whether results keep the promise of {@link Operations} bit for bit; otherwise within the error
   * of reordered sums.
   */
  boolean bitExact();

  /**
   * Whether launching a recorded {@link Graph} is cheaper than submitting its operations one by
   * one.
   */
  boolean prefersGraphs();

  /**
   * Rows that a recorded step should have for so many: where recording is expensive they are
   * rounded up, so that fewer graphs are recorded, although rows without a sequence are computed in
   * part.
   */
  int recordedRows(int rows);

  /**
   * Whether what is submitted to one queue can run beside what is submitted to another; else all of
   * it runs in the order in which it is submitted, and waiting on one queue is waiting on all.
   */
  boolean queuesOverlap();

  /** Cap of device memory in bytes; {@link #usedBytes} never exceeds it. */
  long capacityBytes();

  /** Bytes of device memory allocated now, weights included. */
  long usedBytes();

  /** Cap of host memory in bytes; {@link #hostBytes} never exceeds it. */
  long hostCapacityBytes();

  /** Bytes of host memory allocated now through {@link #allocateHost}: whole pages. */
  long hostBytes();

  /**
   * Device memory, 256-byte aligned, zeroed. Lives until {@link DeviceBuffer#close} or the device
   * closes.
   *
   * @throws DeviceMemoryException if it would exceed the cap; names label, wanted, used and cap
   */
  DeviceBuffer allocate(String label, long bytes);

  /**
   * Bytes of its memory that are in use beside what was allocated through it, by itself (context,
   * kernels, workspaces, graphs) or by others, as its driver reports; 0 for a device whose memory
   * is nothing but what is allocated. A plan counts {@link dev.kvdrive.plan.Workspace#deviceBytes}
   * of the GPU tier for it.
   */
  default long ownBytes() {
    return 0;
  }

  /**
   * Host memory that operations of this device can read and write directly (pinned and mapped on
   * CUDA), 4096-byte aligned, zeroed. Counts in whole pages of {@value #HOST_PAGE} bytes.
   *
   * @throws DeviceMemoryException if it would exceed the cap; names label, wanted, used and cap
   */
  HostBuffer allocateHost(String label, long bytes);

  /**
   * Makes a weight matrix of the row-wise stacked {@code parts}, which have equal {@code cols} and
   * may differ in type. A backend may read {@code parts} in place for as long as the weight lives,
   * or copy or repack them, or round matrices to its {@link #activationType}; either way {@link
   * #usedBytes} grows by {@link Weight#bytes}.
   */
  Weight load(String name, List<TensorData> parts);

  /** A new in-order queue. Different queues are ordered only by events. */
  Queue createQueue(String name);

  /**
   * Like {@link #createQueue}, for short work that other work waits for: where work of several
   * queues is ready and there is not room for all of it, a device may begin with this.
   */
  default Queue createUrgentQueue(String name) {
    return createQueue(name);
  }

  /** A new event, in the signalled state. */
  Event createEvent();

  /** The operations, all asynchronous with respect to the calling thread unless said otherwise. */
  Operations operations();

  /** Frees everything still allocated. No queue may be running. */
  @Override
  void close();
}
