package dev.kvdrive.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import dev.kvdrive.model.file.ModelFormatException;
import dev.kvdrive.plan.ContextLimit;
import dev.kvdrive.plan.ModelGeometry;
import dev.kvdrive.plan.RopeScaling;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** A rope scaling that is asked for makes of a model what the same scaling in its file would. */
class ExtendedContextTest {
  private static final RopeScaling YARN = new RopeScaling(RopeScaling.Type.YARN, 4, 64);

  @TempDir Path folder;

  private static Model open(Path model, RopeScaling scaling) {
    return ModelLoader.open(model, 0, scaling, ModelLoader.Verification.NONE);
  }

  /** The golden's folder with its configuration changed. */
  private Path with(String golden, String from, String to) throws IOException {
    Path model = Files.createDirectory(folder.resolve("model" + to.hashCode()));
    String config = Files.readString(Golden.file(golden).resolve("config.json"));
    assertThat(config).contains(from);
    Files.writeString(model.resolve("config.json"), config.replace(from, to));
    Files.createSymbolicLink(
        model.resolve("model.safetensors"), Golden.file(golden).resolve("model.safetensors"));
    return model;
  }

  /** The golden's file says yarn; without it, asked for, the logits are those of transformers. */
  @Test
  void computesWhatTransformersComputesWithTheSameScaling() throws IOException {
    Golden golden =
        Golden.all().stream()
            .filter(g -> g.model().endsWith("qwen3-yarn"))
            .findFirst()
            .orElseThrow();
    Path plain =
        with("qwen3-yarn", "\"max_position_embeddings\": 256", "\"max_position_embeddings\": 64");
    String config = Files.readString(plain.resolve("config.json"));
    Files.writeString(
        plain.resolve("config.json"),
        config.replace("\"rope_type\": \"yarn\"", "\"rope_type\": \"default\""));
    try (Model model = open(plain, YARN)) {
      assertThat(model.spec().maxContext()).isEqualTo(256);
      double[][] logits = new ReferenceTransformer(model).logits(golden.tokens());
      for (int t = 0; t < logits.length; t++) {
        assertThat(golden.relativeError(t, logits[t])).isLessThan(5e-5);
      }
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"qwen3", "qwen2", "qwen3-q8_0.gguf", "olmo2", "granite-q8_0.gguf"})
  void thePlanAndTheRuntimeReachTheSameContext(String name) {
    Path file = Golden.file(name);
    ModelGeometry planned = ModelLoader.geometry(file).extended(YARN.factor() > 1 ? yarn() : null);
    try (Model model = open(file, yarn())) {
      assertThat(model.geometry()).isEqualTo(planned);
      assertThat(model.spec().maxContext()).isEqualTo(1024);
      assertThat(model.spec().rope().magnitude())
          .isCloseTo((float) (0.1 * Math.log(4) + 1), within(1e-6f));
    }
  }

  private static RopeScaling yarn() {
    return new RopeScaling(RopeScaling.Type.YARN, 4, null);
  }

  @Test
  void linearScalingDividesEveryFrequency() {
    RopeScaling linear = new RopeScaling(RopeScaling.Type.LINEAR, 2, null);
    try (Model plain = ModelLoader.open(Golden.file("qwen3"));
        Model stretched = open(Golden.file("qwen3"), linear)) {
      float[] slow = stretched.spec().rope().inverseFrequencies();
      for (int i = 0; i < slow.length; i++) {
        assertThat(slow[i])
            .isCloseTo(plain.spec().rope().inverseFrequencies()[i] / 2, within(1e-9f));
      }
      assertThat(stretched.spec().rope().magnitude()).isEqualTo(1f);
      assertThat(stretched.spec().maxContext()).isEqualTo(512);
    }
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "qwen3-yarn      | yarn, factor 4.0, original context 64",
        "llama3          | llama3, factor 8.0",
        "llama-linear    | linear, factor 4.0",
        "llama3-q8_0.gguf| a factor for each frequency",
        "phi3            | longrope",
        "mistral         | the sliding window",
      })
  void aModelThatSomethingElseBoundsRefusesItByName(String name, String words) {
    assertThatThrownBy(() -> open(Golden.file(name), yarn()).close())
        .isInstanceOf(ModelFormatException.class)
        .hasMessageContaining(words)
        .hasMessageContaining("leave rope scaling out");
    assertThatThrownBy(() -> ModelLoader.geometry(Golden.file(name)).extended(yarn()))
        .isInstanceOf(IllegalArgumentException.class);
  }

  @Test
  void dualChunkAttentionEndsTheContextWhereItWouldBegin() throws IOException {
    Path model =
        with(
            "qwen2",
            "\"model_type\"",
            "\"dual_chunk_attention_config\": {\"chunk_size\": 64, \"local_size\": 8,"
                + " \"original_max_position_embeddings\": 64}, \"model_type\"");
    ModelGeometry geometry = ModelLoader.geometry(model);
    assertThat(geometry.maxContext()).isEqualTo(64);
    assertThat(geometry.limit()).isEqualTo(ContextLimit.CHUNKED);
    Path silent =
        with("qwen2", "\"model_type\"", "\"dual_chunk_attention_config\": {}, \"model_type\"");
    assertThatThrownBy(() -> ModelLoader.geometry(silent))
        .isInstanceOf(ModelFormatException.class)
        .hasMessageContaining("dual_chunk_attention_config.original_max_position_embeddings");
  }
}
