package dev.kvdrive.kv.tier;

import dev.kvdrive.device.Device;
import dev.kvdrive.device.ExtentArrays;
import dev.kvdrive.device.FramePool;
import dev.kvdrive.device.KvLayer;
import dev.kvdrive.device.Mailbox;
import dev.kvdrive.device.Queue;
import dev.kvdrive.kv.extent.ExtentChecksum;
import dev.kvdrive.kv.extent.ExtentSeal;
import dev.kvdrive.kv.extent.ExtentSpace;
import dev.kvdrive.kv.extent.ExtentTable;
import dev.kvdrive.kv.extent.SequenceIdentity;
import dev.kvdrive.plan.EngineSizes;
import dev.kvdrive.plan.KvLayout;
import dev.kvdrive.plan.StoreHeap;
import java.lang.System.Logger;
import java.lang.System.Logger.Level;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;

/**
 * DRAM and NVMe tier of all seats: gives the parts that move extents their turn, in the order that
 * the engine's work needs. Which extent is where is in the {@link ExtentTable}; frames, demotion,
 * promotion, misses and files each have a class of their own.
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
 *   admission().hasRoomFor(tokens)
 *   openSeat(queue, seat, identity, tokens, prompt, find(tenant, prompt))
 *   prefill, for each layer:
 *     for (e = 0; e &lt; reused; e = end) {
 *       end = provideForRecall(queue, layer, seat, e, reused);
 *       operations.kv().recall(queue, new Recall(chunks of e to end, frames()));
 *     }
 *     for (c = from; c &lt; to; c = end) {
 *       end = provideForChunks(queue, layer, seat, c, to);  // c: no room yet, see waits(seat)
 *       operations.kv().close(queue, new Close(chunks from c to end, frames()));
 *     }
 *   promptRead(seat)
 *   each decode step:
 *     provideForStep(queue, seats, positions, rows);        // seats without room wait
 *     beginStep(patience, timeout);
 *     ... append, select, diff, fetch, land, attend of all layers ...
 *     faults = endStep(queue);                              // late seats wait
 *   closeSeat(seat)
 * </pre>
 *
 * <p>No call waits for the disk. A sequence for which there is no room yet, or whose chunks did not
 * come within the patience of its step, <i>waits</i>: it takes no part in steps or prefill until
 * {@link #waits} says so, while others go on.
 *
 * <p>Threads: every method but {@link #status} belongs to the engine thread. Between {@link
 * #beginStep} and {@link #endStep} nothing else may be called.
 */
public final class TieredStore implements AutoCloseable {
  private static final Logger LOG = System.getLogger(TieredStore.class.getName());

  private static final int[] NO_PROMPT = {};

  /** Nothing on a shelf has this identity: all of it has that of its prompt. */
  private static final SequenceIdentity KEPT = new SequenceIdentity("", "kept");

  /** As good as for ever. */
  private static final long ENDLESS = TimeUnit.DAYS.toNanos(365);

  private final EngineSizes sizes;
  private final int seats;
  private final List<KvLayer> layers;
  private final ExtentSpace space;
  private final ExtentTable extents;
  private final FrameList list;
  private final SeatNeeds needs;

  /** How long a sequence waits for extents that it reuses. */
  private final long recallNanos;

  // Owned threads, memory and files, in the order in which they are given back.
  private final MissService misses;
  private final NvmeIo io;
  private final FrameTable table;
  private final Submissions submissions;
  private final Recency recency;
  private final @Nullable ExtentFiles files;
  private final StoreMemory memory;

  private final Residence residence;
  private final Shelves shelves;
  private final Demotion demotion;
  private final Promotion promotion;
  private final Room room;
  private final ChunkFrames chunks;
  private final Admission admission;
  private final PublishedStatus published;
  private final StoreStep step;
  private volatile Runnable onProgress = () -> {};
  private boolean closed;

