package dev.kvdrive.calibration;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.kvdrive.kv.index.IndexCalibration;
import dev.kvdrive.kv.index.KeyTransform;
import dev.kvdrive.model.file.ModelFormatException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class CalibrationFileTest {
  private static final int WIDTH = 4;

  @TempDir private Path folder;

  private static KeyTransform transform(float first) {
    float[] matrix = new float[WIDTH * WIDTH];
    for (int i = 0; i < matrix.length; i++) {
      matrix[i] = first + i;
    }
    float[] vector = Arrays.copyOf(matrix, WIDTH);
    return new KeyTransform(vector, matrix, matrix.clone(), vector.clone());
  }

  private Path written() throws IOException {
    Path file = folder.resolve("model.gguf.kvdrive-index.safetensors");
    CalibrationFile.write(
        file,
        new IndexCalibration(
            "abc123",
            List.of(List.of(transform(1), transform(100)), List.of(transform(2), transform(200)))));
    return file;
  }

  @Test
  void whatWasWrittenIsRead() throws IOException {
    IndexCalibration read = CalibrationFile.read(written());
    assertThat(read.weights()).isEqualTo("abc123");
    assertThat(read.layers()).hasSize(2);
    assertThat(read.kvHeads()).isEqualTo(2);
    KeyTransform last = read.layers().get(1).get(1);
    assertThat(last.mean()).containsExactly(200, 201, 202, 203);
    assertThat(last.deviation()).containsExactly(200, 201, 202, 203);
    assertThat(last.forward()).isEqualTo(transform(200).forward());
    assertThat(last.backward()).isEqualTo(transform(200).backward());
    try (Stream<Path> files = Files.list(folder)) {
      assertThat(files).as("nothing is left of writing").hasSize(1);
    }
  }

  @Test
  void aFileThatWasCutOffIsRefused() throws IOException {
    Path file = written();
    byte[] bytes = Files.readAllBytes(file);
    for (int length = 0; length < bytes.length; length += 7) {
      Files.write(file, Arrays.copyOf(bytes, length));
      assertThatThrownBy(() -> CalibrationFile.read(file))
          .as("%d of %d bytes", length, bytes.length)
          .isInstanceOf(ModelFormatException.class)
          .hasMessageEndingWith(
              "; calibrate again: ./kvdrive calibrate --model " + folder.resolve("model.gguf"));
    }
  }

  @Test
  void whatIsNoFingerprintIsRefusedAndShownWithoutWhatControlsATerminal() throws IOException {
    Path file = written();
    byte[] bytes = Files.readAllBytes(file);
    bytes[bytes.length - 1] = 0x1b;
    Files.write(file, bytes);
    assertThatThrownBy(() -> CalibrationFile.read(file))
        .isInstanceOf(ModelFormatException.class)
        .hasMessageContaining("(found: abc12\\u001b)");
  }

  @Test
  void whatIsNoNumberIsRefused() throws IOException {
    Path file = folder.resolve("bad");
    KeyTransform bad = transform(Float.NaN);
    CalibrationFile.write(file, new IndexCalibration("x", List.of(List.of(bad))));
    assertThatThrownBy(() -> CalibrationFile.read(file))
        .isInstanceOf(ModelFormatException.class)
        .hasMessageContaining("must hold numbers");
  }
}
