package dev.kvdrive.decode;

import dev.kvdrive.device.Activations;
import dev.kvdrive.device.Device;
import dev.kvdrive.device.Event;
import dev.kvdrive.device.Graph;
import dev.kvdrive.device.HostBuffer;
import dev.kvdrive.device.KvLayer;
import dev.kvdrive.device.Queue;
import dev.kvdrive.device.Selection;
import dev.kvdrive.device.StepBatch;
import dev.kvdrive.kv.meter.AccuracyMeter;
import dev.kvdrive.kv.policy.Policy;
import dev.kvdrive.kv.policy.SelectionObserver;
import dev.kvdrive.kv.policy.SelectionTap;
import dev.kvdrive.kv.tier.StepFaults;
import dev.kvdrive.kv.tier.TieredStore;
import dev.kvdrive.kv.window.KvState;
import dev.kvdrive.plan.ChunkGrid;
import dev.kvdrive.plan.EngineSizes;
import dev.kvdrive.plan.Workspace;
import dev.kvdrive.transformer.ActivationBuffers;
import dev.kvdrive.transformer.StepOutput;
import dev.kvdrive.transformer.Transformer;
import java.lang.foreign.ValueLayout;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Deque;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * One decode step: a new token for each of up to {@code concurrency} sequences.
 *
 * <pre>
 *   upload parameters -> embed -> for each layer: project -> attention -> output projection -> MLP
 *   -> logits -> chosen token -> download
 * </pre>
 *
 * <p>The attention of a layer is the {@link LayerProgram}.
 *
 * <p>The host submits everything and synchronises once at the end. What differs between steps lies
 * in device arrays; only the number of rows and of passes is fixed in what is submitted, and a
 * graph is recorded for each combination of them. A graph has the rows that the device asks for;
 * those without a sequence have seat -1.
 *
 * <p>Usage, on the engine thread: {@link #clear}, {@link #add} for each row, {@link #provide},
 * {@link #run}, then the results of each row.
 */
public final class DecodeStep implements AutoCloseable {
  /**
   * What a graph is recorded for.
   *
   * @param passes over a selection
   * @param densePasses over all chunks, where a layer is dense
   * @param partly whether rows may miss shares of their attention
   * @param way how it is run
   */
  private record Shape(int rows, int passes, int densePasses, boolean partly, StepTrials.Way way) {
    /** The same, run otherwise. */
    private Shape run(StepTrials.Way other) {
      return new Shape(rows, passes, densePasses, partly, other);
    }
  }

  /**
   * Steps that differ in nothing but how they are run.
   *
   * @param deepest into how many parts their rows are cut at most
   * @param plain run in the plainest way
   * @param trial tells in which
   * @param shapes by the way; filled as they are gone
   */
  private record Alike(
      int deepest, Shape plain, StepTrials.Trial trial, Map<StepTrials.Way, Shape> shapes) {
    private boolean is(int cut, int shaped, int passes, int densePasses, boolean partly) {
      return deepest == cut
          && plain.rows == shaped
          && plain.passes == passes
          && plain.densePasses == densePasses
          && plain.partly == partly;
    }

    private Shape run(StepTrials.Way way) {
      Shape shape = shapes.get(way);
      if (shape == null) {
        shape = plain.run(way);
        shapes.put(way, shape);
      }
      return shape;
    }
  }

  private static final StepTrials.Way PLAIN = new StepTrials.Way(1, false);

  /**
   * What operations take of so many rows.
   *
   * @param all the rows
   * @param before the rows as they were before their newest token
   */
  private record Batches(StepBatch all, StepBatch before) {}

  private final Device device;
  private final Queue queue;
  private final LayerProgram program;
  private final Policy policy;
  private final boolean prefetch;
  private final @Nullable SelectionTap tap;
  private final @Nullable AccuracyMeter meter;
  private final StepClock clock = new StepClock();
  private final boolean graphs;
  private final StepTrials trials;

  /** Those that were run, and the last of them: most steps are like the one before. */
  private final List<Alike> known = new ArrayList<>();

  private @Nullable Alike last;
  private final long fetchTimeoutNanos;
  private final EngineSizes sizes;
  private final Transformer transformer;
  private final KvState kv;
  private final TieredStore store;
  private final StepOutput output;
  private final StepParameters parameters;
  private final HostBuffer counters;
  private final Batches[] batches;
  private final Batches[] partly;
  private final StepBatch[] denseBatches;
  private final LinkedHashMap<Shape, Recording> recordings = new LinkedHashMap<>(16, 0.75f, true);

  /** What gives back its own queue, events and memory, the last made first. */
  private final Deque<Runnable> owned = new ArrayDeque<>();

  private final int[] seats;
  private final int[] positions;
  private final boolean[] wantsLogits;
  private boolean timeNext;
  private @Nullable Times times;
  private int rows;
  private int mostSelected;
  private int mostClosed;
  private boolean anyPartly;

  /**
   * How long a step took.
   *
   * @param nanos the whole step
   * @param stages of these, each stage
   */
  public record Times(long nanos, Map<StepStage, Long> stages) {}

  /** A graph, from the second step of its shape on. */
  private static final class Recording {
    private @Nullable Graph graph;
  }

  /**
   * @param queue the queue of all computation, which stays the caller's
   * @param output where the logits of the rows go
   * @param meter measures what its steps leave out; null for none. A step that is measured is not
   *     launched as a graph
   * @param tap sees what is selected; null for nobody. With one there are no graphs
   * @throws dev.kvdrive.device.DeviceMemoryException if its memory does not fit; nothing stays
   *     allocated
   */
  public DecodeStep(
      Device device,
      Queue queue,
      Transformer transformer,
      KvState kv,
      TieredStore store,
      StepOutput output,
      EngineSizes sizes,
      DecodeOptions options,
      @Nullable AccuracyMeter meter,
      @Nullable SelectionTap tap) {
    this.device = device;
    this.queue = queue;
    prefetch = kv.prefetchMarks() != null && Policy.of(sizes.policy()).prefetches();
    this.meter = meter;
    this.tap = tap;
    this.transformer = transformer;
    this.kv = kv;
    this.store = store;
    this.output = output;
    this.sizes = sizes;
    policy = Policy.of(sizes.policy());
    graphs = options.graphs() && tap == null;
    trials = trials(options);
    fetchTimeoutNanos = options.fetchTimeout().toNanos();
    int maxRows = sizes.concurrency();
    seats = new int[maxRows];
    positions = new int[maxRows];
    wantsLogits = new boolean[maxRows];
    try {
      parameters = new StepParameters(device, queue, maxRows);
      owned.push(parameters::close);
      counters = device.allocateHost("step counters", 2 * 4L * maxRows * Selection.COUNTERS);
      owned.push(counters::close);
      program =
          new LayerProgram(
              device.operations(),
              policy,
              transformer.shape(),
              kv.selection(),
              kv.attention(),
              store.frames(),
              store.mailbox(),
              kv.reuse(),
              prefetch ? kv.prefetchMarks() : null,
              Math.toIntExact(options.fetchTimeout().toMillis()),
              options.pipeline() && device.queuesOverlap() ? pipeline(device) : null,
              clock);
    } catch (RuntimeException e) {
      owned.forEach(Runnable::run);
      throw e;
    }
    batches = new Batches[maxRows + 1];
    partly = new Batches[maxRows + 1];
    denseBatches = new StepBatch[maxRows + 1];
    for (int n = 1; n <= maxRows; n++) {
      batches[n] = new Batches(parameters.batch(n, false), parameters.before(n, false));
      partly[n] = new Batches(parameters.batch(n, true), parameters.before(n, true));
      denseBatches[n] = parameters.denseBatch(n);
    }
  }

  /** Like the other, with nobody watching. */
  public DecodeStep(
      Device device,
      Queue queue,
      Transformer transformer,
      KvState kv,
      TieredStore store,
      StepOutput output,
      EngineSizes sizes,
      DecodeOptions options) {
    this(device, queue, transformer, kv, store, output, sizes, options, null, null);
  }

  private StepTrials trials(DecodeOptions options) {
    boolean elastic = options.microBatches() == DecodeOptions.ELASTIC;
    int most = elastic ? Workspace.MOST_MICRO_BATCHES : options.microBatches();
    List<Boolean> ahead =
        !prefetch
            ? List.of(false)
            // Who watches is to see what would be prefetched.
            : tap == null && options.elasticPrefetch() ? List.of(false, true) : List.of(true);
    return new StepTrials(options.pipeline() ? most : 1, elastic, ahead);
  }

  private LayerProgram.Pipeline pipeline(Device device) {
    Queue transfers = device.createUrgentQueue("transfers");
    owned.push(transfers::close);
    return new LayerProgram.Pipeline(transfers, events(device), events(device));
  }

  private List<Event> events(Device device) {
    List<Event> events = new ArrayList<>();
    for (int part = 0; part < Workspace.MOST_MICRO_BATCHES; part++) {
      Event event = device.createEvent();
      owned.push(event::close);
      events.add(event);
    }
    return events;
  }

  /** Starts the description of a step. */
  public void clear() {
    rows = 0;
    mostSelected = 0;
    mostClosed = 0;
    anyPartly = false;
  }

  /** Adds a row that attends as many chunks as its budget says. */
  public void add(int token, int position, int seat, double budget, boolean logits) {
    add(token, position, seat, budget, 0, logits);
  }

  /**
   * Adds a row.
   *
   * @param token the sequence's newest token, whose keys and values this step appends
   * @param position its position
   * @param seat seat of the sequence; no two rows have the same
   * @param budget share of the closed chunks that the row attends, at most the plan's
   * @param mayMiss share of its attention that it may miss, in [0, 1): above 0 it attends as few
   *     chunks as are enough, and those of its budget at most
   * @param logits whether the host wants to see the logits
   */
  public void add(
      int token, int position, int seat, double budget, double mayMiss, boolean logits) {
    double share = policy.shape().selects() ? budget : 1;
    int closed = grid().closedChunks(position + 1);
    int selected = sizes.selectCount(share, closed);
    int closedBefore = grid().closedChunks(position);
    int before = sizes.selectCount(share, closedBefore);
    // What is short, or not to be chosen from, is attended whole.
    boolean part = mayMiss > 0 && policy.shape().selects() && closed > sizes.denseChunks();
    anyPartly |= part;
    parameters.set(
        rows,
        token,
        position,
        seat,
        selected,
        part || before < closedBefore ? before : 0,
        part ? (float) mayMiss : 0);
    seats[rows] = seat;
    positions[rows] = position;
    wantsLogits[rows] = logits;
    mostSelected = Math.max(mostSelected, selected);
    mostClosed = Math.max(mostClosed, closed);
    rows++;
  }

  /**
   * Has the token of the row that was added last drawn, in place of the likeliest: {@link
   * dev.kvdrive.device.RowSampling}.
   */
  public void sample(float temperature, int topK, float topP, float minP, long draw) {
    parameters.sample(rows - 1, temperature, topK, topP, minP, draw);
  }

  /**
   * Makes room in DRAM for what the step appends.
   *
   * @return seats for which there is no room yet; unless there are none, the step must be described
   *     again without them
   * @throws dev.kvdrive.kv.tier.TierException if there is none for a row; the step must then be
   *     described again without it
   */
  public Set<Integer> provide() {
    return store.provideForStep(queue, seats, positions, rows);
  }

  /** The next step that is not measured otherwise is timed, stage by stage. */
  public void time() {
    timeNext = true;
  }

  /** How long the last step took; null if it was not timed. */
  public @Nullable Times times() {
    return times;
  }

  /** How long chunks of the last step were on their way from NVMe, in nanoseconds. */
  public long nvmeNanos() {
    return store.nvmeNanos();
  }

  /**
   * Runs the step and waits for it.
   *
   * @param patience nanoseconds for which the step waits for what one (layer, pass) misses on NVMe
   * @return why chunks did not come, for rows whose {@link #counter} of faults is not zero; a row
   *     that is only late has not been, and can be added to a later step as it was
   */
  public StepFaults run(long patience) {
    int shaped = graphs ? Math.min(sizes.concurrency(), device.recordedRows(rows)) : rows;
    int densePasses = policy.shape().denseLayers() == 0 ? 0 : passes(mostClosed);
    Alike alike = alike(shaped, passes(mostSelected), densePasses);
    Shape shape = alike.run(alike.trial().next());
    parameters.pad(rows, shaped);
    parameters.cut(shaped, shape.way().depth());
    long from = System.nanoTime();
    store.beginStep(patience, fetchTimeoutNanos);
    boolean measured = meter != null && meter.begin(seats, positions, rows);
    boolean timed = timeNext && !measured;
    if (timed) {
      clock.start();
      timeNext = false;
    }
    if (graphs && !measured && !timed) {
      launch(shape);
    } else {
      submit(shape);
    }
    for (int row = 0; row < rows; row++) {
      if (wantsLogits[row]) {
        output.downloadLogits(queue, row);
      }
    }
    StepFaults faults = store.endStep(queue);
    // The last stage ends before the step does, so that all of them are no more than it.
    Map<StepStage, Long> stages = timed ? clock.stop() : Map.of();
    long nanos = System.nanoTime() - from;
    times = timed ? new Times(nanos, stages) : null;
    if (!measured && !timed) {
      alike.trial().took(nanos);
    }
    return faults;
  }

  /** Forgets how long steps took: those before all code was compiled say nothing of later ones. */
  public void forgetTrials() {
    known.forEach(alike -> alike.trial().forget());
  }

  private Alike alike(int shaped, int passes, int densePasses) {
    int deepest = trials.deepest(rows);
    if (last != null && last.is(deepest, shaped, passes, densePasses, anyPartly)) {
      return last;
    }
    for (int i = 0; i < known.size(); i++) {
      if (known.get(i).is(deepest, shaped, passes, densePasses, anyPartly)) {
        last = known.get(i);
        return last;
      }
    }
    Shape plain = new Shape(shaped, passes, densePasses, anyPartly, PLAIN);
    last = new Alike(deepest, plain, trials.of(rows), new HashMap<>());
    known.add(last);
    return last;
  }

  /** A {@code Selection.*_COUNTER} of a row of the last step, summed over layers and KV heads. */
  public int counter(int row, int counter) {
    return counters
        .segment()
        .getAtIndex(ValueLayout.JAVA_INT, (long) row * Selection.COUNTERS + counter);
  }

  /** Chunks that the last step has prefetched for a row, summed over layers and KV heads. */
  public int prefetched(int row) {
    return prefetch
        ? counters
            .segment()
            .get(
                ValueLayout.JAVA_INT,
                prefetchedAt() + 4L * (row * Selection.COUNTERS + Selection.DRAM_COUNTER))
        : 0;
  }

  private long prefetchedAt() {
    return counters.bytes() / 2;
  }

  private void launch(Shape shape) {
    Recording recording = recordings.get(shape);
    if (recording == null) {
      // The first step of a shape runs as it is, so that everything a recording uses is ready.
      submit(shape);
      recordings.put(shape, new Recording());
      evictRecordings();
      return;
    }
    Graph graph = recording.graph;
    if (graph == null) {
      graph = queue.capture(() -> submit(shape));
      recording.graph = graph;
    }
    queue.launch(graph);
  }

  private void evictRecordings() {
    while (recordings.size() > Workspace.MOST_GRAPHS) {
      Map.Entry<Shape, Recording> eldest = recordings.firstEntry();
      recordings.remove(eldest.getKey());
      close(eldest.getValue());
    }
  }

  private static void close(Recording recording) {
    if (recording.graph != null) {
      recording.graph.close();
    }
  }

  private int passes(int chunks) {
    return sizes.passChunks() == 0 ? 0 : Math.ceilDiv(chunks, sizes.passChunks());
  }

  private void submit(Shape shape) {
    int rows = shape.rows();
    Batches of = (shape.partly() ? partly : batches)[rows];
    StepBatch batch = of.all();
    List<StepBatch> parts = parameters.parts(batch, shape.way().depth());
    List<StepBatch> denseParts = parameters.parts(denseBatches[rows], shape.way().depth());
    ActivationBuffers rowsOf = transformer.activations();
    parameters.upload(queue);
    queue.fill(kv.stepCounters(), 0, kv.stepCounters().bytes() / 4, 0);
    transformer.angles(queue, batch.positions(), rows);
    transformer.embed(queue, batch.tokens(), rows);
    for (KvLayer layer : kv.layers()) {
      clock.enter(queue, StepStage.PROJECT);
      transformer.project(queue, layer.layer(), rows);
      boolean dense = policy.shape().dense(layer.layer());
      program.submit(
          queue,
          dense ? denseBatches[rows] : batch,
          dense ? denseParts : parts,
          layer,
          dense ? shape.densePasses() : shape.passes(),
          rowsOf.query(),
          rowsOf.key(),
          rowsOf.value(),
          rowsOf.attended());
      if (tap != null) {
        tap.read(queue, SelectionObserver.Purpose.STEP, layer.layer(), seats, positions, this.rows);
      }
      if (meter != null && meter.layer() == layer.layer()) {
        meter.capture(queue, layer, kv.selection(), rowsOf.query(), rowsOf.attended());
      }
      clock.enter(queue, StepStage.MLP);
      transformer.addAttention(queue, layer.layer(), 0, rows);
      boolean ahead = shape.way().ahead() && layer.layer() + 1 < kv.layers().size();
      if (ahead) {
        clock.enter(queue, StepStage.PREFETCH);
        prefetch(kv.layers().get(layer.layer() + 1), of.before(), rowsOf.query());
      }
      clock.enter(queue, StepStage.MLP);
      transformer.addMlp(queue, layer.layer(), 0, rows);
      if (ahead) {
        clock.enter(queue, StepStage.PREFETCH);
        program.awaitPrefetch(queue);
      }
    }
    clock.enter(queue, StepStage.LOGITS);
    transformer.logits(queue, 0, rows);
    output.downloadChosen(queue, rows, parameters.sampling());
    queue.download(kv.stepCounters(), 0, counters, 0, counters.bytes());
  }

  /**
   * Brings for the next layer what it is likely to select: its queries of the residual stream as it
   * is before the MLP of this one are close to those that it will have. Chosen among the chunks of
   * the token before, for one that the step closes is not there yet.
   */
  private void prefetch(KvLayer next, StepBatch before, Activations query) {
    transformer.project(queue, next.layer(), before.rows());
    program.prefetch(queue, before, next, kv.prefetched(), query);
    if (tap != null) {
      int[] positionsBefore = Arrays.stream(positions).map(at -> Math.max(0, at - 1)).toArray();
      tap.read(
          queue,
          SelectionObserver.Purpose.PREFETCH,
          next.layer(),
          seats,
          positionsBefore,
          this.rows);
    }
  }

  private ChunkGrid grid() {
    return sizes.layout().grid();
  }

  @Override
  public void close() {
    recordings.values().forEach(DecodeStep::close);
    recordings.clear();
    owned.forEach(Runnable::run);
    owned.clear();
  }
}
