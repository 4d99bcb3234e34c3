package dev.kvdrive.text;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.kvdrive.text.template.Template;
import dev.kvdrive.text.template.TemplateException;
import dev.kvdrive.text.template.TemplateLimits;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Clock;
import java.time.LocalDateTime;
import java.time.ZoneOffset;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.assertj.core.api.SoftAssertions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledIfEnvironmentVariable;
import tools.jackson.core.type.TypeReference;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/** The same texts as jinja2 in the set-up of transformers. */
class ChatTemplateGoldenTest {

  private static final JsonMapper JSON = new JsonMapper();
  private static final Path FOLDER = TokenizerFixtures.folder("templates");

  private static Map<String, Object> map(JsonNode node) {
    return JSON.convertValue(node, new TypeReference<Map<String, Object>>() {});
  }

  private static Clock clock(JsonNode fixture) {
    LocalDateTime now = LocalDateTime.parse(fixture.path("now").asString());
    return Clock.fixed(now.toInstant(ZoneOffset.UTC), ZoneOffset.UTC);
  }

  @Test
  void wellKnownTemplatesRenderAsInTransformers() throws IOException {
    Map<String, ChatTemplate> templates =
        rendersAsInTransformers(FOLDER, FOLDER.resolve("goldens.json"));
    assertThat(templates).hasSizeGreaterThan(12);
  }

  @Test
  @EnabledIfEnvironmentVariable(named = "KVDRIVE_TEMPLATE_GOLDENS", matches = ".+")
  void templatesThatLieElsewhereRenderAsInTransformers() throws IOException {
    rendersAsInTransformers(
        Path.of(System.getenv("KVDRIVE_TEMPLATES")),
        Path.of(System.getenv("KVDRIVE_TEMPLATE_GOLDENS")));
  }

  private static Map<String, ChatTemplate> rendersAsInTransformers(Path folder, Path goldens)
      throws IOException {
    JsonNode fixture = JSON.readTree(Files.readString(goldens));
    Map<String, String> tokens = new HashMap<>();
    fixture
        .path("tokens")
        .properties()
        .forEach(e -> tokens.put(e.getKey(), e.getValue().asString()));
    Map<String, ChatTemplate> templates = new HashMap<>();
    SoftAssertions softly = new SoftAssertions();
    for (JsonNode golden : fixture.path("cases")) {
      String name = golden.path("template").asString();
      if (!templates.containsKey(name)) {
        String source = Files.readString(folder.resolve(name));
        templates.put(
            name, new JinjaChatTemplate(source, tokens, TemplateLimits.DEFAULT, clock(fixture)));
      }
      List<ChatMessage> messages =
          golden.path("messages").valueStream().map(m -> new ChatMessage(map(m))).toList();
      String label = name + ", " + golden.path("case").asString();
      ChatTemplate template = templates.get(name);
      Map<String, Object> extra = map(golden.path("extra"));
      boolean prompt = golden.path("prompt").asBoolean();
      if (golden.has("error")) {
        softly
            .assertThatThrownBy(() -> template.render(messages, extra, prompt))
            .as(label + " must fail with: " + golden.path("error").asString())
            .isInstanceOf(ChatTemplateException.class);
        continue;
      }
      try {
        softly
            .assertThat(template.render(messages, extra, prompt))
            .as(label)
            .isEqualTo(golden.path("text").asString());
      } catch (ChatTemplateException e) {
        softly.fail(label, e);
      }
    }
    softly.assertAll();
    return templates;
  }

  @Test
  void expressionsAndBlocksMeanWhatTheyMeanInJinja() {
    JsonNode fixture = TokenizerFixtures.json(FOLDER.resolve("expressions.json"));
    SoftAssertions softly = new SoftAssertions();
    for (JsonNode golden : fixture.path("cases")) {
      String source = golden.path("source").asString();
      if (golden.has("error")) {
        softly
            .assertThatThrownBy(
                () ->
                    Template.compile(source, TemplateLimits.DEFAULT, clock(fixture))
                        .render(Map.of(), map(fixture.path("data"))))
            .as(source + " must fail with: " + golden.path("error").asString())
            .isInstanceOf(TemplateException.class);
        continue;
      }
      try {
        softly
            .assertThat(
                Template.compile(source, TemplateLimits.DEFAULT, clock(fixture))
                    .render(Map.of(), map(fixture.path("data")))
                    .toString())
            .as(source)
            .isEqualTo(golden.path("text").asString());
      } catch (RuntimeException e) {
        softly.fail(source, e);
      }
    }
    softly.assertAll();
  }

  @Test
  void aRefusalOfTheTemplateIsToldFromAFailure() {
    ChatTemplate template =
        Tokenizers.chatTemplate("{{ raise_exception('roles must alternate') }}", Map.of());
    assertThatThrownBy(() -> template.render(List.of(), Map.of(), true))
        .isInstanceOfSatisfying(
            ChatTemplateException.class,
            e -> assertThat(e.reason()).isEqualTo(ChatTemplateException.Cause.REFUSED))
        .hasMessage("roles must alternate");
  }
}
