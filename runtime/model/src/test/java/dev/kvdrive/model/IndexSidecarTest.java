package dev.kvdrive.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.kvdrive.model.file.ModelFormatException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The calibration of an index lies beside a file, inside a folder, and is part of the sizes. */
class IndexSidecarTest {
  @TempDir Path folder;

  @Test
  void itLiesBesideAFileAndInsideAFolder() {
    assertThat(IndexSidecar.of(folder)).isEqualTo(folder.resolve("kvdrive-index.safetensors"));
    assertThat(IndexSidecar.of(folder.resolve("m.gguf")))
        .isEqualTo(folder.resolve("m.gguf.kvdrive-index.safetensors"));
  }

  @Test
  void aSplitModelHasOneWhicheverPartNamesIt() {
    assertThat(IndexSidecar.of(folder.resolve("m-00003-of-00003.gguf")))
        .isEqualTo(folder.resolve("m-00001-of-00003.gguf.kvdrive-index.safetensors"));
  }

  @Test
  void theSizesOfAModelSayWhetherItComesWithTheWeights() throws IOException {
    Path model = Files.copy(Golden.file("llama-mixed.gguf"), folder.resolve("m.gguf"));
    assertThat(ModelLoader.geometry(model).calibrated()).isFalse();

    Path sidecar = Files.copy(weights(), IndexSidecar.of(model));

    assertThat(ModelLoader.geometry(model).calibrated()).isTrue();
    try (Model open = ModelLoader.open(model)) {
      assertThat(open.geometry()).isEqualTo(ModelLoader.geometry(model));
    }

    byte[] whole = Files.readAllBytes(sidecar);
    Files.write(sidecar, Arrays.copyOf(whole, whole.length - 1));
    assertThatThrownBy(() -> ModelLoader.geometry(model))
        .isInstanceOf(ModelFormatException.class)
        .hasMessageContaining(sidecar.toString())
        .hasMessageEndingWith("; calibrate again: ./kvdrive calibrate --model " + model);
    Files.writeString(sidecar, "anything");
    assertThatThrownBy(() -> ModelLoader.geometry(model)).isInstanceOf(ModelFormatException.class);
    // It can be opened, or else it could not be calibrated again.
    ModelLoader.open(model).close();
  }

  @Test
  void ofAFolderTheFolderIsCalibratedAgain() {
    assertThat(IndexSidecar.again(IndexSidecar.of(folder)))
        .isEqualTo("calibrate again: ./kvdrive calibrate --model " + folder);
  }

  /** Any sound file of that format. */
  private static Path weights() throws IOException {
    try (Stream<Path> files = Files.list(Golden.file("llama"))) {
      return files.filter(f -> f.toString().endsWith(".safetensors")).findFirst().orElseThrow();
    }
  }
}
