package dev.kvdrive.cuda;

import dev.kvdrive.device.Activations;
import dev.kvdrive.device.AttentionOperations.Attend;
import dev.kvdrive.device.AttentionOperations.Begin;
import dev.kvdrive.device.AttentionOperations.Estimate;
import dev.kvdrive.device.AttentionOperations.Finish;
import dev.kvdrive.device.AttentionShape;
import dev.kvdrive.device.DeviceBuffer;
import dev.kvdrive.device.ElementType;
import dev.kvdrive.device.Event;
import dev.kvdrive.device.Graph;
import dev.kvdrive.device.HostBuffer;
import dev.kvdrive.device.IndexOperations.Best;
import dev.kvdrive.device.IndexOperations.Join;
import dev.kvdrive.device.IndexOperations.Merge;
import dev.kvdrive.device.IndexOperations.Score;
import dev.kvdrive.device.KvLayer;
import dev.kvdrive.device.KvOperations.Append;
import dev.kvdrive.device.KvOperations.Reset;
import dev.kvdrive.device.LayerClusters;
import dev.kvdrive.device.LayerStep;
import dev.kvdrive.device.Operations;
import dev.kvdrive.device.Pass;
import dev.kvdrive.device.Queue;
import dev.kvdrive.device.RowSampling;
import dev.kvdrive.device.Selection;
import dev.kvdrive.device.StepBatch;
import dev.kvdrive.device.TensorOperations.Angles;
import dev.kvdrive.device.TensorOperations.Choice;
import dev.kvdrive.device.TensorOperations.Embed;
import dev.kvdrive.device.TensorOperations.Gating;
import dev.kvdrive.device.TensorOperations.Product;
import dev.kvdrive.device.TensorOperations.RmsNorm;
import dev.kvdrive.device.TensorOperations.Rotation;
import dev.kvdrive.device.Weight;
import dev.kvdrive.device.WindowOperations.Fetch;
import dev.kvdrive.device.WindowOperations.Keys;
import dev.kvdrive.device.WindowOperations.Land;
import dev.kvdrive.kv.extent.SequenceIdentity;
import dev.kvdrive.kv.index.IndexCalibration;
import dev.kvdrive.kv.index.KeyTransform;
import dev.kvdrive.kv.tier.NvmeOptions;
import dev.kvdrive.kv.tier.TieredStore;
import dev.kvdrive.kv.window.KvState;
import dev.kvdrive.model.LayerTensors;
import dev.kvdrive.plan.AttentionOptions;
import dev.kvdrive.plan.Budget;
import dev.kvdrive.plan.ChunkFormat;
import dev.kvdrive.plan.ChunkGrid;
import dev.kvdrive.plan.ClusterFormat;
import dev.kvdrive.plan.DeviceKind;
import dev.kvdrive.plan.EngineSizes;
import dev.kvdrive.plan.Formats;
import dev.kvdrive.plan.IndexShape;
import dev.kvdrive.plan.KvLayout;
import dev.kvdrive.plan.KvType;
import dev.kvdrive.plan.Load;
import dev.kvdrive.plan.NvmeEncryption;
import dev.kvdrive.plan.Planner;
import dev.kvdrive.plan.PolicyShape;
import dev.kvdrive.plan.WindowOptions;
import dev.kvdrive.plan.Workspace;
import dev.kvdrive.transformer.ActivationBuffers;
import java.io.PrintStream;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.Deque;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.SplittableRandom;
import java.util.TreeMap;
import jcuda.driver.CUevent;
import org.jspecify.annotations.Nullable;

/**
 * Time of each stage of a layer of a decode step at Llama-3-8B's shape, many long sequences at
 * once, against the bytes that the stage must move.
 *
 * <p>Weights, keys and values are random. Selection is computed and timed, but which chunks are
 * attended is made up, so that a given share of those of one step is among those of the step
 * before: random queries would find hardly a chunk twice. Stages are recorded as one graph with an
 * event after each; the same graph without events, on one queue and on two, gives the time of the
 * whole.
 */
final class LayerStages implements AutoCloseable {
  private static final double OVERLAP = 0.8;
  private static final double WINDOW = 1.25;
  private static final int WARM_STEPS = 5;
  private static final int STEPS = 16;
  private static final int MOST_LANES = 4;

