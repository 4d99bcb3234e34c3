package dev.kvdrive.device;

import dev.kvdrive.device.IndexOperations.Merge;
import dev.kvdrive.device.WindowOperations.Forgotten;
import dev.kvdrive.plan.ClusterFormat;
import dev.kvdrive.plan.Workspace;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;

/** {@link LayerContents} in a device's memory, as the operations take them. */
final class LayerOnDevice {
  final Rig rig;
  final LayerSizes sizes;
  final KvLayer layer;
  final StepBatch batch;
  final Selection selection;
  final LayerReuse reuse;

  /** Which slots of the pool a prefetch has filled. */
  final DeviceBuffer marks;

  final AttentionState state;
  final FramePool frames;
  final Mailbox mailbox;
  final Rig.Rows query;

  LayerOnDevice(Rig rig, LayerContents c) {
    this(rig, c, () -> {});
  }

  /**
   * @param doorbell of the mailbox
   */
  LayerOnDevice(Rig rig, LayerContents c, Runnable doorbell) {
    this.rig = rig;
    sizes = c.sizes;
    layer =
        new KvLayer(
            c.layout,
            LayerSizes.LAYER,
            sizes.seats(),
            sizes.maxChunks(),
            rig.buffer("dense", Rig.bytes(c.dense, c.type())),
            new LayerIndex(
                c.sizes.format(),
                rig.buffer("summaries", c.summaries),
                c.codebooks.length == 0 ? null : rig.buffer("codebooks", c.codebooks),
                clusters(rig, c)),
            new LayerWindow(
                sizes.allSlots(),
                sizes.fewestSlots(),
                sizes.mostSlots(),
                rig.ints("slot base", c.slotBase),
                rig.ints("slot table", c.slotTable),
                rig.buffer("window", c.window),
                rig.ints("slot of chunk", c.slotOfChunk),
                rig.ints("chunk of slot", c.chunkOfSlot),
                rig.floats("key of slot", c.keyOfSlot),
                rig.ints("uses of slot", c.usesOfSlot)),
            rig.ints("frame of extent", c.frameOfExtent),
            rig.ints("last use", c.lastUse));
    batch =
        new StepBatch(
            sizes.rows(),
            rig.ints("tokens", c.tokenIds),
            rig.ints("positions", c.positions),
            rig.ints("seats", c.rowSeats),
            rig.ints("select counts", c.selectCounts),
            c.missing() ? rig.floats("shares that may be missed", c.mayMiss) : null);
    marks = rig.ints("marks", new int[c.chunkOfSlot.length]);
    reuse = new LayerReuse(rig.ints("last selected", c.lastSelected), rig.ints("ages", c.ages));
    selection =
        new Selection(
            sizes.rows(),
            sizes.maxChunks(),
            sizes.maxChunks(),
            sizes.passChunks(),
            rig.floats("scores", c.scores),
            rig.ints("selected", c.selected),
            rig.ints("selected count", c.selectedCount),
            rig.ints("slots", c.slots),
            rig.ints("misses", c.misses),
            rig.ints("miss count", c.missCount),
            rig.ints("counters", c.counters));
    state =
        new AttentionState(
            sizes.rows(),
            sizes.passChunks(),
            rig.allocate(
                "attention state",
                Workspace.attentionBytes(
                    sizes.geometry(), LayerSizes.GRID, sizes.rows(), sizes.passChunks())));
    byte[] pool = c.frames;
    frames = new FramePool(rig.allocateHost("frames", pool.length), c.frameCount);
    MemorySegment.copy(pool, 0, frames.memory().segment(), ValueLayout.JAVA_BYTE, 0, pool.length);
    int capacity = sizes.rows() * sizes.kvHeads() * sizes.passChunks();
    mailbox =
        new Mailbox(
            capacity,
            rig.allocateHost("mailbox", Mailbox.controlBytes(capacity)),
            rig.allocateHost("transit", (long) capacity * c.layout.backing().bytes()),
            doorbell);
    query = rig.rows("query", sizes.rows(), sizes.heads() * sizes.headDim(), c.query);
  }

  private static LayerClusters clusters(Rig rig, LayerContents c) {
    ClusterFormat format = c.sizes.clusters();
    int cells = c.sizes.seats() * c.sizes.kvHeads();
    int clusters = format.clusters(c.layout, c.sizes.maxChunks());
    byte[] table = new byte[cells * clusters * format.bytes(c.layout)];
    byte[] ids = new byte[cells * c.sizes.maxChunks() * format.ofChunk(c.layout) * Short.BYTES];
    Arrays.fill(table, (byte) 0xff);
    Arrays.fill(ids, (byte) 0xff);
    int[] nans = new int[cells * format.baseFloats(c.layout)];
    Arrays.fill(nans, Float.floatToIntBits(Float.NaN));
    return new LayerClusters(
        format,
        rig.buffer("clusters", table),
        rig.buffer("cluster of member", ids),
        rig.ints("chunks in clusters", new int[cells]),
        rig.ints("bases of clusters", nans));
  }

  // --- operations ---

  /** The layer of a step. */
  LayerStep step() {
    return new LayerStep(batch, layer);
  }

  private Pass pass(int pass) {
    return new Pass(step(), selection, pass);
  }

  private AttentionOperations.Attend attend(int pass) {
    return new AttentionOperations.Attend(pass(pass), sizes.shape(), query.view(), state);
  }

  /** Moves the tokens in and, where a chunk closes, summarises it. */
  void append(Activations keys, Activations values) {
    rig.ops.kv().append(rig.queue, new KvOperations.Append(step(), frames, keys, values));
    rig.ops.index().summarise(rig.queue, step());
  }