  private TieredStore(
      EngineSizes sizes,
      Device device,
      List<KvLayer> layers,
      ExtentArrays arrays,
      NvmeOptions nvme,
      Placement placement,
      @Nullable ExtentFiles files) {
    this.sizes = sizes;
    this.layers = List.copyOf(layers);
    this.files = files;
    KvLayout layout = sizes.layout();
    seats = sizes.concurrency();
    DailyWrites writes = files == null ? DailyWrites.unlimited(nvme.clock()) : files.writes();
    needs = new SeatNeeds(sizes);
    recallNanos = nvme.demotionTimeout().toNanos();
    space =
        new ExtentSpace(
            layout.layers(),
            seats,
            sizes.shelves(),
            layout.kvHeads(),
            layout.extents(sizes.maxChunks()));
    extents = new ExtentTable(space, layout.extentChunks());
    int slotCount = files == null ? 0 : files.slots();
    int threads = slotCount == 0 ? 0 : nvme.threads();
    int frameCount = sizes.dramFrames();
    list = new FrameList(frameCount, space);

    memory = new StoreMemory(device, sizes, slotCount, threads, this::ring);
    SlotAllocator slots = new SlotAllocator(slotCount, space.streams(), memory.proofs());
    List<AutoCloseable> opened = new ArrayList<>(List.of(memory));
    try {
      submissions = new Submissions(device);
      opened.add(submissions);
      table = new FrameTable(extents, arrays, device.operations().kv(), submissions, device);
      opened.add(table);
      recency = new Recency(extents, arrays.lastUse(), device);
      opened.add(recency);
    } catch (RuntimeException e) {
      for (AutoCloseable resource : opened.reversed()) {
        closeAfter(e, resource);
      }
      throw e;
    }
    StepLosses losses = new StepLosses();
    IoSignals signals = new IoSignals(() -> onProgress.run());
    NvmeHealth health = new NvmeHealth(signals);
    io =
        new NvmeIo(
            signals,
            health,
            new ReadQueue(signals, health, space, memory.mailbox(), losses),
            new WriteQueue(signals, health, threads));
    residence = new Residence(extents, list, slots, table, submissions, needs);
    shelves = new Shelves(sizes, residence);
    demotion =
        new Demotion(
            residence,
            slots,
            submissions,
            recency,
            io,
            writes,
            needs,
            shelves,
            placement,
            layout.extentBytes(),
            threads,
            nvme.demotionTimeout().toNanos());
    promotion = new Promotion(residence, slots, submissions, recency, demotion, io);
    room = new Room(sizes, list, demotion);
    chunks = new ChunkFrames(sizes, residence, recency, room);
    admission = new Admission(sizes, needs, writes, residence);
    published =
        new PublishedStatus(
            layout.extentBytes(),
            memory.stagingBytes() + recency.bytes() + table.stagingBytes(),
            files != null && files.direct(),
            residence,
            slots,
            demotion,
            promotion,
            io,
            writes);
    misses =
        new MissService(
            extents,
            slots,
            layout,
            sizes.maxChunks(),
            memory.mailbox(),
            io,
            losses,
            StoreHeap.reserve(frameCount));
    step =
        new StoreStep(
            extents, chunks, recency, submissions, promotion, misses, memory.mailbox(), losses);
    io.start(threads(threads));
    misses.start();
    published.publish();
    LOG.log(
        Level.DEBUG,
        "DRAM tier of {0} extents of {1} bytes; NVMe tier of {2} extents{3}, encryption {4}",
        frameCount,
        layout.extentBytes(),
        slotCount,
        files == null ? "" : " in " + nvme.directory() + (files.direct() ? ", O_DIRECT" : ""),
        sizes.nvmeEncryption().word());
  }

  private List<IoThread> threads(int count) {
    List<IoThread> threads = new ArrayList<>();
    for (int i = 0; i < count && files != null; i++) {
      threads.add(
          new IoThread(
              i,
              io,
              files,
              space,
              sizes.layout(),
              memory.frames().memory().segment(),
              memory.mailbox(),
              memory.buffer(i),
              ExtentSeal.of(sizes.nvmeEncryption(), sizes.layout().extentBytes())));
    }
    return threads;
  }

  private void ring() {
    misses.ring();
  }

  /**
   * Makes frames, mailbox, extent files and I/O threads. Left-overs of an earlier process in the
   * directory are removed. Without NVMe extents in {@code sizes} the directory is not touched.
   *
   * @param layers KV state of every layer, in order
   * @param arrays of whose parts the layers' are
   * @throws TierException if the directory is in use by another process, the disk has not enough
   *     room, or O_DIRECT is required and refused
   * @throws IllegalArgumentException if DRAM has fewer frames than {@link #minimumFrames}, or
   *     {@code layers} do not have the shapes of {@code sizes}
   */
  public static TieredStore open(
      EngineSizes sizes,
      Device device,
      List<KvLayer> layers,
      ExtentArrays arrays,
      NvmeOptions nvme) {
    return open(sizes, device, layers, arrays, nvme, Placement.LEAST_RECENTLY_USED);
  }

