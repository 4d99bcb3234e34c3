package dev.kvdrive.plan;

import dev.kvdrive.plan.Demand.Tier;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.function.IntPredicate;

/**
 * Proves that a deployment fits its budgets, or says what is missing and what would fit. Pure and
 * deterministic; the only place where these bytes are added up.
 *
 * <p>GPU memory holds what every step touches: weights, the index (a summary for each closed
 * chunk), sink and ring, the maps, the workspaces, and with all that is left the window. DRAM holds
 * staging and, with the rest, frames. Every closed chunk of every sequence has a place in DRAM or
 * on NVMe at the longest context; nothing is ever dropped.
 */
public final class Planner {
  /**
   * Bytes an extent should have: a miss reads all of it for the few chunks that it needs, and a
   * drive reads fewer bytes a second of smaller ones.
   */
  static final int EXTENT_TARGET_BYTES = 32 * 1024;

  /** Window slots per head that exact mode needs at least, so that a pass is worth its launches. */
  static final int MIN_EXACT_WINDOW = 32;

  /** Chunks of one pass at most, which bounds mailbox and score workspace. */
  static final int MAX_PASS_CHUNKS = 8192;

  /** Requests of one mailbox round at most, over all sequences and KV heads. */
  static final int MAX_MAILBOX_REQUESTS = 1 << 30;

  /** Of the DRAM that staging may take for short sequences that attend everything: a 16th. */
  static final int DENSE_PART_OF_DRAM = 16;

  /** A window below this many times the selection misses most of what the last steps selected. */
  static final double COMFORTABLE_WINDOW = 1.5;

  /** Less than one of the longest sequences an hour is little. */
  private static final int HOURS_OF_A_DAY = 24;

  private static final long HEAP_BASE = 256 * ByteSize.MIB;
  private static final long HEAP_PER_VOCABULARY_ENTRY = 512;
  private static final long HEAP_PER_CONTEXT_TOKEN = 24;

  /** Its place in the list of its window, and in that of free slots. */
  private static final long WINDOW_HEAP_PER_SLOT = 8;

  private static final long JVM_OVERHEAD = 320 * ByteSize.MIB;

  /** More than any machine has; what is added to budgets beyond it is of no account. */
  private static final long MOST_MEMORY = 1L << 62;

  private Planner() {}

  /** Plans a request. Never throws for a request that merely does not fit. */
  public static Plan plan(PlanRequest request) {
    Arithmetic a = Arithmetic.of(request);
    List<String> shortfalls = a.shortfalls();
    if (!shortfalls.isEmpty()) {
      return new Plan(
          request,
          null,
          null,
          a.demands(a.minWindow, a.minimumFrames, Math.max(0, a.neededExtents(a.minimumFrames))),
          shortfalls,
          alternatives(request),
          List.of());
    }
    int window = a.largestWindow();
    EngineSizes sizes = a.sizes(window);
    List<Demand> demands = a.demands(window, sizes.dramFrames(), sizes.leastNvmeExtents());
    return new Plan(
        request, sizes, a.pod(sizes), demands, List.of(), List.of(), warnings(request, a, sizes));
  }

  /** The layout a model gets on every device. */
  public static KvLayout layout(ModelGeometry model, KvType type, Formats formats) {
    KvLayout chunk = model.kvLayout(type, formats, ChunkGrid.PAPER, 1);
    int extentChunks = Math.max(1, EXTENT_TARGET_BYTES / chunk.backing().bytes());
    return model.kvLayout(type, formats, ChunkGrid.PAPER, extentChunks);
  }

  /** With chunks that stay what was computed. */
  public static KvLayout layout(ModelGeometry model, KvType type) {
    return layout(model, type, Formats.of(type));
  }