  private final PrintStream out;
  private final Deque<AutoCloseable> owned = new ArrayDeque<>();
  private final int rows;
  private final CudaDevice device;
  private final Driver driver;
  private final Operations ops;
  private final CudaQueue queue;
  private final Queue transfers;
  private final Event appended;
  private final List<Lane> lanes = new ArrayList<>();
  private final SyntheticLlama model;
  private final EngineSizes sizes;
  private final KvLayout layout;
  private final KvState kv;
  private final TieredStore store;
  private final ActivationBuffers activations;
  private final DeviceBuffer angles;
  private final DeviceBuffer gateBuffer;
  private final DeviceBuffer likeliest;
  private final DeviceBuffer sampling;
  private final StepBatch batch;

  /** The rows in one micro-batch, in two, and in four. */
  private final Map<Integer, List<StepBatch>> parts = new TreeMap<>();

  private final int closed;
  private final List<Weights> layers = new ArrayList<>();
  private final Weight embedding;
  private final Weight norm;
  private final Weight output;
  private final HostBuffer preparedHost;
  private final DeviceBuffer prepared;
  private final DeviceBuffer preparedCounts;
  private final int[][] chosen;
  private final SplittableRandom random = new SplittableRandom(7);
  private final List<Mark> marks = new ArrayList<>();
  private boolean marking;

  private record Mark(String stage, CUevent event) {}

  /** Where the attention of a micro-batch is submitted, and what orders it and its transfers. */
  private record Lane(Queue queue, Event diffed, Event landed, Event done) {}

  private record Weights(
      Weight norm, Weight queryKeyValue, Weight attentionOutput, Weight gateUp, Weight down) {}

  /**
   * Loads and fills everything.
   *
   * @param context tokens of each sequence
   * @param rows sequences
   * @param budget share of the closed chunks attended
   * @param layerCount layers, each with weights, keys and values of its own
   * @param index what chunks are chosen by, and what estimates the rest
   * @param resident what chunks are in the window
   */
  LayerStages(
      PrintStream out,
      int context,
      int rows,
      double budget,
      int layerCount,
      IndexShape index,
      ChunkFormat resident,
      Path nvme) {
    this.out = out;
    this.rows = rows;
    model = own(new SyntheticLlama(layerCount, context));
    layout = Planner.layout(model.geometry(), KvType.BF16, new Formats(resident, ChunkFormat.INT8));
    ChunkGrid grid = layout.grid();
    // A position at which no chunk closes: the step is the usual one, seven times of eight.
    int tokens = grid.firstToken(grid.closedChunks(context)) + grid.local() + 3;
    closed = grid.closedChunks(tokens);
    int selected = (int) Math.ceil(budget * closed);
    int cells = rows * layout.kvHeads();
    int block = Math.min(DeviceKind.CUDA.prefillBlock(), context);
    sizes =
        new EngineSizes(
            model.geometry(),
            layout,
            new Load(tokens, rows),
            AttentionOptions.of(
                    PolicyShape.KVDRIVE.withIndex(index),
                    Budget.of(budget),
                    KvType.BF16,
                    DeviceKind.CUDA)
                .withFormats(layout.formats())
                .withDenseBelow(0)
                .withWindows(WindowOptions.DEFAULT.with(WindowOptions.Division.UNIFORM)),
            Short.BYTES,
            (int) Math.ceil(WINDOW * selected),
            selected,
            block,
            Workspace.shortPrompt(context, rows),
            Math.addExact(
                layerCount * cells * layout.extents(closed),
                Workspace.minimumFrames(layout, rows, block)),
            0,
            NvmeEncryption.NONE);
    device = own(CudaDevice.open(0, 60L << 30));
    driver = device.gpu().driver();
    ops = device.operations();
    queue = (CudaQueue) own(device.createQueue("bench"));
    transfers = own(device.createUrgentQueue("transfers"));
    appended = own(device.createEvent());
    for (int i = 0; i < MOST_LANES; i++) {
      lanes.add(
          new Lane(
              i == 0 ? queue : own(device.createQueue("lane " + i)),
              own(device.createEvent()),
              own(device.createEvent()),
              own(device.createEvent())));
    }
    kv = own(KvState.allocate(device, queue, sizes, plainCalibration()));
    store = own(TieredStore.open(sizes, device, kv.layers(), kv.extents(), NvmeOptions.in(nvme)));
    activations = own(ActivationBuffers.allocate(device, model.spec(), sizes));
    angles = own(device.allocate("angles", 4L * rows * SyntheticLlama.HEAD_DIM));
    gateBuffer = own(device.allocate("gate and up", 4L * rows * SyntheticLlama.FEED_FORWARD));
    likeliest = own(device.allocate("likeliest", 4L * rows));
    sampling = own(device.allocate("sampling", (long) RowSampling.BYTES * rows));
    embedding = own(device.load("embedding", List.of(model.embedding())));
    output = own(device.load("output", List.of(model.output())));
    norm = own(device.load("norm", List.of(model.outputNorm())));
    for (LayerTensors layer : model.layers()) {
      layers.add(
          new Weights(
              own(device.load("norm", List.of(layer.attentionNorm()))),
              own(device.load("qkv", List.of(layer.query(), layer.key(), layer.value()))),
              own(device.load("attention output", List.of(layer.output()))),
              own(device.load("gate and up", List.of(layer.gate(), layer.up()))),
              own(device.load("down", List.of(layer.down())))));
    }
    for (int count = 1; count <= MOST_LANES && rows % count == 0; count *= 2) {
      List<StepBatch> of = new ArrayList<>();
      for (int part = 0; part < count; part++) {
        of.add(batch(tokens, part * rows / count, (part + 1) * rows / count));
      }
      parts.put(count, of);
    }
    batch = Objects.requireNonNull(parts.get(1)).getFirst();
    fillKeysAndValues();
    preparedHost =
        own(device.allocateHost("prepared selection", 4L * cells * selected + 4L * cells));
    prepared = own(device.allocate("prepared selection", 4L * cells * selected));
    preparedCounts = own(device.allocate("prepared counts", 4L * cells));
    chosen = new int[cells][];
    for (int cell = 0; cell < cells; cell++) {
      preparedHost
          .segment()
          .setAtIndex(ValueLayout.JAVA_INT, (long) cells * selected + cell, selected);
    }
    queue.upload(preparedHost, 4L * cells * selected, preparedCounts, 0, 4L * cells);
    queue.synchronize();
    out.printf(
        "%s%n%d sequences of %d tokens, %d closed chunks, %d selected (%.2f %%), window %d slots, %d layers with %.2f GB of frames%n",
        device.description(),
        rows,
        tokens,
        closed,
        selected,
        100 * budget,
        sizes.windowSlots(),
        layerCount,
        (double) sizes.dramFrames() * layout.extentBytes() / 1e9);
  }

