package dev.kvdrive.feasibility;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import dev.kvdrive.api.v1alpha1.Geometry;
import dev.kvdrive.api.v1alpha1.InferenceClass;
import dev.kvdrive.api.v1alpha1.InferenceClassSpec.CatalogueEntry;
import dev.kvdrive.api.v1alpha1.ModelSpec;
import dev.kvdrive.model.ModelLoader;
import dev.kvdrive.plan.ContextLimit;
import dev.kvdrive.plan.DeviceKind;
import dev.kvdrive.plan.ModelGeometry;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;

class GeometryCatalogueTest {
  private static final Path BUNDLED =
      Path.of("../runtime/model/src/main/resources/models/kvdrive-tiny-32k-q8_0.gguf");
  private static final GeometryCatalogue CATALOGUE = GeometryCatalogue.wellKnown();

  static Stream<CatalogueEntry> published() {
    return CATALOGUE.entries().stream().filter(entry -> entry.uri().startsWith("hf://"));
  }

  @Test
  void knowsTheBundledModelAsItsFileStatesIt() {
    ModelGeometry file = ModelLoader.geometry(BUNDLED);
    ModelGeometry known =
        CATALOGUE.find(model("builtin:kvdrive-tiny-32k", null), null).orElseThrow().geometry();

    assertThat(known)
        .usingRecursiveComparison()
        .ignoringFields("name", "matrixElements", "vectorElements", "packed")
        .isEqualTo(file);
    assertThat(known.weightBytes(DeviceKind.CUDA)).isEqualTo(file.weightBytes(DeviceKind.CUDA));
    // Sizes alone do not tell whether the output is tied to the embedding, nor which norms and
    // biases there are: a plan counts the most there can be.
    assertThat(known.matrixElements())
        .isBetween(
            file.matrixElements(),
            file.matrixElements() + (long) file.vocabulary() * file.hidden());
    assertThat(known.vectorElements()).isBetween(file.vectorElements(), 3 * file.vectorElements());
  }

  /** 16-bit weights follow from the sizes, with the output layer tied to the embedding or not. */
  @ParameterizedTest
  @MethodSource("published")
  void statesWeightsThatFollowFromTheSizes(CatalogueEntry entry) {
    Geometry g = entry.geometry();
    long attention = (long) g.hidden() * g.headDim() * (2L * g.heads() + 2L * g.kvHeads());
    long mlp = 3L * g.hidden() * g.feedForward();
    long embedding = (long) g.vocabulary() * g.hidden();
    long tied = 2 * (g.layers() * (attention + mlp) + embedding);
    long stated = Quantities.bytes("weights", g.weights());

    assertThat(List.of(tied, tied + 2 * embedding))
        .anySatisfy(computed -> assertThat((double) stated / computed).isCloseTo(1, within(0.002)));
  }

  @Test
  void aRevisionDoesNotMatterButAFileDoes() {
    assertThat(CATALOGUE.find(model("hf://Qwen/Qwen3-8B@main", null), null)).isPresent();
    assertThat(CATALOGUE.find(model("hf://Qwen/Qwen3-8B-Base", null), null)).isEmpty();
    assertThat(CATALOGUE.find(model("hf://Qwen/Qwen3-8B@main/q4.gguf", null), null)).isEmpty();
  }

  @ParameterizedTest
  @CsvSource({
    "hf://meta-llama/Llama-3.1-8B-Instruct, SCALED",
    "hf://microsoft/Phi-4-mini-instruct, SCALED",
    "hf://Qwen/Qwen3-8B, TRAINED",
  })
  void knowsWhatBoundsTheContext(String uri, ContextLimit limit) {
    assertThat(CATALOGUE.find(model(uri, null), null).orElseThrow().geometry().limit())
        .isEqualTo(limit);
  }

  /** Only what a request for rope scaling makes of a model is no fact about it. */
  @ParameterizedTest
  @EnumSource(mode = EnumSource.Mode.EXCLUDE, names = "EXTENDED")
  void everyBoundThatThePlannerKnowsCanBeStated(ContextLimit limit) {
    Geometry g = WrittenManifests.geometry(3);
    Geometry stated =
        new Geometry(
            g.layers(),
            g.hidden(),
            g.heads(),
            g.kvHeads(),
            g.headDim(),
            g.feedForward(),
            g.vocabulary(),
            g.maxContext(),
            g.weights(),
            g.gpuWeights(),
            Geometry.ContextLimit.valueOf(limit.name()),
            null);
    assertThat(CATALOGUE.find(model("hf://a/b", stated), null).orElseThrow().geometry().limit())
        .isEqualTo(limit);
    assertThat(Geometry.ContextLimit.values()).hasSize(ContextLimit.values().length - 1);
  }

  @Test
  void theDeploymentsOwnWordComesBeforeTheClassAndTheClassBeforeTheOperator() {
    String uri = "hf://Qwen/Qwen3-8B";
    InferenceClass clazz =
        WrittenManifests.clazz(
            "c",
            """
            models:
              catalogue:
                - uri: hf://Qwen/Qwen3-8B
                  geometry: {layers: 2, hidden: 8, heads: 2, kvHeads: 1, headDim: 4, \
            feedForward: 8, vocabulary: 9, maxContext: 9000, weights: 1Mi}
            """);
    Geometry own = WrittenManifests.geometry(3);

    assertThat(CATALOGUE.find(model(uri, own), clazz.getSpec()).orElseThrow().geometry().layers())
        .isEqualTo(3);
    assertThat(CATALOGUE.find(model(uri, null), clazz.getSpec()).orElseThrow().geometry().layers())
        .isEqualTo(2);
    assertThat(CATALOGUE.find(model(uri, null), null).orElseThrow().geometry().layers())
        .isEqualTo(36);
  }

  private static ModelSpec model(String uri, @Nullable Geometry geometry) {
    return new ModelSpec(uri, geometry, null, null, null, null);
  }
}
