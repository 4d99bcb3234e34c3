package dev.kvdrive.kv.tier;

import dev.kvdrive.device.Device;
import dev.kvdrive.device.FramePool;
import dev.kvdrive.device.HostBuffer;
import dev.kvdrive.device.KvLayer;
import dev.kvdrive.device.Mailbox;
import dev.kvdrive.device.Queue;
import dev.kvdrive.kv.tier.StepFaults.Reason;
import dev.kvdrive.plan.ChunkGrid;
import dev.kvdrive.plan.EngineSizes;
import dev.kvdrive.plan.KvLayout;
import java.lang.System.Logger;
import java.lang.System.Logger.Level;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

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
public final class TieredStore implements AutoCloseable {
  private static final Logger LOG = System.getLogger(TieredStore.class.getName());
  private static final int NONE = -1;

  /** Steps after which what the device noted of last uses is read again, under pressure. */
  static final int LAST_USE_STEPS = 8;

  /** Extents promoted in one step at most. */
  private static final int MAX_PROMOTIONS = 256;

  /** Writes queued or under way, for each I/O thread. */
  private static final int WRITES_PER_THREAD = 2;

  /** Failed writes after which making room is given up. */
  private static final int MAX_WRITE_FAILURES = 8;

  private final KvLayout layout;
  private final ChunkGrid grid;
  private final int seats;
  private final int maxChunks;
  private final List<KvLayer> layers;
  private final ExtentSpace space;
  private final Placement placement;
  private final long demotionNanos;
  private final int maxWrites;

  // Owned memory, threads and files, in the order in which they are given back.
  private final MailboxReader reader;
  private final NvmeIo io;
  private final @Nullable ExtentFiles files;
  private final Submissions submissions;
  private final FrameTable table;
  private final FramePool frames;
  private final Mailbox mailbox;
  private final HostBuffer buffers;
  private final HostBuffer lastUseHost;

  // By extent. Written by the engine thread, and only while no step is armed.
  private final int[] frameOf;
  private final int[] slotOf;
  private final int[] lastUse;
  private final long[] created;
  private final boolean[] writing;

  // By frame.
  private final int[] extentOf;
  private final long[] usedBy; // number of the last device work that may use it

  private final int[] freeFrames;
  private int freeCount;
  private final SlotAllocator slots;
  private final int[] checksumOfSlot;

  // By seat, and by layer * seats + seat.
  private final boolean[] open;
  private final long[] identity;
  private final int[] position;
  private final int[] steppedAt;
  private final int[] closedChunks;

  private final ColdList cold;
  private final List<WriteJob> writesInFlight = new ArrayList<>();
  private final int[] reserve;
  private final int lowWater;
  private int reclaimCursor;
  private int clock;
  private int lastUseClock;
  private long openings;
  private long ages;
  private int validSlots;
  private int kvFrames;
  private long demotions;
  private long promotions;
  private int promotionWish;
  private boolean degraded;
  private @Nullable String lastWriteFailure;
  private int[] stepSeats = {};
  private int[] stepPositions = {};
  private boolean provided;
  private boolean armed;
  private boolean closed;
  private volatile TierStatus status;