  private static List<String> warnings(PlanRequest request, Arithmetic a, EngineSizes sizes) {
    List<String> warnings = new ArrayList<>();
    boolean grows = request.attention().policy().window() == PolicyShape.WindowLimit.WHAT_IS_LEFT;
    // With a quality the budget is what is attended at most, hardly ever.
    if (grows
        && request.attention().budget().quality() == null
        && !sizes.exact()
        && sizes.windowSlots() < COMFORTABLE_WINDOW * sizes.maxSelected()) {
      warnings.add(
          "The window of %,d chunks per head holds little more than the %,d selected per step, so many of them are fetched again in every step; %s more GPU memory would make room for %.1f times the selection."
              .formatted(
                  sizes.windowSlots(),
                  sizes.maxSelected(),
                  ByteSize.human(
                      a.slotBytes()
                          * ((long) Math.ceil(COMFORTABLE_WINDOW * sizes.maxSelected())
                              - sizes.windowSlots())),
                  COMFORTABLE_WINDOW));
    }
    a.shorterThanFaster().ifPresent(warnings::add);
    long daily = request.tiers().nvmeWritesPerDay();
    if (daily > 0 && daily < HOURS_OF_A_DAY * a.writtenAlone()) {
      warnings.add(
          "A sequence of %,d tokens may have %s written to NVMe, where %s a day are allowed: after %d of them what does not fit DRAM is refused for up to a day."
              .formatted(
                  a.context,
                  ByteSize.human(a.writtenAlone()),
                  ByteSize.human(daily),
                  daily / a.writtenAlone()));
    }
    if (request.tiers().nvme() > 0 && !a.needsNvme) {
      warnings.add(
          "DRAM alone holds all chunks (%s); nothing is written to the NVMe volume of %s, which can be left out."
              .formatted(
                  ByteSize.human(a.totalExtents * (long) a.layout.extentBytes()),
                  ByteSize.human(request.tiers().nvme())));
    }
    return warnings;
  }

  private static List<Alternative> alternatives(PlanRequest request) {
    List<Alternative> out = new ArrayList<>();
    int most = Math.min(request.load().contextLength(), request.model().maxContext());
    int context =
        largest(
            Load.MIN_CONTEXT,
            most,
            n -> fits(request.withLoad(request.load().withContextLength(n))));
    if (context > 0) {
      int step = context >= 8192 ? 1024 : Load.MIN_CONTEXT;
      int round = context / step * step;
      out.add(
          new Alternative(
              "a context of %,d tokens at a concurrency of %d"
                  .formatted(round, request.load().concurrency()),
              request.withLoad(request.load().withContextLength(round))));
    }
    if (most < Load.MIN_CONTEXT) {
      return out;
    }
    // A context that no budget makes possible is left out of the question which would be needed.
    PlanRequest within = request.withLoad(request.load().withContextLength(most));
    if (!fits(within)) {
      int sequences =
          largest(
              1,
              request.load().concurrency() - 1,
              n -> fits(within.withLoad(within.load().withConcurrency(n))));
      if (sequences > 0) {
        out.add(
            new Alternative(
                "a concurrency of %d at %,d tokens".formatted(sequences, most),
                within.withLoad(within.load().withConcurrency(sequences))));
      }
      Integer dense = request.attention().denseBelow();
      if (dense != null && dense > 0 && fits(within.attending(a -> a.withDenseBelow(0)))) {
        int tokens = largest(1, dense - 1, n -> fits(within.attending(a -> a.withDenseBelow(n))));
        out.add(
            new Alternative(
                tokens == 0
                    ? "selecting for sequences of any length (dense below 0)"
                    : "selecting from %,d tokens on (dense below %d)".formatted(tokens, tokens),
                within.attending(a -> a.withDenseBelow(tokens))));
      }
      smallerIndex(within).ifPresent(out::add);
      out.add(new Arithmetic(within).whatToAdd(most < request.load().contextLength()));
    }
    return out;
  }

