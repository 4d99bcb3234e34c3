package dev.kvdrive.device;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * One layer over several decode steps: on one queue or two, recorded or submitted, in any batch and
 * on another device of the kind, the same comes out.
 */
public abstract class StepConformance extends DeviceConformance {
  private static final int STEPS = 12;

  /** How steps are run. */
  private enum Way {
    ONE_QUEUE,
    TWO_QUEUES,
    GRAPH,
    GRAPH_OF_TWO_QUEUES;

    boolean twoQueues() {
      return this == TWO_QUEUES || this == GRAPH_OF_TWO_QUEUES;
    }

    boolean graph() {
      return this == GRAPH || this == GRAPH_OF_TWO_QUEUES;
    }
  }

  /** Tokens that the sequences of seats 3, 0, 5 and 8 have at first. */
  private static final int[] START = {300, 72, 9, 180};

  private static final int[] SEATS = {3, 0, 5, 8};

  static List<LayerSizes> sizes() {
    return LayerSizes.groups().stream().map(s -> s.withRows(5).withWindow(14, 13)).toList();
  }

  /** Runs the steps of a layer in one way. */
  private static final class Runner {
    final Rig rig;
    final Way way;
    final LayerOnDevice layer;
    final Rig.Rows keys;
    final Rig.Rows values;
    final Rig.Rows out;
    final Queue transfers;
    final Event diffed;
    final Event landed;
    private @Nullable Graph graph;

    Runner(Rig rig, Way way, LayerContents contents) {
      this.rig = rig;
      this.way = way;
      layer = new LayerOnDevice(rig, contents);
      int rows = contents.sizes.rows();
      int width = contents.sizes.kvHeads() * contents.sizes.headDim();
      keys = rig.rows("keys", rows, width, new float[rows * width]);
      values = rig.rows("values", rows, width, new float[rows * width]);
      out = layer.output();
      transfers = way.twoQueues() ? rig.own(rig.device.createQueue("transfers")) : rig.queue;
      diffed = rig.own(rig.device.createEvent());
      landed = rig.own(rig.device.createEvent());
    }

    /** Output rows of one step. */
    float[] step(Inputs inputs) {
      rig.write(layer.batch.seats(), Rig.bytes(inputs.seats));
      rig.write(layer.batch.positions(), Rig.bytes(inputs.positions));
      rig.write(layer.batch.selectCounts(), Rig.bytes(inputs.counts));
      rig.fill(layer.query, inputs.query);
      rig.fill(keys, inputs.keys);
      rig.fill(values, inputs.values);
      Graph recorded = graph;
      if (recorded != null) {
        rig.queue.launch(recorded);
      } else {
        submit();
        rig.queue.synchronize();
        graph = way.graph() ? rig.own(rig.queue.capture(this::submit)) : null;
      }
      return rig.read(out);
    }

    private void submit() {
      layer.append(keys.view(), values.view());
      layer.select();
      layer.beginAttention();
      for (int pass = 0; pass < layer.sizes.passes(50); pass++) {
        layer.key(true);
        layer.diff(pass);
        order(rig.queue, diffed, transfers);
        layer.fetch(transfers, pass);
        layer.attendHits(pass);
        layer.land(transfers, pass, 20_000);
        order(transfers, landed, rig.queue);
        layer.attendMisses(pass);
      }
      layer.finishAttention(out.view());
    }

    private void order(Queue first, Event event, Queue second) {
      if (way.twoQueues()) {
        first.record(event);
        second.await(event);
      }
    }
  }

  /** What a step is given; different in each step. */
  private static final class Inputs {
    final int[] seats;
    final int[] positions;
    final int[] counts;
    final float[] query;
    final float[] keys;
    final float[] values;

    Inputs(int rows, int queryWidth, int keyWidth) {
      seats = new int[rows];
      Arrays.fill(seats, -1);
      positions = new int[rows];
      counts = new int[rows];
      query = new float[rows * queryWidth];
      keys = new float[rows * keyWidth];
      values = new float[rows * keyWidth];
    }
  }

  /**
   * Inputs of a step.
   *
   * @param rowOf row of each sequence, or -1 to leave it out
   * @param count chunks selected
   */
  private Inputs inputs(LayerSizes sizes, int step, int[] rowOf, int count) {
    int queryWidth = sizes.heads() * sizes.headDim();
    int keyWidth = sizes.kvHeads() * sizes.headDim();
    Inputs inputs = new Inputs(sizes.rows(), queryWidth, keyWidth);
    for (int sequence = 0; sequence < START.length; sequence++) {
      SplittableRandom random = new SplittableRandom(1000L * step + sequence);
      int row = rowOf[sequence];
      float[] query = LayerContents.gaussians(random, queryWidth, activations());
      float[] keys = LayerContents.gaussians(random, keyWidth, activations());
      float[] values = LayerContents.gaussians(random, keyWidth, activations());
      if (row >= 0) {
        inputs.seats[row] = SEATS[sequence];
        inputs.positions[row] = START[sequence] + step;
        inputs.counts[row] = count;
        System.arraycopy(query, 0, inputs.query, row * queryWidth, queryWidth);
        System.arraycopy(keys, 0, inputs.keys, row * keyWidth, keyWidth);
        System.arraycopy(values, 0, inputs.values, row * keyWidth, keyWidth);
      }
    }
    return inputs;
  }

