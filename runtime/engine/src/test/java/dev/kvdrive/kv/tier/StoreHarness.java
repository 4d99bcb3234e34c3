package dev.kvdrive.kv.tier;

import static org.assertj.core.api.Assertions.assertThat;

import dev.kvdrive.device.DeviceBuffer;
import dev.kvdrive.device.DeviceSlice;
import dev.kvdrive.device.ExtentArrays;
import dev.kvdrive.device.KvLayer;
import dev.kvdrive.device.LayerIndex;
import dev.kvdrive.device.LayerWindow;
import dev.kvdrive.device.Mailbox;
import dev.kvdrive.kv.extent.SequenceIdentity;
import dev.kvdrive.kv.tier.DeferredDevice.DeferredQueue;
import dev.kvdrive.kv.tier.NvmeOptions.Direct;
import dev.kvdrive.plan.AttentionOptions;
import dev.kvdrive.plan.Budget;
import dev.kvdrive.plan.ChunkGrid;
import dev.kvdrive.plan.DeviceKind;
import dev.kvdrive.plan.EngineSizes;
import dev.kvdrive.plan.KvLayout;
import dev.kvdrive.plan.KvType;
import dev.kvdrive.plan.Load;
import dev.kvdrive.plan.ModelGeometry;
import dev.kvdrive.plan.ModelShape;
import dev.kvdrive.plan.NvmeEncryption;
import dev.kvdrive.plan.PolicyShape;
import dev.kvdrive.plan.SummaryFormat;
import dev.kvdrive.plan.Workspace;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.SplittableRandom;
import java.util.TreeMap;
import java.util.concurrent.locks.LockSupport;

/**
 * A store with a device that plays the operations: it writes chunks whose every byte follows from
 * sequence, layer, head and chunk, and compares every byte it gets back. A wrong byte fails the
 * test on the spot.
 */
final class StoreHarness implements AutoCloseable {
  static final ChunkGrid GRID = new ChunkGrid(1, 2, 2);
  static final int EXTENT_CHUNKS = 4;

  private static final long DEVICE_TIMEOUT_NANOS = 40_000_000_000L;

  final EngineSizes sizes;
  final DeferredDevice device = new DeferredDevice();
  final DeferredQueue queue = device.createQueue("test");
  final List<KvLayer> layers = new ArrayList<>();
  final TieredStore store;

  /** Rings the doorbell as the CPU device does; otherwise the reader has to poll. */
  boolean rings = true;

  /** How long a step waits for what it misses on NVMe. */
  long patienceMillis = 20_000;

  /** How long a sequence waits for a chunk. */
  long timeoutMillis = 20_000;

  /** Run after a round was served and before its chunks are read. */
  Runnable beforeLanding = () -> {};

  /** Chunks delivered through the mailbox so far. */
  int delivered;

  /** Chunks read from frames so far. */
  int fromFrames;

  private final List<DeviceBuffer> deviceMemory = new ArrayList<>();
  private final TreeMap<Integer, Sequence> seats = new TreeMap<>();
  private final Set<Integer> faulted = new HashSet<>();
  private long sequences;

  /** One sequence: what its chunks contain, and how long it is. */
  static final class Sequence {
    final long seed;
    final int[] prompt;
    final int mostTokens;
    int tokens;

    Sequence(long seed, int[] prompt, int mostTokens) {
      this.seed = seed;
      this.prompt = prompt;
      this.mostTokens = mostTokens;
    }

    /** What a chunk's bytes follow from: the prompt up to its end, or the sequence. */
    long seed(int chunk) {
      int end = GRID.firstToken(chunk + 1);
      return chunk < GRID.closedChunks(prompt.length)
          ? Arrays.hashCode(Arrays.copyOf(prompt, end))
          : seed;
    }
  }

  StoreHarness(
      int layerCount,
      int kvHeads,
      int seatCount,
      int maxExtents,
      int dramFrames,
      int nvmeExtents,
      NvmeOptions nvme,
      Placement placement,
      ExtentFile.Opener opener) {
    this(
        layerCount,
        kvHeads,
        seatCount,
        maxExtents,
        dramFrames,
        nvmeExtents,
        nvme,
        placement,
        opener,
        NvmeEncryption.NONE);
  }