  private TieredStore(
      EngineSizes sizes,
      Device device,
      List<KvLayer> layers,
      NvmeOptions nvme,
      Placement placement,
      @Nullable ExtentFiles files) {
    layout = sizes.layout();
    grid = layout.grid();
    seats = sizes.concurrency();
    maxChunks = sizes.maxChunks();
    this.layers = List.copyOf(layers);
    this.placement = placement;
    this.files = files;
    space = new ExtentSpace(layout.layers(), seats, layout.kvHeads(), layout.extents(maxChunks));
    demotionNanos = nvme.demotionTimeout().toNanos();
    int slotCount = files == null ? 0 : files.slots();
    int threads = slotCount == 0 ? 0 : nvme.threads();
    maxWrites = WRITES_PER_THREAD * threads;
    int frameCount = sizes.dramFrames();
    lowWater = Math.max(layout.kvHeads(), frameCount / 16);

    frameOf = filled(space.size());
    slotOf = filled(space.size());
    lastUse = new int[space.size()];
    created = new long[space.size()];
    writing = new boolean[space.size()];
    extentOf = filled(frameCount);
    usedBy = new long[frameCount];
    freeFrames = new int[frameCount];
    for (int i = 0; i < frameCount; i++) {
      freeFrames[i] = frameCount - 1 - i; // the first taken is frame 0
    }
    freeCount = frameCount;
    slots = new SlotAllocator(slotCount, space.streams());
    checksumOfSlot = new int[slotCount];
    open = new boolean[seats];
    identity = new long[seats];
    position = new int[seats];
    steppedAt = new int[seats];
    closedChunks = new int[layout.layers() * seats];
    cold = new ColdList(Math.max(64, frameCount / 32));
    reserve = new int[Math.min(MAX_PROMOTIONS, Math.max(1, frameCount / 8))];

    List<AutoCloseable> opened = new ArrayList<>();
    try {
      frames =
          new FramePool(
              kept(
                  opened,
                  device.allocateHost("DRAM frames", (long) frameCount * layout.extentBytes())),
              frameCount);
      reader = new MailboxReader(space, layout, maxChunks, tables());
      int capacity = sizes.mailboxCapacity();
      mailbox =
          new Mailbox(
              capacity,
              kept(opened, device.allocateHost("mailbox", Mailbox.controlBytes(capacity))),
              kept(opened, device.allocateHost("transit", (long) capacity * layout.chunkBytes())),
              reader::ring);
      buffers =
          kept(
              opened,
              device.allocateHost("NVMe buffers", Math.max(1L, threads) * layout.extentBytes()));
      lastUseHost = kept(opened, device.allocateHost("last use of extents", 4L * space.size()));
      table = new FrameTable(space, this.layers, device);
      opened.add(table);
      submissions = new Submissions(device);
      opened.add(submissions);
    } catch (RuntimeException e) {
      for (AutoCloseable resource : opened.reversed()) {
        closeAfter(e, resource);
      }
      throw e;
    }
    io = new NvmeIo(files, space, layout, frames.memory().segment(), mailbox, threads, buffers);
    reader.start(mailbox, io);
    status = currentStatus();
    LOG.log(
        Level.DEBUG,
        "DRAM tier of {0} extents of {1} bytes; NVMe tier of {2} extents{3}",
        frameCount,
        layout.extentBytes(),
        slotCount,
        files == null ? "" : " in " + nvme.directory() + (files.direct() ? ", O_DIRECT" : ""));
  }

  /**
   * Makes frames, mailbox, extent files and I/O threads. Left-overs of an earlier process in the
   * directory are removed. Without NVMe extents in {@code sizes} the directory is not touched.
   *
   * @param layers KV state of every layer, in order
   * @throws TierException if the directory is in use by another process, the disk has not enough
   *     room, or O_DIRECT is required and refused
   * @throws IllegalArgumentException if DRAM has fewer frames than {@link #minimumFrames}, or
   *     {@code layers} do not have the shapes of {@code sizes}
   */
  public static TieredStore open(
      EngineSizes sizes, Device device, List<KvLayer> layers, NvmeOptions nvme) {
    return open(
        sizes, device, layers, nvme, Placement.LEAST_RECENTLY_USED, ExtentFile.Opener.FILES);
  }

  /** Like {@link #open(EngineSizes, Device, List, NvmeOptions)}, with the two seams given. */
  public static TieredStore open(
      EngineSizes sizes,
      Device device,
      List<KvLayer> layers,
      NvmeOptions nvme,
      Placement placement,
      ExtentFile.Opener opener) {
    checkShapes(sizes, layers);
    ExtentFiles files =
        sizes.nvmeExtents() == 0
            ? null
            : ExtentFiles.create(
                Math.toIntExact(sizes.leastNvmeExtents()),
                Math.toIntExact(sizes.nvmeExtents()),
                sizes.layout().extentBytes(),
                ExtentFiles.FILE_BYTES,
                nvme,
                opener);
    try {
      return new TieredStore(sizes, device, layers, nvme, placement, files);
    } catch (RuntimeException e) {
      if (files != null) {
        files.close();
      }
      throw e;
    }
  }

  /**
   * Frames without which a store cannot work: one for the open extent of every (seat, layer, KV
   * head), and one more for each KV head to let a prefill advance. A plan asks for more, so that
   * prefill and writes overlap.
   */
  public static long minimumFrames(EngineSizes sizes) {
    return (sizes.concurrency() * (long) sizes.layout().layers() + 1) * sizes.layout().kvHeads();
  }

  /** The DRAM tier, for device operations. */
  public FramePool frames() {
    return frames;
  }

  /** The mailbox, for device operations. */
  public Mailbox mailbox() {
    return mailbox;
  }

