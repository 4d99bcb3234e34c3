package dev.kvdrive.schedule;

import dev.kvdrive.decode.DecodeOptions;
import dev.kvdrive.device.Device;
import dev.kvdrive.kv.tier.NvmeOptions;
import dev.kvdrive.plan.AttentionOptions;
import dev.kvdrive.plan.Budget;
import dev.kvdrive.plan.ChunkGrid;
import dev.kvdrive.plan.DeviceKind;
import dev.kvdrive.plan.EngineSizes;
import dev.kvdrive.plan.Formats;
import dev.kvdrive.plan.KvLayout;
import dev.kvdrive.plan.KvType;
import dev.kvdrive.plan.Load;
import dev.kvdrive.plan.ModelGeometry;
import dev.kvdrive.plan.NvmeEncryption;
import dev.kvdrive.plan.PolicyShape;
import dev.kvdrive.plan.Workspace;
import java.lang.reflect.Field;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Arrays;
import java.util.function.Consumer;
import java.util.stream.Collectors;

/**
 * Sizes of an engine for tests, and how it runs: far smaller than a plan would make them, so that a
 * short sequence goes through all tiers. A value: what changes it makes another.
 */
final class EngineShape implements Cloneable {
  private Load load = new Load(256, 1, 16);
  private AttentionOptions attention;

  /** Window slots of each head, and chunks of one pass. */
  private int window = 24;

  private int passChunks = 24;
  private int prefillBlock = 64;
  private int extentChunks = 2;

  /** DRAM frames beyond those an engine cannot do without; what does not fit lies on NVMe. */
  private int frames = 10_000;

  private int nvmeThreads = 1;
  private NvmeEncryption encryption = NvmeEncryption.NONE;

  /** Of a step; 0 for none, on one queue. */
  private int microBatches;

  private boolean graphs;
  private Duration fetchTimeout = Duration.ofSeconds(20);
  private Duration demotionTimeout = Duration.ofSeconds(20);

  private EngineShape(double budget) {
    attention =
        AttentionOptions.of(PolicyShape.KVDRIVE, Budget.of(budget), KvType.F32, DeviceKind.CPU)
            .withFormats(Formats.of(KvType.F32))
            .withDenseBelow(0);
  }

  /** Everything resident, one queue, one seat: what the others are compared with. */
  static EngineShape roomy(double budget) {
    return new EngineShape(budget);
  }

  /** Three seats that hardly hold an extent in DRAM, tiny windows, prefill in blocks of 50. */
  static EngineShape tight(double budget) {
    return roomy(budget).withSeats(3).withWindow(7, 5).withFrames(0).withBlock(50).withThreads(2);
  }

  private EngineShape with(Consumer<EngineShape> change) {
    try {
      EngineShape other = (EngineShape) clone();
      change.accept(other);
      return other;
    } catch (CloneNotSupportedException e) {
      throw new AssertionError(e);
    }
  }

  EngineShape withPolicy(PolicyShape shape) {
    return with(s -> s.attention = s.attention.withPolicy(shape));
  }

  EngineShape withType(KvType kvType) {
    return with(
        s ->
            s.attention =
                new AttentionOptions(
                    s.attention.policy(),
                    s.attention.budget(),
                    kvType,
                    Formats.of(kvType),
                    s.attention.denseBelow(),
                    s.attention.windows()));
  }

  EngineShape withChunks(Formats others) {
    return with(s -> s.attention = s.attention.withFormats(others));
  }

  /** With sequences of up to so many closed chunks attending everything. */
  EngineShape withDense(int chunks) {
    return with(s -> s.attention = s.attention.withDenseBelow(ChunkGrid.PAPER.mostTokens(chunks)));
  }

  EngineShape withContext(int tokens) {
    return with(s -> s.load = new Load(tokens, s.load.concurrency(), s.load.queueLimit()));
  }

  EngineShape withSeats(int count) {
    return with(s -> s.load = new Load(s.load.contextLength(), count, s.load.queueLimit()));
  }

  EngineShape withWindow(int slots, int pass) {
    return with(s -> s.window = slots).with(s -> s.passChunks = pass);
  }

  EngineShape withBlock(int tokens) {
    return with(s -> s.prefillBlock = tokens);
  }

  EngineShape withExtents(int chunks) {
    return with(s -> s.extentChunks = chunks);
  }

  EngineShape withFrames(int count) {
    return with(s -> s.frames = count);
  }

  EngineShape withThreads(int count) {
    return with(s -> s.nvmeThreads = count);
  }

  EngineShape withEncryption(NvmeEncryption form) {
    return with(s -> s.encryption = form);
  }

  EngineShape with(int parts, boolean recorded) {
    return with(s -> s.microBatches = parts).with(s -> s.graphs = recorded);
  }

  EngineShape withTimeouts(Duration fetch, Duration demotion) {
    return with(s -> s.fetchTimeout = fetch).with(s -> s.demotionTimeout = demotion);
  }

  EngineShape withQueueLimit(int limit) {
    return with(s -> s.load = new Load(s.load.contextLength(), s.load.concurrency(), limit));
  }

  int frames() {
    return frames;
  }

  int queueLimit() {
    return load.queueLimit();
  }

  @Override
  public String toString() {
    return Arrays.stream(EngineShape.class.getDeclaredFields())
        .map(field -> field.getName() + "=" + value(field))
        .collect(Collectors.joining(", ", "EngineShape[", "]"));
  }

  private Object value(Field field) {
    try {
      return field.get(this);
    } catch (IllegalAccessException e) {
      throw new AssertionError(e);
    }
  }

  EngineSizes sizes(ModelGeometry model, Device device) {
    KvLayout layout =
        model.kvLayout(attention.kvType(), attention.formats(), ChunkGrid.PAPER, extentChunks);
    int context = load.contextLength();
    int maxChunks = layout.grid().closedChunks(context);
    int seats = load.concurrency();
    int heads = layout.layers() * layout.kvHeads();
    int all = seats * heads * layout.extents(maxChunks);
    int fewest = (seats * layout.layers() + 1) * layout.kvHeads();
    int dram = Math.min(fewest + frames, Math.max(fewest, all));
    EngineSizes most =
        new EngineSizes(
            model,
            layout,
            load,
            attention,
            device.activationType().bytes(),
            window,
            passChunks,
            Math.min(prefillBlock, context),
            Workspace.shortPrompt(context, seats),
            dram,
            Math.max(0, all - dram),
            encryption);
    int pass = Math.max(most.maxSelected(), most.denseChunks());
    return pass < passChunks ? withWindow(window, pass).sizes(model, device) : most;
  }

  EngineSettings settings(ModelGeometry model, Device device, Path directory) {
    return EngineSettings.of(sizes(model, device), device, directory)
        .withNvme(nvme -> new NvmeOptions(directory, nvme.direct(), nvmeThreads, demotionTimeout))
        .withDecode(
            decode ->
                new DecodeOptions(microBatches > 0, Math.max(1, microBatches), graphs, fetchTimeout)
                    .withElasticPrefetch(microBatches > 1))
        .withScheduling(scheduling -> scheduling.withWarmUpTokens(0));
  }
}
