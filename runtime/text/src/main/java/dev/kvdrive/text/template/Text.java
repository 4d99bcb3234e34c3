package dev.kvdrive.text.template;

import java.util.Arrays;

/**
 * A string that knows which of its characters are data and which the template wrote. Immutable.
 * Equality is that of the characters.
 */
public final class Text implements Comparable<Text> {

  static final Text EMPTY = new Text("", new int[0]);

  private final String chars;

  /** Ends (exclusive) of runs that alternate: template, data, template, ... Rising. */
  private final int[] ends;

  private Text(String chars, int[] ends) {
    this.chars = chars;
    this.ends = ends;
  }

  /** A text of the template, or one that is trusted like it. */
  public static Text template(String chars) {
    return new Text(chars, new int[] {chars.length()});
  }

  /** A text that came with the messages. */
  static Text data(String chars) {
    return new Text(chars, new int[] {0, chars.length()});
  }

  /** A text derived from another as a whole: data when any character of the other is. */
  static Text derived(String chars, boolean data) {
    return data ? data(chars) : template(chars);
  }

  boolean hasData() {
    for (int i = 1; i < ends.length; i += 2) {
      if (ends[i] > ends[i - 1]) {
        return true;
      }
    }
    return false;
  }

  int length() {
    return chars.length();
  }

  boolean isEmpty() {
    return chars.isEmpty();
  }

  Text sub(int from, int to) {
    if (from == 0 && to == chars.length()) {
      return this;
    }
    Builder builder = new Builder(Integer.MAX_VALUE);
    builder.append(this, from, to);
    return builder.build();
  }

  Text plus(Text other) {
    if (other.isEmpty()) {
      return this;
    }
    if (isEmpty()) {
      return other;
    }
    Builder builder = new Builder(Integer.MAX_VALUE);
    builder.append(this);
    builder.append(other);
    return builder.build();
  }

  /**
   * Where each run ends (exclusive). Runs alternate: template, data, template, ... The first may be
   * empty, the last ends the text.
   */
  public int[] runEnds() {
    return ends.clone();
  }

  @Override
  public int compareTo(Text other) {
    return chars.compareTo(other.chars);
  }

  @Override
  public boolean equals(Object other) {
    return other instanceof Text text && chars.equals(text.chars);
  }

  @Override
  public int hashCode() {
    return chars.hashCode();
  }

  @Override
  public String toString() {
    return chars;
  }

  /** Puts a text together. */
  static final class Builder {

    private final StringBuilder chars = new StringBuilder();
    private final int limit;
    private int[] ends = new int[8];

    /** Number of runs; an even number means that the last is data. */
    private int runs;

    Builder(int limit) {
      this.limit = limit;
    }

    int length() {
      return chars.length();
    }

    Builder append(Text text) {
      return append(text, 0, text.length());
    }

    Builder append(Text text, int from, int to) {
      int run = 0;
      for (int start = from; start < to; run++) {
        int end = Math.min(text.ends[run], to);
        if (end > start) {
          run(text.chars, start, end, run % 2 == 1);
          start = end;
        }
      }
      return this;
    }

    Builder template(String text) {
      run(text, 0, text.length(), false);
      return this;
    }

    private void run(String text, int from, int to, boolean data) {
      if (to - from > limit - chars.length()) {
        throw new TemplateException(
            "the template writes more than the limit of " + limit + " characters");
      }
      if (from == to) {
        return;
      }
      boolean last = runs > 0 && runs % 2 == 0;
      if (runs == 0 || last != data) {
        int needed = runs == 0 && data ? 2 : 1;
        if (runs + needed > ends.length) {
          ends = Arrays.copyOf(ends, ends.length * 2);
        }
        for (int i = 0; i < needed; i++) {
          ends[runs++] = chars.length();
        }
      }
      chars.append(text, from, to);
      ends[runs - 1] = chars.length();
    }

    Text build() {
      return new Text(chars.toString(), Arrays.copyOf(ends, runs));
    }
  }
}
