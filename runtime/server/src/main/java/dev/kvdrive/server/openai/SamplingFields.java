package dev.kvdrive.server.openai;

import org.jspecify.annotations.Nullable;
import tools.jackson.databind.JsonNode;

/** The fields that both completion requests share. */
public interface SamplingFields {
  @Nullable Double temperature();

  @Nullable Double topP();

  @Nullable Long topK();

  @Nullable Double minP();

  @Nullable Double frequencyPenalty();

  @Nullable Double presencePenalty();

  @Nullable Double repetitionPenalty();

  @Nullable Long seed();

  /** A string or an array of strings. */
  @Nullable JsonNode stop();

  @Nullable JsonNode stopTokenIds();

  @Nullable Boolean ignoreEos();

  /** Tokens to generate at least. */
  @Nullable Long minTokens();

  @Nullable Long n();

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
