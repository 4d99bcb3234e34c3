package dev.kvdrive.text;

import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/** A chat template that cannot be compiled: it is there, and every use of it fails. */
record UnusableChatTemplate(String why) implements ChatTemplate {

  @Override
  public PromptText prompt(
      List<ChatMessage> messages,
      Map<String, ? extends @Nullable Object> extra,
      boolean addGenerationPrompt) {
    throw new ChatTemplateException(ChatTemplateException.Cause.UNUSABLE, why);
  }

  @Override
  public Optional<String> problem() {
    return Optional.of(why);
  }
}
