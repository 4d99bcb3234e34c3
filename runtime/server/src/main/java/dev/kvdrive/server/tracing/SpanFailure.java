package dev.kvdrive.server.tracing;

import io.micrometer.tracing.Span;

/** How something ended that did not succeed, in one word; has no stack, which nobody could use. */
final class SpanFailure extends RuntimeException {
  private static final long serialVersionUID = 1;

  private final String word;

  private SpanFailure(String word) {
    super(word, null, false, false);
    this.word = word;
  }

  /**
   * @param word of a small set: it becomes {@code error.type}
   */
  static SpanFailure of(String word) {
    return new SpanFailure(word);
  }

  /** Sets the span's status. */
  void mark(Span span) {
    span.tag("error.type", word);
    span.error(this);
  }
}