  private <T extends AutoCloseable> T own(T resource) {
    owned.push(resource);
    return resource;
  }

  /** All rows, of which only some are used. */
  private StepBatch batch(int tokens, int first, int end) {
    DeviceBuffer[] arrays = new DeviceBuffer[4];
    int[][] values = new int[4][rows];
    for (int row = 0; row < rows; row++) {
      values[0][row] = 1000 + 77 * row;
      values[1][row] = tokens - 1;
      values[2][row] = row >= first && row < end ? row : -1;
      values[3][row] = sizes.maxSelected();
    }
    try (HostBuffer host = device.allocateHost("step", 4L * rows)) {
      for (int i = 0; i < arrays.length; i++) {
        arrays[i] = own(device.allocate("step " + i, 4L * rows));
        MemorySegment.copy(values[i], 0, host.segment(), ValueLayout.JAVA_INT, 0, rows);
        queue.upload(host, 0, arrays[i], 0, 4L * rows);
        queue.synchronize();
      }
    }
    return new StepBatch(rows, arrays[0], arrays[1], arrays[2], arrays[3]);
  }

  private void fillKeysAndValues() {
    SyntheticLlama.fill(store.frames().memory().segment(), 1f, 2);
    for (int seat = 0; seat < rows; seat++) {
      store.openSeat(queue, seat, new SequenceIdentity("", "row " + seat));
      for (KvLayer layer : kv.layers()) {
        for (int from = 0; from < closed; ) {
          from = store.provideForChunks(queue, layer.layer(), seat, from, closed);
        }
      }
    }
    queue.synchronize();
    try (HostBuffer host = device.allocateHost("random keys", 64L << 20)) {
      SyntheticLlama.fill(host.segment(), 1f, 3);
      for (KvLayer layer : kv.layers()) {
        for (DeviceBuffer buffer : List.of(layer.index().memory(), layer.dense())) {
          upload(host, buffer);
        }
      }
      queue.synchronize();
    }
  }

  private void upload(HostBuffer host, DeviceBuffer buffer) {
    for (long at = 0; at < buffer.bytes(); at += host.bytes()) {
      queue.upload(host, 0, buffer, at, Math.min(host.bytes(), buffer.bytes() - at));
    }
  }