  /**
   * Gives a free seat to a sequence: no extents, no history.
   *
   * @throws IllegalStateException if the seat is open
   */
  public void openSeat(Queue queue, int seat, SequenceIdentity sequence) {
    checkIdle();
    if (open[seat]) {
      throw new IllegalStateException("seat " + seat + " is open");
    }
    open[seat] = true;
    identity[seat] = ExtentChecksum.identity(sequence, openings++);
    position[seat] = 0;
    steppedAt[seat] = clock;
    long words = space.perSeat();
    for (KvLayer layer : layers) {
      queue.fill(layer.frameOfExtent(), 4 * words * seat, words, NONE);
      queue.fill(layer.lastUse(), 4 * words * seat, words, NONE);
    }
  }

  /**
   * Frees every frame and extent of a seat at once. What I/O still reads or writes is freed when it
   * lands, and counted until then. No effect on a seat that is not open.
   */
  public void closeSeat(int seat) {
    checkIdle();
    if (!open[seat]) {
      return;
    }
    open[seat] = false;
    identity[seat] = 0;
    for (WriteJob job : writesInFlight) {
      if (space.seat(job.extent) == seat && !job.orphan) {
        job.orphan = true;
        job.demotes = false;
        writing[job.extent] = false;
        kvFrames--;
        extentOf[job.frame] = NONE;
        frameOf[job.extent] = NONE;
      }
    }
    for (int layer = 0; layer < layers.size(); layer++) {
      closedChunks[layer * seats + seat] = 0;
      int base = space.base(layer, seat);
      for (int e = base; e < base + space.perSeat(); e++) {
        if (frameOf[e] >= 0) {
          dropFrame(e);
        }
        if (slotOf[e] >= 0) {
          dropSlot(e);
        }
      }
      for (int kvHead = 0; kvHead < space.kvHeads(); kvHead++) {
        slots.forget(space.stream(space.index(layer, seat, kvHead, 0)));
      }
      table.forget(layer, seat);
    }
    drain(0);
    publish();
  }

  /**
   * Gives every extent that chunks {@code [fromChunk, result)} of a layer touch a frame, for all KV
   * heads, and tells the device. Demotes other extents when DRAM is full. {@code closeChunks} of
   * exactly these chunks must be submitted next.
   *
   * @param fromChunk the number of chunks this (seat, layer) has
   * @return the chunk up to which there is room: more than {@code fromChunk}, at most {@code
   *     toChunk}
   * @throws TierException if there is no room for a single extent per KV head: both tiers are full,
   *     or NVMe fails. The sequence must be ended; the store is unchanged but for demotions
   */
  public int provideForChunks(Queue queue, int layer, int seat, int fromChunk, int toChunk) {
    checkIdle();
    checkOpen(seat);
    int have = closedChunks[layer * seats + seat];
    if (fromChunk != have || toChunk <= fromChunk || toChunk > maxChunks) {
      throw new IllegalArgumentException(
          "chunks [%d, %d) of layer %d cannot follow the %d chunks of seat %d, which has room for %d"
              .formatted(fromChunk, toChunk, layer, have, seat, maxChunks));
    }
    provided = false;
    long number = submissions.advance(queue);
    drain(0);
    int firstNew = layout.extents(fromChunk);
    int wanted = layout.extents(toChunk) - firstNew;
    int heads = space.kvHeads();
    if (wanted > 0 && (long) wanted * heads > freeCount) {
      // Not all at once: what is closed now can be written while the rest is closed.
      int batch = Math.max(1, (frames.frames() - seats * layers.size() * heads) / (2 * heads));
      wanted = Math.min(wanted, Math.max(batch, freeCount / heads));
    }
    if (wanted > 0) {
      try {
        makeRoom(queue, wanted * heads, seat);
      } catch (TierException e) {
        wanted = freeCount / heads;
        if (wanted == 0) {
          publish();
          throw e;
        }
      }
    }
    int end = Math.min(toChunk, (firstNew + wanted) * layout.extentChunks());
    for (int kvHead = 0; kvHead < heads; kvHead++) {
      for (int extent = fromChunk / layout.extentChunks(); extent < layout.extents(end); extent++) {
        use(space.index(layer, seat, kvHead, extent), number);
      }
    }
    closedChunks[layer * seats + seat] = end;
    position[seat] = Math.max(position[seat], grid.firstToken(end));
    table.upload(queue, layer, seat, frameOf, submissions);
    writeBehind();
    publish();
    return end;
  }