  StoreHarness(
      int layerCount,
      int kvHeads,
      int seatCount,
      int maxExtents,
      int dramFrames,
      int nvmeExtents,
      NvmeOptions nvme,
      Placement placement,
      ExtentFile.Opener opener,
      NvmeEncryption encryption) {
    KvLayout layout = new KvLayout(layerCount, kvHeads, 2, KvType.F32, GRID, EXTENT_CHUNKS);
    int maxChunks = maxExtents * EXTENT_CHUNKS;
    int context = GRID.firstToken(maxChunks) + GRID.local() + GRID.chunk() - 1;
    int passChunks = Math.max(1, maxChunks);
    sizes =
        new EngineSizes(
            new ModelGeometry(
                "test", new ModelShape(layerCount, 4, kvHeads, kvHeads, 2, 4, 4), context, 0),
            layout,
            new Load(context, seatCount),
            AttentionOptions.of(PolicyShape.KVDRIVE, Budget.of(1), KvType.F32, DeviceKind.CPU)
                .withDenseBelow(0),
            4,
            passChunks,
            passChunks,
            64,
            0,
            dramFrames,
            nvmeExtents,
            encryption);
    long words = (long) seatCount * kvHeads * maxExtents;
    ExtentArrays arrays =
        new ExtentArrays(
            memory("frameOfExtent", 4 * words * layerCount),
            memory("lastUse", 4 * words * layerCount),
            memory("changes", Workspace.changeBytes(layout, seatCount, maxChunks)));
    for (int layer = 0; layer < layerCount; layer++) {
      DeviceBuffer unused = memory("unused", 4);
      layers.add(
          new KvLayer(
              layout,
              layer,
              seatCount,
              maxChunks,
              unused,
              new LayerIndex(SummaryFormat.none(), null),
              new LayerWindow(0, 0, 0, unused, unused, unused, unused, unused, unused, unused),
              new DeviceSlice(arrays.frameOfExtent(), 4 * words * layer, 4 * words),
              new DeviceSlice(arrays.lastUse(), 4 * words * layer, 4 * words)));
    }
    try {
      store = TieredStore.open(sizes, device, layers, arrays, nvme.withFiles(opener), placement);
    } catch (RuntimeException e) {
      deviceMemory.forEach(DeviceBuffer::close);
      assertThat(device.hostBytes()).as("host memory after a failed start").isZero();
      throw e;
    }
  }

  /** A store with few threads and the page cache, for {@code layers, heads, seats, extents}. */
  static StoreHarness of(
      int layers, int kvHeads, int seats, int maxExtents, int dram, int nvme, Path directory) {
    return new StoreHarness(
        layers,
        kvHeads,
        seats,
        maxExtents,
        dram,
        nvme,
        options(directory),
        Placement.LEAST_RECENTLY_USED,
        ExtentFile.Opener.FILES);
  }

  static NvmeOptions options(Path directory) {
    return new NvmeOptions(directory, Direct.OFF, 3, Duration.ofSeconds(20));
  }

  private DeviceBuffer memory(String label, long bytes) {
    DeviceBuffer buffer = device.allocate(label, bytes);
    deviceMemory.add(buffer);
    return buffer;
  }

  // --- sequences ---

  Set<Integer> openSeats() {
    return seats.keySet();
  }

  int tokens(int seat) {
    return sequence(seat).tokens;
  }

  /** Whether a sequence may have one token more. */
  boolean mayStep(int seat) {
    return sequence(seat).tokens < sequence(seat).mostTokens;
  }

  int chunks(int seat) {
    return GRID.closedChunks(sequence(seat).tokens);
  }

  /** Opens a seat and closes the chunks of a prompt of {@code tokens} tokens. */
  void start(int seat, int tokens) {
    open(seat);
    for (int layer = 0; layer < layers.size(); layer++) {
      prefill(seat, layer, 0, GRID.closedChunks(tokens));
    }
    sequence(seat).tokens = tokens;
  }

  void open(int seat) {
    open(seat, sizes.contextLength());
  }

  /** Opens a seat for a sequence that promises to have no more than so many tokens. */
  void open(int seat, int mostTokens) {
    long number = sequences++;
    seats.put(seat, new Sequence(number * 0x9e3779b97f4a7c15L + 1, new int[0], mostTokens));
    store.openSeat(queue, seat, new SequenceIdentity("tenant", "sequence " + number), mostTokens);
  }

