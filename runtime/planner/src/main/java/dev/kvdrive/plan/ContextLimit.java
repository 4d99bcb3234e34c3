package dev.kvdrive.plan;

/** What bounds the context of a model. */
public enum ContextLimit {
  /** What it was trained for; rope scaling can extend it. */
  TRAINED("what it was trained for"),
  /** What its own rope scaling, which the file brings, extends it to. */
  SCALED("what its own rope scaling reaches"),
  /** What the rope scaling that was asked for extends it to. */
  EXTENDED("what the rope scaling that was asked for reaches; a larger factor reaches further"),
  /** The sliding window of its attention: further back it would attend nothing. */
  WINDOW("the sliding window of its attention"),
  /** Where dual chunk attention, which is not supported, would begin. */
  CHUNKED("where its dual chunk attention, which is not supported, would begin");

  private final String words;

  ContextLimit(String words) {
    this.words = words;
  }

  /** Whether a {@link RopeScaling} can extend the context. */
  public boolean extendable() {
    return this == TRAINED;
  }

  /** For messages: what the number of tokens is. */
  public String words() {
    return words;
  }
}