  /** The most bits a key, below those of the request, with which it fits. */
  private static Optional<Alternative> smallerIndex(PlanRequest request) {
    PolicyShape policy = request.attention().policy();
    if (!policy.takesIndex() || !(policy.summary() instanceof SummaryFormat.BitPlanes planes)) {
      return Optional.empty();
    }
    for (int bits = planes.bits() - BitPlaneSummary.WORD;
        bits >= PolicyShape.LEAST_FITTED_BITS;
        bits -= BitPlaneSummary.WORD) {
      IndexShape index = new IndexShape(SummaryFormat.bitPlanes(bits), policy.clusters());
      PlanRequest smaller = request.attending(a -> a.withPolicy(policy.withIndex(index)));
      if (fits(smaller)) {
        return Optional.of(
            new Alternative(
                "the index %s, which chooses less well than %s"
                    .formatted(index.word(), policy.index().word()),
                smaller));
      }
    }
    return Optional.empty();
  }

  private static boolean fits(PlanRequest request) {
    return new Arithmetic(request).shortfalls().isEmpty();
  }

  /** The largest n in [low, high] for which a monotone predicate holds, or 0 if none. */
  private static int largest(int low, int high, IntPredicate holds) {
    if (high < low || !holds.test(low)) {
      return 0;
    }
    int good = low;
    int bad = high + 1;
    while (bad - good > 1) {
      int middle = good + (bad - good) / 2;
      if (holds.test(middle)) {
        good = middle;
      } else {
        bad = middle;
      }
    }
    return good;
  }

  /** The numbers of one request. */
  private static final class Arithmetic {
    final PlanRequest request;
    final ModelGeometry model;
    final KvLayout layout;
    final int seats;
    final int context;
    final int maxChunks;
    final int maxSelected;
    final int denseChunks;
    final int minWindow;
    final int prefillBlock;
    final int shortPrompt;
    final int residualBlocks;
    final int minimumFrames;
    final long totalExtents;

    /** Whether anything has to be on NVMe: what fits DRAM is never written there. */
    final boolean needsNvme;

    /** What is asked for, with nothing that a plan may leave out. */
    Arithmetic(PlanRequest request) {
      this(
          request,
          request.attention().denseBelow() == null
              ? 0
              : denseChunks(request, request.attention().denseBelow()));
    }

    /**
     * The same with as many chunks that are attended by short sequences as the device is better off
     * with and as there is room for, where nobody has said how many.
     */
    static Arithmetic of(PlanRequest request) {
      Arithmetic least = new Arithmetic(request);
      if (!open(request) || !least.shortfalls().isEmpty()) {
        return least;
      }
      int most = denseChunks(request, request.device().denseTokens());
      int chunks = largest(1, most, n -> new Arithmetic(request, n).fitsBeside(least));
      return chunks == 0 ? least : new Arithmetic(request, chunks);
    }

    /** Whether the length up to which sequences attend everything is for the plan to find. */
    private static boolean open(PlanRequest request) {
      return request.attention().denseBelow() == null && !request.attention().budget().exact();
    }

    private static int denseChunks(PlanRequest request, int tokens) {
      return EngineSizes.denseChunks(
          ChunkGrid.PAPER,
          request.attention().policy(),
          Math.min(tokens, request.load().contextLength()));
    }

    private Arithmetic(PlanRequest request, int denseChunks) {
      this.request = request;
      model = request.model();
      layout = layout(model, request.attention().kvType(), request.attention().formats());
      seats = request.load().concurrency();
      context = request.load().contextLength();
      maxChunks = layout.grid().closedChunks(context);
      Budget budget = request.attention().budget();
      maxSelected = budget.chunks(maxChunks);
      this.denseChunks = denseChunks;
      minWindow =
          budget.share() >= 1
              ? Math.min(maxChunks, MIN_EXACT_WINDOW)
              : Math.max(maxSelected, denseChunks);
      prefillBlock = Math.min(request.device().prefillBlock(), context);
      shortPrompt = Workspace.shortPrompt(context, seats);
      residualBlocks = Workspace.residualBlocks(context, seats, prefillBlock);
      minimumFrames = Workspace.minimumFrames(layout, seats, prefillBlock);
      totalExtents = heads() * layout.extents(maxChunks);
      needsNvme =
          frames(request.tiers().dram(), minWindow, false) < Math.max(totalExtents, minimumFrames);
    }