  private LayerContents contents(LayerSizes sizes) {
    int[] tokens = new int[sizes.seats()];
    for (int sequence = 0; sequence < START.length; sequence++) {
      tokens[SEATS[sequence]] = START[sequence];
    }
    LayerContents contents = new LayerContents(sizes, activations(), 90, tokens);
    contents.provideFrames();
    return contents;
  }

  /** Rows of the four sequences, others in each step. */
  private static int[] rows(int step) {
    int[] rows = {0, 1, 3, 4};
    for (int i = 0; i < rows.length; i++) {
      rows[i] = (rows[i] + step) % 5;
    }
    return rows;
  }

  @ParameterizedTest
  @MethodSource("sizes")
  void queuesAndGraphsChangeNothingInExactMode(LayerSizes sizes) {
    compareWays(sizes, Integer.MAX_VALUE);
  }

  @ParameterizedTest
  @MethodSource("sizes")
  void queuesAndGraphsChangeNothingInSparseSteps(LayerSizes sizes) {
    // Elsewhere another order of sums may select another chunk.
    Assumptions.assumeTrue(subject.device.bitExact());
    compareWays(sizes, 7);
  }

  private void compareWays(LayerSizes sizes, int count) {
    LayerContents contents = contents(sizes);
    Rig alike = alike();
    Runner plain = new Runner(subject, Way.ONE_QUEUE, contents);
    Runner exact = new Runner(oracle, Way.ONE_QUEUE, contents);
    List<Runner> others =
        List.of(
            new Runner(alike, Way.ONE_QUEUE, contents),
            new Runner(subject, Way.TWO_QUEUES, contents),
            new Runner(subject, Way.GRAPH, contents),
            new Runner(subject, Way.GRAPH_OF_TWO_QUEUES, contents));
    float[] sums = new float[0];
    for (int step = 0; step < STEPS; step++) {
      Inputs inputs = inputs(sizes, step, rows(step), count);
      float[] out = plain.step(inputs);
      if (sums.length == 0) {
        sums = new float[out.length];
        Arrays.fill(sums, 4); // values are normally distributed: hardly any is larger
      }
      if (count == Integer.MAX_VALUE) {
        double weights = activations() == ElementType.F32 ? 0 : 0x1p-8;
        double share = SUMMATION + 2 * contents.scoreError() + weights;
        float[] want = exact.step(inputs);
        assertSums(
            "step " + step,
            used(out, inputs),
            used(want, inputs),
            used(sums, inputs),
            share,
            rounding());
      }
      for (Runner other : others) {
        String what = "step " + step + " " + other.way;
        assertUnchanged(what, other.step(inputs), out, sums);
        if (subject.device.bitExact()) {
          other
              .layer
              .results()
              .assertSameAs(plain.layer.results(), contentsOf(inputs, contents), 0);
        }
      }
    }
  }

  /** Parts of the rows with a sequence; the others keep what earlier steps wrote. */
  private static float[] used(float[] rows, Inputs inputs) {
    int width = rows.length / inputs.seats.length;
    float[] used = rows.clone();
    for (int row = 0; row < inputs.seats.length; row++) {
      if (inputs.seats[row] < 0) {
        Arrays.fill(used, row * width, (row + 1) * width, 0);
      }
    }
    return used;
  }

  private static LayerContents contentsOf(Inputs inputs, LayerContents contents) {
    System.arraycopy(inputs.seats, 0, contents.rowSeats, 0, inputs.seats.length);
    return contents;
  }

  @ParameterizedTest
  @MethodSource("sizes")
  void aSequenceIsTheSameAloneAndInABatch(LayerSizes sizes) {
    int count = subject.device.bitExact() ? 7 : Integer.MAX_VALUE;
    LayerContents contents = contents(sizes);
    Runner together = new Runner(subject, Way.ONE_QUEUE, contents);
    int width = sizes.heads() * sizes.headDim();
    float[] four = new float[width];
    Arrays.fill(four, 4);
    Runner[] alone = new Runner[START.length];
    for (int sequence = 0; sequence < START.length; sequence++) {
      alone[sequence] = new Runner(subject, Way.ONE_QUEUE, contents(sizes.withRows(1)));
    }
    for (int step = 0; step < STEPS; step++) {
      int[] rows = rows(step);
      float[] all = together.step(inputs(sizes, step, rows, count));
      for (int sequence = 0; sequence < START.length; sequence++) {
        int[] only = {-1, -1, -1, -1};
        only[sequence] = 0;
        float[] one = alone[sequence].step(inputs(sizes.withRows(1), step, only, count));
        assertUnchanged(
            "step %d of sequence %d".formatted(step, sequence),
            one,
            Arrays.copyOfRange(all, rows[sequence] * width, (rows[sequence] + 1) * width),
            four);
      }
    }
    assertThat(together.layer.results().counter(rows(STEPS - 1)[0], Selection.FAULT_COUNTER))
        .isZero();
  }
}
