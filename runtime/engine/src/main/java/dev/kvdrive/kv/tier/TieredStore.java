package dev.kvdrive.kv.tier;

import dev.kvdrive.device.Device;
import dev.kvdrive.device.FramePool;
import dev.kvdrive.device.KvLayer;
import dev.kvdrive.device.Mailbox;
import dev.kvdrive.device.Queue;
import dev.kvdrive.plan.EngineSizes;
import java.util.List;

/**
 * Owner of the DRAM frames and NVMe extents of all seats: decides which extent is where, moves
 * extents between the tiers, and answers the device's requests for chunks that are only on NVMe.
 *
 * <p>The life of an extent: the device writes closed chunks into a DRAM frame; while chunks can
 * still be added it stays there; once full it never changes. Under pressure the extents with the
 * lowest {@link Placement} priority are written to NVMe and give up their frame (demotion). A chunk
 * that is then needed is delivered through the {@link Mailbox}, and its extent may get a frame
 * again (promotion); its copy on NVMe stays valid, so that the next demotion costs no write.
 *
 * <p>The engine calls it in this order; {@code queue} is the queue on which all device work that
 * touches frames and KV state runs, or is joined to by events:
 *
 * <pre>
 *   openSeat(queue, seat, identity)
 *   prefill, for each layer:
 *     for (c = from; c &lt; to; c = end) {
 *       end = provideForChunks(queue, layer, seat, c, to);
 *       operations.closeChunks(queue, layer, scratch, seat, c, end, frames());
 *     }
 *   each decode step:
 *     provideForStep(queue, seats, positions, rows);
 *     beginStep();
 *     ... append, select, diff, fetch, land, attend of all layers ...
 *     faults = endStep(queue);
 *   closeSeat(seat)
 * </pre>
 *
 * <p>Threads: every method but {@link #status} belongs to the engine thread. Between {@link
 * #beginStep} and {@link #endStep} nothing else may be called. Nothing blocks without a bound.
 */
@SuppressWarnings("DoNotCallSuggester") // the contract comes first, the work follows
public final class TieredStore implements AutoCloseable {
  private TieredStore() {}

  /**
   * Makes frames, mailbox, extent files and I/O threads. Left-overs of an earlier process in the
   * directory are removed.
   *
   * @param layers KV state of every layer, in order; their {@code frameOfExtent} tables are set to
   *     -1 before their first use
   * @throws TierException if DRAM has fewer frames than {@link #minimumFrames}, the directory is in
   *     use by another process, or the disk has not enough room
   */
  public static TieredStore open(
      EngineSizes sizes, Device device, List<KvLayer> layers, NvmeOptions nvme) {
    throw new UnsupportedOperationException();
  }

  /** Like {@link #open(EngineSizes, Device, List, NvmeOptions)}, with the two seams given. */
  public static TieredStore open(
      EngineSizes sizes,
      Device device,
      List<KvLayer> layers,
      NvmeOptions nvme,
      Placement placement,
      ExtentFile.Opener opener) {
    throw new UnsupportedOperationException();
  }

  /**
   * Frames without which a store cannot work: one for the open extent of every (seat, layer, KV
   * head), and one more for each KV head to let a prefill advance.
   */
  public static long minimumFrames(EngineSizes sizes) {
    return (sizes.concurrency() * (long) sizes.layout().layers() + 1) * sizes.layout().kvHeads();
  }

  /** The DRAM tier, for device operations. */
  public FramePool frames() {
    throw new UnsupportedOperationException();
  }

  /** The mailbox, for device operations. */
  public Mailbox mailbox() {
    throw new UnsupportedOperationException();
  }

  /**
   * Gives a free seat to a sequence: no extents, no history.
   *
   * @throws IllegalStateException if the seat is open
   */
  public void openSeat(Queue queue, int seat, SequenceIdentity identity) {
    throw new UnsupportedOperationException();
  }

  /**
   * Frees every frame and extent of a seat at once. What I/O still reads or writes is freed when it
   * lands, and counted until then. No effect on a seat that is not open.
   */
  public void closeSeat(int seat) {
    throw new UnsupportedOperationException();
  }

  /**
   * Gives every extent that chunks {@code [fromChunk, result)} of a layer touch a frame, for all KV
   * heads, and tells the device. Demotes other extents when DRAM is full. {@code closeChunks} of
   * exactly these chunks must be submitted next.
   *
   * @return the chunk up to which there is room: more than {@code fromChunk}, at most {@code
   *     toChunk}
   * @throws TierException if there is no room for a single extent per KV head: both tiers are full,
   *     or NVMe fails. The sequence must be ended; the store is unchanged but for demotions
   */
  public int provideForChunks(Queue queue, int layer, int seat, int fromChunk, int toChunk) {
    throw new UnsupportedOperationException();
  }

  /**
   * Gives every extent into which {@code append} of the coming step can write a frame, and tells
   * the device. Must be called before each step, with all its rows.
   *
   * @param seats seat of each row, or -1 for an unused row
   * @param positions position of each row's token
   * @param rows rows to look at
   * @throws TierException if there is no room for a row; carries the seat. That sequence must be
   *     ended and closed, then the call repeated for the rest
   */
  public void provideForStep(Queue queue, int[] seats, int[] positions, int rows) {
    throw new UnsupportedOperationException();
  }

  /** Arms the reader: from here on the device's requests are answered. */
  public void beginStep() {
    throw new UnsupportedOperationException();
  }

  /**
   * Synchronises {@code queue}, disarms the reader, clears {@link Mailbox#STOPPED}, takes over
   * promotions and tells why chunks did not come. A read that is still under way can no longer
   * reach the mailbox.
   *
   * @throws dev.kvdrive.device.DeviceException what {@code queue.synchronize} threw; the reader is
   *     disarmed all the same
   */
  public StepFaults endStep(Queue queue) {
    throw new UnsupportedOperationException();
  }

  /** A recent state; cheap, any thread. */
  public TierStatus status() {
    throw new UnsupportedOperationException();
  }

  /**
   * Stops the I/O threads, removes the extent files and frees all memory. Waits a bounded time for
   * I/O in flight. All queues must be idle. Idempotent.
   */
  @Override
  public void close() {
    throw new UnsupportedOperationException();
  }
}
