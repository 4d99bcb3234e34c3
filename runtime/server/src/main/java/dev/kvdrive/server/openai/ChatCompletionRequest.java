package dev.kvdrive.server.openai;

import com.fasterxml.jackson.annotation.JsonIgnoreProperties;
import java.util.List;
import org.jspecify.annotations.Nullable;
import tools.jackson.databind.JsonNode;

/**
 * Body of {@code POST /v1/chat/completions}.
 *
 * <p>Listed as ignored: fields that say who asks or how to bill, cache or phrase, and that change
 * nothing here. Fields that would change the answer but are not supported are members, so that
 * {@link CompletionReader} can refuse them by name.
 */
@JsonIgnoreProperties({
  "user",
  "metadata",
  "store",
  "service_tier",
  "prediction",
  "prompt_cache_key",
  "prompt_cache_retention",
  "safety_identifier",
  "reasoning_effort",
  "verbosity",
  "parallel_tool_calls"
})
public record ChatCompletionRequest(
    @Nullable String model,
    @Nullable List<@Nullable Message> messages,
    @Nullable Long maxTokens,
    @Nullable Long maxCompletionTokens,
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
    @Nullable Boolean logprobs,
    @Nullable Long topLogprobs,
    @Nullable JsonNode chatTemplateKwargs,
    @Nullable JsonNode logitBias,
    @Nullable JsonNode tools,
    @Nullable JsonNode toolChoice,
    @Nullable JsonNode functions,
    @Nullable JsonNode functionCall,
    @Nullable JsonNode responseFormat,
    @Nullable JsonNode modalities,
    @Nullable JsonNode audio,
    @Nullable JsonNode webSearchOptions)
    implements SamplingFields {

  /**
   * One message.
   *
   * @param content a string, an array of text parts, or null
   */
  @JsonIgnoreProperties({"refusal", "annotations", "audio", "function_call"})
  public record Message(
      @Nullable String role,
      @Nullable JsonNode content,
      @Nullable String name,
      @Nullable JsonNode toolCalls,
      @Nullable String toolCallId,
      @Nullable String reasoningContent) {}
}
