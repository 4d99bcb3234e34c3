package dev.kvdrive.schedule;

import dev.kvdrive.plan.Budget;
import java.util.List;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * What to generate.
 *
 * @param id for logs and metrics
 * @param tenant whose it is, part of the identity of all that is kept of it; empty where nobody is
 *     told apart
 * @param prompt token ids, at least one
 * @param sampling how tokens are chosen
 * @param maxTokens tokens to generate at most
 * @param stopTokens token ids that end the generation; they are not part of the text and no {@code
 *     onToken} is called for them, but they count as generated
 * @param stopStrings texts that end the generation; they are cut off the text
 * @param topLogprobs alternatives to report for each token; 0 for the chosen one only, -1 for no
 *     log-probabilities
 * @param budget how much to attend per step, no larger a share than the engine's; null for the
 *     engine's
 * @param continuation whether the text goes on from the prompt's text (a raw completion: a leading
 *     space belongs to it) rather than being a text of its own (a chat answer)
 */
public record GenerationRequest(
    String id,
    String tenant,
    List<Integer> prompt,
    Sampling sampling,
    int maxTokens,
    Set<Integer> stopTokens,
    List<String> stopStrings,
    int topLogprobs,
    @Nullable Budget budget,
    boolean continuation) {
  /** Alternatives that can be asked for at most. */
  public static final int MAX_TOP_LOGPROBS = 20;

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
    if (topLogprobs < -1 || topLogprobs > MAX_TOP_LOGPROBS) {
      throw new IllegalArgumentException(
          "top log-probabilities must be between -1 and %d, got %d"
              .formatted(MAX_TOP_LOGPROBS, topLogprobs));
    }
    if (stopStrings.stream().anyMatch(String::isEmpty)) {
      throw new IllegalArgumentException("a stop string must not be empty");
    }
  }

  /** A request with the engine's budget, of nobody in particular. */
  public GenerationRequest(
      String id,
      List<Integer> prompt,
      Sampling sampling,
      int maxTokens,
      Set<Integer> stopTokens,
      List<String> stopStrings,
      int topLogprobs,
      boolean continuation) {
    this(
        id,
        "",
        prompt,
        sampling,
        maxTokens,
        stopTokens,
        stopStrings,
        topLogprobs,
        null,
        continuation);
  }

  /** The same request under another name, attending a share of the closed chunks. */
  public GenerationRequest withBudget(String id, double share) {
    return withBudget(id, Budget.of(share));
  }

  /** The same request under another name and with another budget. */
  public GenerationRequest withBudget(String id, Budget other) {
    return new GenerationRequest(
        id,
        tenant,
        prompt,
        sampling,
        maxTokens,
        stopTokens,
        stopStrings,
        topLogprobs,
        other,
        continuation);
  }

  /** The same request of a tenant. */
  public GenerationRequest ofTenant(String name) {
    return new GenerationRequest(
        id,
        name,
        prompt,
        sampling,
        maxTokens,
        stopTokens,
        stopStrings,
        topLogprobs,
        budget,
        continuation);
  }
}