  /**
   * Gives every extent into which {@code append} of the coming step can write a frame, and tells
   * the device. Must be called before each step, with all its rows, and after all else of this
   * store that precedes the step.
   *
   * @param seats seat of each row, or -1 for an unused row
   * @param positions position of each row's token
   * @param rows rows to look at
   * @throws TierException if there is no room for a row; carries the seat. That sequence must be
   *     ended and closed, then the call repeated for the rest
   */
  public void provideForStep(Queue queue, int[] seats, int[] positions, int rows) {
    checkIdle();
    provided = false;
    long number = submissions.advance(queue);
    drain(0);
    for (int row = 0; row < rows; row++) {
      if (seats[row] >= 0) {
        provideForRow(queue, seats[row], positions[row], number);
      }
    }
    table.uploadAll(queue, frameOf, submissions);
    stepSeats = Arrays.copyOf(seats, rows);
    stepPositions = Arrays.copyOf(positions, rows);
    provided = true;
    writeBehind();
    publish();
  }

  private void provideForRow(Queue queue, int seat, int at, long number) {
    checkOpen(seat);
    int before = grid.closedChunks(at);
    int after = grid.closedChunks(at + 1);
    for (int layer = 0; layer < layers.size(); layer++) {
      int have = closedChunks[layer * seats + seat];
      if (have != before || after > maxChunks) {
        throw new IllegalArgumentException(
            "a token at position %d of seat %d follows %d closed chunks of at most %d, layer %d has %d"
                .formatted(at, seat, before, maxChunks, layer, have));
      }
    }
    if (after == before) {
      return;
    }
    int extent = before / layout.extentChunks();
    int missing = 0;
    for (int layer = 0; layer < layers.size(); layer++) {
      for (int kvHead = 0; kvHead < space.kvHeads(); kvHead++) {
        if (frameOf[space.index(layer, seat, kvHead, extent)] < 0) {
          missing++;
        }
      }
    }
    makeRoom(queue, missing, seat);
    for (int layer = 0; layer < layers.size(); layer++) {
      for (int kvHead = 0; kvHead < space.kvHeads(); kvHead++) {
        use(space.index(layer, seat, kvHead, extent), number);
      }
    }
  }

  /** Arms the reader: from here on the device's requests are answered. */
  public void beginStep() {
    checkIdle();
    if (!provided) {
      throw new IllegalStateException("provideForStep must come right before beginStep");
    }
    provided = false;
    clock++;
    for (int row = 0; row < stepSeats.length; row++) {
      int seat = stepSeats[row];
      if (seat >= 0 && open[seat]) {
        position[seat] = stepPositions[row];
        steppedAt[seat] = clock;
        int after = grid.closedChunks(stepPositions[row] + 1);
        for (int layer = 0; layer < layers.size(); layer++) {
          closedChunks[layer * seats + seat] = after;
        }
      }
    }
    armed = true;
    reader.arm(reserve, reserveFrames());
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
    if (!armed) {
      throw new IllegalStateException("endStep without beginStep");
    }
    boolean finished = false;
    try {
      submissions.synchronize(queue, submissions.current());
      finished = true;
    } finally {
      disarm(finished);
    }
    boolean stopped = mailbox.acquire(Mailbox.STOPPED) != 0;
    mailbox.release(Mailbox.STOPPED, 0);
    Map<Integer, Reason> reasons = io.takeReasons();
    drain(0);
    if (freeCount < lowWater) {
      readLastUse(queue);
    }
    makeRoomForPromotions();
    writeBehind();
    publish();
    return reasons.isEmpty() && !stopped ? StepFaults.NONE : new StepFaults(reasons, stopped);
  }

  private void disarm(boolean install) {
    reader.disarm();
    armed = false;
    for (int frame = reader.takeReserved(); frame >= 0; frame = reader.takeReserved()) {
      freeFrames[freeCount++] = frame;
    }
    for (int i = 0; i < reader.promoted(); i++) {
      int e = reader.promotedExtent(i);
      int frame = reader.promotedFrame(i);
      if (install && frameOf[e] < 0) {
        hold(e, frame);
        lastUse[e] = clock;
        promotions++;
      } else {
        freeFrames[freeCount++] = frame;
      }
    }
    promotionWish = reader.missed() + reader.promoted();
  }

