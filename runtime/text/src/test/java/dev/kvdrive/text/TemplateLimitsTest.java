package dev.kvdrive.text;

import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.kvdrive.text.template.Template;
import dev.kvdrive.text.template.TemplateException;
import dev.kvdrive.text.template.TemplateLimits;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Clock;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.stream.Stream;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/** A template from a hostile model file ends in an error that says what is wrong. */
class TemplateLimitsTest {

  private static final TemplateLimits SMALL = new TemplateLimits(1 << 16, 1 << 20, 200_000, 200);
  private static final List<String> SOURCES = sources();

  private static List<String> sources() {
    try (Stream<Path> files = Files.list(TokenizerFixtures.folder("templates"))) {
      return files
          .filter(file -> file.toString().endsWith(".jinja"))
          .sorted()
          .map(TemplateLimitsTest::read)
          .toList();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static String read(Path file) {
    try {
      return Files.readString(file);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static void render(String source) {
    Template.compile(source, SMALL, Clock.systemUTC())
        .render(
            Map.of("bos_token", "<s>", "eos_token", "</s>"),
            Map.of(
                "messages",
                List.of(Map.of("role", "user", "content", "a b")),
                "add_generation_prompt",
                true));
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}",
        "{% set ns = namespace(x='ab') %}{% for i in range(99) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}",
        "{% set ns = namespace(x=[1]) %}{% for i in range(99) %}{% set ns.x = ns.x + ns.x %}{% endfor %}",
        "{% set ns = namespace(x='a') %}{% for i in range(99) %}{% set ns.x = ns.x.replace('', ns.x) %}{% endfor %}",
        "{{ 'a' * 1000000000 }}",
        "{{ [1] * 1000000000 }}",
        "{{ 'a'.ljust(1000000000) }}",
        "{{ 'a'|center(1000000000) }}",
        "{{ range(1000000000) }}",
        "{{ 2 ** 1000000000 }}",
        "{% macro f(x) %}{{ f(x) }}{% endmacro %}{{ f(1) }}",
        "{% set ns = namespace(x=1) %}{% set ns.x = [ns] %}{% set ns.x = {'a': ns.x} %}{{ ns.x|tojson }}",
        "{% for x in range(90000) %}{{ x }}{% endfor %}",
        "{{ 1 // 0 }}",
        "{{ missing.name }}",
        "{{ missing() }}",
        "{{ messages.append(1) }}"
      })
  void isRefusedWhenItRuns(String source) {
    assertThatThrownBy(() -> render(source)).isInstanceOf(TemplateException.class);
  }

  static Stream<String> broken() {
    return Stream.of(
        "{{",
        "{% if %}",
        "{% if x %}",
        "{% for x in %}{% endfor %}",
        "{% endfor %}",
        "{{ 'open }}",
        "{# open",
        "{% raw %} open",
        "{% nothing %}",
        "{% break %}",
        "{{ ) }}",
        "{{ " + "9".repeat(20_000) + " }}",
        "{{ '\\uZZZZ' }}",
        "{{ " + "(".repeat(100_000),
        "{{ " + "[".repeat(5_000) + "]".repeat(5_000) + " }}",
        "{{ " + "not ".repeat(50_000) + "x }}",
        "{{ " + "-".repeat(50_000) + "1 }}",
        "{% if x %}".repeat(10_000),
        "x".repeat(2 << 20));
  }

  @ParameterizedTest
  @MethodSource("broken")
  void isRefusedWhenItIsCompiled(String source) {
    assertThatThrownBy(() -> render(source)).isInstanceOf(TemplateException.class);
  }

  @ParameterizedTest
  @ValueSource(strings = {"+ 1", "~ 'a'", "or 0", "|trim", ".a", "if 1 else 2"})
  void aChainAsLongAsTheSourceAllowsEndsInAnAnswerOrAnError(String link) {
    renderOrRefuse("{{ 1" + (" " + link).repeat(100_000) + " }}");
  }

  @Property(tries = 3000)
  void aDamagedTemplateIsRenderedOrRefused(@ForAll long seed) {
    Random random = new Random(seed);
    StringBuilder source = new StringBuilder(SOURCES.get(random.nextInt(SOURCES.size())));
    String other = SOURCES.get(random.nextInt(SOURCES.size()));
    for (int i = random.nextInt(6); i >= 0; i--) {
      int at = random.nextInt(source.length());
      int to = Math.min(source.length(), at + random.nextInt(40));
      int from = random.nextInt(other.length());
      switch (random.nextInt(3)) {
        case 0 -> source.delete(at, to);
        case 1 -> source.insert(at, other, from, Math.min(other.length(), from + 30));
        default -> source.insert(at, (char) random.nextInt(0x250));
      }
      if (source.isEmpty()) {
        source.append("{");
      }
    }
    renderOrRefuse(source.toString());
  }

  private static void renderOrRefuse(String source) {
    try {
      render(source);
    } catch (TemplateException refused) {
      if (refused.getMessage().isEmpty() && !refused.isRaised()) {
        throw refused;
      }
    }
  }
}
