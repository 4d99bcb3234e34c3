package dev.kvdrive.text;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Where a model's chat template comes from, and what becomes of one that is broken. */
class ChatTemplateSourceTest {

  @TempDir Path folder;

  private String rendered(@Nullable String instead) {
    return Tokenizers.chatTemplate(folder, instead)
        .orElseThrow()
        .render(List.of(ChatMessage.of("user", "hi")), Map.of(), true);
  }

  @Test
  void aSuppliedTemplateTakesThePlaceOfTheFoldersAndWritesItsTokens() throws IOException {
    Files.writeString(
        folder.resolve("tokenizer_config.json"),
        "{\"bos_token\": \"<s>\", \"chat_template\": \"{{ bos_token }}own\"}");
    assertThat(rendered(null)).isEqualTo("<s>own");
    assertThat(rendered("{{ bos_token }}{{ messages[0].content }}")).isEqualTo("<s>hi");
    Files.writeString(folder.resolve("chat_template.jinja"), "file");
    assertThat(rendered(null)).isEqualTo("file");
  }

  @Test
  void aSuppliedTemplateServesAFileThatHasNone() {
    Map<String, Object> metadata =
        Map.of(
            "tokenizer.ggml.tokens", new String[] {"a", "<s>"}, "tokenizer.ggml.bos_token_id", 1);
    assertThat(Tokenizers.chatTemplate(metadata, null)).isEmpty();
    assertThat(
            Tokenizers.chatTemplate(metadata, "{{ bos_token }}")
                .orElseThrow()
                .render(List.of(), Map.of(), true))
        .isEqualTo("<s>");
  }

  @Test
  void aBrokenTemplateIsThereWithItsProblem() {
    for (ChatTemplate broken :
        List.of(
            Tokenizers.chatTemplate(folder, "{% if %}").orElseThrow(),
            Tokenizers.chatTemplate(Map.of("tokenizer.chat_template", "{% if %}"), null)
                .orElseThrow())) {
      assertThat(broken.problem()).hasValueSatisfying(why -> assertThat(why).contains("line 1"));
      assertThatThrownBy(() -> broken.prompt(List.of(), Map.of(), true))
          .isInstanceOf(ChatTemplateException.class);
    }
  }

  @Test
  void aTemplateThatCannotBeReadIsThereWithItsProblem() throws IOException {
    Files.createDirectory(folder.resolve("chat_template.jinja"));
    assertThat(Tokenizers.chatTemplate(folder, null).orElseThrow().problem())
        .hasValue("chat_template.jinja cannot be read: it is no file");
  }

  @Test
  void aTemplateWithUnknownFiltersWorksUntilOneIsReached() {
    ChatTemplate template =
        Tokenizers.chatTemplate(
            "{% if tools %}{{ tools | from_json }}{% endif %}{{ messages[0].content }}", Map.of());
    List<ChatMessage> messages = List.of(ChatMessage.of("user", "hi"));
    assertThat(template.render(messages, Map.of(), true)).isEqualTo("hi");
    assertThatThrownBy(() -> template.render(messages, Map.of("tools", List.of(1)), true))
        .isInstanceOf(ChatTemplateException.class)
        .hasMessageContaining("from_json");
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = ';',
      value = {
        "{{ messages | nothing }}; unknown filter 'nothing' (line 1)",
        "{{ 1 }}{{ 'a' is nothing }}; unknown test 'nothing' (line 1)",
        "{{ nothing('a') }}; unknown function 'nothing' (line 1)",
        "{% if messages | nothing %}a{% endif %}; unknown filter 'nothing' (line 1)",
        "{% for m in messages | nothing %}{% endfor %}; unknown filter 'nothing' (line 1)",
        "{% filter nothing %}a{% endfilter %}; unknown filter 'nothing' (line 1)",
        "{% set x = 'a' ~ nothing() %}; unknown function 'nothing' (line 1)",
        "{% include 'other' %}; unknown tag 'include' (line 1)",
      })
  void whatEveryRenderingReachesAndIsNotThereIsTheTemplatesProblem(String source, String words) {
    ChatTemplate template = Tokenizers.chatTemplate(folder, source).orElseThrow();
    assertThat(template.problem()).hasValue(words);
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = ';',
      value = {
        "{% if go %}{{ go | nothing }}{% endif %}; unknown filter 'nothing' (line 1)",
        "{% if not go %}{% elif go is nothing %}{% endif %}; unknown test 'nothing' (line 1)",
        "{% for g in go %}{{ nothing(g) }}{% endfor %}; unknown function 'nothing' (line 1)",
        "{{ go and go | nothing }}; unknown filter 'nothing' (line 1)",
        "{{ go | nothing if go else '' }}; unknown filter 'nothing' (line 1)",
        "{{ '' if not go else nothing() }}; unknown function 'nothing' (line 1)",
        "{{ (go or []) | map('nothing') | list }}; unknown filter 'nothing' (line 1)",
        "{{ (go or []) | select('nothing') | list }}; unknown test 'nothing' (line 1)",
        "{{ (go or []) | rejectattr('a', 'nothing') | list }}; unknown test 'nothing' (line 1)",
        "{% macro f() %}{{ nothing() }}{% endmacro %}{% if go %}{{ f() }}{% endif %}; unknown function 'nothing' (line 1)",
        "{% if go %}{% include 'other' %}{% endif %}; unknown tag 'include' (line 1)",
      })
  void whatABranchNamesAndIsNotThereIsKnownBeforeItIsReachedInTheSameWords(
      String source, String words) {
    ChatTemplate template = Tokenizers.chatTemplate(folder, source).orElseThrow();
    assertThat(template.problem()).isEmpty();
    assertThat(template.unknowns()).containsExactly(words);
    List<ChatMessage> messages = List.of(ChatMessage.of("user", "hi"));
    template.render(messages, Map.of(), true);
    assertThatThrownBy(() -> template.render(messages, Map.of("go", List.of(Map.of("a", 1))), true))
        .isInstanceOfSatisfying(
            ChatTemplateException.class,
            e -> assertThat(e.reason()).isEqualTo(ChatTemplateException.Cause.UNUSABLE))
        .hasMessage(words);
  }

  @Test
  void whatTheTemplateItselfBindsIsKnown() {
    ChatTemplate template =
        Tokenizers.chatTemplate(
            "{{ before(1) if false }}{% macro before(f) %}{{ f() if f is callable }}{{ caller() if"
                + " caller }}{% endmacro %}{% set g = before %}{{ g() }}{% with h = g %}{{ h()"
                + " }}{% endwith %}{% for x in [[1]] recursive %}{{ loop(x) if x != 1 }}{% endfor"
                + " %}{% call(z) before(1) %}{% endcall %}{% set n = namespace(f=g) %}{{ n.f() }}",
            Map.of());
    assertThat(template.unknowns()).isEmpty();
  }
}
