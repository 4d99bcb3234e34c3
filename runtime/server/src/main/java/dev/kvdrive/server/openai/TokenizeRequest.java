package dev.kvdrive.server.openai;

import com.fasterxml.jackson.annotation.JsonAnySetter;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import tools.jackson.databind.JsonNode;

/**
 * Body of {@code POST /tokenize}: either a raw prompt or a conversation.
 *
 * @param addSpecialTokens whether a raw prompt gets the tokens that the model wants around it
 * @param parseSpecial whether the text of a control token in a raw prompt is that token
 * @param addGenerationPrompt as in a chat request
 * @param continueFinalMessage as in a chat request
 * @param returnTokenStrs whether the tokens' spellings are returned too
 * @param others what {@link ClientFields} judges
 */
public record TokenizeRequest(
    @Nullable String model,
    @Nullable String prompt,
    @Nullable List<ChatCompletionRequest.@Nullable Message> messages,
    @Nullable Boolean addSpecialTokens,
    @Nullable Boolean parseSpecial,
    @Nullable Boolean addGenerationPrompt,
    @Nullable Boolean continueFinalMessage,
    @Nullable Boolean returnTokenStrs,
    @Nullable JsonNode chatTemplateKwargs,
    @Nullable Boolean enableThinking,
    @JsonAnySetter Map<String, JsonNode> others) {

  @SuppressWarnings("NullAway") // Jackson leaves the map out when there is nothing to put into it.
  public TokenizeRequest {
    others = others == null ? Map.of() : Collections.unmodifiableMap(others);
  }

  /**
   * The answer.
   *
   * @param count number of tokens
   * @param maxModelLen context length of the served model
   */
  public record Answer(
      int count, int maxModelLen, List<Integer> tokens, @Nullable List<String> tokenStrs) {}
}
