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

/** What the harness asks of the registry's command, and what it makes of the answers. */
class RegistryTest {
  @TempDir private Path folder;

  @Test
  void itsNameIsTheLastThatIsSaidAndItEndsWithTheTest() throws IOException {
    Path said = folder.resolve("said");
    Path command = folder.resolve("registry.sh");
    Files.writeString(
        command,
        """
        #!/bin/sh
        echo "[$*]" >>%s
        case "$1" in
          '') echo started >&2; echo 10.0.0.1:5000 ;;
          --given) printf '1 sha256:a\\n2 sha256:b\\n' ;;
        esac
        """
            .formatted(said));
    assertThat(command.toFile().setExecutable(true)).isTrue();

    try (Registry registry = Registry.start(settings(List.of(command.toString())))) {
      assertThat(registry.name()).isEqualTo("10.0.0.1:5000");
      assertThat(registry.given("models/a")).containsExactly("1 sha256:a", "2 sha256:b");
      registry.spoil("models/a");
    }

    assertThat(said).hasContent("[]\n[--given models/a]\n[--spoil models/a]\n[--stop]\n");
  }

  @Test
  void withoutOneTheTestIsSkipped() {
    assertThatThrownBy(() -> Registry.start(settings(List.of())))
        .isInstanceOf(TestAbortedException.class)
        .hasMessageContaining("native");
  }

  private Settings settings(List<String> registry) {
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
        List.of(),
        registry);
  }
}