  /** A recent state; cheap, any thread. */
  public TierStatus status() {
    TierStatus seen = status;
    return new TierStatus(
        seen.dramCapacityBytes(),
        seen.dramUsedBytes(),
        seen.dramKvBytes(),
        seen.stagingBytes(),
        seen.nvmeCapacityBytes(),
        seen.nvmeUsedBytes(),
        seen.nvmeKvBytes(),
        seen.demotions(),
        seen.promotions(),
        io.reads(),
        io.writes(),
        io.errors(),
        seen.direct(),
        seen.degraded(),
        io.failure());
  }

  /**
   * Takes in what I/O has finished meanwhile, waiting up to {@code millis} until nothing is in
   * flight. For drains and tests: all other calls do the same without waiting.
   *
   * @return whether nothing is in flight
   */
  public boolean settle(long millis) {
    checkIdle();
    long deadline = System.nanoTime() + millis * 1_000_000;
    while (inFlight() && deadline - System.nanoTime() > 0) {
      drain(deadline - System.nanoTime());
    }
    drain(0);
    publish();
    return !inFlight();
  }

  /**
   * From now on nothing waits for the disk: chunks that are only there are faults, and there is no
   * room where a write would have to end first. For an engine that ends; any thread, until {@link
   * #close}.
   */
  public void abandonIo() {
    io.abandon();
  }

  /**
   * Whether a read or write has not ended although the store was closed. Its memory and files then
   * stay as they are: neither may be taken from it before the process ends, so that the device,
   * which owns the memory, must not be closed either.
   */
  public boolean stuck() {
    return io.stuck() || reader.stuck();
  }

  /**
   * Stops the I/O threads, removes the extent files and frees all memory. Waits a bounded time for
   * I/O in flight; what is then {@link #stuck} stays. All queues must be idle. Idempotent.
   */
  @Override
  public void close() {
    if (closed) {
      return;
    }
    closed = true;
    if (armed) {
      disarm(false);
    }
    reader.close();
    io.close();
    table.close();
    submissions.close();
    lastUseHost.close();
    if (stuck()) {
      // A disk that never answers must not write into memory that somebody else got; and to close
      // a file is to wait for what is under way in it.
      LOG.log(
          Level.WARNING,
          "a read or write of the NVMe tier has not ended: its memory stays allocated and its files"
              + " stay until the process ends; the next start removes them. Check the disk");
      return;
    }
    if (files != null) {
      files.close();
    }
    buffers.close();
    mailbox.control().close();
    mailbox.transit().close();
    frames.memory().close();
  }

  // --- frames ---

  /** Gives an extent a frame if it has none, and notes that device work uses it. */
  private void use(int e, long number) {
    if (frameOf[e] < 0) {
      if (slotOf[e] >= 0) {
        throw new IllegalStateException(
            "extent %d is full and cannot be written again".formatted(space.extent(e)));
      }
      hold(e, freeFrames[--freeCount]);
      created[e] = ages++;
      lastUse[e] = clock;
    }
    usedBy[frameOf[e]] = number;
  }

  private void hold(int e, int frame) {
    frameOf[e] = frame;
    extentOf[frame] = e;
    kvFrames++;
    table.changed(e);
  }

  private void dropFrame(int e) {
    int frame = frameOf[e];
    frameOf[e] = NONE;
    extentOf[frame] = NONE;
    usedBy[frame] = submissions.current();
    freeFrames[freeCount++] = frame;
    kvFrames--;
    table.changed(e);
  }

  private void dropSlot(int e) {
    slots.free(slotOf[e]);
    slotOf[e] = NONE;
    validSlots--;
  }

  /** Takes free frames which no device work can touch any more out of the free list. */
  private int reserveFrames() {
    int wish = Math.min(reserve.length, freeCount);
    int count = 0;
    for (int i = freeCount - 1; i >= 0 && count < wish; i--) {
      int frame = freeFrames[i];
      if (submissions.isDone(usedBy[frame])) {
        reserve[count++] = frame;
        freeFrames[i] = freeFrames[--freeCount];
      }
    }
    return count;
  }

  // --- demotion ---