    /**
     * Whether it fits without taking from the tiers of a plan what that cannot spare: NVMe is not
     * needed for it, and nearly all DRAM stays what it was.
     */
    boolean fitsBeside(Arithmetic least) {
      return shortfalls().isEmpty()
          && needsNvme == least.needsNvme
          && stagingBytes(minWindow) - least.stagingBytes(least.minWindow)
              <= request.tiers().dram() / DENSE_PART_OF_DRAM;
    }

    /**
     * Says that fewer tokens are attended whole than the device is better off with, and how much
     * room they would take; if it is so.
     */
    Optional<String> shorterThanFaster() {
      int most = denseChunks(request, request.device().denseTokens());
      if (!open(request) || denseChunks >= most) {
        return Optional.empty();
      }
      Arithmetic faster = new Arithmetic(request, most);
      TierBudgets tiers = faster.budgetsBeside(new Arithmetic(request));
      PlanRequest roomy = request.withTiers(tiers);
      List<String> parts = added(request.tiers(), tiers);
      boolean enough =
          !parts.isEmpty() && new Arithmetic(roomy, most).fitsBeside(new Arithmetic(roomy));
      return Optional.of(
          "Sequences of up to %,d tokens attend everything (dense below %d), where those of up to %,d would be faster that way: the tiers have no room for it%s. A short prompt's answer can be another with another length; one that is set is kept, or refused."
              .formatted(
                  denseBelow(),
                  denseBelow(),
                  faster.denseBelow(),
                  enough ? ", " + String.join(" and ", parts) + " would be enough" : ""));
    }

    /** Budgets with which this {@linkplain #fitsBeside fits beside} a plan with fewer chunks. */
    private TierBudgets budgetsBeside(Arithmetic least) {
      TierBudgets needed = enough();
      long dram =
          Math.max(
              needed.dram(),
              DENSE_PART_OF_DRAM * (stagingBytes(minWindow) - least.stagingBytes(least.minWindow)));
      if (!least.needsNvme) {
        dram =
            Math.max(
                dram,
                stagingBytes(minWindow, false)
                    + Math.max(totalExtents, minimumFrames) * layout.extentBytes());
      }
      return new TierBudgets(
          needed.gpu(),
          dram == request.tiers().dram() ? dram : wholeMebibytes(dram),
          needed.nvme(),
          needed.nvmeWritesPerDay(),
          needed.nvmeEncryption());
    }

    /** How many, in words. */
    String sequences() {
      return seats == 1 ? "1 sequence" : "%,d sequences".formatted(seats);
    }

    /** (seat, layer, KV head) combinations. */
    long heads() {
      return (long) seats * layout.layers() * layout.kvHeads();
    }

    int passChunks(int window) {
      int most = Math.min(MAX_PASS_CHUNKS, MAX_MAILBOX_REQUESTS / (seats * layout.kvHeads()));
      return Math.min(most, Math.min(window, Math.max(maxSelected, denseChunks)));
    }

    long slotBytes() {
      return heads()
          * (layout.resident().bytes() + Workspace.slotMapBytes(request.attention().windows()));
    }

    long gpuBytes(int window) {
      return demands(window, 0, 0).stream()
          .filter(d -> d.tier() == Tier.GPU)
          .mapToLong(Demand::bytes)
          .sum();
    }

    int largestWindow() {
      return largest(
          minWindow,
          mostWindow(),
          w ->
              gpuBytes(w) <= request.tiers().gpu()
                  && dramFrames(w) >= minimumFrames
                  && neededExtents(dramFrames(w)) <= expectedExtents());
    }

    /** Slots that the policy has a use for. */
    int mostWindow() {
      return switch (request.attention().policy().window()) {
        case WHAT_IS_LEFT -> maxChunks;
        case ONE_SELECTION -> minWindow;
        case ONE_PASS -> minWindow;
      };
    }

