package dev.kvdrive.server.openai;

import dev.kvdrive.schedule.GeneratedToken;
import dev.kvdrive.text.Tokenizer;
import java.nio.ByteBuffer;
import java.nio.CharBuffer;
import java.nio.charset.CharsetDecoder;
import java.nio.charset.CodingErrorAction;
import java.nio.charset.StandardCharsets;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;

/**
 * Places tokens in the text they made, so that log-probabilities are reported for exactly the
 * tokens of the text: a token waits until the character that its first byte belongs to is certain,
 * and those whose text was cut off by a stop string are never reported. Tokens that write nothing
 * are reported with what comes after them.
 *
 * <p>Decodes the tokens' bytes once more, as {@link dev.kvdrive.text.TokenStream} does, because
 * bytes that are no UTF-8 take another length in the text than in the tokens.
 *
 * <p>One for each choice, used by one thread at a time.
 */
final class TokenAlignment {
  private final Tokenizer tokenizer;
  private final Deque<Waiting> waiting = new ArrayDeque<>();
  private final CharsetDecoder utf8 =
      StandardCharsets.UTF_8
          .newDecoder()
          .onMalformedInput(CodingErrorAction.REPLACE)
          .onUnmappableCharacter(CodingErrorAction.REPLACE);

  /** Bytes of a character that is not complete yet. */
  private ByteBuffer bytes = ByteBuffer.allocate(64);

  private CharBuffer chars = CharBuffer.allocate(64);

  /** Whether the text loses the space in front of its first word. */
  private boolean stripSpace;

  /** Code points that the tokens have written. */
  private int written;

  /** Code points of the text that is certain. */
  private int certain;

  private record Waiting(PlacedToken token, boolean visible) {}

  /**
   * @param continuation whether the text goes on from the prompt's
   */
  TokenAlignment(Tokenizer tokenizer, boolean continuation) {
    this.tokenizer = tokenizer;
    this.stripSpace = !continuation && tokenizer.stripsLeadingSpace();
  }

  /** The tokens that are certain now. */
  List<PlacedToken> accept(GeneratedToken token) {
    byte[] text = tokenizer.isSpecial(token.id()) ? new byte[0] : tokenizer.bytes(token.id());
    if (text.length == 0) {
      waiting.add(new Waiting(new PlacedToken(token, written), false));
      return advance(token.text());
    }
    decode(text, 0, 1);
    // The byte either belongs to a character that has begun, or was the last of one.
    int offset = bytes.position() > 0 ? written : Math.max(0, written - 1);
    decode(text, 1, text.length);
    waiting.add(new Waiting(new PlacedToken(token, offset), true));
    return advance(token.text());
  }

  /** The tokens that became certain with the last text; what is left was cut off. */
  List<PlacedToken> finish(String text) {
    List<PlacedToken> last = advance(text);
    if (waiting.stream().noneMatch(Waiting::visible)) {
      // Nothing was cut off: these write nothing, and nothing comes after them.
      waiting.forEach(token -> last.add(token.token()));
    }
    waiting.clear();
    return last;
  }

  private void decode(byte[] text, int from, int to) {
    int length = to - from;
    if (bytes.remaining() < length) {
      ByteBuffer larger = ByteBuffer.allocate((bytes.position() + length) * 2);
      larger.put(bytes.flip());
      bytes = larger;
    }
    bytes.put(text, from, length).flip();
    if (chars.capacity() < bytes.remaining() + 4) {
      chars = CharBuffer.allocate((bytes.remaining() + 4) * 2);
    }
    chars.clear();
    utf8.decode(bytes, chars, false);
    bytes.compact();
    chars.flip();
    if (stripSpace && chars.hasRemaining()) {
      stripSpace = false;
      if (chars.get(chars.position()) == ' ') {
        chars.get();
      }
    }
    written += Character.codePointCount(chars, 0, chars.remaining());
  }

  private List<PlacedToken> advance(String text) {
    certain += text.codePointCount(0, text.length());
    List<PlacedToken> tokens = new ArrayList<>();
    // A token that writes nothing is certain with the next one that does.
    int ready = 0;
    int seen = 0;
    for (Waiting next : waiting) {
      seen++;
      if (next.visible()) {
        if (next.token().offset() >= certain) {
          break;
        }
        ready = seen;
      }
    }
    for (int i = 0; i < ready; i++) {
      tokens.add(waiting.remove().token());
    }
    return tokens;
  }
}
