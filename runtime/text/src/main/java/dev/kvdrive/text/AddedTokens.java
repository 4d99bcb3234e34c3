package dev.kvdrive.text;

import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * Finds the tokens that are taken out of a text before anything else: the leftmost, and of those
 * the longest that is allowed there. Immutable.
 */
final class AddedTokens {

  /**
   * @param special a control token, recognised only in trusted text
   * @param singleWord not inside a word
   * @param lstrip takes the white space on its left along
   * @param rstrip takes the white space on its right along
   */
  record Added(
      int id,
      String content,
      boolean special,
      boolean singleWord,
      boolean lstrip,
      boolean rstrip) {}

  /** Decides whether a special token may stand for {@code text[from, to)}. */
  interface Trust {
    boolean isTrusted(int from, int to);
  }

  /** Takes the parts of a text in order. */
  interface Sink {
    void text(int from, int to);

    void token(int id);
  }

  private static final class Node {
    final Map<Character, Node> children = new HashMap<>(2);
    @Nullable Added token;
  }

  private final Node root = new Node();

  AddedTokens(List<Added> tokens) {
    for (Added token : tokens) {
      Node node = root;
      for (int i = 0; i < token.content.length(); i++) {
        node = node.children.computeIfAbsent(token.content.charAt(i), c -> new Node());
      }
      if (node != root) {
        node.token = token;
      }
    }
  }

  void split(CharSequence text, int from, int to, Trust trust, Sink sink) {
    int done = from;
    int at = from;
    while (at < to && !root.children.isEmpty()) {
      Added found = longest(text, at, from, to, trust);
      if (found == null) {
        at++;
        continue;
      }
      int start = at;
      int end = at + found.content.length();
      while (found.lstrip && start > done && isSpace(text.charAt(start - 1))) {
        start--;
      }
      while (found.rstrip && end < to && isSpace(text.charAt(end))) {
        end++;
      }
      if (start > done) {
        sink.text(done, start);
      }
      sink.token(found.id);
      done = end;
      at = end;
    }
    if (done < to) {
      sink.text(done, to);
    }
  }

  private @Nullable Added longest(CharSequence text, int at, int from, int to, Trust trust) {
    Added found = null;
    Node node = root.children.get(text.charAt(at));
    for (int end = at + 1; node != null; end++) {
      Added token = node.token;
      if (token != null
          && !(token.singleWord && insideWord(text, at, end, from, to))
          && !(token.special && !trust.isTrusted(at, end))) {
        found = token;
      }
      node = end < to ? node.children.get(text.charAt(end)) : null;
    }
    return found;
  }

  private static boolean insideWord(CharSequence text, int start, int end, int from, int to) {
    return (start > from && isWord(Character.codePointBefore(text, start)))
        || (end < to && isWord(Character.codePointAt(text, end)));
  }

  private static boolean isWord(int codePoint) {
    return Character.isLetterOrDigit(codePoint) || codePoint == '_';
  }

  private static boolean isSpace(char c) {
    return Character.isWhitespace(c) || Character.isSpaceChar(c) || c == 0x85;
  }
}