  /** A calibration that leaves keys as they are. */
  private IndexCalibration plainCalibration() {
    int dim = layout.headDim();
    float[] same = new float[dim * dim];
    float[] deviation = new float[dim];
    for (int i = 0; i < dim; i++) {
      same[i * dim + i] = 1;
      deviation[i] = 1;
    }
    List<KeyTransform> heads =
        Collections.nCopies(
            layout.kvHeads(), new KeyTransform(new float[dim], same, same, deviation));
    return new IndexCalibration("none", Collections.nCopies(layout.layers(), heads));
  }

  private void fillSteps(HostBuffer table, long row, boolean nibbles) {
    if (nibbles) {
      for (int group = 0; group < ClusterFormat.groups(layout.headDim()); group++) {
        table.segment().set(ValueLayout.JAVA_BYTE, row + group, (byte) ClusterFormat.stepCode(1));
      }
    } else {
      table.segment().set(ValueLayout.JAVA_FLOAT_UNALIGNED, row, 0.01f);
    }
  }

  /** Clusters of the same size, tokens in them at random. */
  private void fillClusters(LayerClusters clusters) {
    ClusterFormat format = clusters.format();
    int bytes = format.bytes(layout);
    int count = format.clusters(layout, closed);
    try (HostBuffer table = device.allocateHost("clusters", clusters.table().bytes());
        HostBuffer members = device.allocateHost("members", clusters.clusterOfMember().bytes());
        HostBuffer clustered = device.allocateHost("clustered", clusters.clustered().bytes());
        HostBuffer bases = device.allocateHost("bases", clusters.bases().bytes())) {
      SyntheticLlama.fill(table.segment(), 1f, 4);
      for (long at = 0; at < table.bytes(); at += bytes) {
        table.segment().set(ValueLayout.JAVA_SHORT_UNALIGNED, at, (short) format.tokens());
        fillSteps(table, at + format.centroidOffset(), format.nibbles());
        fillSteps(table, at + format.valueOffset(layout), format.nibbles());
      }
      for (long at = 0; at < members.bytes(); at += Short.BYTES) {
        members.segment().set(ValueLayout.JAVA_SHORT, at, (short) random.nextInt(count));
      }
      for (long at = 0; at < clustered.bytes(); at += Integer.BYTES) {
        clustered.segment().set(ValueLayout.JAVA_INT, at, closed);
      }
      queue.upload(table, 0, clusters.table(), 0, table.bytes());
      queue.upload(members, 0, clusters.clusterOfMember(), 0, members.bytes());
      queue.upload(clustered, 0, clusters.clustered(), 0, clustered.bytes());
      bases.segment().fill((byte) 0);
      queue.upload(bases, 0, clusters.bases(), 0, bases.bytes());
      queue.synchronize();
    }
  }

  // --- what is attended ---

  /** Makes the next step's selection: a share of the last one's chunks, the rest new. */
  private void prepare() {
    int selected = sizes.maxSelected();
    for (int cell = 0; cell < chosen.length; cell++) {
      boolean[] taken = new boolean[closed];
      int count = 0;
      if (chosen[cell] != null) {
        int[] old = chosen[cell].clone();
        for (int i = 0; i < (int) (OVERLAP * selected); i++) {
          int j = i + random.nextInt(selected - i);
          int chunk = old[j];
          old[j] = old[i];
          taken[chunk] = true;
          count++;
        }
      }
      while (count < selected) {
        int chunk = random.nextInt(closed);
        if (!taken[chunk]) {
          taken[chunk] = true;
          count++;
        }
      }
      int[] next = new int[selected];
      for (int chunk = 0, i = 0; chunk < closed; chunk++) {
        if (taken[chunk]) {
          next[i++] = chunk;
        }
      }
      chosen[cell] = next;
      MemorySegment.copy(
          next, 0, preparedHost.segment(), ValueLayout.JAVA_INT, 4L * cell * selected, selected);
    }
    queue.upload(preparedHost, 0, prepared, 0, prepared.bytes());
  }

  // --- a step ---

  /**
   * @param pipeline whether misses are fetched on a queue of their own
   * @param microBatches how many there are of the rows, each with a queue of its own
   */
  private void step(boolean pipeline, int microBatches) {
    ops.tensor().angles(queue, new Angles(model.spec().rope(), batch.positions(), rows, angles));
    ops.tensor()
        .embed(queue, new Embed(embedding, batch.tokens(), 1, rows, activations.residual()));
    mark("embedding and angles");
    for (int i = 0; i < layers.size(); i++) {
      layer(layers.get(i), kv.layers().get(i), pipeline, microBatches);
    }
    ActivationBuffers a = activations;
    Activations normed = a.attended();
    ops.tensor()
        .rmsNorm(
            queue, new RmsNorm(a.residual(), norm, 1e-5f, rows, SyntheticLlama.HIDDEN, normed));
    ops.tensor().logits(queue, new Product(output, normed, rows, a.logits()));
    mark("logits");
    ops.tensor()
        .choose(
            queue, new Choice(a.logits(), rows, SyntheticLlama.VOCABULARY, sampling, likeliest));
    mark("choose");
  }

