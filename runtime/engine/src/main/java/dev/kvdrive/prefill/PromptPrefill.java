package dev.kvdrive.prefill;

import dev.kvdrive.device.PrefillScratch;
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
  private int[] blocks;
  private @Nullable PrefillScratch scratch;
  private int layer;
  private int start;

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
      int layers,
      PrefillWork work) {
    this.prompt = prompt;
    this.wantsLogits = wantsLogits;
    this.blocks = blocks;
    this.blockTokens = blockTokens;
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

  /** Units of work done, as they are reported: tokens times layers. */
  public long done() {
    return (long) layer * prompt.length + start;
  }

  /** Units of work of the prompt, as they are reported. */
  public long total() {
    return (long) prompt.length * layers;
  }

  /** The work that is left, in the measure of {@link Prefill#work}. */
  public double remaining() {
    return layer == layers ? 0 : work.remaining(prompt.length, layer, start);
  }

  /** The work of its next quantum. */
  public double nextQuantum() {
    return layer == layers
        ? 0
        : work.of(layer, start, Math.min(start + blockTokens, prompt.length));
  }

  /** The work that is left in its layer. */
  public double remainingInLayer() {
    return layer == layers ? 0 : work.of(layer, start, prompt.length);
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

  int token(int position) {
    return prompt[position];
  }

  boolean wantsLogits() {
    return wantsLogits;
  }

  List<Target> targets() {
    return targets;
  }

  /** The place of one of its blocks in the residual streams. */
  int block(int index) {
    return blocks[index];
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
      layer++;
      targets.forEach(target -> target.closed = 0);
    }
  }
}
