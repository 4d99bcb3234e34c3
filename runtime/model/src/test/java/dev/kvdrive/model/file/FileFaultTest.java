package dev.kvdrive.model.file;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.catchThrowableOfType;

import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.zip.GZIPInputStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class FileFaultTest {
  @TempDir private Path folder;

  @Test
  void aFileThatIsNotThereIsSaidToBeMissing() {
    Path file = folder.resolve("none");
    IOException failure = catchThrowableOfType(IOException.class, () -> Files.readString(file));
    assertThat(FileFault.words(failure)).isEqualTo(file + ": there is no such file or folder");
    assertThat(FileFault.words(file, failure)).isEqualTo(FileFault.words(failure));
  }

  @Test
  void aFolderInItsPlaceIsSaidToBeOne() {
    IOException failure = catchThrowableOfType(IOException.class, () -> Files.readString(folder));
    assertThat(FileFault.words(folder, failure)).isEqualTo(folder + ": Is a directory");
  }

  @Test
  void whatIsNotCompressedAndWhatBreaksOffIsSaidInWords() throws IOException {
    Path text = Files.writeString(folder.resolve("text"), "no gzip at all");
    assertThat(FileFault.words(text, unpacking(text))).endsWith(": it is not compressed by gzip");
    Path empty = Files.createFile(folder.resolve("empty"));
    assertThat(FileFault.words(empty, unpacking(empty))).endsWith(": it ends too early");
    assertThat(FileFault.words(unpacking(empty))).isNull();
  }

  private static IOException unpacking(Path file) {
    return catchThrowableOfType(
        IOException.class,
        () -> {
          try (InputStream raw = Files.newInputStream(file);
              InputStream in = new GZIPInputStream(raw)) {
            in.readAllBytes();
          }
        });
  }
}
