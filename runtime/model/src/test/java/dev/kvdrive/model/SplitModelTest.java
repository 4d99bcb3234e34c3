package dev.kvdrive.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.kvdrive.model.file.ModelFormatException;
import dev.kvdrive.model.source.HubSettings;
import dev.kvdrive.model.source.ModelSource;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** A model that is split over several GGUF files is one model, whichever of them is named. */
class SplitModelTest {
  @TempDir Path folder;

  @BeforeEach
  void copy() throws IOException {
    for (Path part : parts()) {
      Files.copy(part, folder.resolve(part.getFileName().toString()));
    }
  }

  static List<Path> parts() throws IOException {
    try (Stream<Path> files = Files.list(Golden.file("split"))) {
      return files.sorted().toList();
    }
  }

  private Path part(int number) {
    return folder.resolve("llama-split-%05d-of-00003.gguf".formatted(number));
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 2, 3})
  void opensByTheNameOfAnyPart(int number) {
    try (Model split = ModelLoader.open(part(number));
        Model whole = ModelLoader.open(Golden.file("llama-mixed.gguf"))) {
      assertThat(split.geometry()).isEqualTo(whole.geometry());
      assertThat(split.spec()).usingRecursiveComparison().isEqualTo(whole.spec());
      assertThat(split.tokenizer()).isInstanceOf(TokenizerSource.Gguf.class);
      for (int layer = 0; layer < whole.layers().size(); layer++) {
        assertThat(
                split
                    .layers()
                    .get(layer)
                    .down()
                    .data()
                    .mismatch(whole.layers().get(layer).down().data()))
            .isEqualTo(-1);
      }
      assertThat(split.output().data().mismatch(whole.output().data())).isEqualTo(-1);
    }
    assertThat(ModelLoader.geometry(part(number)))
        .isEqualTo(ModelLoader.geometry(Golden.file("llama-mixed.gguf")));
  }

  @Test
  void opensByItsFolder() {
    ModelSource source = new ModelSource(folder, HubSettings.from(Map.of()));
    assertThat(source.resolve(folder.toString())).isEqualTo(part(1));
    assertThat(source.geometry(folder.toString())).isEqualTo(ModelLoader.geometry(part(1)));
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 2, 3})
  void namesThePartThatIsMissing(int number) throws IOException {
    Files.delete(part(number));
    Path other = part(number == 1 ? 2 : 1);
    assertRefused(other, part(number).getFileName() + ": a part of the model is missing");
    assertThatThrownBy(() -> ModelLoader.geometry(other)).isInstanceOf(ModelFormatException.class);
  }

  @Test
  void refusesPartsOfOtherNames() throws IOException {
    Path renamed = Files.move(part(2), folder.resolve("model.gguf"));
    assertRefused(renamed, "part 2 of 3");
    assertRefused(renamed, "-00002-of-00003.gguf");
  }

  @Test
  void refusesAPartInThePlaceOfAnother() throws IOException {
    Files.delete(part(3));
    Files.copy(part(2), part(3));
    assertRefused(part(1), "not part 3 of 3");
  }

  private static void assertRefused(Path model, String message) {
    assertThatThrownBy(() -> ModelLoader.open(model).close())
        .isInstanceOf(ModelFormatException.class)
        .hasMessageContaining(message);
  }
}
