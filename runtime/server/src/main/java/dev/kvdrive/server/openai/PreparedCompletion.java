package dev.kvdrive.server.openai;

import dev.kvdrive.schedule.GenerationRequest;
import java.util.List;

/**
 * A checked and tokenised completion request, ready for the engine.
 *
 * @param generations one for each choice: prompt 0 with its {@code n} choices, prompt 1, ...
 * @param promptTexts what each prompt puts in front of its choices' texts ({@code echo}); empty
 *     otherwise
 * @param options what was asked for
 * @param logprobs whether log-probabilities are reported
 */
public record PreparedCompletion(
    List<GenerationRequest> generations,
    List<String> promptTexts,
    GenerationOptions options,
    boolean logprobs) {
  public PreparedCompletion {
    generations = List.copyOf(generations);
    promptTexts = List.copyOf(promptTexts);
  }

  /** Whether the answers go on from their prompts' texts. */
  boolean continuation() {
    return generations.getFirst().continuation();
  }

  /** Text in front of choice {@code choice}. */
  public String promptText(int choice) {
    return promptTexts.get(choice / options.n());
  }

  /** Tokens of all prompts, each counted once however many choices it has. */
  public int promptTokens() {
    int tokens = 0;
    for (int i = 0; i < generations.size(); i += options.n()) {
      tokens += generations.get(i).prompt().size();
    }
    return tokens;
  }
}
