package dev.kvdrive.server.openai;

import dev.kvdrive.schedule.GeneratedToken;
import dev.kvdrive.text.Tokenizer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;

/**
 * Pairs tokens with the text they made, so that log-probabilities are reported for exactly the
 * tokens of the text: a token waits until the first of its bytes is certain, and those whose bytes
 * were cut off by a stop string are never reported.
 *
 * <p>One for each choice, used by one thread at a time.
 */
final class TokenAlignment {
  private final Tokenizer tokenizer;
  private final Deque<Waiting> waiting = new ArrayDeque<>();
  private long tokenBytes;
  private long textBytes;

  private record Waiting(GeneratedToken token, long offset, boolean visible) {}

  TokenAlignment(Tokenizer tokenizer) {
    this.tokenizer = tokenizer;
  }

  /** The tokens that are certain now. */
  List<GeneratedToken> accept(GeneratedToken token) {
    boolean visible = !tokenizer.isSpecial(token.id());
    int length = visible ? tokenizer.bytes(token.id()).length : 0;
    waiting.add(new Waiting(token, tokenBytes, visible && length > 0));
    tokenBytes += length;
    return advance(token.text());
  }

  /** The tokens that became certain with the last text; what is left was cut off. */
  List<GeneratedToken> finish(String text) {
    List<GeneratedToken> certain = advance(text);
    waiting.clear();
    return certain;
  }

  private List<GeneratedToken> advance(String text) {
    textBytes += text.getBytes(StandardCharsets.UTF_8).length;
    List<GeneratedToken> certain = new ArrayList<>();
    // A token without text of its own is certain with the next one that has some.
    int ready = 0;
    int seen = 0;
    for (Waiting next : waiting) {
      seen++;
      if (next.visible()) {
        if (next.offset() >= textBytes) {
          break;
        }
        ready = seen;
      }
    }
    for (int i = 0; i < ready; i++) {
      certain.add(waiting.remove().token());
    }
    return certain;
  }
}