  /**
   * Frees frames until {@code need} are free: the coldest extents leave, those without a copy on
   * NVMe after it is written.
   */
  private void makeRoom(Queue queue, int need, int seat) {
    if (freeCount >= need) {
      return;
    }
    if (clock - lastUseClock >= LAST_USE_STEPS) {
      readLastUse(queue);
    }
    long deadline = System.nanoTime() + demotionNanos;
    for (WriteJob job : writesInFlight) {
      // What is being written already was the coldest.
      if (!job.demotes && !job.orphan && freeCount + leaving() < need) {
        job.demotes = true;
      }
    }
    int failures = 0;
    boolean ranked = false;
    boolean synchronised = false;
    while (true) {
      boolean exhausted = false;
      int leaving = leaving();
      while (freeCount + leaving < need && !exhausted) {
        int e = nextCold();
        if (e >= 0) {
          if (slotOf[e] >= 0) {
            demote(e);
          } else if (writesInFlight.size() >= maxWrites || !write(e, true)) {
            exhausted = true;
          } else {
            leaving++;
          }
        } else if (!ranked) {
          rank();
          ranked = true;
        } else {
          exhausted = true;
        }
      }
      if (freeCount >= need) {
        return;
      }
      if (inFlight()) {
        long left = deadline - System.nanoTime();
        if (left <= 0) {
          io.unanswered(writesInFlight.size());
          throw new TierException(
              seat,
              "no room in DRAM: %d writes to the NVMe tier did not end in %d ms; the disk is overloaded or failing: try again later, or give DRAM more room"
                  .formatted(writesInFlight.size(), demotionNanos / 1_000_000),
              null);
        }
        failures += drain(left);
        if (io.abandoned()) {
          throw new TierException(seat, "no room in DRAM: the engine is shutting down", null);
        }
        if (failures >= MAX_WRITE_FAILURES) {
          throw new TierException(
              seat,
              "no room in DRAM: extents cannot be written to the NVMe tier: %s; check the disk"
                  .formatted(lastWriteFailure),
              null);
        }
        ranked = false;
      } else if (!synchronised) {
        submissions.synchronize(queue, submissions.current() - 1);
        synchronised = true;
        ranked = false;
      } else {
        throw new TierException(seat, fullMessage(need), null);
      }
    }
  }

  private String fullMessage(int need) {
    return "DRAM and NVMe tier are full: %d extents of %d bytes are needed, %d of %d are free in DRAM and %d of %d on NVMe; end other sequences, shorten the context, or enlarge a tier%s"
        .formatted(
            need,
            layout.extentBytes(),
            freeCount,
            frames.frames(),
            slots.freeSlots(),
            checksumOfSlot.length,
            lastWriteFailure == null ? "" : " (last failed write: " + lastWriteFailure + ")");
  }

  private int leaving() {
    int count = 0;
    for (WriteJob job : writesInFlight) {
      if (job.demotes || job.orphan) {
        count++;
      }
    }
    return count;
  }

  /** The coldest extent that can leave, or -1 if the ranking has none left. */
  private int nextCold() {
    while (cold.remaining() > 0) {
      int e = cold.extent(0);
      boolean valid = stillCold(0);
      cold.advance();
      if (valid) {
        return e;
      }
    }
    return NONE;
  }

  private boolean stillCold(int ahead) {
    int e = cold.extent(ahead);
    return created[e] == cold.created(ahead) && canLeave(e) && priority(e) <= cold.priority(ahead);
  }

  /** Ranks all extents that can leave. */
  private void rank() {
    submissions.poll();
    cold.begin();
    for (int e : extentOf) {
      if (e >= 0 && canLeave(e)) {
        cold.offer(e, priority(e), created[e]);
      }
    }
    cold.end();
  }

  /** In DRAM, complete, written by the device, and not on its way already. */
  private boolean canLeave(int e) {
    int frame = frameOf[e];
    return frame >= 0
        && !writing[e]
        && (space.extent(e) + 1) * layout.extentChunks()
            <= closedChunks[space.layer(e) * seats + space.seat(e)]
        && submissions.isDone(usedBy[frame]);
  }

  private int priority(int e) {
    return placement.priority(
        space.layer(e), space.seat(e), space.kvHead(e), space.extent(e), lastUse[e]);
  }

  private void demote(int e) {
    dropFrame(e);
    demotions++;
  }

  /** Sends an extent to NVMe; false if there is no room for it. */
  private boolean write(int e, boolean demotes) {
    int slot = slots.allocate(space.stream(e));
    if (slot < 0) {
      if (!reclaimSlot()) {
        return false;
      }
      slot = slots.allocate(space.stream(e));
    }
    WriteJob job = new WriteJob(e, frameOf[e], slot, identity[space.seat(e)], demotes);
    writing[e] = true;
    writesInFlight.add(job);
    io.submit(job);
    return true;
  }

