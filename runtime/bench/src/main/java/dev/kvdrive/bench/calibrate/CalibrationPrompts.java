package dev.kvdrive.bench.calibrate;

import dev.kvdrive.bench.document.TaskFamily;
import dev.kvdrive.bench.document.TaskMaker;
import dev.kvdrive.bench.document.TooShortException;
import dev.kvdrive.bench.eval.EvalTask;
import dev.kvdrive.text.ChatMessage;
import dev.kvdrive.text.ChatTemplate;
import dev.kvdrive.text.Tokenizer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * What a model reads to be calibrated: documents of every family of tasks with their questions and
 * right answers, and texts of the user's own.
 */
public final class CalibrationPrompts {
  /** None that {@code eval make-tasks} has by default. */
  private static final long SEED = 0x5eedL;

  private static final double[] DEPTHS = {0.3, 0.8};

  private CalibrationPrompts() {}

  /**
   * Two prompts of each family, each with its answer.
   *
   * @param length bound of prompt and answer together, in tokens
   * @param template of the model; without one the conversation is read as plain text
   * @throws IllegalArgumentException if the length is too short for one of them, with the least
   *     that is not
   */
  public static List<int[]> ofTasks(
      int length, Tokenizer tokenizer, Optional<ChatTemplate> template) {
    TaskMaker maker = new TaskMaker(SEED, text -> tokenizer.encode(text, false).length);
    List<int[]> prompts = new ArrayList<>();
    // Not all that there are: a family that no index was fitted to can say what fitting is worth.
    for (TaskFamily family : TaskFamily.TRAINED) {
      for (double depth : DEPTHS) {
        try {
          prompts.add(answered(maker.make(family, length, depth), length, tokenizer, template));
        } catch (TooShortException e) {
          throw new IllegalArgumentException(
              "the documents that are read need at least %,d tokens, got %,d"
                  .formatted(least(e.needed(), maker), length),
              e);
        }
      }
    }
    return prompts;
  }

  /** The first length from this one on for which every family has room. */
  private static int least(int length, TaskMaker maker) {
    int least = length;
    for (boolean enough = false; !enough; ) {
      enough = true;
      for (TaskFamily family : TaskFamily.TRAINED) {
        for (double depth : DEPTHS) {
          try {
            EvalTask _ = maker.make(family, least, depth);
          } catch (TooShortException e) {
            enough = false;
            least = e.needed();
          }
        }
      }
    }
    return least;
  }

  private static int[] answered(
      EvalTask task, int length, Tokenizer tokenizer, Optional<ChatTemplate> template) {
    List<ChatMessage> messages = new ArrayList<>(task.messages());
    messages.add(ChatMessage.of("assistant", String.join(", ", task.answers())));
    int[] tokens =
        template
            .map(given -> tokenizer.encode(given.prompt(messages, Map.of(), false)))
            .orElseGet(() -> tokenizer.encode(plain(messages), false));
    return tokens.length <= length ? tokens : Arrays.copyOf(tokens, length);
  }

  private static String plain(List<ChatMessage> messages) {
    StringBuilder text = new StringBuilder();
    messages.forEach(message -> text.append(message.fields().get("content")).append('\n'));
    return text.toString();
  }

  /** A text in pieces of {@code length} tokens. */
  public static List<int[]> ofText(String text, int length, Tokenizer tokenizer) {
    int[] tokens = tokenizer.encode(text, false);
    List<int[]> pieces = new ArrayList<>();
    for (int from = 0; from < tokens.length; from += length) {
      pieces.add(Arrays.copyOfRange(tokens, from, Math.min(tokens.length, from + length)));
    }
    return pieces;
  }
}