  /** Closes chunks of a prompt and summarises them. */
  void close(PrefillScratch scratch, int seat, int from, int to) {
    PromptChunks chunks = new PromptChunks(layer, scratch, seat, from, to);
    rig.ops.kv().close(rig.queue, new KvOperations.Close(chunks, frames));
    rig.ops.index().summarise(rig.queue, chunks);
  }

  void score(Merge merge) {
    rig.ops
        .index()
        .score(
            rig.queue,
            new IndexOperations.Score(
                step(),
                sizes.shape(),
                query.view(),
                selection,
                merge,
                batch.mayMiss() == null ? null : state));
  }

  void scoreClusters() {
    rig.ops
        .index()
        .scoreClusters(
            rig.queue,
            new IndexOperations.ScoreClusters(step(), sizes.shape(), query.view(), selection));
  }

  void scoreOpened(Merge merge, int times) {
    rig.ops
        .index()
        .scoreOpened(
            rig.queue,
            new IndexOperations.ScoreOpened(
                new IndexOperations.Score(step(), sizes.shape(), query.view(), selection, merge),
                times));
  }

  void pin(int of, int per) {
    rig.ops.index().pin(rig.queue, new IndexOperations.Pin(step(), selection, of, per));
  }

  /** Clusters all chunks of a prompt, segment by segment. */
  void cluster(PrefillScratch scratch, int seat, int chunks) {
    int segment = sizes.clusters().segmentChunks(layer.layout());
    for (int from = 0; from < chunks; from += segment) {
      int to = Math.min(from + segment, chunks);
      rig.ops
          .index()
          .cluster(
              rig.queue,
              new IndexOperations.Cluster(new PromptChunks(layer, scratch, seat, from, to)));
    }
  }

  /** Takes what the step has closed into clusters. */
  void join() {
    rig.ops.index().join(rig.queue, new IndexOperations.Join(step()));
  }

  void estimate() {
    rig.ops
        .attention()
        .estimate(
            rig.queue,
            new AttentionOperations.Estimate(
                step(), sizes.shape(), query.view(), selection, state));
  }

  /** Scores and the best; where rows may miss a share, behind the attention to sink and ring. */
  void select() {
    if (batch.mayMiss() != null) {
      beginAttention();
    }
    score(Merge.LARGEST_SHARE);
    best();
  }

  void best() {
    IndexOperations index = rig.ops.index();
    index.best(rig.queue, new IndexOperations.Best(step(), selection));
  }

  void key(boolean uses) {
    rig.ops.window().key(rig.queue, new WindowOperations.Keys(step(), selection, uses));
  }

  void recent(int pass) {
    rig.ops.window().recent(rig.queue, pass(pass));
  }

  void forget(Forgotten which) {
    rig.ops.window().forget(rig.queue, new WindowOperations.Forget(step(), selection, which));
  }

  void observe() {
    rig.ops.window().observe(rig.queue, new WindowOperations.Observe(step(), selection, reuse));
  }

  /** Empties the places of a seat from {@code keep[seat][head]} on. */
  void trim(int seat, DeviceBuffer keep) {
    rig.ops.window().trim(rig.queue, new WindowOperations.Trim(layer, seat, keep));
  }

  void prefetch(int pass) {
    rig.ops.window().prefetch(rig.queue, new WindowOperations.Prefetch(pass(pass), frames, marks));
  }

  void credit(int pass) {
    rig.ops.window().credit(rig.queue, new WindowOperations.Credit(pass(pass), marks));
  }

  void diff(int pass) {
    rig.ops.window().diff(rig.queue, pass(pass));
  }

  void fetch(int pass) {
    fetch(rig.queue, pass);
  }

  void fetch(Queue queue, int pass) {
    rig.ops.window().fetch(queue, new WindowOperations.Fetch(pass(pass), frames, mailbox));
  }

  void land(int pass, int timeoutMillis) {
    land(rig.queue, pass, timeoutMillis);
  }

  void land(Queue queue, int pass, int timeoutMillis) {
    rig.ops.window().land(queue, new WindowOperations.Land(pass(pass), mailbox, timeoutMillis));
  }

  void beginAttention() {
    rig.ops
        .attention()
        .begin(
            rig.queue, new AttentionOperations.Begin(step(), sizes.shape(), query.view(), state));
  }

  void attendHits(int pass) {
    rig.ops.attention().hits(rig.queue, attend(pass));
  }

  void attendMisses(int pass) {
    rig.ops.attention().misses(rig.queue, attend(pass));
  }

  void finishAttention(Activations out) {
    rig.ops
        .attention()
        .finish(rig.queue, new AttentionOperations.Finish(step(), sizes.shape(), state, out));
  }

  /** Attention over what is selected, as a step runs it on one queue. */
  void attend(int passes, Activations out) {
    attend(passes, false, out);
  }

  /** The same, the rest estimated or not. */
  void attend(int passes, boolean estimate, Activations out) {
    beginAttention();
    if (estimate) {
      estimate();
    }
    for (int pass = 0; pass < passes; pass++) {
      diff(pass);
      fetch(pass);
      attendHits(pass);
      land(pass, 20_000);
      attendMisses(pass);
    }
    finishAttention(out);
  }

  /** Output rows for attention. */
  Rig.Rows output() {
    return rig.empty("attention output", sizes.rows(), sizes.heads() * sizes.headDim());
  }

  // --- results ---

  byte[] frameBytes() {
    rig.queue.synchronize();
    return frames.memory().segment().toArray(ValueLayout.JAVA_BYTE);
  }

  byte[] summaries() {
    return rig.read(layer.index().memory());
  }

  /** What the integer arrays contain now. */
  LayerResults results() {
    return new LayerResults(this);
  }
}
