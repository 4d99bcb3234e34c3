package dev.kvdrive.server.openai;

import com.fasterxml.jackson.annotation.JsonAnySetter;
import java.util.Collections;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import tools.jackson.databind.JsonNode;

/**
 * Body of {@code POST /v1/completions}.
 *
 * @param prompt a string, an array of strings, an array of token ids or an array of those
 * @param addSpecialTokens whether a prompt gets the tokens that the model wants around it (vLLM)
 * @param parseSpecial whether the text of a control token is that token (llama.cpp)
 * @param others what {@link ClientFields} judges
 */
public record CompletionRequest(
    @Nullable String model,
    @Nullable JsonNode prompt,
    @Nullable Boolean addSpecialTokens,
    @Nullable Boolean parseSpecial,
    @Nullable WholeNumber maxTokens,
    @Nullable RealNumber temperature,
    @Nullable RealNumber topP,
    @Nullable WholeNumber topK,
    @Nullable RealNumber minP,
    @Nullable RealNumber frequencyPenalty,
    @Nullable RealNumber presencePenalty,
    @Nullable RealNumber repetitionPenalty,
    @Nullable WholeNumber seed,
    @Nullable JsonNode stop,
    @Nullable JsonNode stopTokenIds,
    @Nullable Boolean ignoreEos,
    @Nullable WholeNumber minTokens,
    @Nullable WholeNumber n,
    @Nullable Boolean stream,
    @Nullable StreamOptions streamOptions,
    @Nullable WholeNumber logprobs,
    @Nullable Boolean echo,
    @Nullable WholeNumber bestOf,
    @Nullable String suffix,
    @JsonAnySetter Map<String, JsonNode> others)
    implements SamplingFields {

  @SuppressWarnings("NullAway") // Jackson leaves the map out when there is nothing to put into it.
  public CompletionRequest {
    others = others == null ? Map.of() : Collections.unmodifiableMap(others);
  }
}
