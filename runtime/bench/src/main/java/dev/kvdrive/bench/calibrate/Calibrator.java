package dev.kvdrive.bench.calibrate;

import dev.kvdrive.device.Activations;
import dev.kvdrive.device.Bfloat16;
import dev.kvdrive.device.Device;
import dev.kvdrive.device.ElementType;
import dev.kvdrive.device.HostBuffer;
import dev.kvdrive.device.Queue;
import dev.kvdrive.kv.index.IndexCalibration;
import dev.kvdrive.kv.index.KeyTransform;
import dev.kvdrive.kv.tier.NvmeOptions;
import dev.kvdrive.kv.tier.TieredStore;
import dev.kvdrive.kv.window.KvState;
import dev.kvdrive.model.Model;
import dev.kvdrive.model.TransformerSpec;
import dev.kvdrive.model.WeightFingerprint;
import dev.kvdrive.plan.EngineSizes;
import dev.kvdrive.plan.ModelGeometry;
import dev.kvdrive.plan.PlanRequest;
import dev.kvdrive.plan.Planner;
import dev.kvdrive.plan.TierBudgets;
import dev.kvdrive.plan.WindowOptions;
import dev.kvdrive.prefill.Prefill;
import dev.kvdrive.prefill.PromptPrefill;
import dev.kvdrive.transformer.ActivationBuffers;
import dev.kvdrive.transformer.StepOutput;
import dev.kvdrive.transformer.Transformer;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;

/**
 * Reads prompts with a model and fits the transforms of its index to the keys and queries it meets.
 * What it needs of a prompt: varied text, and at its end questions and answers, for the queries of
 * decoding look elsewhere than those of reading. Used by one thread.
 */
public final class Calibrator implements AutoCloseable {
  /** Of the tokens of a prompt every so-manieth counts, which is plenty. */
  private static final int STRIDE = 4;

  /** Tokens at the end of a prompt whose queries count more. */
  private static final int ENDING = 256;

  private static final TierBudgets PLENTY = new TierBudgets(1L << 50, 1L << 50, 0);

  /** Times that the queries of the ending count. */
  private static final double ENDING_WEIGHT = 9;

  private final Model model;
  private final EngineSizes sizes;
  private final Queue queue;
  private final Prefill prefill;
  private final HostBuffer rows;
  private final ElementType type;
  private final float[] row;
  private final List<List<Moments>> moments = new ArrayList<>();
  private final Deque<AutoCloseable> owned = new ArrayDeque<>();
  private int promptTokens;

  /**
   * @param model stays the caller's, as does {@code device}
   * @param sizes of a plan for one sequence as long as the longest prompt
   */
  public Calibrator(Model model, Device device, EngineSizes sizes) {
    this.model = model;
    this.sizes = sizes;
    type = device.activationType();
    TransformerSpec spec = model.spec();
    int width = (spec.heads() + 2 * spec.kvHeads()) * spec.headDim();
    row = new float[width];
    for (int layer = 0; layer < spec.layers(); layer++) {
      List<Moments> heads = new ArrayList<>();
      for (int head = 0; head < spec.kvHeads(); head++) {
        heads.add(new Moments(spec.headDim()));
      }
      moments.add(heads);
    }
    try {
      queue = own(device.createQueue("calibration"));
      Transformer transformer = own(Transformer.load(device, model, sizes));
      KvState kv = own(KvState.allocate(device, queue, sizes));
      TieredStore store =
          own(
              TieredStore.open(
                  sizes, device, kv.layers(), kv.extents(), NvmeOptions.in(Path.of("."))));
      StepOutput output =
          own(new StepOutput(device, transformer, sizes.concurrency(), spec.vocabulary()));
      rows = own(device.allocateHost("queries and keys of a block", blockBytes(sizes)));
      prefill =
          own(
              new Prefill(
                  device,
                  queue,
                  transformer,
                  kv,
                  store,
                  output,
                  sizes,
                  this::projected,
                  WindowOptions.DEFAULT.withWarmUp(0),
                  null));
    } catch (RuntimeException e) {
      close();
      throw e;
    }
  }

  /** Host memory that it takes beside what a plan counts. */
  public static long hostBytes(PlanRequest request) {
    EngineSizes sizes = Planner.plan(request.withTiers(PLENTY)).requireSizes();
    return blockBytes(sizes) + Device.HOST_PAGE;
  }

  private static long blockBytes(EngineSizes sizes) {
    ModelGeometry model = sizes.geometry();
    long width = (model.heads() + 2L * model.kvHeads()) * model.headDim();
    return width * sizes.prefillBlock() * sizes.activationBytes();
  }

  private <T extends AutoCloseable> T own(T resource) {
    owned.push(resource);
    return resource;
  }

  /** Reads a prompt, at most as long as the plan's context. */
  public void read(int[] prompt) {
    promptTokens = prompt.length;
    PromptPrefill reading = prefill.begin(prompt, List.of(), false);
    try {
      // It has no seat, so there is nothing to wait for.
      while (prefill.advance(reading) != Prefill.Progress.FINISHED) {}
    } finally {
      prefill.end(reading);
    }
  }

  private void projected(int layer, int start, int count, ActivationBuffers activations) {
    Activations query = activations.query();
    queue.download(query.buffer(), 0, rows, 0, (long) count * query.stride() * type.bytes());
    queue.synchronize();
    TransformerSpec spec = model.spec();
    int group = spec.heads() / spec.kvHeads();
    int width = spec.headDim();
    for (int r = 0; r < count; r++) {
      int position = start + r;
      if (position % STRIDE != STRIDE - 1) {
        continue;
      }
      load((long) r * query.stride());
      double weight = position >= promptTokens - ENDING ? ENDING_WEIGHT : 1;
      for (int head = 0; head < spec.kvHeads(); head++) {
        Moments of = moments.get(layer).get(head);
        for (int g = 0; g < group; g++) {
          of.addQuery(row, (head * group + g) * width, weight);
        }
        if (position >= sizes.layout().grid().sink()) {
          of.addKey(row, (spec.heads() + head) * width);
        }
      }
    }
  }

  private void load(long at) {
    for (int i = 0; i < row.length; i++) {
      row[i] =
          type == ElementType.F32
              ? rows.segment().getAtIndex(ValueLayout.JAVA_FLOAT, at + i)
              : Bfloat16.widen(rows.segment().getAtIndex(ValueLayout.JAVA_SHORT, at + i));
    }
  }

  /**
   * Fits to all that was read so far.
   *
   * @throws IllegalStateException if nothing was
   */
  public IndexCalibration fit() {
    if (moments.getFirst().getFirst().keys() == 0) {
      throw new IllegalStateException("nothing to calibrate with: no prompt has been read");
    }
    List<List<KeyTransform>> layers = new ArrayList<>();
    for (List<Moments> heads : moments) {
      layers.add(heads.stream().map(TransformFit::fit).toList());
    }
    return new IndexCalibration(WeightFingerprint.of(model), layers);
  }

  @Override
  public void close() {
    while (!owned.isEmpty()) {
      try {
        owned.pop().close();
      } catch (RuntimeException e) {
        throw e;
      } catch (Exception e) {
        throw new IllegalStateException("nothing here throws checked exceptions", e);
      }
    }
  }
}
