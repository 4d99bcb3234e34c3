package dev.kvdrive.text;

import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.regex.PatternSyntaxException;

/**
 * Cuts a text into pre-tokens, or rewrites it. Stages are chained: each hands its pieces to the
 * next. Later stages see one piece at a time, not what surrounds it, as the vocabularies were
 * trained. Immutable.
 */
interface PreTokenizer {

  /** Takes the pieces of one stage in order. */
  interface Sink {
    void accept(String text, int from, int to);
  }

  /**
   * Hands the pieces of {@code text[from, to)}, which is not empty, to the sink.
   *
   * @param first whether {@code text[from]} is the very start of the input
   * @throws TokenizerException when that takes more than {@code work} allows
   */
  void split(String text, int from, int to, boolean first, EncodingWork work, Sink sink);

  /** Runs the stages one after the other. */
  static void run(
      List<PreTokenizer> stages,
      String text,
      int from,
      int to,
      boolean first,
      EncodingWork work,
      Sink sink) {
    if (from == to) {
      return;
    }
    if (stages.isEmpty()) {
      sink.accept(text, from, to);
      return;
    }
    List<PreTokenizer> rest = stages.subList(1, stages.size());
    stages
        .getFirst()
        .split(
            text,
            from,
            to,
            first,
            work,
            (piece, start, end) ->
                run(rest, piece, start, end, first && start == from && start < end, work, sink));
  }

  /** What becomes of the matches of a {@link Split}. */
  enum Behavior {
    ISOLATED,
    REMOVED,
    MERGED_WITH_PREVIOUS,
    MERGED_WITH_NEXT,
    CONTIGUOUS
  }

  /**
   * Cuts at the matches of a pattern.
   *
   * @param invert the gaps between the matches count as the matches
   */
  record Split(Pattern pattern, Behavior behavior, boolean invert) implements PreTokenizer {

    @Override
    public void split(String text, int from, int to, boolean first, EncodingWork work, Sink sink) {
      Matcher matcher = pattern.matcher(work.counted(text));
      matcher.region(from, to);
      int done = from;
      // Isolated matches and the gaps between them need no list: nothing depends on neighbours.
      if (behavior == Behavior.ISOLATED) {
        while (find(matcher, pattern)) {
          if (matcher.start() > done) {
            sink.accept(text, done, matcher.start());
          }
          if (matcher.end() > matcher.start()) {
            sink.accept(text, matcher.start(), matcher.end());
          }
          done = matcher.end();
        }
        if (done < to) {
          sink.accept(text, done, to);
        }
        return;
      }
      List<int[]> spans = new ArrayList<>();
      while (find(matcher, pattern)) {
        if (matcher.start() > done) {
          spans.add(new int[] {done, matcher.start(), invert ? 1 : 0});
        }
        if (matcher.end() > matcher.start()) {
          spans.add(new int[] {matcher.start(), matcher.end(), invert ? 0 : 1});
        }
        done = matcher.end();
      }
      if (done < to) {
        spans.add(new int[] {done, to, invert ? 1 : 0});
      }
      emit(spans, text, sink);
    }

    private void emit(List<int[]> spans, String text, Sink sink) {
      int i = 0;
      while (i < spans.size()) {
        int[] span = spans.get(i++);
        int start = span[0];
        int end = span[1];
        boolean match = span[2] == 1;
        switch (behavior) {
          case REMOVED -> {
            if (match) {
              continue;
            }
          }
          case MERGED_WITH_PREVIOUS -> {
            if (!match && i < spans.size() && spans.get(i)[2] == 1) {
              end = spans.get(i++)[1];
            }
          }
          case MERGED_WITH_NEXT -> {
            if (match && i < spans.size() && spans.get(i)[2] == 0) {
              end = spans.get(i++)[1];
            }
          }
          case CONTIGUOUS -> {
            while (i < spans.size() && spans.get(i)[2] == span[2]) {
              end = spans.get(i++)[1];
            }
          }
          case ISOLATED -> {}
        }
        sink.accept(text, start, end);
      }
    }
  }

  /** Every digit alone, or runs of digits apart from the rest. */
  record Digits(boolean individual) implements PreTokenizer {

    @Override
    public void split(String text, int from, int to, boolean first, EncodingWork work, Sink sink) {
      int done = from;
      for (int at = from; at < to; ) {
        int codePoint = text.codePointAt(at);
        int next = Math.min(to, at + Character.charCount(codePoint));
        boolean digit = isNumeric(codePoint);
        boolean before = done < at && isNumeric(text.codePointBefore(at));
        if (at > done && (digit != before || (individual && digit))) {
          sink.accept(text, done, at);
          done = at;
        }
        at = next;
      }
      if (done < to) {
        sink.accept(text, done, to);
      }
    }

    private static boolean isNumeric(int codePoint) {
      int type = Character.getType(codePoint);
      return type == Character.DECIMAL_DIGIT_NUMBER
          || type == Character.LETTER_NUMBER
          || type == Character.OTHER_NUMBER;
    }
  }

  /** A space in front of each piece that has none. */
  record PrefixSpace() implements PreTokenizer {

    @Override
    public void split(String text, int from, int to, boolean first, EncodingWork work, Sink sink) {
      if (text.charAt(from) == ' ') {
        sink.accept(text, from, to);
      } else {
        String prefixed = " " + text.substring(from, to);
        sink.accept(prefixed, 0, prefixed.length());
      }
    }
  }

  /** When {@link Metaspace} puts its mark in front. */
  enum Prepend {
    ALWAYS,
    FIRST,
    NEVER
  }

  /** Spaces become a mark; words start at it. */
  record Metaspace(char mark, Prepend prepend, boolean split) implements PreTokenizer {

    @Override
    public void split(String text, int from, int to, boolean first, EncodingWork work, Sink sink) {
      String marked = text.substring(from, to).replace(' ', mark);
      boolean prefix = prepend == Prepend.ALWAYS || (prepend == Prepend.FIRST && first);
      if (prefix && marked.charAt(0) != mark) {
        marked = mark + marked;
      }
      int done = 0;
      for (int at = 1; split && at < marked.length(); at++) {
        if (marked.charAt(at) == mark) {
          sink.accept(marked, done, at);
          done = at;
        }
      }
      sink.accept(marked, done, marked.length());
    }
  }

  /**
   * Compiles a pattern as the {@code tokenizers} library understands it (Oniguruma, Unicode
   * classes).
   *
   * @throws TokenizerException when the pattern is not understood
   */
  static Pattern pattern(String regex) {
    Limits.check("a pattern", regex.length(), Limits.PATTERN_CHARS);
    String java = regex.replaceAll("\\\\p\\{(Han|Hiragana|Katakana|Hangul|Latin)}", "\\\\p{Is$1}");
    try {
      return Pattern.compile(java, Pattern.UNICODE_CHARACTER_CLASS);
    } catch (PatternSyntaxException e) {
      throw new TokenizerException(
          "the pre-tokenizer pattern '" + regex + "' is not supported: " + e.getDescription(), e);
    } catch (StackOverflowError e) {
      throw new TokenizerException("a pre-tokenizer pattern nests too deeply", e);
    }
  }

  /** The next match, also where the pattern would need more stack than there is. */
  static boolean find(Matcher matcher, Pattern pattern) {
    try {
      return matcher.find();
    } catch (StackOverflowError e) {
      throw new TokenizerException(
          "the pre-tokenizer pattern '" + pattern + "' nests too deeply on this text", e);
    }
  }
}