    /** Host memory beside the frames, with or without the I/O buffers of an NVMe tier. */
    long stagingBytes(int window, boolean nvme) {
      int capacity =
          Math.toIntExact((long) seats * layout.kvHeads() * Math.max(1, passChunks(window)));
      return Workspace.residualBytes(
              model, residualBlocks, prefillBlock, request.device().activationBytes())
          + Workspace.mailboxBytes(layout, capacity)
          + (long) Workspace.ioBuffers(nvme) * layout.extentBytes()
          + keyTableBytes(nvme)
          + Workspace.hostStepBytes(model, layout, seats, maxChunks)
          + Workspace.meterBytes(
              model,
              layout,
              request.device().activationBytes(),
              EngineSizes.mostSelected(
                  request.attention().policy(), maxSelected, denseChunks, maxChunks))
          + Workspace.blockBytes(prefillBlock)
          + Workspace.windowStagingBytes(layout, seats, window)
          + Workspace.hostRoundingBytes();
    }

    long stagingBytes(int window) {
      return stagingBytes(window, usesNvme());
    }

    /** Keys of all extents there can be, in whole pages: a larger volume needs no more DRAM. */
    long keyTableBytes(boolean nvme) {
      long bytes = nvme ? request.tiers().nvmeEncryption().keyTableBytes(totalExtents) : 0;
      return Math.ceilDiv(bytes, DeviceKind.HOST_PAGE) * DeviceKind.HOST_PAGE;
    }

    /** Whether there will be an NVMe tier. */
    boolean usesNvme() {
      return needsNvme && mostExtents() > 0;
    }

    long frames(long dram, int window, boolean nvme) {
      return Math.max(0, dram - stagingBytes(window, nvme)) / layout.extentBytes();
    }

    long dramFrames(int window) {
      return frames(request.tiers().dram(), window, usesNvme());
    }

    /** Extents that NVMe must hold beside so many frames: the rest, and what is in flight. */
    long neededExtents(long frames) {
      return EngineSizes.leastNvmeExtents(totalExtents, frames);
    }

    /** Extents that a volume of the budgeted size has room for, whatever its filesystem. */
    long expectedExtents() {
      return VolumeSpace.usable(request.tiers().nvme()) / layout.extentBytes();
    }

    /** Extents within the budget, if a filesystem took nothing. */
    long mostExtents() {
      return request.tiers().nvme() / layout.extentBytes();
    }

    /** Tokens up to which everything is attended, in all: those of as many chunks. */
    int denseBelow() {
      return denseChunks == 0 ? 0 : Math.min(context, layout.grid().mostTokens(denseChunks));
    }

    EngineSizes sizes(int window) {
      return new EngineSizes(
          model,
          layout,
          request.load(),
          request.attention().withDenseBelow(denseBelow()),
          request.device().activationBytes(),
          window,
          passChunks(window),
          prefillBlock,
          shortPrompt,
          (int)
              Math.min(
                  Math.min(dramFrames(window), totalExtents + minimumFrames), Integer.MAX_VALUE),
          needsNvme ? Math.min(mostExtents(), totalExtents) : 0,
          usesNvme() ? request.tiers().nvmeEncryption() : NvmeEncryption.NONE);
    }

