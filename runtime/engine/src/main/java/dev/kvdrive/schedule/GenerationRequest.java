package dev.kvdrive.schedule;

import java.util.List;
import java.util.Set;

/**
 * What to generate.
 *
 * @param id for logs and metrics
 * @param prompt token ids, at least one
 * @param sampling how tokens are chosen
 * @param maxTokens tokens to generate at most
 * @param stopTokens token ids that end the generation; they are not part of the text
 * @param stopStrings texts that end the generation; they are cut off the text
 * @param topLogprobs alternatives to report for each token; 0 for the chosen one only, -1 for no
 *     log-probabilities
 */
public record GenerationRequest(
    String id,
    List<Integer> prompt,
    Sampling sampling,
    int maxTokens,
    Set<Integer> stopTokens,
    List<String> stopStrings,
    int topLogprobs) {
  public GenerationRequest {
    prompt = List.copyOf(prompt);
    stopTokens = Set.copyOf(stopTokens);
    stopStrings = List.copyOf(stopStrings);
    if (prompt.isEmpty()) {
      throw new IllegalArgumentException("the prompt has no tokens");
    }
    if (maxTokens < 1) {
      throw new IllegalArgumentException("max tokens must be at least 1, got " + maxTokens);
    }
  }
}
