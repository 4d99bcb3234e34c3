package dev.kvdrive.bench.document;

/** A length has no room for a document of a family. */
public final class TooShortException extends IllegalArgumentException {
  private static final long serialVersionUID = 1L;

  private final int needed;

  TooShortException(TaskFamily family, int needed, int length) {
    super("a task of %s needs at least %d tokens, got %d".formatted(family.word(), needed, length));
    this.needed = needed;
  }

  /** Tokens that this family needs at least. */
  public int needed() {
    return needed;
  }
}
