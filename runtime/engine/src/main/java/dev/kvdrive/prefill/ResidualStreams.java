package dev.kvdrive.prefill;

import dev.kvdrive.device.Activations;
import dev.kvdrive.device.Device;
import dev.kvdrive.device.DeviceBuffer;
import dev.kvdrive.device.Event;
import dev.kvdrive.device.HostBuffer;
import dev.kvdrive.device.Queue;
import dev.kvdrive.plan.EngineSizes;
import dev.kvdrive.plan.Workspace;
import java.util.ArrayDeque;
import java.util.Deque;
import org.jspecify.annotations.Nullable;

/**
 * The residual streams of prompts, which wait in pinned host memory between layers. On a queue of
 * its own a block leaves the device while the next is computed, and the one after it comes. Used on
 * the engine thread.
 */
final class ResidualStreams implements AutoCloseable {
  private final long rowBytes;
  private final long blockBytes;
  private final Queue transfers;
  private final HostBuffer streams;
  private final DeviceBuffer coming;
  private final DeviceBuffer leaving;

  /** The computation has read what had come. */
  private final Event read;

  private final Event came;

  /** The computation has written what is to leave. */
  private final Event written;

  private final Event left;

  /** Whose block has come or is on its way, and which. */
  private @Nullable PromptPrefill owner;

  private int next;

  /** What has to be closed, the last made first. */
  private final Deque<Runnable> owned = new ArrayDeque<>();

  ResidualStreams(Device device, EngineSizes sizes) {
    int elementBytes = device.activationType().bytes();
    rowBytes = (long) sizes.geometry().hidden() * elementBytes;
    blockBytes = rowBytes * sizes.prefillBlock();
    try {
      streams =
          device.allocateHost(
              "residual streams",
              Workspace.residualBytes(
                  sizes.geometry(), sizes.residualBlocks(), sizes.prefillBlock(), elementBytes));
      owned.push(streams::close);
      coming = device.allocate("residual stream of the next block", blockBytes);
      owned.push(coming::close);
      leaving = device.allocate("residual stream of the last block", blockBytes);
      owned.push(leaving::close);
      read = event(device);
      came = event(device);
      written = event(device);
      left = event(device);
      transfers = device.createQueue("residual streams");
      owned.push(transfers::close);
    } catch (RuntimeException e) {
      close();
      throw e;
    }
  }

  private Event event(Device device) {
    Event event = device.createEvent();
    owned.push(event::close);
    return event;
  }

  /** Has the first rows of a block read into the activations. */
  void load(Queue queue, PromptPrefill prompt, int block, int rows, Activations to) {
    if (prompt == owner && block == next) {
      queue.await(came);
      queue.copy(coming, 0, to.buffer(), 0, rowBytes * rows);
    } else {
      queue.await(left);
      queue.upload(streams, blockBytes * block, to.buffer(), 0, rowBytes * rows);
    }
    owner = null;
  }

  /** Has another block that is in host memory, or on its way there, come once this one is read. */
  void prepare(Queue queue, PromptPrefill prompt, int block) {
    queue.record(read);
    transfers.await(read);
    transfers.upload(streams, blockBytes * block, coming, 0, blockBytes);
    transfers.record(came);
    owner = prompt;
    next = block;
  }

  /** Has the first rows of the activations kept as those of a block. */
  void save(Queue queue, int block, int rows, Activations from) {
    queue.await(left);
    queue.copy(from.buffer(), 0, leaving, 0, rowBytes * rows);
    queue.record(written);
    transfers.await(written);
    transfers.download(leaving, 0, streams, blockBytes * block, rowBytes * rows);
    transfers.record(left);
  }

  @Override
  public void close() {
    owned.forEach(Runnable::run);
    owned.clear();
  }
}