  /**
   * Opens a seat for a sequence with a prompt that others may find, recalls what it finds and
   * closes the rest.
   *
   * @return tokens that it has found
   */
  int startPrompt(int seat, String tenant, int[] prompt, int mostTokens) {
    long number = sequences++;
    seats.put(seat, new Sequence(number * 0x9e3779b97f4a7c15L + 1, prompt, mostTokens));
    Reuse reuse = store.find(tenant, prompt);
    store.openSeat(
        queue, seat, new SequenceIdentity(tenant, "sequence " + number), mostTokens, prompt, reuse);
    for (int layer = 0; layer < layers.size(); layer++) {
      for (int at = 0; at < reuse.extents(); ) {
        int end = store.provideForRecall(queue, layer, seat, at, reuse.extents());
        if (end == at) {
          awaitTurn(seat);
        } else {
          recall(seat, layer, at, end);
        }
        at = end;
      }
      prefill(seat, layer, reuse.extents() * EXTENT_CHUNKS, GRID.closedChunks(prompt.length));
    }
    sequence(seat).tokens = prompt.length;
    store.promptRead(seat);
    return reuse.tokens();
  }

  private void recall(int seat, int layer, int from, int to) {
    Sequence sequence = sequence(seat);
    queue.submit(
        () -> {
          for (int chunk = from * EXTENT_CHUNKS; chunk < to * EXTENT_CHUNKS; chunk++) {
            for (int kvHead = 0; kvHead < sizes.layout().kvHeads(); kvHead++) {
              int frame =
                  words(layers.get(layer).frameOfExtent())
                      .get(ValueLayout.JAVA_INT, 4 * entry(seat, kvHead, chunk));
              assertThat(frame).as("frame of chunk %d", chunk).isNotNegative();
              check(
                  sequence,
                  layer,
                  kvHead,
                  chunk,
                  store.frames().memory().segment(),
                  frameOffset(frame, chunk));
            }
          }
        });
  }

  void prefill(int seat, int layer, int from, int to) {
    int at = from;
    while (at < to) {
      int end = store.provideForChunks(queue, layer, seat, at, to);
      assertThat(end).isGreaterThanOrEqualTo(at).isLessThanOrEqualTo(to);
      if (end == at) {
        awaitTurn(seat);
        continue;
      }
      Sequence sequence = sequence(seat);
      int first = at;
      queue.submit(
          () -> {
            for (int chunk = first; chunk < end; chunk++) {
              writeChunk(sequence, seat, layer, chunk);
            }
          });
      at = end;
    }
  }

  /** Waits until a seat need not wait any more. */
  void awaitTurn(int seat) {
    while (store.waits(queue, seat)) {
      LockSupport.parkNanos(50_000);
    }
  }

  void close(int seat) {
    store.closeSeat(seat);
    seats.remove(seat);
  }

  /** Tells the harness how long a sequence prefilled piece by piece has become. */
  void prefilled(int seat, int tokens) {
    sequence(seat).tokens = tokens;
  }

  // --- steps ---

  /** Which chunks of a row are fetched. */
  interface Wish {
    boolean wants(int seat, int layer, int kvHead, int chunk);
  }

  /** Everything. */
  static final Wish ALL = (seat, layer, kvHead, chunk) -> true;

  /** Nothing. */
  static final Wish NOTHING = (seat, layer, kvHead, chunk) -> false;

  /**
   * One decode step of the seats. Those for which there is no room yet are waited for. Seats for
   * which chunks did not come are checked to have a reason, and returned; those that are late have
   * not made the step.
   */
  Set<Integer> step(Wish wish, int... rows) {
    int[] positions = new int[rows.length];
    for (int row = 0; row < rows.length; row++) {
      positions[row] = sequence(rows[row]).tokens;
    }
    for (Set<Integer> without = store.provideForStep(queue, rows, positions, rows.length);
        !without.isEmpty();
        without = store.provideForStep(queue, rows, positions, rows.length)) {
      without.forEach(this::awaitTurn);
    }
    store.beginStep(patienceMillis * 1_000_000, timeoutMillis * 1_000_000);
    for (int row = 0; row < rows.length; row++) {
      sequence(rows[row]).tokens++;
    }
    faulted.clear();
    for (int layer = 0; layer < layers.size(); layer++) {
      int of = layer;
      queue.submit(() -> append(of, rows, positions));
      queue.submit(() -> fetch(of, rows, positions, wish));
    }
    StepFaults faults = store.endStep(queue);
    for (int seat : faulted) {
      assertThat(faults.of(seat).message()).isNotBlank();
    }
    assertThat(faulted).containsAll(faults.late());
    for (int seat : faults.late()) {
      sequence(seat).tokens--;
      faulted.remove(seat);
    }
    if (faulted.isEmpty()) {
      assertThat(faults.reasons()).isEmpty();
    }
    lastFaults = faults;
    return Set.copyOf(faulted);
  }

  StepFaults lastFaults = StepFaults.NONE;