    List<Demand> demands(int window, long frames, long extents) {
      List<Demand> out = new ArrayList<>();
      int act = request.device().activationBytes();
      SummaryFormat summary = request.attention().policy().summary();
      out.add(
          new Demand(
              Tier.GPU,
              "weights",
              model.weightBytes(request.device()),
              "all weights, " + request.device().weights()));
      long own = Workspace.deviceBytes(request.device(), model, maxChunks);
      if (own > 0) {
        out.add(
            new Demand(
                Tier.GPU,
                Demand.DEVICE,
                own,
                "context and kernels of up to %s, workspaces, %d recorded steps of %d layers"
                    .formatted(
                        ByteSize.human(request.device().contextBytes()),
                        Workspace.MOST_GRAPHS,
                        model.layers())));
      }
      out.add(
          new Demand(
              Tier.GPU,
              "index",
              heads() * summary.indexBytes(layout, maxChunks),
              "%s x %d layers x %d KV heads x %,d %s x %d B summary"
                  .formatted(
                      sequences(),
                      layout.layers(),
                      layout.kvHeads(),
                      summary.summaries(maxChunks),
                      summary.chunks() == 1
                          ? "chunks"
                          : "pages of %d chunks".formatted(summary.chunks()),
                      summary.bytes(layout))));
      ClusterFormat clusters = request.attention().policy().clusters();
      if (clusters != null) {
        out.add(
            new Demand(
                Tier.GPU,
                clusters.estimates() ? "estimate" : "centroids",
                heads() * request.attention().policy().clusterBytes(layout, maxChunks),
                "%,d heads in all x (%,d clusters x %d B, and %d B for each of %,d %s)"
                    .formatted(
                        heads(),
                        clusters.clusters(layout, maxChunks),
                        clusters.bytes(layout),
                        Short.BYTES,
                        maxChunks * clusters.ofChunk(layout),
                        clusters.estimates() ? "tokens" : "chunks")));
      }
      int codebookBytes = summary.codebookBytes(layout);
      if (codebookBytes > 0) {
        out.add(
            new Demand(
                Tier.GPU,
                "codebooks",
                (long) layout.layers() * layout.kvHeads() * codebookBytes,
                "%d layers x %d KV heads x %s"
                    .formatted(layout.layers(), layout.kvHeads(), ByteSize.human(codebookBytes))));
      }
      out.add(
          new Demand(
              Tier.GPU,
              "sink and ring",
              seats * layout.denseBytesPerSequence(),
              "%s x %d tokens x %s per token"
                  .formatted(
                      sequences(),
                      layout.grid().denseTokens(),
                      ByteSize.human(layout.bytesPerToken()))));
      out.add(
          new Demand(
              Tier.GPU,
              "window",
              heads() * window * layout.resident().bytes(),
              "%,d heads in all x %,d slots x %s per chunk in %s"
                  .formatted(
                      heads(),
                      window,
                      ByteSize.human(layout.resident().bytes()),
                      layout.formats().resident().word())));
      out.add(
          new Demand(
              Tier.GPU,
              "maps",
              Workspace.mapBytes(layout, seats, maxChunks, window, request.attention().windows()),
              "where each chunk, slot and extent is"));
      if (request.attention().windows().notesReuse(request.attention().budget().exact())) {
        out.add(
            new Demand(
                Tier.GPU,
                "reuse",
                Workspace.reuseBytes(heads(), maxChunks),
                "%,d heads in all x (%,d chunks x 4 B and %d ages): windows are divided by it"
                    .formatted(heads(), maxChunks, Workspace.REUSE_CLASSES)));
      }
      out.add(
          new Demand(
              Tier.GPU,
              "workspace",
              Workspace.selectionBytes(
                      model,
                      seats,
                      maxChunks,
                      EngineSizes.mostSelected(
                          request.attention().policy(), maxSelected, denseChunks, maxChunks),
                      passChunks(window))
                  + Workspace.attentionBytes(model, layout.grid(), seats, passChunks(window))
                  + Workspace.logitsBytes(model, seats)
                  + Workspace.activationBytes(model, Math.max(seats, prefillBlock), act),
              "selection of %,d chunks, attention, logits and activations of %d rows"
                  .formatted(maxSelected, Math.max(seats, prefillBlock))));
      out.add(
          new Demand(
              Tier.GPU,
              "prefill",
              Workspace.prefillScratchBytes(layout, (long) context + shortPrompt)
                  + Workspace.residualStagingBytes(model, prefillBlock, act)
                  + Workspace.blockBytes(prefillBlock),
              shortPrompt == 0
                  ? "keys and values of one layer of %,d prompt tokens".formatted(context)
                  : "keys and values of one layer of %,d prompt tokens, and of %,d of a short prompt beside them"
                      .formatted(context, shortPrompt)));
      out.add(
          new Demand(
              Tier.DRAM,
              "staging",
              stagingBytes(window) - keyTableBytes(usesNvme()),
              "residual streams of %,d prompt tokens, mailbox, I/O buffers, step results"
                  .formatted((long) residualBlocks * prefillBlock)));
      long keys = keyTableBytes(usesNvme());
      if (keys > 0) {
        NvmeEncryption encryption = request.tiers().nvmeEncryption();
        out.add(
            new Demand(
                Tier.DRAM,
                "keys",
                keys,
                "%,d extents x %d B: what NVMe has is encrypted with %s, each extent with a key of its own"
                    .formatted(totalExtents, encryption.proofBytes(), encryption.word())));
      }
      out.add(
          new Demand(
              Tier.DRAM,
              "frames",
              frames * layout.extentBytes(),
              "%,d frames of %s, %,d chunks in %s each"
                  .formatted(
                      frames,
                      ByteSize.human(layout.extentBytes()),
                      layout.extentChunks(),
                      layout.formats().backing().word())));
      out.add(
          new Demand(
              Tier.NVME,
              "extents",
              extents * layout.extentBytes(),
              "%,d extents of %s that do not fit DRAM; all chunks are %,d extents"
                  .formatted(extents, ByteSize.human(layout.extentBytes()), totalExtents)));
      return out;
    }