  /** Gives up the NVMe copy of an extent that is in DRAM as well. */
  private boolean reclaimSlot() {
    for (int i = 0; i < extentOf.length; i++) {
      int e = extentOf[reclaimCursor];
      reclaimCursor = (reclaimCursor + 1) % extentOf.length;
      if (e >= 0 && slotOf[e] >= 0) {
        dropSlot(e);
        return true;
      }
    }
    return false;
  }

  /**
   * Writes the extents that leave next while there is still room, so that leaving costs nothing.
   */
  private void writeBehind() {
    if (degraded || freeCount >= lowWater || slots.freeSlots() == 0) {
      return;
    }
    if (cold.remaining() == 0) {
      rank();
    }
    int ahead = Math.min(cold.remaining(), lowWater - freeCount);
    for (int i = 0; i < ahead; i++) {
      if (writesInFlight.size() >= maxWrites || slots.freeSlots() == 0) {
        return;
      }
      int e = cold.extent(i);
      if (slotOf[e] < 0 && stillCold(i)) {
        write(e, false);
      }
    }
  }

  /**
   * Makes free frames for the extents that the next step is likely to miss, as long as colder ones
   * can leave without a write.
   */
  private void makeRoomForPromotions() {
    int wish = Math.min(promotionWish, reserve.length);
    if (wish == 0 || freeCount >= wish) {
      return;
    }
    int missed = Integer.MAX_VALUE;
    for (int i = 0; i < reader.missed(); i++) {
      int e = reader.missedExtent(i);
      missed =
          Math.min(
              missed,
              placement.priority(
                  space.layer(e), space.seat(e), space.kvHead(e), space.extent(e), clock));
    }
    for (int i = 0; i < reader.promoted(); i++) {
      missed = Math.min(missed, priority(reader.promotedExtent(i)));
    }
    boolean ranked = false;
    while (freeCount < wish) {
      if (cold.remaining() == 0) {
        if (ranked) {
          return;
        }
        rank();
        ranked = true;
      } else if (!stillCold(0)) {
        cold.advance();
      } else if (slotOf[cold.extent(0)] >= 0 && cold.priority(0) < missed) {
        demote(cold.extent(0));
        cold.advance();
      } else {
        return;
      }
    }
  }

  // --- what I/O brought ---

  private boolean inFlight() {
    return !writesInFlight.isEmpty() || unreturnedFrames() > 0;
  }

  /** Frames that are neither free nor hold an extent: I/O of closed or given-up work has them. */
  private int unreturnedFrames() {
    int orphans = 0;
    for (WriteJob job : writesInFlight) {
      if (job.orphan) {
        orphans++;
      }
    }
    return frames.frames() - freeCount - kvFrames - orphans;
  }

  /** Takes in finished writes and returned frames; returns how many writes failed. */
  private int drain(long waitNanos) {
    int failures = 0;
    long wait = inFlight() ? waitNanos : 0;
    for (WriteJob job = io.nextWritten(wait); job != null; job = io.nextWritten(0)) {
      failures += finish(job) ? 0 : 1;
    }
    for (int frame = io.nextReturnedFrame(); frame >= 0; frame = io.nextReturnedFrame()) {
      freeFrames[freeCount++] = frame;
    }
    return failures;
  }

  private boolean finish(WriteJob job) {
    writesInFlight.remove(job);
    if (job.orphan) {
      slots.free(job.slot);
      usedBy[job.frame] = submissions.current();
      freeFrames[freeCount++] = job.frame;
      return true;
    }
    writing[job.extent] = false;
    if (job.failure != null) {
      slots.free(job.slot);
      lastWriteFailure = ExtentFiles.reason(job.failure);
      if (!degraded) {
        LOG.log(
            Level.WARNING,
            "the NVMe tier is degraded, extents stay in DRAM as long as there is room: {0}",
            lastWriteFailure);
      }
      degraded = true;
      return false;
    }
    if (degraded) {
      LOG.log(Level.INFO, "the NVMe tier takes writes again");
    }
    degraded = false;
    slotOf[job.extent] = job.slot;
    checksumOfSlot[job.slot] = job.checksum;
    validSlots++;
    if (job.demotes) {
      demote(job.extent);
    }
    return true;
  }

  // --- last use ---

