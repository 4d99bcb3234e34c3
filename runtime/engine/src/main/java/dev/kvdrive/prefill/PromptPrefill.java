package dev.kvdrive.prefill;

import dev.kvdrive.device.PrefillScratch;
import dev.kvdrive.kv.tier.Reuse;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * How far a prompt is, from {@link Prefill#begin} to {@link Prefill#end}, and what it has of the
 * memory for prefill. Engine thread.
 */
public final class PromptPrefill {
  private static final int[] NONE = {};

  private final int[] prompt;
  private final boolean wantsLogits;
  private final int layers;
  private final PrefillWork work;
  private final List<Target> targets = new ArrayList<>();
  private final int blockTokens;
  private final int sink;
  private final Reuse reuse;
  private int[] blocks;
  private @Nullable PrefillScratch scratch;
  private int layer;
  private int start;

  /** Extents of the layer that have been recalled. */
  private int recalled;

  /** A seat that gets the prompt's keys and values, and how many chunks of the layer it has. */
  static final class Target {
    private final int seat;
    private final double budget;
    private int closed;

    private Target(int seat, double budget) {
      this.seat = seat;
      this.budget = budget;
    }

    /** Share of its chunks that the sequence will attend. */
    double budget() {
      return budget;
    }

    int seat() {
      return seat;
    }

    int closed() {
      return closed;
    }

    void close(int chunks) {
      closed = chunks;
    }
  }

  PromptPrefill(
      int[] prompt,
      List<Integer> seats,
      List<Double> budgets,
      boolean wantsLogits,
      int[] blocks,
      int blockTokens,
      int sink,
      Reuse reuse,
      int layers,
      PrefillWork work) {
    this.prompt = prompt;
    this.wantsLogits = wantsLogits;
    this.blocks = blocks;
    this.blockTokens = blockTokens;
    this.sink = sink;
    this.reuse = reuse;
    this.layers = layers;
    this.work = work;
    for (int i = 0; i < seats.size(); i++) {
      targets.add(new Target(seats.get(i), budgets.get(i)));
    }
  }

  /** Tokens of the prompt. */
  public int tokens() {
    return prompt.length;
  }

  /** A sequence has left its seat: nothing more is written for it. */
  public void withdraw(int seat) {
    targets.removeIf(target -> target.seat == seat);
  }

  /** Tokens whose keys and values are not computed, because they are there. */
  public int reused() {
    return reuse.tokens();
  }

  /** Units of work done, as they are reported: tokens times layers, computed or recalled. */
  public long done() {
    int here =
        recalled == 0 || start >= reused()
            ? start
            : sink + (int) ((long) (reused() - sink) * recalled / reuse.extents());
    return (long) layer * prompt.length + here;
  }

  /** Units of work of the prompt, as they are reported. */
  public long total() {
    return (long) prompt.length * layers;
  }

  /** Tokens times layers that have been computed. */
  public long computed() {
    return (long) layer * (prompt.length - reused()) + Math.max(0, start - reused());
  }

  /** The work that is left, in the measure of {@link Prefill#work}. */
  public double remaining() {
    return layer == layers ? 0 : work.remaining(prompt.length, reused(), layer, start);
  }

  /** The work of its next quantum. */
  public double nextQuantum() {
    return layer == layers ? 0 : work.of(layer, start, end());
  }

  /** The work that is left in its layer. */
  public double remainingInLayer() {
    return layer == layers ? 0 : work.of(layer, Math.max(start, reused()), prompt.length);
  }

  /** Whether it is in the middle of a layer, so that it has a scratch. */
  public boolean insideLayer() {
    return scratch != null;
  }

  int layer() {
    return layer;
  }

  /** The first token of the next block. */
  int start() {
    return start;
  }

  /**
   * Behind the last token of the next block: sink tokens that precede what is reused have one of
   * their own.
   */
  int end() {
    return start < reused() ? sink : Math.min(start + blockTokens, prompt.length);
  }

  /** Whether what is reused is to be recalled before the next block. */
  public boolean recalls() {
    return layer < layers && start == sink && start < reused();
  }

  /** Extents that are reused of each KV head, and how many of them have been recalled. */
  int reusedExtents() {
    return reuse.extents();
  }

  int recalled() {
    return recalled;
  }

  /** Notes that extents up to one have been recalled. */
  void recalled(int to) {
    recalled = to;
    if (to == reuse.extents()) {
      start = reused();
    }
  }

  int token(int position) {
    return prompt[position];
  }

  boolean wantsLogits() {
    return wantsLogits;
  }

  List<Target> targets() {
    return targets;
  }

  /** The place of the block that begins with a token in the residual streams. */
  int block(int from) {
    return blocks[
        reused() == 0
            ? from / blockTokens
            : from < reused() ? 0 : 1 + (from - reused()) / blockTokens];
  }

  /** The first token of the block after that which begins with a token, in the same layer. */
  int following(int from, int rows) {
    return from < reused() ? reused() : from + rows;
  }

  /** The first token that is computed in a layer. */
  int first() {
    return sink == 0 ? reused() : 0;
  }

  int[] takeBlocks() {
    int[] taken = blocks;
    blocks = NONE;
    return taken;
  }

  @Nullable PrefillScratch scratch() {
    return scratch;
  }

  void giveScratch(PrefillScratch given) {
    scratch = given;
  }

  @Nullable PrefillScratch takeScratch() {
    PrefillScratch taken = scratch;
    scratch = null;
    return taken;
  }

  /** Notes that a block of {@code rows} tokens has been computed. */
  void advanced(int rows) {
    start += rows;
    if (start == prompt.length) {
      start = 0;
      recalled = 0;
      layer++;
      targets.forEach(target -> target.closed = 0);
    }
  }
}