    List<String> shortfalls() {
      List<String> out = new ArrayList<>();
      if (context > model.maxContext()) {
        out.add(model.tooShortFor(context));
      }
      TierBudgets tiers = request.tiers();
      long gpu = gpuBytes(minWindow);
      if (gpu > tiers.gpu()) {
        List<String> sum = ByteSize.adding(tiers.gpu(), gpu - tiers.gpu());
        out.add(
            "GPU memory: at least %s needed, %s budgeted, %s short."
                .formatted(sum.get(2), sum.get(0), sum.get(1)));
      }
      long dram = dramMinimum(usesNvme());
      if (dram > tiers.dram()) {
        List<String> sum = ByteSize.adding(tiers.dram(), dram - tiers.dram());
        List<String> needed =
            ByteSize.adding(stagingBytes(minWindow), minimumFrames * (long) layout.extentBytes());
        out.add(
            "DRAM: at least %s needed (%s of staging and %s in %,d frames), %s budgeted, %s short."
                .formatted(
                    sum.get(2),
                    needed.get(0),
                    needed.get(1),
                    minimumFrames,
                    sum.get(0),
                    sum.get(1)));
      }
      long frames = dramFrames(minWindow);
      if (neededExtents(frames) > expectedExtents()) {
        long missing = neededExtents(frames) - expectedExtents();
        List<String> sum =
            ByteSize.adding(
                (frames + expectedExtents()) * layout.extentBytes(),
                missing * layout.extentBytes());
        out.add(
            "KV cache: %s x %,d tokens x %s per token in %s are %s; in extents, with those in flight, %s are needed, DRAM and NVMe together have room for %s, %s short."
                .formatted(
                    sequences(),
                    context,
                    ByteSize.human(layout.backingBytes(1)),
                    layout.formats().backing().word(),
                    ByteSize.human(layout.backingBytes((long) seats * context)),
                    sum.get(2),
                    sum.get(0),
                    sum.get(1)));
        if (tiers.nvme() > 0) {
          out.add(
              "A filesystem on a volume of %s may leave no more than %s for files."
                  .formatted(
                      ByteSize.human(tiers.nvme()),
                      ByteSize.human(VolumeSpace.usable(tiers.nvme()))));
        }
      }
      if (tiers.nvmeWritesPerDay() > 0 && writtenAlone() > tiers.nvmeWritesPerDay()) {
        out.add(
            "NVMe writes: a sequence of %,d tokens may have %s written, %s a day are allowed."
                .formatted(
                    context,
                    ByteSize.human(writtenAlone()),
                    ByteSize.human(tiers.nvmeWritesPerDay())));
      }
      return out;
    }