  private void layer(Weights w, KvLayer layer, boolean pipeline, int microBatches) {
    ActivationBuffers a = activations;
    int hidden = SyntheticLlama.HIDDEN;
    int dim = SyntheticLlama.HEAD_DIM;
    var shape =
        new AttentionShape(
            SyntheticLlama.HEADS, SyntheticLlama.KV_HEADS, dim, model.spec().attentionScale());
    // The attention output is written last; until then its rows hold the normed activations.
    Activations normed = a.attended();
    ops.tensor().rmsNorm(queue, new RmsNorm(a.residual(), w.norm(), 1e-5f, rows, hidden, normed));
    mark("norm");
    ops.tensor().matmul(queue, new Product(w.queryKeyValue(), normed, rows, a.query()));
    mark("query, key, value");
    ops.tensor()
        .rotate(
            queue, new Rotation(model.spec().rope(), angles, a.query(), rows, shape.heads(), dim));
    ops.tensor()
        .rotate(
            queue, new Rotation(model.spec().rope(), angles, a.key(), rows, shape.kvHeads(), dim));
    mark("rotate");
    LayerStep step = new LayerStep(batch, layer);
    ops.kv().append(queue, new Append(step, store.frames(), a.key(), a.value()));
    mark("append");
    ops.index().summarise(queue, step);
    mark("summarise");
    List<StepBatch> of = Objects.requireNonNull(parts.get(microBatches));
    if (microBatches > 1) {
      queue.record(appended);
    }
    for (int part = 0; part < microBatches; part++) {
      Lane lane = lanes.get(part);
      if (part > 0) {
        lane.queue().await(appended);
      }
      choose(lane, of.get(part), part, microBatches, layer, shape, pipeline);
    }
    for (int part = 0; part < microBatches; part++) {
      Lane lane = lanes.get(part);
      attend(lane, of.get(part), layer, shape, pipeline);
      if (part > 0) {
        lane.queue().record(lane.done());
        queue.await(lane.done());
      }
    }
    ops.tensor()
        .matmulAdd(queue, new Product(w.attentionOutput(), a.attended(), rows, a.residual()));
    mark("attention output");
    ops.tensor().rmsNorm(queue, new RmsNorm(a.residual(), w.norm(), 1e-5f, rows, hidden, normed));
    mark("norm");
    ops.tensor().matmul(queue, new Product(w.gateUp(), normed, rows, gate()));
    mark("gate and up");
    ops.tensor()
        .siluMultiply(
            queue,
            new Gating(
                gate(),
                gate().from(SyntheticLlama.FEED_FORWARD),
                rows,
                SyntheticLlama.FEED_FORWARD,
                gate()));
    mark("silu");
    ops.tensor().matmulAdd(queue, new Product(w.down(), gate(), rows, a.residual()));
    mark("down");
  }

  private void choose(
      Lane lane,
      StepBatch rowsOfPart,
      int part,
      int parts,
      KvLayer layer,
      AttentionShape shape,
      boolean pipeline) {
    Selection selection = kv.selection();
    LayerStep step = new LayerStep(rowsOfPart, layer);
    Pass pass = new Pass(step, selection, 0);
    Queue on = lane.queue();
    ops.index()
        .score(on, new Score(step, shape, activations.query(), selection, Merge.LARGEST_SHARE));
    mark("score");
    ops.index().best(on, new Best(step, selection));
    mark("best");
    long share = prepared.bytes() / parts;
    on.copy(prepared, part * share, selection.selected(), part * share, share);
    share = preparedCounts.bytes() / parts;
    on.copy(preparedCounts, part * share, selection.selectedCount(), part * share, share);
    mark("(made-up selection)");
    ops.window().key(on, new Keys(step, selection, true));
    mark("key");
    ops.window().diff(on, pass);
    mark("diff");
    Queue second = pipeline ? transfers : on;
    order(pipeline, on, lane.diffed(), second);
    ops.window().fetch(second, new Fetch(pass, store.frames(), store.mailbox()));
    mark("fetch");
    ops.window().land(second, new Land(pass, store.mailbox(), 1000));
    mark("land");
    if (pipeline) {
      second.record(lane.landed());
    }
  }

