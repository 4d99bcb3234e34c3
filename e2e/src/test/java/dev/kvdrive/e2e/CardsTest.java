package dev.kvdrive.e2e;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.opentest4j.TestAbortedException;

class CardsTest {
  @TempDir Path folder;

  @Test
  void whereNoneCanBeOfferedTheTestIsSkippedAndSaysWhy() {
    assertThatThrownBy(() -> Cards.one(settings(List.of()), "nvidia.com/gpu"))
        .isInstanceOf(TestAbortedException.class)
        .hasMessageContaining("no device plugin in this mode");
  }

  @Test
  void areOfferedLostAndTakenAwayByTheCommand() throws IOException {
    Path said = folder.resolve("said");
    Path command = Files.writeString(folder.resolve("gpus"), "echo $* >>" + said + "; echo ' c-0'");

    try (Cards cards = Cards.one(settings(List.of("sh", command.toString())), "example.com/c")) {
      cards.lost(true);
      cards.lost(false);
      assertThat(cards.given("pod")).isEqualTo("c-0");
    }

    assertThat(said)
        .hasContent(
            """
            example.com/c 1
            example.com/c 1 1
            example.com/c 1 0
            --given pod
            --stop
            """);
  }

  private Settings settings(List<String> gpus) {
    return new Settings(
        "test",
        folder,
        folder,
        List.of("chart"),
        "o",
        "r",
        "Never",
        "class",
        List.of(),
        gpus,
        List.of());
  }
}