  /**
   * Like {@link #open(EngineSizes, Device, List, ExtentArrays, NvmeOptions)}, with who leaves
   * first.
   */
  public static TieredStore open(
      EngineSizes sizes,
      Device device,
      List<KvLayer> layers,
      ExtentArrays arrays,
      NvmeOptions nvme,
      Placement placement) {
    checkShapes(sizes, layers);
    ExtentFiles files =
        sizes.nvmeExtents() == 0
            ? null
            : ExtentFiles.create(
                Math.toIntExact(sizes.leastNvmeExtents()),
                Math.toIntExact(sizes.nvmeExtents()),
                sizes.layout().extentBytes(),
                ExtentFiles.FILE_BYTES,
                nvme);
    try {
      return new TieredStore(sizes, device, layers, arrays, nvme, placement, files);
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
    return memory.frames();
  }

  /**
   * Where an extent is in DRAM, between two steps.
   *
   * @return its frame, or a negative number if it is only on NVMe
   */
  public int frame(int layer, int seat, int kvHead, int extent) {
    return extents.frame(space.index(layer, seat, kvHead, extent));
  }

  /** Sees where extents are. */
  public interface ExtentReader {
    /**
     * An extent has chunks.
     *
     * @param extent its number in its (layer, KV head)
     * @param frame whether it has a frame in DRAM
     * @param slot whether NVMe has it, or a copy of it
     */
    void is(int extent, boolean frame, boolean slot);
  }

  /** Reads where the extents of an open seat are, of all layers and KV heads; between two steps. */
  public void read(int seat, ExtentReader reader) {
    checkIdle();
    checkOpen(seat);
    for (int layer = 0; layer < space.layers(); layer++) {
      int count = sizes.layout().extents(extents.closedChunks(layer, seat));
      for (int kvHead = 0; kvHead < space.kvHeads(); kvHead++) {
        int base = space.index(layer, seat, kvHead, 0);
        for (int extent = 0; extent < count; extent++) {
          int frame = extents.frame(base + extent);
          boolean slot = frame < 0 ? extents.slot(base + extent) >= 0 : list.copy(frame) >= 0;
          reader.is(extent, frame >= 0, slot);
        }
      }
    }
  }

  /** The mailbox, for device operations. */
  public Mailbox mailbox() {
    return memory.mailbox();
  }

  /**
   * What is run, on an I/O thread, when something has ended that a sequence may wait for: it must
   * not block, nor call the store.
   */
  public void onProgress(Runnable action) {
    onProgress = action;
  }

  /** Who may begin. */
  public Admission admission() {
    return admission;
  }

  /** Bytes of an open seat's sequence that were sent to NVMe. */
  public long writtenBytes(int seat) {
    return demotion.sentBytes(seat);
  }

  /** Gives a free seat to a sequence that may become as long as the context. */
  public void openSeat(Queue queue, int seat, SequenceIdentity sequence) {
    openSeat(queue, seat, sequence, sizes.contextLength());
  }

  /**
   * Gives a free seat to a sequence: no extents, no history.
   *
   * @param tokens that it will have at most
   * @throws IllegalStateException if the seat is open
   */
  public void openSeat(Queue queue, int seat, SequenceIdentity sequence, int tokens) {
    openSeat(queue, seat, sequence, tokens, NO_PROMPT, Reuse.NONE);
  }

  /**
   * Gives a free seat to a sequence whose prompt is known: what others have of it is the
   * sequence's, too, and others may find what it makes of it.
   *
   * @param tokens that it will have at most
   * @param prompt its prompt, not changed by the caller; none if nobody is to find it
   * @param reuse what it {@link #find finds}, since which nothing else was called
   * @throws IllegalStateException if the seat is open
   */
  public void openSeat(
      Queue queue, int seat, SequenceIdentity sequence, int tokens, int[] prompt, Reuse reuse) {
    checkIdle();
    KvLayout layout = sizes.layout();
    extents.open(
        seat,
        sequence,
        ExtentChecksum.ofPrompt(
            sequence.tenant(),
            prompt,
            layout.grid().sink(),
            layout.grid().chunk() * layout.extentChunks(),
            layout.grid().firstToken(layout.grid().closedChunks(prompt.length))));
    needs.open(seat, tokens);
    recency.open(seat);
    if (prompt.length > 0) {
      shelves.open(seat, sequence.tenant(), prompt);
    }
    long words = space.perHolder();
    for (KvLayer layer : layers) {
      queue.fill(layer.frameOfExtent(), 4 * words * seat, words, ExtentTable.NONE);
      queue.fill(layer.lastUse(), 4 * words * seat, words, ExtentTable.NONE);
    }
    if (reuse.tokens() > 0) {
      shelves.take(seat, reuse);
    }
  }

  /** What a prompt of a tenant finds of its keys and values. */
  public Reuse find(String tenant, int[] prompt) {
    checkIdle();
    return shelves.find(tenant, prompt);
  }

  /** Grows whenever {@link #find} may find something else than before. */
  public long foundUntil() {
    checkIdle();
    return shelves.changes();
  }

  /** The prompt of a seat's sequence is read: others may find it. */
  public void promptRead(int seat) {
    checkIdle();
    checkOpen(seat);
    shelves.complete(seat);
  }

  /**
   * Has extents of a layer that a seat reuses in frames, for all KV heads, and tells the device.
   * {@code recall} of chunks of exactly these must be submitted next.
   *
   * @param from first extent
   * @param to behind the last
   * @return the extent up to which they are there; {@code from} if the next is still to come from
   *     NVMe: the sequence {@link #waits}
   * @throws TierException if it does not come; carries the seat
   */
  public int provideForRecall(Queue queue, int layer, int seat, int from, int to) {
    checkIdle();
    checkOpen(seat);
    step.unprovided();
    long number = submissions.advance(queue);
    drain();
    int end = from;
    while (end < to && missing(layer, seat, end) == 0) {
      end++;
    }
    if (end > from) {
      for (int kvHead = 0; kvHead < space.kvHeads(); kvHead++) {
        for (int extent = from; extent < end; extent++) {
          int e = space.index(layer, seat, kvHead, extent);
          residence.use(e, recency.clock(), number);
          list.used(extents.frame(e), recency.clock());
        }
      }
      promotion.stepped(seat);
      table.upload(queue, layer, seat);
    } else if (room.forStep(queue, seat, missing(layer, seat, from))) {
      // Free frames that work submitted by now may read are no place for a read.
      submissions.synchronize(queue, submissions.current() - 1);
      promotion.expect(seat, recallNanos);
      for (int extent = from; extent < to; extent++) {
        for (int kvHead = 0; kvHead < space.kvHeads(); kvHead++) {
          int e = space.index(layer, seat, kvHead, extent);
          if (!extents.resident(e)) {
            promotion.want(e);
          }
        }
      }
    }
    published.publish();
    return end;
  }

  /** KV heads of which an extent is in no frame. */
  private int missing(int layer, int seat, int extent) {
    int missing = 0;
    for (int kvHead = 0; kvHead < space.kvHeads(); kvHead++) {
      missing += extents.resident(space.index(layer, seat, kvHead, extent)) ? 0 : 1;
    }
    return missing;
  }

  /** A seat's prompt, and what it reuses of others, is found by nobody any more. */
  public void spoil(int seat) {
    checkIdle();
    checkOpen(seat);
    int first = space.index(0, seat, 0, 0);
    shelves.forget(seat);
    for (int e = extents.next(first); e != first; ) {
      int other = space.holder(e);
      e = extents.next(e);
      if (space.isSeat(other)) {
        shelves.forget(other);
      } else {
        demotion.clear(other);
      }
    }
  }

  /**
   * Frees every frame and extent of a seat at once, but for what others have as well, and for what
   * was made of its prompt, if that was {@link #promptRead read}: it stays until somebody needs the
   * room. What I/O still reads or writes is freed when it lands, and counted until then. No effect
   * on a seat that is not open.
   */
  public void closeSeat(int seat) {
    checkIdle();
    if (!extents.isOpen(seat)) {
      return;
    }
    keepPrompt(seat);
    shelves.forget(seat);
    room.forget(seat);
    promotion.forget(seat);
    demotion.forget(seat);
    needs.close(seat);
    extents.close(seat);
    drain();
    published.publish();
  }

  /** Keeps nothing any more of prompts whose sequences have ended. For tests. */
  void forgetPrompts() {
    checkIdle();
    for (int shelf = shelves.oldest(any -> true); shelf >= 0; shelf = shelves.oldest(any -> true)) {
      demotion.clear(shelf);
    }
    drain();
    published.publish();
  }

  private void keepPrompt(int seat) {
    if (!shelves.stays(seat)) {
      return;
    }
    int shelf = shelves.free();
    if (shelf < 0) {
      shelf = shelves.oldest(any -> true);
      demotion.clear(shelf);
    }
    extents.open(shelf, KEPT, extents.identities(seat));
    shelves.put(seat, shelf);
    for (int covered = shelves.covered(shelf); covered >= 0; covered = shelves.covered(shelf)) {
      demotion.clear(covered);
    }
  }

  /**
   * Whether {@link #provideForChunks} would have room for chunks; if not, makes some, and the
   * sequence {@link #waits}. Asked before a quantum is computed that would then have to be computed
   * again.
   *
   * @throws TierException as {@link #provideForChunks} does
   */
  public boolean hasRoomForChunks(Queue queue, int layer, int seat, int fromChunk, int toChunk) {
    checkIdle();
    checkOpen(seat);
    drain();
    submissions.advance(queue); // so that what was closed last can leave
    try {
      return chunks.hasRoom(queue, seat, fromChunk, toChunk);
    } finally {
      published.publish();
    }
  }

  /**
   * Gives every extent that chunks {@code [fromChunk, result)} of a layer touch a frame, for all KV
   * heads, and tells the device. Demotes other extents when DRAM is full. {@code closeChunks} of
   * exactly these chunks must be submitted next.
   *
   * @param fromChunk the number of chunks this (seat, layer) has
   * @return the chunk up to which there is room, at most {@code toChunk}; {@code fromChunk} if
   *     there is none yet: the sequence {@link #waits}
   * @throws TierException if there is no room for a single extent per KV head: both tiers are full,
   *     or NVMe fails. The sequence must be ended; the store is unchanged but for demotions
   */
  public int provideForChunks(Queue queue, int layer, int seat, int fromChunk, int toChunk) {
    checkIdle();
    checkOpen(seat);
    chunks.check(layer, seat, fromChunk, toChunk);
    step.unprovided();
    long number = submissions.advance(queue);
    drain();
    try {
      int end = chunks.forLayer(queue, layer, seat, fromChunk, toChunk, number);
      if (end > fromChunk) {
        table.upload(queue, layer, seat);
        demotion.writeBehind();
        demotion.pace();
      }
      return end;
    } finally {
      published.publish();
    }
  }

  /**
   * Tells the device which frames all extents have: before it reads chunks outside of a step. The
   * queue is to be synchronised before anything else of this store is called.
   */
  public void tellFrames(Queue queue) {
    checkIdle();
    table.uploadAll(queue);
  }

  /**
   * Gives every extent into which {@code append} of the coming step can write a frame, and tells
   * the device. Must be called before each step, with all its rows, and after all else of this
   * store that precedes the step.
   *
   * @param seats seat of each row, or -1 for an unused row
   * @param positions position of each row's token
   * @param rows rows to look at
   * @return seats for which there is no room yet: they {@link #waits wait}, and the call must be
   *     repeated for the rest; empty if the step can begin
   * @throws TierException if there is no room for a row; carries the seat. That sequence must be
   *     ended and closed, then the call repeated for the rest
   */
  public Set<Integer> provideForStep(Queue queue, int[] seats, int[] positions, int rows) {
    checkIdle();
    step.unprovided();
    for (int row = 0; row < rows; row++) {
      if (seats[row] >= 0) {
        checkOpen(seats[row]);
      }
    }
    long number = submissions.advance(queue);
    drain();
    Set<Integer> without = step.provide(queue, seats, positions, rows, number);
    table.uploadAll(queue);
    demotion.writeBehind();
    published.publish();
    return without;
  }

  /**
   * Whether a sequence still waits, for room or for chunks that were late; asks again for what it
   * waits for. Once it does not, its step or quantum is to be repeated as it was.
   *
   * @throws TierException if it waits in vain; carries the seat. The sequence must be ended
   */
  public boolean waits(Queue queue, int seat) {
    checkIdle();
    checkOpen(seat);
    drain();
    submissions.advance(queue);
    boolean waits = promotion.waits(seat) || room.waits(queue, seat);
    published.publish();
    return waits;
  }

  /** Like {@link #beginStep(long, long)}, with all the patience that the device has. */
  public void beginStep() {
    beginStep(ENDLESS, ENDLESS);
  }

  /**
   * Arms the reader: from here on the device's requests are answered.
   *
   * @param patience nanoseconds that the misses of one (layer, pass) may take to come from NVMe;
   *     the row of one that takes longer is late, and asks for nothing more in this step
   * @param timeout nanoseconds after which a read that has not ended fails the sequence that waits
   *     for it
   */
  public void beginStep(long patience, long timeout) {
    checkIdle();
    step.begin(patience, timeout);
  }

  /**
   * How long chunks of the last step were on their way from NVMe, in nanoseconds: what the device
   * did not do meanwhile, it waited for.
   */
  public long nvmeNanos() {
    return misses.servingNanos();
  }

  /**
   * Synchronises {@code queue}, disarms the reader, clears {@link Mailbox#STOPPED}, takes over
   * promotions and tells why chunks did not come. A read that is still under way can no longer
   * reach the mailbox. For a late seat the step has not been: its row is repeated from the same
   * state.
   *
   * @throws dev.kvdrive.device.DeviceException what {@code queue.synchronize} threw; the reader is
   *     disarmed all the same
   */
  public StepFaults endStep(Queue queue) {
    StepFaults faults = step.end(queue);
    drain();
    if (demotion.low()) {
      recency.read(queue, submissions);
    }
    promotion.makeRoom();
    demotion.writeBehind();
    demotion.pace();
    published.publish();
    return faults;
  }

  /** A recent state; cheap, any thread. */
  public TierStatus status() {
    return published.status();
  }

  /**
   * Why this store cannot go on in this process, or null: one of its threads has ended. Any thread.
   */
  public @Nullable String broken() {
    return io.broken();
  }

  /**
   * Takes in what I/O has finished meanwhile, waiting up to {@code millis} until nothing is in
   * flight. For drains and tests: all other calls do the same without waiting.
   *
   * @return whether nothing is in flight
   */
  public boolean settle(long millis) {
    checkIdle();
    long deadline = System.nanoTime() + TimeUnit.MILLISECONDS.toNanos(millis);
    drain();
    while (inFlight() && deadline - System.nanoTime() > 0) {
      io.awaitProgress(deadline - System.nanoTime());
      drain();
    }
    published.publish();
    return !inFlight();
  }

  private boolean inFlight() {
    return demotion.writing() || list.inHands() > 0;
  }

  private void drain() {
    io.noteOverdue();
    demotion.drain();
    promotion.drain();
  }

  /**
   * From now on nothing waits for the disk: chunks that are only there are faults, and there is no
   * room where a write would have to end first. For an engine that ends; any thread, until {@link
   * #close}.
   */
  public void abandonIo() {
    io.reads().abandon();
  }

  /**
   * Whether a read or write has not ended although the store was closed. Its memory and files then
   * stay as they are: neither may be taken from it before the process ends, so that the device,
   * which owns the memory, must not be closed either.
   */
  public boolean stuck() {
    return io.stuck() || misses.stuck();
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
    step.abort();
    misses.close();
    io.close();
    table.close();
    submissions.close();
    recency.close();
    memory.proofs().forgetAll();
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
    memory.close();
  }

  private void checkIdle() {
    if (closed) {
      throw new IllegalStateException("the tiered store is closed");
    }
    if (step.armed()) {
      throw new IllegalStateException("a step is under way: endStep comes first");
    }
  }

  private void checkOpen(int seat) {
    if (seat < 0 || seat >= seats || !extents.isOpen(seat)) {
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

  private static void closeAfter(RuntimeException failure, AutoCloseable resource) {
    try {
      resource.close();
    } catch (Exception e) {
      failure.addSuppressed(e);
    }
  }
}