  private void attend(
      Lane lane, StepBatch rowsOfPart, KvLayer layer, AttentionShape shape, boolean pipeline) {
    Selection selection = kv.selection();
    ActivationBuffers a = activations;
    LayerStep step = new LayerStep(rowsOfPart, layer);
    Attend attend = new Attend(new Pass(step, selection, 0), shape, a.query(), kv.attention());
    Queue on = lane.queue();
    ops.attention().begin(on, new Begin(step, shape, a.query(), kv.attention()));
    mark("attend sink and ring");
    if (layer.index().clusters() != null) {
      ops.attention().estimate(on, new Estimate(step, shape, a.query(), selection, kv.attention()));
      mark("estimate");
    }
    ops.attention().hits(on, attend);
    mark("attend hits");
    if (pipeline) {
      on.await(lane.landed());
    }
    ops.attention().misses(on, attend);
    mark("attend misses");
    ops.attention().finish(on, new Finish(step, shape, kv.attention(), a.attended()));
    mark("finish attention");
  }

  private Activations gate() {
    return Activations.dense(gateBuffer, ElementType.BF16, 2 * SyntheticLlama.FEED_FORWARD);
  }

  private static void order(boolean pipeline, Queue first, Event event, Queue second) {
    if (pipeline) {
      first.record(event);
      second.await(event);
    }
  }

  private void mark(String stage) {
    if (marking) {
      CUevent event = driver.createEvent(true);
      marks.add(new Mark(stage, event));
      driver.recordInGraph(event, queue.stream());
    }
  }

  // --- measurements ---

  /** Copies within device memory: the rate, read and written bytes together, in GB/s. */
  double copyRate() {
    long bytes = 1L << 30;
    try (DeviceBuffer from = device.allocate("copy source", bytes);
        DeviceBuffer to = device.allocate("copy target", bytes)) {
      double best = 0;
      for (int i = 0; i < 5; i++) {
        CUevent start = driver.createEvent(true);
        CUevent end = driver.createEvent(true);
        driver.record(start, queue.stream());
        queue.copy(from, 0, to, 0, bytes);
        driver.record(end, queue.stream());
        queue.synchronize();
        best = Math.max(best, 2.0 * bytes / driver.milliseconds(start, end) / 1e6);
      }
      return best;
    }
  }

  /** Gather of everything selected into empty windows. */
  void gather() {
    KvLayer layer = kv.layers().getFirst();
    double[] rates = new double[7];
    long bytes = (long) chosen.length * sizes.maxSelected() * layout.backing().bytes();
    for (int i = 0; i < rates.length; i++) {
      prepare();
      queue.copy(prepared, 0, kv.selection().selected(), 0, prepared.bytes());
      queue.copy(preparedCounts, 0, kv.selection().selectedCount(), 0, preparedCounts.bytes());
      for (int seat = 0; seat < rows; seat++) {
        ops.kv().reset(queue, new Reset(layer, seat));
      }
      ops.window().diff(queue, new Pass(new LayerStep(batch, layer), kv.selection(), 0));
      CUevent start = driver.createEvent(true);
      CUevent end = driver.createEvent(true);
      driver.record(start, queue.stream());
      ops.window()
          .fetch(
              queue,
              new Fetch(
                  new Pass(new LayerStep(batch, layer), kv.selection(), 0),
                  store.frames(),
                  store.mailbox()));
      driver.record(end, queue.stream());
      queue.synchronize();
      rates[i] = bytes / driver.milliseconds(start, end) / 1e6;
    }
    Arrays.sort(rates);
    out.printf(
        "gather of %d chunks of %d bytes from DRAM: %.1f GB/s (median of %d, %.1f to %.1f)%n",
        bytes / layout.backing().bytes(),
        layout.backing().bytes(),
        rates[rates.length / 2],
        rates.length,
        rates[0],
        rates[rates.length - 1]);
  }