  private void append(int layer, int[] rows, int[] positions) {
    for (int row = 0; row < rows.length; row++) {
      int before = GRID.closedChunks(positions[row]);
      if (GRID.closedChunks(positions[row] + 1) > before) {
        writeChunk(sequence(rows[row]), rows[row], layer, before);
      }
    }
  }

  private void fetch(int layer, int[] rows, int[] positions, Wish wish) {
    Mailbox mailbox = store.mailbox();
    List<int[]> asked = new ArrayList<>();
    boolean stopped = mailbox.acquire(Mailbox.STOPPED) != 0;
    for (int row = 0; row < rows.length; row++) {
      int seat = rows[row];
      for (int kvHead = 0; kvHead < sizes.layout().kvHeads(); kvHead++) {
        for (int chunk = 0; chunk < GRID.closedChunks(positions[row] + 1); chunk++) {
          if (!wish.wants(seat, layer, kvHead, chunk)) {
            continue;
          }
          long entry = entry(seat, kvHead, chunk);
          words(layers.get(layer).lastUse()).set(ValueLayout.JAVA_INT, 4 * entry, positions[row]);
          int frame = words(layers.get(layer).frameOfExtent()).get(ValueLayout.JAVA_INT, 4 * entry);
          if (frame >= 0) {
            check(
                sequence(seat),
                layer,
                kvHead,
                chunk,
                store.frames().memory().segment(),
                frameOffset(frame, chunk));
            fromFrames++;
          } else if (stopped) {
            faulted.add(seat);
          } else {
            int transit = (row * sizes.layout().kvHeads() + kvHead) * sizes.passChunks() + chunk;
            asked.add(new int[] {layer, seat, kvHead, chunk, transit});
          }
        }
      }
    }
    if (!asked.isEmpty()) {
      ask(mailbox, asked);
    }
  }

  private void ask(Mailbox mailbox, List<int[]> asked) {
    for (int request = 0; request < asked.size(); request++) {
      for (int word = 0; word < 5; word++) {
        mailbox.release(Mailbox.requestWord(request, word), asked.get(request)[word]);
      }
      mailbox.release(Mailbox.requestWord(request, 5), Mailbox.PENDING);
    }
    mailbox.release(Mailbox.COUNT, asked.size());
    int round = mailbox.acquire(Mailbox.ROUND) + 1;
    mailbox.release(Mailbox.ROUND, round);
    if (rings) {
      mailbox.doorbell().run();
    }
    long deadline = System.nanoTime() + DEVICE_TIMEOUT_NANOS;
    while (mailbox.acquire(Mailbox.SERVED) != round) {
      if (System.nanoTime() - deadline > 0) {
        mailbox.release(Mailbox.STOPPED, 1);
        break;
      }
      LockSupport.parkNanos(20_000);
    }
    beforeLanding.run();
    for (int request = 0; request < asked.size(); request++) {
      int[] words = asked.get(request);
      if (mailbox.acquire(Mailbox.requestWord(request, 5)) == Mailbox.DELIVERED) {
        check(
            sequence(words[1]),
            words[0],
            words[2],
            words[3],
            mailbox.transit().segment(),
            (long) words[4] * sizes.layout().backing().bytes());
        delivered++;
      } else {
        faulted.add(words[1]);
      }
    }
  }

  // --- chunks ---

  private void writeChunk(Sequence sequence, int seat, int layer, int chunk) {
    for (int kvHead = 0; kvHead < sizes.layout().kvHeads(); kvHead++) {
      int frame =
          words(layers.get(layer).frameOfExtent())
              .get(ValueLayout.JAVA_INT, 4 * entry(seat, kvHead, chunk));
      assertThat(frame).as("frame of chunk %d of seat %d", chunk, seat).isNotNegative();
      MemorySegment frames = store.frames().memory().segment();
      SplittableRandom content = content(sequence, layer, kvHead, chunk);
      for (int at = 0; at < sizes.layout().backing().bytes(); at += 4) {
        frames.set(ValueLayout.JAVA_INT, frameOffset(frame, chunk) + at, content.nextInt());
      }
    }
  }

  private void check(
      Sequence sequence, int layer, int kvHead, int chunk, MemorySegment memory, long offset) {
    SplittableRandom content = content(sequence, layer, kvHead, chunk);
    for (int at = 0; at < sizes.layout().backing().bytes(); at += 4) {
      int want = content.nextInt();
      int got = memory.get(ValueLayout.JAVA_INT, offset + at);
      if (want != got) {
        throw new IllegalStateException(
            "WRONG BYTES: chunk %d of layer %d, KV head %d, sequence %x: word %d is %08x, not %08x"
                .formatted(chunk, layer, kvHead, sequence.seed, at / 4, got, want));
      }
    }
  }

