package dev.kvdrive.server.openai;

import java.util.List;
import org.jspecify.annotations.Nullable;
import tools.jackson.databind.JsonNode;

/**
 * Body of {@code POST /tokenize}: either a raw prompt or a conversation.
 *
 * @param addSpecialTokens whether a raw prompt gets the tokens that the model wants around it
 * @param returnTokenStrs whether the tokens' spellings are returned too
 */
public record TokenizeRequest(
    @Nullable String model,
    @Nullable String prompt,
    @Nullable List<ChatCompletionRequest.@Nullable Message> messages,
    @Nullable Boolean addSpecialTokens,
    @Nullable Boolean addGenerationPrompt,
    @Nullable Boolean returnTokenStrs,
    @Nullable JsonNode chatTemplateKwargs) {

  /**
   * The answer.
   *
   * @param count number of tokens
   * @param maxModelLen context length of the served model
   */
  public record Answer(
      int count, int maxModelLen, List<Integer> tokens, @Nullable List<String> tokenStrs) {}
}
