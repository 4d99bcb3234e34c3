package dev.kvdrive.server.openai;

import org.jspecify.annotations.Nullable;
import tools.jackson.databind.JsonNode;

/** The fields that both completion requests share. */
public interface SamplingFields {
  @Nullable RealNumber temperature();

  @Nullable RealNumber topP();

  @Nullable WholeNumber topK();

  @Nullable RealNumber minP();

  @Nullable RealNumber frequencyPenalty();

  @Nullable RealNumber presencePenalty();

  @Nullable RealNumber repetitionPenalty();

  @Nullable WholeNumber seed();

  /** A string or an array of strings. */
  @Nullable JsonNode stop();

  @Nullable JsonNode stopTokenIds();

  @Nullable Boolean ignoreEos();

  /** Tokens to generate at least. */
  @Nullable WholeNumber minTokens();

  @Nullable WholeNumber n();

  @Nullable Boolean stream();

  @Nullable StreamOptions streamOptions();

  /**
   * {@code stream_options}.
   *
   * @param includeUsage whether a last chunk carries the usage
   * @param continuousUsageStats whether, with {@code includeUsage}, every chunk carries the usage
   *     so far (vLLM)
   */
  record StreamOptions(
      @Nullable Boolean includeUsage,
      @Nullable Boolean continuousUsageStats,
      @Nullable Boolean includeObfuscation) {}
}
