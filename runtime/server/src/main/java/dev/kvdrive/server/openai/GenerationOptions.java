package dev.kvdrive.server.openai;

import dev.kvdrive.schedule.Sampling;
import java.util.List;
import java.util.Set;

/**
 * The checked options of a completion request.
 *
 * @param sampling of the first choice; choice {@code i} draws with {@code seed + i}
 * @param stopStrings texts that end a generation
 * @param stopTokens token ids that end a generation, beside the model's own
 * @param ignoreEos whether the model's own end of generation is ignored
 * @param n choices per prompt
 * @param minTokens tokens to generate at least
 * @param stream whether the answer is a stream of events
 * @param includeUsage whether a stream ends with the usage
 * @param continuousUsage whether every event of a stream has the usage so far
 */
public record GenerationOptions(
    Sampling sampling,
    List<String> stopStrings,
    Set<Integer> stopTokens,
    boolean ignoreEos,
    int n,
    int minTokens,
    boolean stream,
    boolean includeUsage,
    boolean continuousUsage) {

  /** Whether an answer may end before it has as many tokens as it may have. */
  public boolean mayEndEarly() {
    return !ignoreEos || !stopStrings.isEmpty() || !stopTokens.isEmpty();
  }

  /** Sampling of choice {@code choice}. */
  public Sampling sampling(int choice) {
    return new Sampling(
        sampling.temperature(),
        sampling.topK(),
        sampling.topP(),
        sampling.minP(),
        sampling.repetitionPenalty(),
        sampling.frequencyPenalty(),
        sampling.presencePenalty(),
        sampling.seed() + choice);
  }
}
