package dev.kvdrive.schedule;

import dev.kvdrive.decode.DecodeOptions;
import dev.kvdrive.device.Device;
import dev.kvdrive.kv.tier.NvmeOptions;
import dev.kvdrive.plan.Budget;
import dev.kvdrive.plan.ChunkGrid;
import dev.kvdrive.plan.EngineSizes;
import dev.kvdrive.plan.Formats;
import dev.kvdrive.plan.KvLayout;
import dev.kvdrive.plan.KvType;
import dev.kvdrive.plan.ModelGeometry;
import dev.kvdrive.plan.PolicyShape;
import dev.kvdrive.plan.WindowOptions;
import dev.kvdrive.plan.Workspace;
import java.nio.file.Path;
import java.time.Duration;

/**
 * Sizes of an engine for tests, and how it runs: far smaller than a plan would make them, so that a
 * short sequence goes through all tiers.
 *
 * @param frames DRAM frames beyond those an engine cannot do without; what does not fit lies on
 *     NVMe
 * @param window window slots of each head
 * @param passChunks chunks of one pass
 * @param microBatches of a step; 0 for none, on one queue
 * @param formats of closed chunks
 * @param denseChunks a sequence with at most so many attends all of them
 */
record EngineShape(
    KvType type,
    int context,
    int seats,
    double budget,
    int window,
    int passChunks,
    int prefillBlock,
    int extentChunks,
    int frames,
    int nvmeThreads,
    int microBatches,
    boolean graphs,
    Duration fetchTimeout,
    Duration demotionTimeout,
    int queueLimit,
    PolicyShape policy,
    Formats formats,
    int denseChunks) {
  /** Everything resident, one queue, one seat: what the others are compared with. */
  static EngineShape roomy(double budget) {
    return new EngineShape(
        KvType.F32,
        256,
        1,
        budget,
        24,
        24,
        64,
        2,
        10_000,
        1,
        0,
        false,
        Duration.ofSeconds(20),
        Duration.ofSeconds(20),
        16,
        PolicyShape.KVDRIVE,
        Formats.of(KvType.F32),
        0);
  }

  /** Three seats that hardly hold an extent in DRAM, tiny windows, prefill in blocks of 50. */
  static EngineShape tight(double budget) {
    return roomy(budget).withSeats(3).withWindow(7, 5).withFrames(0).withBlock(50).withThreads(2);
  }

  EngineShape withPolicy(PolicyShape shape) {
    return new EngineShape(
        type,
        context,
        seats,
        budget,
        window,
        passChunks,
        prefillBlock,
        extentChunks,
        frames,
        nvmeThreads,
        microBatches,
        graphs,
        fetchTimeout,
        demotionTimeout,
        queueLimit,
        shape,
        formats,
        denseChunks);
  }

  EngineShape withType(KvType kvType) {
    return new EngineShape(
        kvType,
        context,
        seats,
        budget,
        window,
        passChunks,
        prefillBlock,
        extentChunks,
        frames,
        nvmeThreads,
        microBatches,
        graphs,
        fetchTimeout,
        demotionTimeout,
        queueLimit,
        policy,
        Formats.of(kvType),
        denseChunks);
  }

  EngineShape withChunks(Formats others) {
    return new EngineShape(
        type,
        context,
        seats,
        budget,
        window,
        passChunks,
        prefillBlock,
        extentChunks,
        frames,
        nvmeThreads,
        microBatches,
        graphs,
        fetchTimeout,
        demotionTimeout,
        queueLimit,
        policy,
        others,
        denseChunks);
  }

  /** With sequences of up to so many closed chunks attending everything. */
  EngineShape withDense(int chunks) {
    return new EngineShape(
        type,
        context,
        seats,
        budget,
        window,
        passChunks,
        prefillBlock,
        extentChunks,
        frames,
        nvmeThreads,
        microBatches,
        graphs,
        fetchTimeout,
        demotionTimeout,
        queueLimit,
        policy,
        formats,
        chunks);
  }

  EngineShape withSeats(int count) {
    return new EngineShape(
        type,
        context,
        count,
        budget,
        window,
        passChunks,
        prefillBlock,
        extentChunks,
        frames,
        nvmeThreads,
        microBatches,
        graphs,
        fetchTimeout,
        demotionTimeout,
        queueLimit,
        policy,
        formats,
        denseChunks);
  }

  EngineShape withWindow(int slots, int pass) {
    return new EngineShape(
        type,
        context,
        seats,
        budget,
        slots,
        pass,
        prefillBlock,
        extentChunks,
        frames,
        nvmeThreads,
        microBatches,
        graphs,
        fetchTimeout,
        demotionTimeout,
        queueLimit,
        policy,
        formats,
        denseChunks);
  }

  EngineShape withBlock(int tokens) {
    return new EngineShape(
        type,
        context,
        seats,
        budget,
        window,
        passChunks,
        tokens,
        extentChunks,
        frames,
        nvmeThreads,
        microBatches,
        graphs,
        fetchTimeout,
        demotionTimeout,
        queueLimit,
        policy,
        formats,
        denseChunks);
  }

  EngineShape withExtents(int chunks) {
    return new EngineShape(
        type,
        context,
        seats,
        budget,
        window,
        passChunks,
        prefillBlock,
        chunks,
        frames,
        nvmeThreads,
        microBatches,
        graphs,
        fetchTimeout,
        demotionTimeout,
        queueLimit,
        policy,
        formats,
        denseChunks);
  }

  EngineShape withFrames(int count) {
    return new EngineShape(
        type,
        context,
        seats,
        budget,
        window,
        passChunks,
        prefillBlock,
        extentChunks,
        count,
        nvmeThreads,
        microBatches,
        graphs,
        fetchTimeout,
        demotionTimeout,
        queueLimit,
        policy,
        formats,
        denseChunks);
  }

  EngineShape withThreads(int count) {
    return new EngineShape(
        type,
        context,
        seats,
        budget,
        window,
        passChunks,
        prefillBlock,
        extentChunks,
        frames,
        count,
        microBatches,
        graphs,
        fetchTimeout,
        demotionTimeout,
        queueLimit,
        policy,
        formats,
        denseChunks);
  }

  EngineShape with(int parts, boolean recorded) {
    return new EngineShape(
        type,
        context,
        seats,
        budget,
        window,
        passChunks,
        prefillBlock,
        extentChunks,
        frames,
        nvmeThreads,
        parts,
        recorded,
        fetchTimeout,
        demotionTimeout,
        queueLimit,
        policy,
        formats,
        denseChunks);
  }

  EngineShape withTimeouts(Duration fetch, Duration demotion) {
    return new EngineShape(
        type,
        context,
        seats,
        budget,
        window,
        passChunks,
        prefillBlock,
        extentChunks,
        frames,
        nvmeThreads,
        microBatches,
        graphs,
        fetch,
        demotion,
        queueLimit,
        policy,
        formats,
        denseChunks);
  }

  EngineShape withQueueLimit(int limit) {
    return new EngineShape(
        type,
        context,
        seats,
        budget,
        window,
        passChunks,
        prefillBlock,
        extentChunks,
        frames,
        nvmeThreads,
        microBatches,
        graphs,
        fetchTimeout,
        demotionTimeout,
        limit,
        policy,
        formats,
        denseChunks);
  }

  EngineSizes sizes(ModelGeometry model, Device device) {
    KvLayout layout = model.kvLayout(type, formats, ChunkGrid.PAPER, extentChunks);
    int maxChunks = layout.grid().closedChunks(context);
    int maxSelected =
        budget >= 1 ? maxChunks : Math.min(maxChunks, (int) Math.ceil(budget * maxChunks));
    int heads = layout.layers() * layout.kvHeads();
    int all = seats * heads * layout.extents(maxChunks);
    int fewest = (seats * layout.layers() + 1) * layout.kvHeads();
    int dram = Math.min(fewest + frames, Math.max(fewest, all));
    int block = Math.min(prefillBlock, context);
    return new EngineSizes(
        model,
        layout,
        context,
        seats,
        Budget.of(budget),
        device.activationType().bytes(),
        maxChunks,
        maxSelected,
        denseChunks,
        window,
        Math.min(passChunks, Math.max(maxSelected, denseChunks)),
        block,
        Workspace.shortPrompt(context, seats),
        Workspace.residualBlocks(context, seats, block),
        dram,
        Math.max(0, all - dram),
        policy,
        WindowOptions.DEFAULT);
  }

  EngineSettings settings(ModelGeometry model, Device device, Path directory) {
    return EngineSettings.of(sizes(model, device), device, directory, queueLimit)
        .withNvme(
            new NvmeOptions(directory, NvmeOptions.Direct.PREFERRED, nvmeThreads, demotionTimeout))
        .withDecode(
            new DecodeOptions(microBatches > 0, Math.max(1, microBatches), graphs, fetchTimeout)
                .withElasticPrefetch(microBatches > 1))
        .withWarmUpTokens(0);
  }
}
