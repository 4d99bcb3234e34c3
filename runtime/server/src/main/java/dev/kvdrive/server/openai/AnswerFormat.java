package dev.kvdrive.server.openai;

import dev.kvdrive.schedule.FinishReason;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * The shapes of one endpoint's answers. Tokens are given where log-probabilities were asked for,
 * and are empty otherwise. One instance serves one request, on one thread at a time.
 */
public interface AnswerFormat {
  /** The event that opens a choice, with its first token, if there is one. */
  @Nullable Object open(int choice);

  /** An event with more text. */
  Object text(int choice, String text, List<PlacedToken> tokens);

  /** The event that ends a choice. */
  Object end(int choice, FinishReason reason);

  /** The event with the usage, after all choices. */
  Object usage(Usage usage);

  /** An event of this format that has the usage so far, too. */
  Object withUsage(Object event, Usage usage);

  /** The whole answer at once. */
  Object whole(List<Choice> choices, Usage usage);

  /**
   * A finished choice.
   *
   * @param text its text, what is echoed included
   * @param tokens for log-probabilities, in order
   * @param reason why it ended
   */
  record Choice(String text, List<PlacedToken> tokens, FinishReason reason) {}

  /** OpenAI's word for the reason. */
  static String word(FinishReason reason) {
    return switch (reason) {
      case STOP -> "stop";
      case LENGTH -> "length";
      case CANCELLED -> throw new IllegalArgumentException("a cancelled choice has no answer");
    };
  }
}
