package dev.kvdrive.device;

/**
 * An in-order queue of work on a device, used by one platform thread at a time. Submitting returns
 * at once or after the work is done, as the backend likes; only {@link #synchronize} and events
 * tell.
 */
public interface Queue extends AutoCloseable {
  /** Copies host memory to the device. The host buffer must stay unchanged until it is done. */
  void upload(
      HostBuffer source, long sourceOffset, DeviceBuffer target, long targetOffset, long bytes);

  /** Copies device memory to the host. */
  void download(
      DeviceBuffer source, long sourceOffset, HostBuffer target, long targetOffset, long bytes);

  /** Copies within the device; the ranges must not overlap. */
  void copy(
      DeviceBuffer source, long sourceOffset, DeviceBuffer target, long targetOffset, long bytes);

  /** Sets {@code words} 32-bit words from {@code offset} (a multiple of 4) to {@code value}. */
  void fill(DeviceBuffer target, long offset, long words, int value);

  /** Marks the end of the work submitted so far. */
  void record(Event event);

  /** Makes later work of this queue wait for the last recording of {@code event}. */
  void await(Event event);

  /**
   * Records what {@code work} submits to this queue instead of running it. Everything it uses must
   * have been used once before (kernels loaded, workspaces made). Work of other queues joins the
   * recording through events that start and end in this queue.
   */
  Graph capture(Runnable work);

  /** Submits a recorded graph. */
  void launch(Graph graph);

  /**
   * Blocks until everything submitted has finished.
   *
   * @throws DeviceException if any of it failed; the queue stays usable unless the message says not
   */
  void synchronize();

  @Override
  void close();
}
