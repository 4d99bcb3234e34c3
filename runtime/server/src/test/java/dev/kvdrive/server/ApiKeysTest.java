package dev.kvdrive.server;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.kvdrive.server.access.ApiKeys;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ApiKeysTest {
  private static final String FIRST = "first-key-0123456789";
  private static final String SECOND = "second-key-0123456789";

  @TempDir Path folder;

  @Test
  void aChangedFileTakesOverAndABrokenOneChangesNothing() throws IOException {
    Path file = Files.writeString(folder.resolve("keys"), "# team a\n" + FIRST + "\n");
    ApiKeys keys = ApiKeys.read(file);
    assertThat(keys.admits(FIRST)).isTrue();
    assertThat(keys.admits(SECOND)).isFalse();
    assertThat(keys.admits("# team a")).isFalse();
    Files.writeString(file, SECOND);
    keys.reload();
    assertThat(keys.admits(FIRST)).isFalse();
    assertThat(keys.admits(SECOND)).isTrue();
    Files.writeString(file, "short");
    keys.reload();
    Files.delete(file);
    keys.reload();
    assertThat(keys.admits(SECOND)).isTrue();
    Files.writeString(file, "");
    keys.reload();
    assertThat(keys.admits(SECOND)).isFalse();
  }

  @Test
  void refusesToStartWithoutKeysAndNeverShowsOne() throws IOException {
    Path none = Files.writeString(folder.resolve("none"), "\n# nothing\n");
    assertThatThrownBy(() -> ApiKeys.read(none)).hasMessageContaining("no keys");
    assertThatThrownBy(() -> ApiKeys.read(folder.resolve("missing")))
        .hasMessageContaining("missing");
    Path weak = Files.writeString(folder.resolve("weak"), "hunter2");
    assertThatThrownBy(() -> ApiKeys.read(weak))
        .hasMessageContaining("line 1")
        .hasMessageNotContaining("hunter2");
  }

  /** Editors and shells of Windows write both. */
  @Test
  void aMarkOfTheEncodingIsNoPartOfAKeyAndAnotherEncodingIsRefused() throws IOException {
    Path marked = Files.writeString(folder.resolve("marked"), "\uFEFF" + FIRST + "\r\n");
    assertThat(ApiKeys.read(marked).admits(FIRST)).isTrue();

    Path wide = Files.writeString(folder.resolve("wide"), FIRST, StandardCharsets.UTF_16);
    assertThatThrownBy(() -> ApiKeys.read(wide)).hasMessageContaining("not in UTF-8");
  }
}
