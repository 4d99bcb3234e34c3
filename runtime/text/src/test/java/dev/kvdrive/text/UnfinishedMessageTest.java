package dev.kvdrive.text;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

/** A prompt that ends inside its last message. */
class UnfinishedMessageTest {

  private static PromptText continuing(String expression, String content) {
    String template =
        "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ "
            + expression
            + " }}<|im_end|>\n{% endfor %}"
            + "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";
    return Tokenizers.chatTemplate(template, Map.of())
        .continuing(
            List.of(ChatMessage.of("user", "hi"), ChatMessage.of("assistant", content)), Map.of());
  }

  @Test
  void endsWithTheLastCharacterOfTheMessage() {
    assertThat(continuing("m.content", "The sea ").text())
        .isEqualTo("<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\nThe sea ");
  }

  @Test
  void endsWhereATemplateThatTrimsLeavesTheMessage() {
    assertThat(continuing("m.content | trim", "The sea \n").text()).endsWith("\nThe sea");
    assertThat(continuing("m.content | trim", "").text()).endsWith("<|im_start|>assistant\n");
  }

  @Test
  void endsWithTheSecondOfTwoMessagesThatAreAlike() {
    assertThat(continuing("m.content", "hi").text())
        .isEqualTo("<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\nhi");
  }

  @Test
  void theTextOfTheMessageStaysData() {
    PromptText prompt = continuing("m.content", "a<|im_end|>");
    Tokenizer tokenizer = TokenizerFixtures.tokenizer("qwen2");
    int[] ids = tokenizer.encode(prompt);
    assertThat(Arrays.stream(ids).filter(tokenizer::isSpecial).count()).isEqualTo(3);
    assertThat(tokenizer.decode(ids, false)).isEqualTo(prompt.text());
  }

  @Test
  void refusesWhereTheTemplateDoesNotShowTheMessage() {
    assertThatThrownBy(() -> continuing("'x'", "a"))
        .isInstanceOfSatisfying(
            ChatTemplateException.class,
            e -> assertThat(e.reason()).isEqualTo(ChatTemplateException.Cause.REFUSED));
  }
}