  /** Reads from the device when extents were last fetched, if that is not known yet. */
  private void readLastUse(Queue queue) {
    if (clock - lastUseClock < LAST_USE_STEPS) {
      return;
    }
    lastUseClock = clock;
    long seatBytes = 4L * space.perSeat();
    for (int layer = 0; layer < layers.size(); layer++) {
      for (int seat = 0; seat < seats; seat++) {
        if (open[seat]) {
          queue.download(
              layers.get(layer).lastUse(),
              seat * seatBytes,
              lastUseHost,
              4L * space.base(layer, seat),
              seatBytes);
        }
      }
    }
    submissions.synchronize(queue, submissions.current() - 1);
    MemorySegment words = lastUseHost.segment();
    for (int e : extentOf) {
      if (e >= 0) {
        int seat = space.seat(e);
        int at = words.get(ValueLayout.JAVA_INT, 4L * e);
        if (at >= 0) {
          // Positions of a sequence advance with the steps it takes part in.
          lastUse[e] = Math.max(lastUse[e], steppedAt[seat] - (position[seat] - at));
        }
      }
    }
  }

  // --- small things ---

  private void checkIdle() {
    if (closed) {
      throw new IllegalStateException("the tiered store is closed");
    }
    if (armed) {
      throw new IllegalStateException("a step is under way: endStep comes first");
    }
  }

  private void checkOpen(int seat) {
    if (seat < 0 || seat >= seats || !open[seat]) {
      throw new IllegalArgumentException("seat " + seat + " is not open");
    }
  }

  private static void checkShapes(EngineSizes sizes, List<KvLayer> layers) {
    KvLayout layout = sizes.layout();
    if (layers.size() != layout.layers()) {
      throw new IllegalArgumentException(
          "%d layers given, %d planned".formatted(layers.size(), layout.layers()));
    }
    for (KvLayer layer : layers) {
      if (layer.seats() != sizes.concurrency()
          || layer.maxChunks() != sizes.maxChunks()
          || !layer.layout().equals(layout)) {
        throw new IllegalArgumentException(
            "layer %d has %d seats of %d chunks in %s, planned are %d of %d in %s"
                .formatted(
                    layer.layer(),
                    layer.seats(),
                    layer.maxChunks(),
                    layer.layout(),
                    sizes.concurrency(),
                    sizes.maxChunks(),
                    layout));
      }
    }
    long minimum = minimumFrames(sizes);
    if (sizes.dramFrames() < minimum) {
      throw new IllegalArgumentException(
          "the DRAM tier has %d frames of %d bytes, at least %d are needed for %d sequences; enlarge it, or lower concurrency"
              .formatted(sizes.dramFrames(), layout.extentBytes(), minimum, sizes.concurrency()));
    }
    if (sizes.nvmeExtents() < 0 || sizes.nvmeExtents() > Integer.MAX_VALUE - 64) {
      throw new IllegalArgumentException(
          "the NVMe tier has %d extents, at most %d can be numbered; make extents larger"
              .formatted(sizes.nvmeExtents(), Integer.MAX_VALUE - 64));
    }
  }

  private MailboxReader.Extents tables() {
    return new MailboxReader.Extents() {
      @Override
      public int slot(int extent) {
        return frameOf[extent] >= 0 ? NONE : slotOf[extent];
      }

      @Override
      public int checksum(int slot) {
        return checksumOfSlot[slot];
      }

      @Override
      public long identity(int seat) {
        return identity[seat];
      }
    };
  }

  private void publish() {
    status = currentStatus();
  }

  private TierStatus currentStatus() {
    long bytes = layout.extentBytes();
    return new TierStatus(
        frames.frames() * bytes,
        (frames.frames() - freeCount) * bytes,
        kvFrames * bytes,
        mailbox.control().bytes()
            + mailbox.transit().bytes()
            + buffers.bytes()
            + lastUseHost.bytes()
            + table.stagingBytes(),
        checksumOfSlot.length * bytes,
        (checksumOfSlot.length - slots.freeSlots()) * bytes,
        validSlots * bytes,
        demotions,
        promotions,
        0,
        0,
        0,
        files != null && files.direct(),
        degraded,
        null);
  }

  private static int[] filled(int size) {
    int[] array = new int[size];
    Arrays.fill(array, NONE);
    return array;
  }

  private static HostBuffer kept(List<AutoCloseable> opened, HostBuffer buffer) {
    opened.add(buffer);
    return buffer;
  }

  private static void closeAfter(RuntimeException failure, AutoCloseable resource) {
    try {
      resource.close();
    } catch (Exception e) {
      failure.addSuppressed(e);
    }
  }
}
