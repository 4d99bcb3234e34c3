package dev.kvdrive.server.openai;

import com.fasterxml.jackson.annotation.JsonIgnoreProperties;
import org.jspecify.annotations.Nullable;
import tools.jackson.databind.JsonNode;

/**
 * Body of {@code POST /v1/completions}.
 *
 * @param prompt a string, an array of strings, an array of token ids or an array of those
 */
@JsonIgnoreProperties({"user", "metadata", "store", "service_tier"})
public record CompletionRequest(
    @Nullable String model,
    @Nullable JsonNode prompt,
    @Nullable Long maxTokens,
    @Nullable Double temperature,
    @Nullable Double topP,
    @Nullable Long topK,
    @Nullable Double minP,
    @Nullable Double frequencyPenalty,
    @Nullable Double presencePenalty,
    @Nullable Double repetitionPenalty,
    @Nullable Long seed,
    @Nullable JsonNode stop,
    @Nullable JsonNode stopTokenIds,
    @Nullable Boolean ignoreEos,
    @Nullable Long n,
    @Nullable Boolean stream,
    @Nullable StreamOptions streamOptions,
    @Nullable Long logprobs,
    @Nullable Boolean echo,
    @Nullable Long bestOf,
    @Nullable String suffix,
    @Nullable JsonNode logitBias)
    implements SamplingFields {}
