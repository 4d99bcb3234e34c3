package dev.kvdrive.plan;

/**
 * How windows are divided and filled. None of it changes what is computed: every part is a switch
 * of its own.
 *
 * @param division who has how many of the slots
 * @param warmUpTokens tokens at the end of a prompt whose selections fill the windows before the
 *     first step, fewer for a short prompt; 0 for empty windows
 * @param prefetch whether chunks are brought for the next layer, chosen by a predicted query, while
 *     this one computes
 */
public record WindowOptions(Division division, int warmUpTokens, boolean prefetch) {
  /** Who has how many slots. */
  public enum Division {
    /** Every (seat, layer, KV head) the same. */
    UNIFORM,

    /** Every (layer, KV head) of the seats that are taken the same: free seats lend their slots. */
    LENT,

    /**
     * Those of the seats that are taken by what more slots would save: {@code
     * kv.window.WindowDivision}.
     */
    BY_REUSE
  }

  /** What an engine does unless told otherwise: docs/results/window.md says why. */
  public static final WindowOptions DEFAULT = new WindowOptions(Division.LENT, 16, false);

  public WindowOptions {
    if (warmUpTokens < 0 || warmUpTokens > Workspace.MOST_WARM_UP_TOKENS) {
      throw new IllegalArgumentException(
          "the windows' warm-up must have between 0 and %d tokens, got %d"
              .formatted(Workspace.MOST_WARM_UP_TOKENS, warmUpTokens));
    }
  }

  /**
   * Whether it is noted how soon chunks are selected again, to divide slots by it. A step that
   * attends everything teaches nothing.
   */
  boolean notesReuse(boolean exact) {
    return division == Division.BY_REUSE && !exact;
  }

  /** The same with another division. */
  public WindowOptions with(Division other) {
    return new WindowOptions(other, warmUpTokens, prefetch);
  }

  /** The same with another warm-up. */
  public WindowOptions withWarmUp(int tokens) {
    return new WindowOptions(division, tokens, prefetch);
  }

  /** The same with or without prefetch. */
  public WindowOptions withPrefetch(boolean on) {
    return new WindowOptions(division, warmUpTokens, on);
  }
}
