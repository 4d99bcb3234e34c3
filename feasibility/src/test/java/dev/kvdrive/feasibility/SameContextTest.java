package dev.kvdrive.feasibility;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.catchThrowableOfType;

import dev.kvdrive.api.v1alpha1.InferenceDeployment;
import dev.kvdrive.api.v1alpha1.PullPolicy;
import dev.kvdrive.feasibility.Assessment.Feasible;
import dev.kvdrive.feasibility.Assessment.Infeasible;
import dev.kvdrive.model.Model;
import dev.kvdrive.model.ModelLoader;
import dev.kvdrive.model.file.ModelFormatException;
import dev.kvdrive.plan.ContextLimit;
import dev.kvdrive.plan.ModelGeometry;
import dev.kvdrive.plan.RopeScaling;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * From a manifest that states a model's sizes the operator comes to the context, or to the words of
 * refusal, that the runtime comes to from the model's file.
 */
class SameContextTest {
  private static final Path MODELS = Path.of("../runtime/model/src/test/resources/goldens");
  private static final String URI = "hf://some/model";
  private static final Assessor ASSESSOR =
      new Assessor(
          GeometryCatalogue.wellKnown(),
          new OperatorDefaults("i", PullPolicy.IF_NOT_PRESENT, List.of(), null, Set.of()));

  @ParameterizedTest
  @CsvSource({
    "llama3, yarn, 4, , its own rope scaling",
    "phi3, yarn, 4, , its own rope scaling",
    "qwen3-yarn, yarn, 4, 64, its own rope scaling",
    "llama3-q8_0.gguf, linear, 2, , its own rope scaling",
    "mistral, yarn, 4, , the sliding window",
    "qwen3, yarn, 4, 512, starts from 512",
    "qwen3, yarn, 2, 128, no more than the 256",
  })
  void refusesARopeScalingInTheWordsOfTheRuntime(
      String model, String type, double factor, @Nullable Integer original, String words) {
    Path file = MODELS.resolve(model);
    ModelGeometry stated = ModelLoader.geometry(file);
    RopeScaling scaling = new RopeScaling(RopeScaling.Type.of(type), factor, original);

    ModelFormatException ofRuntime =
        catchThrowableOfType(ModelFormatException.class, () -> open(file, scaling).close());
    Infeasible ofOperator = (Infeasible) assess(stated, 128, scaling);

    assertThat(ofOperator.reason()).isEqualTo("InvalidSpec");
    assertThat(ofOperator.message())
        .contains(words)
        .isEqualTo(ofRuntime.what().replace(stated.name(), URI));
  }

  @ParameterizedTest
  @CsvSource({"qwen3, 4, 1024", "qwen2, 2.5, 640", "llama, 2, 512"})
  void extendsAContextAsFarAsTheRuntime(String model, double factor, int reached) {
    Path file = MODELS.resolve(model);
    RopeScaling scaling = new RopeScaling(RopeScaling.Type.YARN, factor, null);

    Feasible verdict = (Feasible) assess(ModelLoader.geometry(file), reached, scaling);

    assertThat(verdict.plan().request().model().maxContext()).isEqualTo(reached);
    try (Model opened = open(file, scaling)) {
      assertThat(opened.geometry().maxContext()).isEqualTo(reached);
      assertThat(opened.geometry().limit()).isEqualTo(verdict.plan().request().model().limit());
    }
  }

  @ParameterizedTest
  @CsvSource({"llama3", "mistral", "qwen3", "qwen3-yarn"})
  void saysWhatBoundsAContextThatIsTooShort(String model) {
    ModelGeometry stated = ModelLoader.geometry(MODELS.resolve(model));

    Infeasible verdict = (Infeasible) assess(stated, 65_536, null);

    assertThat(verdict.reason()).isEqualTo("DoesNotFit");
    if (stated.limit() == ContextLimit.TRAINED) {
      assertThat(verdict.message()).contains("trained for 256 tokens", "Rope scaling can extend");
    } else {
      assertThat(verdict.message())
          .contains(stated.limit().words())
          .doesNotContain("Rope scaling can extend");
    }
  }

  private static Model open(Path file, RopeScaling scaling) {
    return ModelLoader.open(file, 0, scaling, ModelLoader.Verification.NONE);
  }

  private static Assessment assess(
      ModelGeometry g, int contextLength, @Nullable RopeScaling scaling) {
    String sizes =
        """
        model:
          uri: %s
          geometry: {layers: %d, hidden: %d, heads: %d, kvHeads: %d, headDim: %d, feedForward: %d, \
        vocabulary: %d, maxContext: %d, weights: "%d", contextLimit: %s}
        %scontextLength: %d
        tiers: {gpu: {memory: 1Gi}, dram: {size: 1Gi}}
        """
            .formatted(
                URI,
                g.layers(),
                g.hidden(),
                g.heads(),
                g.kvHeads(),
                g.headDim(),
                g.feedForward(),
                g.vocabulary(),
                g.maxContext(),
                g.weightBytes(),
                g.limit().name().toLowerCase(Locale.ROOT),
                scaling == null ? "" : written(scaling).indent(2),
                contextLength);
    InferenceDeployment deployment = WrittenManifests.written("endpoint", "legal", sizes);
    return ASSESSOR.assess(deployment, null, List.of());
  }

  private static String written(RopeScaling scaling) {
    return "ropeScaling: {type: %s, factor: %s%s}"
        .formatted(
            scaling.type().word(),
            scaling.factor(),
            scaling.originalContext() == null
                ? ""
                : ", originalContext: " + scaling.originalContext());
  }
}
