package dev.kvdrive.bench.simulate;

/** By what a chunk stays in a window. */
public enum Keeping {
  /**
   * The score that this step has just given it, how often it was used and how lately: what the
   * engine does.
   */
  LOOKAHEAD,

  /** That score alone. */
  SCORES,

  /** When it was selected last. */
  LRU,

  /** Its share of attention when it was selected last, 0.75 of it with each step since. */
  DECAYED,

  /** When it will be selected next, which nobody can know (Belady's rule): no rule misses less. */
  BELADY;

  /** As users write it. */
  public String word() {
    return name().toLowerCase(java.util.Locale.ROOT);
  }
}
