package dev.kvdrive.text;

import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * A model's chat template, compiled once and used from any thread.
 *
 * <p>Templates come from model files and are not trusted: rendering ends with a {@link
 * ChatTemplateException} when it takes too many steps or writes too much.
 */
public interface ChatTemplate {

  /**
   * The prompt as plain text, for showing it. To encode it use {@link #prompt}: in this string a
   * user's text cannot be told from the template's.
   *
   * @param extra further variables such as {@code tools} or {@code enable_thinking}; JSON values
   * @param addGenerationPrompt whether the prompt ends with the opening of the assistant's answer
   * @throws ChatTemplateException when the template refuses the messages or fails
   */
  default String render(
      List<ChatMessage> messages,
      Map<String, ? extends @Nullable Object> extra,
      boolean addGenerationPrompt) {
    return prompt(messages, extra, addGenerationPrompt).text();
  }

  /** The prompt to hand to {@link Tokenizer#encode(PromptText)}; parameters as for render. */
  PromptText prompt(
      List<ChatMessage> messages,
      Map<String, ? extends @Nullable Object> extra,
      boolean addGenerationPrompt);

  /** Why the template cannot be used for any messages, if that is so. */
  default Optional<String> problem() {
    return Optional.empty();
  }

  /**
   * What the template names in its branches and that there is not. Messages that lead there get a
   * {@link ChatTemplateException} with the same words.
   */
  default List<String> unknowns() {
    return List.of();
  }

  /**
   * The prompt that ends with the last character of the last message, so that the model goes on
   * with it instead of answering it.
   *
   * @param messages at least one; the content of the last is text
   * @param extra as for render
   * @throws ChatTemplateException when the template refuses the messages, fails, or does not show
   *     the last message
   */
  default PromptText continuing(
      List<ChatMessage> messages, Map<String, ? extends @Nullable Object> extra) {
    return UnfinishedMessage.prompt(this, messages, extra);
  }
}