  /** Runs steps in every way and prints what each stage takes. */
  void run() {
    double copy = copyRate();
    out.printf("copy within device memory: %.0f GB/s, read and written%n", copy);
    gather();
    for (int seat = 0; seat < rows; seat++) {
      for (KvLayer layer : kv.layers()) {
        ops.kv().reset(queue, new Reset(layer, seat));
      }
    }
    for (KvLayer layer : kv.layers()) {
      if (layer.index().clusters() != null) {
        fillClusters(layer.index().clusters()); // a reset seat has none
      }
    }
    for (int i = 0; i < WARM_STEPS; i++) {
      prepare();
      step(i % 2 == 1, 1);
      queue.synchronize();
    }
    for (int microBatches : parts.keySet()) {
      prepare();
      step(true, microBatches); // queues make their workspaces, which a recording cannot
      queue.synchronize();
    }
    whole("plain launches, one queue", null, false);
    whole("plain launches, two queues", null, true);
    try (Graph graph = queue.capture(() -> step(false, 1))) {
      whole("graph of one queue (%d nodes)".formatted(((CudaGraph) graph).nodes()), graph, false);
    }
    for (int microBatches : parts.keySet()) {
      try (Graph graph = queue.capture(() -> step(true, microBatches))) {
        whole(
            "graph, micro-batches: %d, and transfers (%d nodes)"
                .formatted(microBatches, ((CudaGraph) graph).nodes()),
            graph,
            true);
      }
    }
    stages(copy);
    closing();
  }

  /** What a layer of a step takes in which each sequence closes a chunk. */
  private void closing() {
    ChunkGrid grid = layout.grid();
    StepBatch all = batch(grid.firstToken(closed) + grid.local(), 0, rows);
    List<String> verbs = List.of("append", "summarise", "join");
    double[][] micros = new double[verbs.size()][STEPS];
    for (int i = 0; i < STEPS; i++) {
      KvLayer layer = kv.layers().get(i % kv.layers().size());
      LayerClusters clusters = layer.index().clusters();
      if (clusters == null) {
        return;
      }
      LayerStep step = new LayerStep(all, layer);
      DeviceBuffer clustered = clusters.clustered();
      queue.fill(clustered, 0, clustered.bytes() / Integer.BYTES, closed - 1);
      List<Runnable> run =
          List.of(
              () ->
                  ops.kv()
                      .append(
                          queue,
                          new Append(step, store.frames(), activations.key(), activations.value())),
              () -> ops.index().summarise(queue, step),
              () -> ops.index().join(queue, new Join(step)));
      for (int verb = 0; verb < run.size(); verb++) {
        CUevent start = driver.createEvent(true);
        CUevent end = driver.createEvent(true);
        queue.synchronize();
        driver.record(start, queue.stream());
        run.get(verb).run();
        driver.record(end, queue.stream());
        queue.synchronize();
        micros[verb][i] = 1e3 * driver.milliseconds(start, end);
      }
    }
    for (int verb = 0; verb < verbs.size(); verb++) {
      Arrays.sort(micros[verb]);
      out.printf(
          "a layer in which %d sequences close a chunk, %s: %.1f us [%.1f, %.1f]%n",
          rows, verbs.get(verb), micros[verb][STEPS / 2], micros[verb][0], micros[verb][STEPS - 1]);
    }
  }

  private void whole(String how, @Nullable Graph graph, boolean pipeline) {
    double[] micros = new double[STEPS];
    double[] host = new double[STEPS];
    for (int i = 0; i < STEPS; i++) {
      prepare();
      queue.synchronize();
      CUevent start = driver.createEvent(true);
      CUevent end = driver.createEvent(true);
      long from = System.nanoTime();
      driver.record(start, queue.stream());
      if (graph == null) {
        step(pipeline, 1);
      } else {
        queue.launch(graph);
      }
      driver.record(end, queue.stream());
      host[i] = (System.nanoTime() - from) / 1e3;
      queue.synchronize();
      micros[i] = 1e3 * driver.milliseconds(start, end);
    }
    Arrays.sort(micros);
    Arrays.sort(host);
    out.printf(
        "%-54s %8.1f us a step of %d layers [%.1f, %.1f] (host busy %.1f us)%n",
        how, micros[STEPS / 2], layers.size(), micros[0], micros[STEPS - 1], host[STEPS / 2]);
  }

