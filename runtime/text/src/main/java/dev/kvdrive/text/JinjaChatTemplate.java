package dev.kvdrive.text;

import dev.kvdrive.text.template.Template;
import dev.kvdrive.text.template.TemplateException;
import dev.kvdrive.text.template.TemplateLimits;
import dev.kvdrive.text.template.Text;
import java.time.Clock;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/** A chat template in Jinja, with the variables that transformers gives it. */
final class JinjaChatTemplate implements ChatTemplate {

  private static final Set<String> ROLES =
      Set.of(
          "system",
          "developer",
          "user",
          "assistant",
          "tool",
          "function",
          "ipython",
          "model",
          "documents");

  private final Template template;
  private final Map<String, String> specialTokens;

  /**
   * @param specialTokens {@code bos_token}, {@code eos_token}, ... as the template may write them
   * @throws ChatTemplateException when the template is broken or not supported
   */
  JinjaChatTemplate(
      String source, Map<String, String> specialTokens, TemplateLimits limits, Clock clock) {
    this.specialTokens = Map.copyOf(specialTokens);
    try {
      this.template = Template.compile(source, limits, clock);
    } catch (TemplateException e) {
      throw failure(e);
    }
  }

  private static ChatTemplateException failure(TemplateException e) {
    return new ChatTemplateException(
        switch (e.kind()) {
          case RAISED -> ChatTemplateException.Cause.REFUSED;
          case SOURCE -> ChatTemplateException.Cause.UNUSABLE;
          case DATA -> ChatTemplateException.Cause.FAILED;
        },
        e.getMessage(),
        e.getCause());
  }

  @Override
  public List<String> unknowns() {
    return template.unknowns();
  }

  @Override
  public PromptText prompt(
      List<ChatMessage> messages,
      Map<String, ? extends @Nullable Object> extra,
      boolean addGenerationPrompt) {
    Map<String, @Nullable Object> data = new HashMap<>();
    data.put("tools", null);
    data.put("documents", null);
    for (Map.Entry<String, ? extends @Nullable Object> entry : extra.entrySet()) {
      // A request must not be able to replace the control tokens that the template writes.
      if (!specialTokens.containsKey(entry.getKey())) {
        data.put(entry.getKey(), entry.getValue());
      }
    }
    data.put("messages", messages.stream().map(JinjaChatTemplate::trusted).toList());
    data.put("add_generation_prompt", addGenerationPrompt);
    try {
      Text text = template.render(specialTokens, data);
      return new PromptText(text.toString(), text.runEnds());
    } catch (TemplateException e) {
      throw failure(e);
    }
  }

  /**
   * The fields of a message in which the name of a known role is no data: templates put control
   * tokens together from it ({@code '<|' + message['role'] + '|>'}).
   */
  private static Map<String, @Nullable Object> trusted(ChatMessage message) {
    if (!ROLES.contains(message.role())) {
      return message.fields();
    }
    Map<String, @Nullable Object> fields = new LinkedHashMap<>(message.fields());
    fields.put("role", Text.template(message.role()));
    return fields;
  }
}
