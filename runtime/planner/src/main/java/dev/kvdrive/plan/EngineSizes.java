package dev.kvdrive.plan;

/**
 * Every size the engine allocates by, as the planner proved them to fit. The engine takes these
 * numbers as they are; it never derives a size of its own.
 *
 * @param geometry the model
 * @param layout bytes of chunks and extents
 * @param contextLength tokens a sequence may have, prompt and generation together
 * @param concurrency sequences that run at once: seats, and rows of a decode step
 * @param budget how much a step attends
 * @param activationBytes bytes of one activation element on the device
 * @param maxChunks closed chunks of a sequence of {@code contextLength} tokens
 * @param maxSelected chunks selected for a sequence of that length, where a layer is not dense
 * @param denseChunks a sequence with at most so many closed chunks attends all of them, whatever
 *     the budget; 0 for none. A window of a sparse plan has room for them
 * @param windowSlots window slots of each (seat, layer, KV head)
 * @param passChunks chunks of one pass: never more than {@code windowSlots}
 * @param prefillBlock prompt tokens of one prefill block
 * @param shortPrompt tokens of a prompt that is prefilled beside a longer one, in memory of its
 *     own; 0 if there is but one seat
 * @param residualBlocks blocks of the residual streams of all prompts in prefill together
 * @param dramFrames extents that fit the DRAM tier
 * @param nvmeExtents extents that the NVMe tier takes if its volume has room for them; 0 for no
 *     NVMe tier
 * @param policy its index, its dense layers, its windows
 * @param windows how windows are divided and filled
 */
public record EngineSizes(
    ModelGeometry geometry,
    KvLayout layout,
    int contextLength,
    int concurrency,
    Budget budget,
    int activationBytes,
    int maxChunks,
    int maxSelected,
    int denseChunks,
    int windowSlots,
    int passChunks,
    int prefillBlock,
    int shortPrompt,
    int residualBlocks,
    int dramFrames,
    long nvmeExtents,
    PolicyShape policy,
    WindowOptions windows) {
  /** The same with windows divided and filled in another way. */
  public EngineSizes withWindows(WindowOptions options) {
    return new EngineSizes(
        geometry,
        layout,
        contextLength,
        concurrency,
        budget,
        activationBytes,
        maxChunks,
        maxSelected,
        denseChunks,
        windowSlots,
        passChunks,
        prefillBlock,
        shortPrompt,
        residualBlocks,
        dramFrames,
        nvmeExtents,
        policy,
        options);
  }

  /** The same for steps that attend another share, or what is enough for a quality. */
  public EngineSizes withBudget(Budget other) {
    return new EngineSizes(
        geometry,
        layout,
        contextLength,
        concurrency,
        other,
        activationBytes,
        maxChunks,
        maxSelected,
        denseChunks,
        windowSlots,
        passChunks,
        prefillBlock,
        shortPrompt,
        residualBlocks,
        dramFrames,
        nvmeExtents,
        policy,
        windows);
  }

  /** Of sequences of which none attends everything because it is short, and a fixed share. */
  public EngineSizes(
      ModelGeometry geometry,
      KvLayout layout,
      int contextLength,
      int concurrency,
      double budget,
      int activationBytes,
      int maxChunks,
      int maxSelected,
      int windowSlots,
      int passChunks,
      int prefillBlock,
      int shortPrompt,
      int residualBlocks,
      int dramFrames,
      long nvmeExtents,
      PolicyShape policy) {
    this(
        geometry,
        layout,
        contextLength,
        concurrency,
        Budget.of(budget),
        activationBytes,
        maxChunks,
        maxSelected,
        0,
        windowSlots,
        passChunks,
        prefillBlock,
        shortPrompt,
        residualBlocks,
        dramFrames,
        nvmeExtents,
        policy,
        WindowOptions.DEFAULT);
  }

  /** Bytes of the summaries of one (seat, layer, KV head). */
  public long indexBytes() {
    return policy.summary().indexBytes(layout, maxChunks);
  }

  /** Chunks that a layer of a step may select: all of them where a layer is dense. */
  public int mostSelected() {
    return mostSelected(policy, maxSelected, denseChunks, maxChunks);
  }

  static int mostSelected(PolicyShape policy, int maxSelected, int denseChunks, int maxChunks) {
    return policy.denseLayers() > 0 ? maxChunks : Math.max(maxSelected, denseChunks);
  }

  /** Tokens up to which a sequence attends everything, whatever the budget; 0 for none. */
  public int denseBelow() {
    return denseChunks == 0 ? 0 : Math.min(contextLength, layout.grid().mostTokens(denseChunks));
  }

  /** Whether every chunk is attended in every step. */
  public boolean exact() {
    return budget.exact();
  }

  /**
   * Chunks to select of a sequence with {@code closedChunks} closed chunks, at least one if any.
   */
  public int selectCount(int closedChunks) {
    return selectCount(budget.share(), closedChunks);
  }

  /**
   * {@link #selectCount(int)} for a budget of one's own, which may not be larger than the plan's.
   */
  public int selectCount(double budget, int closedChunks) {
    return budget >= 1.0 || closedChunks <= denseChunks
        ? closedChunks
        : Math.min(closedChunks, (int) Math.ceil(budget * closedChunks));
  }

  /** Extents of a sequence of so many tokens, over all layers and KV heads. */
  public long extents(int tokens) {
    return layout.heads() * layout.extents(layout.grid().closedChunks(tokens));
  }

  /** Of these, those that are full: only they can leave DRAM. */
  public long fullExtents(int tokens) {
    return layout.heads() * (layout.grid().closedChunks(tokens) / layout.extentChunks());
  }

  /**
   * Extents that may come to leave DRAM, and are written to NVMe then, if one sequence of so many
   * tokens is all there is.
   */
  public long leavingDram(int tokens) {
    return extents(tokens) <= dramFrames ? 0 : fullExtents(tokens);
  }

  /** Extents of DRAM and NVMe together, whatever the volume has room for beyond what it must. */
  public long tierExtents() {
    return dramFrames + leastNvmeExtents();
  }

  /**
   * Extents without which the NVMe tier cannot work: all that do not fit DRAM, and what is in
   * flight.
   */
  public long leastNvmeExtents() {
    long all = concurrency * layout.heads() * layout.extents(maxChunks);
    return Math.min(nvmeExtents, leastNvmeExtents(all, dramFrames));
  }

  /** {@link #leastNvmeExtents()} of so many extents and frames. */
  static long leastNvmeExtents(long allExtents, long frames) {
    return frames >= allExtents ? 0 : allExtents - frames + Workspace.IO_BUFFERS;
  }

  /** Slots of all windows together. */
  public long allWindowSlots() {
    return (long) concurrency * layout.layers() * layout.kvHeads() * windowSlots;
  }

  /** Slots that one window can have at most, where windows are not all alike. */
  public int mostWindowSlots() {
    return maxChunks;
  }

  /** Whether it is noted how soon chunks are selected again, to divide slots by it. */
  public boolean notesReuse() {
    return windows.notesReuse(exact());
  }

  /** Requests of one mailbox round. */
  public int mailboxCapacity() {
    return Math.multiplyExact(
        Math.multiplyExact(concurrency, geometry.kvHeads()), Math.max(1, passChunks));
  }
}