  private static SplittableRandom content(Sequence sequence, int layer, int kvHead, int chunk) {
    return new SplittableRandom(
        sequence.seed(chunk) * 31 + layer * 1_000_003L + kvHead * 7_919L + chunk * 104_729L);
  }

  /** The bytes of a chunk of a seat. */
  byte[] bytes(int seat, int layer, int kvHead, int chunk) {
    byte[] bytes = new byte[sizes.layout().backing().bytes()];
    SplittableRandom content = content(sequence(seat), layer, kvHead, chunk);
    MemorySegment words = MemorySegment.ofArray(bytes);
    for (int at = 0; at < bytes.length; at += 4) {
      words.set(ValueLayout.JAVA_INT_UNALIGNED, at, content.nextInt());
    }
    return bytes;
  }

  private long entry(int seat, int kvHead, int chunk) {
    int maxExtents = layers.getFirst().maxExtents();
    return ((long) seat * sizes.layout().kvHeads() + kvHead) * maxExtents + chunk / EXTENT_CHUNKS;
  }

  private long frameOffset(int frame, int chunk) {
    return (long) frame * sizes.layout().extentBytes()
        + (long) (chunk % EXTENT_CHUNKS) * sizes.layout().backing().bytes();
  }

  /** Where the extents of a seat's first head and layer are: D in DRAM, n not. */
  String resident(int seat) {
    queue.synchronize();
    StringBuilder seen = new StringBuilder();
    for (int extent = 0; extent < layers.getFirst().maxExtents(); extent++) {
      int frame =
          words(layers.getFirst().frameOfExtent())
              .get(ValueLayout.JAVA_INT, 4 * entry(seat, 0, extent * EXTENT_CHUNKS));
      seen.append(frame < 0 ? 'n' : 'D');
    }
    return seen.toString();
  }

  private static MemorySegment words(DeviceBuffer buffer) {
    return DeferredDevice.DeferredQueue.memory(buffer);
  }

  private Sequence sequence(int seat) {
    Sequence sequence = seats.get(seat);
    if (sequence == null) {
      throw new IllegalStateException("seat " + seat + " has no sequence");
    }
    return sequence;
  }

  // --- accounting ---

  /** Fails unless what the store says is used is within its caps. */
  void checkCaps() {
    TierStatus status = store.status();
    assertThat(status.dramUsedBytes()).isBetween(0L, status.dramCapacityBytes());
    assertThat(status.nvmeUsedBytes()).isBetween(0L, status.nvmeCapacityBytes());
    assertThat(status.dramKvBytes()).isBetween(0L, status.dramUsedBytes());
    assertThat(status.nvmeKvBytes()).isBetween(0L, status.nvmeUsedBytes());
    assertThat(status.dramCapacityBytes())
        .isEqualTo((long) sizes.dramFrames() * sizes.layout().extentBytes());
    assertThat(device.hostBytes()).isEqualTo(status.dramCapacityBytes() + status.stagingBytes());
  }

  /** Closes all seats, checks that only what is kept is left, and clears the shelves. */
  void clearShelves() {
    for (int seat : Set.copyOf(seats.keySet())) {
      close(seat);
    }
    assertThat(store.settle(20_000)).as("I/O in flight ends").isTrue();
    TierStatus kept = store.status();
    assertThat(kept.dramKvBytes()).isZero();
    assertThat(kept.nvmeKvBytes()).isZero();
    assertThat(kept.dramKeptBytes()).isEqualTo(kept.dramUsedBytes());
    assertThat(kept.nvmeKeptBytes()).isBetween(0L, kept.nvmeUsedBytes());
    store.forgetPrompts();
  }

  /** Closes all seats and fails unless both tiers are empty. */
  void checkNothingLeft() {
    for (int seat : Set.copyOf(seats.keySet())) {
      close(seat);
    }
    assertThat(store.settle(20_000)).as("I/O in flight ends").isTrue();
    TierStatus status = store.status();
    assertThat(status.dramUsedBytes()).isZero();
    assertThat(status.dramKvBytes()).isZero();
    assertThat(status.nvmeUsedBytes()).isZero();
    assertThat(status.nvmeKvBytes()).isZero();
  }

  @Override
  public void close() {
    queue.synchronize();
    store.close();
    deviceMemory.forEach(DeviceBuffer::close);
    assertThat(device.hostBytes()).as("host memory after close").isZero();
    assertThat(device.usedBytes()).as("device memory after close").isZero();
  }
}
