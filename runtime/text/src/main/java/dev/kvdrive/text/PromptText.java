package dev.kvdrive.text;

import java.util.Arrays;

/**
 * A rendered prompt that remembers which characters the template wrote and which came from messages
 * or other request data. Only the former can be special tokens. Immutable.
 */
public final class PromptText {

  private final String text;

  /** Ends (exclusive, rising) of runs that alternate: template, data, template, data, ... */
  private final int[] ends;

  /**
   * @param text the whole prompt
   * @param ends where each run ends (exclusive), in chars; runs alternate, the first is the
   *     template's and may be empty; the last one ends the text
   */
  public PromptText(String text, int[] ends) {
    this.text = text;
    this.ends = ends.clone();
    int previous = 0;
    for (int end : this.ends) {
      if (end < previous) {
        throw new IllegalArgumentException("runs of a prompt must rise: " + Arrays.toString(ends));
      }
      previous = end;
    }
    if (previous != text.length()) {
      throw new IllegalArgumentException(
          "runs end at " + previous + " but the prompt has " + text.length() + " chars");
    }
  }

  public String text() {
    return text;
  }

  /** Whether every character in [from, to) was written by the template. */
  public boolean isTemplate(int from, int to) {
    int run = 0;
    for (int high = ends.length; run < high; ) {
      int middle = (run + high) >>> 1;
      if (ends[middle] <= from) {
        run = middle + 1;
      } else {
        high = middle;
      }
    }
    for (int start = from; run < ends.length && start < to; run++) {
      if (run % 2 == 1 && ends[run] > start) {
        return false;
      }
      start = ends[run];
    }
    return true;
  }

  /** The prompt up to the char {@code end}. */
  PromptText cut(int end) {
    return new PromptText(
        text.substring(0, end), Arrays.stream(ends).map(run -> Math.min(run, end)).toArray());
  }

  @Override
  public String toString() {
    return text;
  }
}
