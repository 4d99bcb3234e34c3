package dev.kvdrive.plan;

/**
 * Java heap that the tables of the DRAM and NVMe tiers take: they grow with context and
 * concurrency, the frames and the NVMe extents, so that a plan has to count them.
 *
 * @param extents for each extent of each (layer, KV head) of a seat or shelf a word of place and
 *     one that leads to those that are the same; for each extent of a seat or shelf its identity
 * @param frames what is known of each DRAM frame, and the lists of those that leave next
 * @param slots checksum, unless it is encrypted, and free bit of each NVMe extent
 * @param seals what each I/O thread seals extents in for NVMe, and opens them
 * @param round requests of a mailbox round, and one read for each
 * @param seats what is known of each seat and shelf, and of each layer of them
 */
public record StoreHeap(long extents, long frames, long slots, long seals, long round, long seats) {
  /** Of a frame: extent, copy, last use, place in the free list; age, last device work. */
  private static final int FRAME_BYTES = 4 * 4 + 2 * 8;

  /** Frames of one list of those that leave next. */
  private static final int FEWEST_RANKED = 64;

  private static final int MOST_RANKED = 1 << 12;
  private static final int RANKED_BYTES = 4 + 4 + 8;

  /** NVMe extents of one word of free bits. */
  public static final int SEGMENT = 64;

  /** Numbers of the device's last submissions. */
  private static final int SUBMISSIONS = 8 * 8;

  /** Reads of a step that are remembered beside those in frames. */
  public static final int REMEMBERED_MISSES = 1024;

  /** An object for one read under way, and the head of the array with its proof. */
  private static final int READ_BYTES = 64 + 16;

  /** Of an extent: whose it is, its layer, KV head and number. */
  public static final int LABEL_BYTES = 8 + 3 * 4;

  /** Frames that one list of those that leave next has at most. */
  public static int ranked(long frames) {
    return Math.clamp(frames / 32, FEWEST_RANKED, MOST_RANKED);
  }

  /** Frames that are set aside for the misses of a step at most. */
  public static int reserve(long frames) {
    return (int) Math.min(256, Math.max(1, frames / 8));
  }

  /** Places of the table that groups the requests of a round by extent. */
  public static int buckets(int requests) {
    return Integer.highestOneBit(Math.max(1, requests)) * 4;
  }

  /**
   * The heap of an engine.
   *
   * @param nvmeExtents extents that the NVMe tier has in the end
   * @param threads that read and write them
   */
  public static StoreHeap of(EngineSizes sizes, long nvmeExtents, int threads) {
    KvLayout layout = sizes.layout();
    long layerSeats = (long) layout.layers() * sizes.concurrency();
    long holders = (long) sizes.concurrency() + sizes.shelves();
    long streams = layout.layers() * holders * layout.kvHeads();
    long extents = layout.extents(sizes.maxChunks());
    int requests = sizes.mailboxCapacity();
    NvmeEncryption encryption = sizes.nvmeEncryption();
    return new StoreHeap(
        (4 + 4) * streams * extents + 8 * holders * extents,
        (long) FRAME_BYTES * sizes.dramFrames()
            + 2L * RANKED_BYTES * ranked(sizes.dramFrames())
            + 4L * 4 * reserve(sizes.dramFrames())
            + 2L * 4 * REMEMBERED_MISSES,
        (encryption.encrypts() ? 0 : encryption.proofBytes() * nvmeExtents)
            + 8 * Math.ceilDiv(nvmeExtents, SEGMENT)
            + 4 * streams,
        threads * (LABEL_BYTES + (encryption.encrypts() ? cipherBytes(layout) : 0)),
        4L * 4 * requests + 2L * 4 * buckets(requests),
        layerSeats * (4 + 4)
            + 4L * layout.layers() * holders
            + 8 * Math.ceilDiv(layerSeats * layout.kvHeads() * extents, Long.SIZE)
            + 8L * Workspace.CHANGE_PIECES
            + sizes.concurrency() * (4L * 4 + 1 + 3 * 4)
            + holders * (8 + 4 + 1)
            + SUBMISSIONS);
  }

  /** An extent as it is, one that is encrypted with its tag, and a key. */
  private static long cipherBytes(KvLayout layout) {
    return 2L * layout.extentBytes() + NvmeEncryption.TAG_BYTES + NvmeEncryption.KEY_BYTES;
  }

  /** Bytes of all arrays. */
  public long arrayBytes() {
    return extents + frames + slots + seals + round + seats;
  }

  /**
   * Bytes of everything: arrays, the objects of a round in which each request is a read, and the
   * tokens of prompts on shelves.
   */
  static long bytes(EngineSizes sizes) {
    int threads = sizes.nvmeExtents() == 0 ? 0 : Workspace.IO_BUFFERS;
    long proof = Math.ceilDiv(sizes.nvmeEncryption().proofBytes(), 8) * 8L;
    return of(sizes, sizes.nvmeExtents(), threads).arrayBytes()
        + (READ_BYTES + proof) * sizes.mailboxCapacity()
        + 4L * sizes.contextLength() * sizes.shelves();
  }
}
