package dev.kvdrive.model;

import static org.assertj.core.api.Assertions.assertThat;

import dev.kvdrive.model.tensor.TensorType;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;

class BundledModelTest {
  private static final Path FILE = Path.of("src/main/resources/models/kvdrive-tiny-32k-q8_0.gguf");

  @Test
  void isTheModelItsCardDescribes() {
    try (Model model = ModelLoader.open(FILE, 0, ModelLoader.Verification.FULL)) {
      assertThat(model.spec().maxContext()).isEqualTo(32_768);
      assertThat(model.layers()).hasSize(6);
      assertThat(model.embedding().type()).isEqualTo(TensorType.Q8_0);
      assertThat(model.output()).isSameAs(model.embedding());
      assertThat(model.geometry()).isEqualTo(ModelLoader.geometry(FILE));
      assertThat(model.tokenizer())
          .isInstanceOfSatisfying(
              TokenizerSource.Gguf.class,
              t ->
                  assertThat(t.metadata())
                      .containsKeys(
                          "tokenizer.ggml.tokens",
                          "tokenizer.ggml.merges",
                          "tokenizer.chat_template"));
    }
  }
}
