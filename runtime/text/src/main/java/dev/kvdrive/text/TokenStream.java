package dev.kvdrive.text;

import java.nio.ByteBuffer;
import java.nio.CharBuffer;
import java.nio.charset.CharsetDecoder;
import java.nio.charset.CodingErrorAction;
import java.nio.charset.StandardCharsets;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * The text of one generation as its tokens arrive. What it has returned is final: it never ends
 * inside a code point and never contains any part of a stop string.
 *
 * <p>However a text is split into tokens, the pieces returned add up to the same text: everything
 * before the stop string that is complete first (of those that end at the same character, the
 * longest), or everything there is. Special tokens add no text and are not matched by stop strings.
 *
 * <p>Held by one sequence, used by one thread at a time. Memory: at most the longest stop string
 * and one token.
 */
public final class TokenStream {

  private final Tokenizer tokenizer;
  private final List<String> stops;
  private final CharsetDecoder utf8 =
      StandardCharsets.UTF_8
          .newDecoder()
          .onMalformedInput(CodingErrorAction.REPLACE)
          .onUnmappableCharacter(CodingErrorAction.REPLACE);

  /** Bytes of a code point that is not complete yet, at most three. */
  private ByteBuffer bytes = ByteBuffer.allocate(64);

  private CharBuffer chars = CharBuffer.allocate(64);

  /** Text that may be the beginning of a stop string. */
  private final StringBuilder held = new StringBuilder();

  private boolean stripSpace;
  private boolean finished;
  private @Nullable String stop;

  private TokenStream(Tokenizer tokenizer, List<String> stops, boolean stripSpace) {
    for (String candidate : stops) {
      if (candidate.isEmpty()) {
        throw new IllegalArgumentException("a stop string must not be empty");
      }
    }
    this.tokenizer = tokenizer;
    this.stops = stops.stream().sorted(Comparator.comparingInt(String::length).reversed()).toList();
    this.stripSpace = stripSpace;
  }

  /** A generation that continues a raw prompt: a leading space belongs to the text. */
  public static TokenStream continuing(Tokenizer tokenizer, List<String> stops) {
    return new TokenStream(tokenizer, stops, false);
  }

  /**
   * A generation that is a text of its own, such as a chat answer: the space that the vocabulary
   * puts in front of a first word is left out ({@link Tokenizer#stripsLeadingSpace}).
   */
  public static TokenStream answering(Tokenizer tokenizer, List<String> stops) {
    return new TokenStream(tokenizer, stops, tokenizer.stripsLeadingSpace());
  }

  /**
   * Takes the next token and returns the text that is certain now, often empty. After a stop string
   * was found ({@link #stop}) everything returns the empty string.
   *
   * @throws IllegalStateException after {@link #finish}
   */
  public String accept(int id) {
    if (finished) {
      throw new IllegalStateException("the stream is finished; token " + id + " came too late");
    }
    if (stop != null || tokenizer.isSpecial(id)) {
      return "";
    }
    byte[] more = tokenizer.bytes(id);
    if (bytes.remaining() < more.length) {
      ByteBuffer larger = ByteBuffer.allocate((bytes.position() + more.length) * 2);
      larger.put(bytes.flip());
      bytes = larger;
    }
    bytes.put(more);
    return advance(false);
  }

  /**
   * Ends the generation and returns the text held back; an incomplete code point becomes U+FFFD.
   * Further calls return the empty string.
   */
  public String finish() {
    if (finished) {
      return "";
    }
    finished = true;
    if (stop != null) {
      return "";
    }
    return advance(true);
  }

  /** The stop string that ended the text, once it did. */
  public Optional<String> stop() {
    return Optional.ofNullable(stop);
  }

  private String advance(boolean end) {
    bytes.flip();
    if (chars.capacity() < bytes.remaining() + 4) {
      chars = CharBuffer.allocate((bytes.remaining() + 4) * 2);
    }
    chars.clear();
    utf8.decode(bytes, chars, end);
    if (end) {
      utf8.flush(chars);
    }
    bytes.compact();
    chars.flip();
    if (stripSpace && chars.hasRemaining()) {
      stripSpace = false;
      if (chars.get(chars.position()) == ' ') {
        chars.get();
      }
    }
    int scanFrom = held.length();
    held.append(chars);
    for (int last = scanFrom + 1; last <= held.length(); last++) {
      for (String candidate : stops) {
        if (endsWith(last, candidate)) {
          stop = candidate;
          String before = held.substring(0, last - candidate.length());
          held.setLength(0);
          return before;
        }
      }
    }
    int keep = end ? 0 : openEnd();
    String certain = held.substring(0, held.length() - keep);
    held.delete(0, held.length() - keep);
    return certain;
  }

  private boolean endsWith(int last, String candidate) {
    int start = last - candidate.length();
    if (start < 0) {
      return false;
    }
    for (int i = 0; i < candidate.length(); i++) {
      if (held.charAt(start + i) != candidate.charAt(i)) {
        return false;
      }
    }
    return true;
  }

  /** Length of the longest end of the held text that a stop string begins with. */
  private int openEnd() {
    int longest = 0;
    for (String candidate : stops) {
      for (int n = Math.min(candidate.length() - 1, held.length()); n > longest; n--) {
        if (held.charAt(held.length() - n) == candidate.charAt(0)
            && candidate.startsWith(held.substring(held.length() - n))) {
          longest = n;
        }
      }
    }
    return longest;
  }
}
