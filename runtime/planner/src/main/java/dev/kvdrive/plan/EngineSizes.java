package dev.kvdrive.plan;

import java.util.Objects;
import java.util.function.UnaryOperator;

/**
 * Every size the engine allocates by, as the planner proved them to fit. The engine takes these
 * numbers as they are; it never derives a size of its own.
 *
 * @param geometry the model
 * @param layout bytes of chunks and extents: with the type and the formats of {@code attention}
 * @param load sequences that run at once, each a seat and a row of a decode step, and how long they
 *     may become
 * @param attention what is kept of them and attended; up to how many tokens everything, is decided
 * @param activationBytes bytes of one activation element on the device
 * @param windowSlots window slots of each (seat, layer, KV head)
 * @param passChunks chunks of one pass: never more than {@code windowSlots}
 * @param prefillBlock prompt tokens of one prefill block
 * @param shortPrompt tokens of a prompt that is prefilled beside a longer one, in memory of its
 *     own; 0 if there is but one seat
 * @param dramFrames extents that fit the DRAM tier
 * @param nvmeExtents extents that the NVMe tier takes if its volume has room for them; 0 for no
 *     NVMe tier
 * @param nvmeEncryption in which form they are there; none without an NVMe tier
 */
public record EngineSizes(
    ModelGeometry geometry,
    KvLayout layout,
    Load load,
    AttentionOptions attention,
    int activationBytes,
    int windowSlots,
    int passChunks,
    int prefillBlock,
    int shortPrompt,
    int dramFrames,
    long nvmeExtents,
    NvmeEncryption nvmeEncryption) {
  public EngineSizes {
    if (layout.type() != attention.kvType() || !layout.formats().equals(attention.formats())) {
      throw new IllegalArgumentException(
          "a layout of %s in %s is not that of attention to %s in %s"
              .formatted(layout.type(), layout.formats(), attention.kvType(), attention.formats()));
    }
    if (attention.denseBelow() == null) {
      throw new IllegalArgumentException(
          "up to how many tokens everything is attended must be decided before sizes are");
    }
  }

  /**
   * The same with something attended in another way, which changes neither the index nor the form
   * of chunks.
   */
  public EngineSizes attending(UnaryOperator<AttentionOptions> change) {
    return new EngineSizes(
        geometry,
        layout,
        load,
        change.apply(attention),
        activationBytes,
        windowSlots,
        passChunks,
        prefillBlock,
        shortPrompt,
        dramFrames,
        nvmeExtents,
        nvmeEncryption);
  }

  /** Tokens a sequence may have, prompt and generation together. */
  public int contextLength() {
    return load.contextLength();
  }

  /** Sequences that run at once. */
  public int concurrency() {
    return load.concurrency();
  }

  /** Prompts of sequences that have ended that are kept at most, as long as there is room. */
  public int shelves() {
    return concurrency();
  }

  /** How much a step attends. */
  public Budget budget() {
    return attention.budget();
  }

  /** Its index, its dense layers, its windows. */
  public PolicyShape policy() {
    return attention.policy();
  }

  /** How windows are divided and filled. */
  public WindowOptions windows() {
    return attention.windows();
  }

  /** Closed chunks of the longest sequence. */
  public int maxChunks() {
    return layout.grid().closedChunks(contextLength());
  }

  /** Chunks selected for a sequence of that length, where a layer is not dense. */
  public int maxSelected() {
    return budget().chunks(maxChunks());
  }

  /** Blocks of the residual streams of all prompts in prefill together. */
  public int residualBlocks() {
    return Workspace.residualBlocks(contextLength(), concurrency(), prefillBlock);
  }

  /** Bytes of the summaries of one (seat, layer, KV head). */
  public long indexBytes() {
    return policy().summary().indexBytes(layout, maxChunks());
  }

  /** Chunks that a layer of a step may select: all of them where a layer is dense. */
  public int mostSelected() {
    return mostSelected(policy(), maxSelected(), denseChunks(), maxChunks());
  }

  static int mostSelected(PolicyShape policy, int maxSelected, int denseChunks, int maxChunks) {
    return policy.denseLayers() > 0 ? maxChunks : Math.max(maxSelected, denseChunks);
  }

  /** Tokens up to which a sequence attends everything, whatever the budget; 0 for none. */
  public int denseBelow() {
    return Objects.requireNonNull(attention.denseBelow());
  }

  /**
   * A sequence with at most so many closed chunks attends all of them, whatever the budget; 0 for
   * none. A window of a sparse plan has room for them.
   */
  public int denseChunks() {
    return denseChunks(layout.grid(), policy(), Math.min(denseBelow(), contextLength()));
  }

  static int denseChunks(ChunkGrid grid, PolicyShape policy, int tokens) {
    return policy.selects() ? grid.closedChunks(tokens) : 0;
  }

  /** Whether every chunk is attended in every step. */
  public boolean exact() {
    return budget().exact();
  }

  /**
   * Chunks to select of a sequence with {@code closedChunks} closed chunks, at least one if any.
   */
  public int selectCount(int closedChunks) {
    return selectCount(budget().share(), closedChunks);
  }

  /**
   * {@link #selectCount(int)} for a budget of one's own, which may not be larger than the plan's.
   */
  public int selectCount(double budget, int closedChunks) {
    return closedChunks <= denseChunks() ? closedChunks : Budget.chunks(budget, closedChunks);
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
    long all = concurrency() * layout.heads() * layout.extents(maxChunks());
    return Math.min(nvmeExtents, leastNvmeExtents(all, dramFrames));
  }

  /** {@link #leastNvmeExtents()} of so many extents and frames. */
  static long leastNvmeExtents(long allExtents, long frames) {
    return frames >= allExtents ? 0 : allExtents - frames + Workspace.IO_BUFFERS;
  }

  /** Slots of all windows together. */
  public long allWindowSlots() {
    return (long) concurrency() * layout.layers() * layout.kvHeads() * windowSlots;
  }

  /** Slots that one window can have at most, where windows are not all alike. */
  public int mostWindowSlots() {
    return maxChunks();
  }

  /** Whether it is noted how soon chunks are selected again, to divide slots by it. */
  public boolean notesReuse() {
    return windows().notesReuse(exact());
  }

  /** Requests of one mailbox round. */
  public int mailboxCapacity() {
    return Math.multiplyExact(
        Math.multiplyExact(concurrency(), geometry.kvHeads()), Math.max(1, passChunks));
  }
}
