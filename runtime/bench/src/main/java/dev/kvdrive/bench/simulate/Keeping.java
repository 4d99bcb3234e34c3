package dev.kvdrive.bench.simulate;

/** By what a chunk stays in a window. */
public enum Keeping {
  /**
   * The score that this step has just given it, and how often it was used since it came: what the
   * engine does.
   */
  LOOKAHEAD,

  /** That score alone. */
  SCORES,

  /** When it was selected last. */
  LRU,

  /** Its share of attention when it was selected last, 0.75 of it with each step since. */
  DECAYED;

  /** As users write it. */
  public String word() {
    return name().toLowerCase(java.util.Locale.ROOT);
  }
}