    /** Bytes that one sequence of the longest context may have written to NVMe. */
    long writtenAlone() {
      return sizes(minWindow).leavingDram(context) * layout.extentBytes();
    }

    long dramMinimum(boolean nvme) {
      return stagingBytes(minWindow, nvme) + (long) minimumFrames * layout.extentBytes();
    }

    /**
     * The budgets that make the request fit as it is.
     *
     * @param shorter whether its context is shorter than what was asked for
     */
    Alternative whatToAdd(boolean shorter) {
      TierBudgets enough = enough();
      return new Alternative(
          (shorter ? "%,d tokens with ".formatted(context) : "the same request with ")
              + String.join(", ", added(request.tiers(), enough)),
          request.withTiers(enough));
    }

    /** Those budgets: what is there, and what is missing. */
    private TierBudgets enough() {
      TierBudgets tiers = request.tiers();
      long gpu = Math.max(tiers.gpu(), wholeMebibytes(gpuBytes(minWindow)));
      long nvme = tiers.nvme();
      long dram = Math.max(tiers.dram(), wholeMebibytes(dramMinimum(false)));
      if (frames(dram, minWindow, false) < Math.max(totalExtents, minimumFrames)) {
        dram = Math.max(tiers.dram(), wholeMebibytes(dramMinimum(true)));
        long missing = neededExtents(frames(dram, minWindow, true));
        nvme = Math.max(nvme, VolumeSpace.volumeFor(missing * layout.extentBytes()));
      }
      long alone =
          new Arithmetic(
                  request.withTiers(new TierBudgets(gpu, dram, nvme, 0, tiers.nvmeEncryption())),
                  denseChunks)
              .writtenAlone();
      long writes =
          tiers.nvmeWritesPerDay() == 0
              ? 0
              : Math.max(tiers.nvmeWritesPerDay(), wholeMebibytes(alone));
      return new TierBudgets(gpu, dram, nvme, writes, tiers.nvmeEncryption());
    }

    private static List<String> added(TierBudgets have, TierBudgets need) {
      List<String> parts = new ArrayList<>();
      addPart(parts, "GPU memory", have.gpu(), need.gpu());
      addPart(parts, "DRAM", have.dram(), need.dram());
      addPart(parts, "NVMe", have.nvme(), need.nvme());
      addPart(parts, "writes to NVMe a day", have.nvmeWritesPerDay(), need.nvmeWritesPerDay());
      return parts;
    }

    private static long wholeMebibytes(long bytes) {
      return Math.ceilDiv(bytes, ByteSize.MIB) * ByteSize.MIB;
    }

    private static void addPart(List<String> parts, String tier, long have, long need) {
      if (need > have) {
        parts.add("%s of %s".formatted(ByteSize.mebibytes(need), tier));
      }
    }

    PodSizes pod(EngineSizes sizes) {
      RequestMemory requests = RequestMemory.of(context, seats, request.load().queueLimit());
      long heap =
          HEAP_BASE
              + requests.heapBytes()
              + StoreHeap.bytes(sizes)
              + WINDOW_HEAP_PER_SLOT * sizes.allWindowSlots()
              + HEAP_PER_VOCABULARY_ENTRY * model.vocabulary()
              + HEAP_PER_CONTEXT_TOKEN * context * (seats + (long) request.load().queueLimit());
      heap = Math.ceilDiv(heap, 16 * ByteSize.MIB) * 16 * ByteSize.MIB;
      long direct = Math.ceilDiv(requests.directBytes(), ByteSize.MIB) * ByteSize.MIB;
      long memory = ByteSize.sum(heap + direct + JVM_OVERHEAD, request.tiers().dram());
      if (request.device().arenaInHostMemory()) {
        memory = ByteSize.sum(memory, request.tiers().gpu());
      }
      memory = Math.ceilDiv(Math.min(memory, MOST_MEMORY), ByteSize.MIB) * ByteSize.MIB;
      return new PodSizes(heap, direct, JVM_OVERHEAD, memory, request.tiers().nvme(), requests);
    }
  }
}
