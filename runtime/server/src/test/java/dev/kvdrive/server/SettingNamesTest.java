package dev.kvdrive.server;

import static org.assertj.core.api.Assertions.assertThat;

import dev.kvdrive.server.settings.FlagSource;
import dev.kvdrive.server.settings.SettingNames;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.support.SystemEnvironmentPropertySourceEnvironmentPostProcessor;
import org.springframework.core.env.MapPropertySource;
import org.springframework.core.env.StandardEnvironment;
import org.springframework.core.env.SystemEnvironmentPropertySource;

/** A message names a setting as whoever wrote it did. */
class SettingNamesTest {
  private static final Map<String, String> FLAGS =
      Map.of(
          "kvdrive.model.chat-template", "--chat-template",
          "kvdrive.context-length", "--context",
          "kvdrive.model.rope-scaling", "--rope-scaling",
          "server.port", "--port");

  private final StandardEnvironment environment = new StandardEnvironment();

  private String in(String text) {
    return new SettingNames(environment).in(text);
  }

  private void variable(String name, String value) {
    environment
        .getPropertySources()
        .replace(
            "systemEnvironment",
            new SystemEnvironmentPropertySource("systemEnvironment", Map.of(name, value)));
    new SystemEnvironmentPropertySourceEnvironmentPostProcessor()
        .postProcessEnvironment(environment, new SpringApplication());
  }

  private void flags(Map<String, String> given) {
    environment.getPropertySources().addFirst(new FlagSource(given, FLAGS));
  }

  @Test
  void byItsPropertyWhereItCameFromAFileOrNowhere() {
    String text = "kvdrive.model.chat-template: no such file; see kvdrive.log-format.";
    assertThat(in(text)).isEqualTo(text);
    environment
        .getPropertySources()
        .addFirst(new MapPropertySource("file", Map.of("kvdrive.model.chat-template", "x")));
    assertThat(in(text)).isEqualTo(text);
  }

  @Test
  void byItsFlagWhereThereIsACommandLine() {
    flags(Map.of("kvdrive.context-length", "3"));
    assertThat(
            in(
                "kvdrive.context-length must be at least 128, got 3. Or kvdrive.model.chat-template; kvdrive.queue-limit."))
        .isEqualTo(
            "--context must be at least 128, got 3. Or --chat-template; kvdrive.queue-limit.");
    assertThat(in("port 1 is in use; choose one with server.port")).endsWith("with --port");
    assertThat(in("/srv/kvdrive.context-length and kvdrive.context-lengths"))
        .isEqualTo("/srv/kvdrive.context-length and kvdrive.context-lengths");
  }

  @Test
  void byItsEnvironmentVariableWhereThatSaysIt() {
    variable("KVDRIVE_CONTEXTLENGTH", "3");
    String text = "kvdrive.context-length must be at least 128";
    assertThat(in(text)).isEqualTo("KVDRIVE_CONTEXTLENGTH must be at least 128");
    flags(Map.of());
    assertThat(in(text)).isEqualTo("KVDRIVE_CONTEXTLENGTH must be at least 128");
    flags(Map.of("kvdrive.context-length", "4"));
    assertThat(in(text)).isEqualTo("--context must be at least 128");
  }
}
