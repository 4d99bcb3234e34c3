package dev.kvdrive.kv.tier;

import dev.kvdrive.device.Device;
import dev.kvdrive.device.FramePool;
import dev.kvdrive.device.HostBuffer;
import dev.kvdrive.device.Mailbox;
import dev.kvdrive.plan.EngineSizes;
import dev.kvdrive.plan.KvLayout;
import java.lang.foreign.MemorySegment;
import java.util.ArrayDeque;
import java.util.Deque;

/**
 * The pinned memory that I/O threads and device share: frames, mailbox and transit, and a buffer
 * for each thread; and that of keys, which belongs neither to the heap nor on a disk for swapping.
 * Outlives both.
 */
final class StoreMemory implements AutoCloseable {
  private final Device device;
  private final Deque<HostBuffer> owned = new ArrayDeque<>();
  private final FramePool frames;
  private final Mailbox mailbox;
  private final HostBuffer buffers;
  private final SlotProofs proofs;
  private final long keyBytes;
  private final long extentBytes;

  /**
   * @param slots of the NVMe files
   * @param threads that read and write
   * @param doorbell what the device runs when it has announced a round
   */
  StoreMemory(Device device, EngineSizes sizes, int slots, int threads, Runnable doorbell) {
    this.device = device;
    KvLayout layout = sizes.layout();
    extentBytes = layout.extentBytes();
    int capacity = sizes.mailboxCapacity();
    try {
      frames =
          new FramePool(
              allocate("DRAM frames", sizes.dramFrames() * extentBytes), sizes.dramFrames());
      mailbox =
          new Mailbox(
              capacity,
              allocate("mailbox", Mailbox.controlBytes(capacity)),
              allocate("transit", (long) capacity * layout.backing().bytes()),
              doorbell);
      buffers = allocate("NVMe buffers", Math.max(1L, threads) * extentBytes);
      keyBytes = sizes.nvmeEncryption().keyTableBytes(slots);
      proofs =
          keyBytes == 0
              ? SlotProofs.checksums(slots)
              : SlotProofs.keys(sizes.nvmeEncryption(), allocate("NVMe keys", keyBytes).segment());
    } catch (RuntimeException e) {
      close();
      throw e;
    }
  }

  private HostBuffer allocate(String label, long bytes) {
    HostBuffer buffer = device.allocateHost(label, bytes);
    owned.push(buffer);
    return buffer;
  }

  FramePool frames() {
    return frames;
  }

  Mailbox mailbox() {
    return mailbox;
  }

  /** An aligned extent for a thread. */
  MemorySegment buffer(int thread) {
    return buffers.segment().asSlice(thread * extentBytes, extentBytes);
  }

  /** The proofs of what is in slots. */
  SlotProofs proofs() {
    return proofs;
  }

  /** Bytes beside the frames. */
  long stagingBytes() {
    return mailbox.control().bytes() + mailbox.transit().bytes() + buffers.bytes() + keyBytes;
  }

  @Override
  public void close() {
    while (!owned.isEmpty()) {
      owned.pop().close();
    }
  }
}
