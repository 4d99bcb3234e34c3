package dev.kvdrive.server;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;

/** A folder of this test run, below the build's. */
final class TestFolder {
  static final Path PATH = create();

  private TestFolder() {}

  static Path withKey(String key) {
    try {
      return Files.writeString(PATH.resolve("api-keys"), "# clients\n\n" + key + "\n");
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static Path create() {
    try {
      return Files.createTempDirectory(Files.createDirectories(Path.of("target")), "server-test");
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