  private void stages(double copyRate) {
    marking = true;
    marks.clear();
    Graph graph =
        queue.capture(
            () -> {
              mark("start");
              mark("(event)");
              step(false, 1);
            });
    marking = false;
    Map<String, double[]> times = new LinkedHashMap<>();
    queue.fill(kv.selection().counters(), 0, (long) rows * Selection.COUNTERS, 0);
    for (int i = 0; i < STEPS; i++) {
      prepare();
      queue.launch(graph);
      queue.synchronize();
      for (int m = 1; m < marks.size(); m++) {
        double micros = 1e3 * driver.milliseconds(marks.get(m - 1).event(), marks.get(m).event());
        times.computeIfAbsent(marks.get(m).stage(), s -> new double[1])[0] += micros / STEPS;
      }
    }
    graph.close();
    try (HostBuffer counters = device.allocateHost("counters", 4L * rows * Selection.COUNTERS)) {
      queue.download(kv.selection().counters(), 0, counters, 0, counters.bytes());
      queue.synchronize();
      long[] sums = new long[Selection.COUNTERS];
      for (int i = 0; i < rows * Selection.COUNTERS; i++) {
        sums[i % Selection.COUNTERS] += counters.segment().getAtIndex(ValueLayout.JAVA_INT, i);
      }
      double steps = (double) STEPS * layers.size();
      print(
          times,
          copyRate,
          sums[Selection.HITS_COUNTER] / steps,
          sums[Selection.DRAM_COUNTER] / steps);
    }
  }

  private void print(Map<String, double[]> times, double copyRate, double hits, double misses) {
    double event = Objects.requireNonNull(times.remove("(event)"))[0];
    out.printf(
        "a layer has %.0f hits and %.0f misses (%.1f %% hits); an event costs %.2f us, taken off each stage%n",
        hits, misses, 100 * hits / (hits + misses), event);
    Map<String, Double> bytes = bytes(hits, misses);
    double layerTime = 0;
    double layerFloor = 0;
    out.printf("%-24s %9s %10s %10s %8s%n", "stage of a layer", "us", "MB", "floor us", "times");
    for (Map.Entry<String, double[]> entry : times.entrySet()) {
      String stage = entry.getKey();
      boolean once = List.of("embedding and angles", "logits", "choose").contains(stage);
      int perLayer = stage.equals("norm") ? 2 : 1;
      int count = once ? 1 : layers.size();
      double micros = entry.getValue()[0] / count - perLayer * event;
      double moved = bytes.getOrDefault(stage, 0.0);
      double rate = stage.equals("fetch") ? 50e3 : copyRate * 1e3;
      double floor = moved / rate;
      out.printf(
          "%-24s %9.1f %10.2f %10.1f %8s%n",
          stage + (once ? " (once)" : ""),
          micros,
          moved / 1e6,
          floor,
          floor > 0.05 ? "%.1f".formatted(micros / floor) : "");
      if (!once && !stage.startsWith("(")) {
        layerTime += micros;
        layerFloor += floor;
      }
    }
    out.printf(
        "%-24s %9.1f %10s %10.1f %8.1f%n",
        "a layer", layerTime, "", layerFloor, layerTime / layerFloor);
  }

  /** Bytes that each stage must move at least: of device memory, for fetch from DRAM. */
  private Map<String, Double> bytes(double hits, double misses) {
    double hidden = SyntheticLlama.HIDDEN;
    double queryWidth = SyntheticLlama.HEADS * SyntheticLlama.HEAD_DIM;
    double keyWidth = SyntheticLlama.KV_HEADS * SyntheticLlama.HEAD_DIM;
    double chunk = layout.resident().bytes();
    double cells = chosen.length;
    double dense = layout.grid().denseTokens() * 2.0 * layout.rowBytes();
    Map<String, Double> bytes = new LinkedHashMap<>();
    bytes.put("query, key, value", 2 * hidden * (queryWidth + 2 * keyWidth));
    bytes.put("attention output", 2 * hidden * queryWidth);
    bytes.put("gate and up", 4 * hidden * SyntheticLlama.FEED_FORWARD);
    bytes.put("down", 2 * hidden * SyntheticLlama.FEED_FORWARD);
    bytes.put("logits", 2 * hidden * SyntheticLlama.VOCABULARY);
    bytes.put("choose", 4.0 * rows * SyntheticLlama.VOCABULARY);
    bytes.put("score", cells * sizes.policy().summary().indexBytes(layout, closed));
    bytes.put("attend sink and ring", cells * dense);
    bytes.put("attend hits", hits * chunk);
    bytes.put("attend misses", misses * chunk);
    bytes.put("fetch", misses * layout.backing().bytes());
    ClusterFormat clusters = sizes.policy().clusters();
    if (clusters != null) {
      double ids = 2.0 * sizes.maxSelected() * layout.grid().chunk();
      bytes.put(
          "estimate",
          cells * (ids + (double) clusters.bytes(layout) * clusters.clusters(layout, closed)));
    }
    return bytes;
  }

  @Override
  public void close() {
    while (!owned.isEmpty()) {
      try {
        owned.pop().close();
      } catch (Exception e) {
        throw new IllegalStateException(e);
      }
    }
  }
}
