package dev.kvdrive.server.openai;

import com.fasterxml.jackson.annotation.JsonAnySetter;
import com.fasterxml.jackson.annotation.JsonIgnoreProperties;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import tools.jackson.databind.JsonNode;

/**
 * Body of {@code POST /v1/chat/completions}.
 *
 * @param enableThinking a variable for the template, as in {@code chatTemplateKwargs}
 * @param addGenerationPrompt whether a turn of the assistant is opened behind the messages
 * @param continueFinalMessage whether the answer goes on with the last message; if not set, it does
 *     where that is the assistant's
 * @param others what {@link ClientFields} judges
 */
public record ChatCompletionRequest(
    @Nullable String model,
    @Nullable List<@Nullable Message> messages,
    @Nullable WholeNumber maxTokens,
    @Nullable WholeNumber maxCompletionTokens,
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
    @Nullable Boolean logprobs,
    @Nullable WholeNumber topLogprobs,
    @Nullable JsonNode chatTemplateKwargs,
    @Nullable Boolean enableThinking,
    @Nullable Boolean addGenerationPrompt,
    @Nullable Boolean continueFinalMessage,
    @Nullable JsonNode tools,
    @Nullable JsonNode toolChoice,
    @Nullable JsonNode functions,
    @Nullable JsonNode functionCall,
    @JsonAnySetter Map<String, JsonNode> others)
    implements SamplingFields {

  @SuppressWarnings("NullAway") // Jackson leaves the map out when there is nothing to put into it.
  public ChatCompletionRequest {
    others = others == null ? Map.of() : Collections.unmodifiableMap(others);
  }

  /**
   * One message. What else a client keeps in its messages (ids, dates, options of its own) is not
   * the model's to read.
   *
   * @param content a string, an array of text parts, or null
   * @param reasoning what vLLM's clients call {@code reasoningContent}; read if it is a string
   */
  @JsonIgnoreProperties(ignoreUnknown = true)
  public record Message(
      @Nullable String role,
      @Nullable JsonNode content,
      @Nullable String name,
      @Nullable JsonNode toolCalls,
      @Nullable String toolCallId,
      @Nullable String reasoningContent,
      @Nullable JsonNode reasoning) {}
}
