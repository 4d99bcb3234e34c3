package dev.kvdrive.model;

import static org.assertj.core.api.Assertions.assertThat;

import dev.kvdrive.model.tensor.RopeSpec;
import dev.kvdrive.model.tensor.TensorData;
import dev.kvdrive.model.tensor.TensorType;
import dev.kvdrive.plan.ModelGeometry;
import java.util.List;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Every supported architecture and format computes what Hugging Face transformers computes. */
class GoldenLogitsTest {
  /** Double precision against float32: far below what is allowed. */
  private static final double REFERENCE_TOLERANCE = 5e-5;

  static List<Golden> goldens() {
    return Golden.all();
  }

  @ParameterizedTest
  @MethodSource("goldens")
  void agreeWithTransformersAtEveryPosition(Golden golden) {
    try (Model model = golden.open()) {
      double[][] logits = new ReferenceTransformer(model).logits(golden.tokens());
      for (int t = 0; t < golden.tokens().length; t++) {
        assertThat(golden.relativeError(t, logits[t]))
            .as("position %d", t)
            .isLessThan(REFERENCE_TOLERANCE);
      }
    }
  }

  /** A golden that did not depend on the rope would prove nothing about it. */
  @ParameterizedTest
  @MethodSource("goldens")
  void noticeAnotherRope(Golden golden) {
    try (Model model = golden.open()) {
      RopeSpec rope = model.spec().rope();
      float[] slower = rope.inverseFrequencies().clone();
      slower[1] *= 0.9f;
      for (RopeSpec other :
          List.of(
              new RopeSpec(slower, rope.magnitude(), rope.interleaved(), rope.growth()),
              new RopeSpec(
                  rope.inverseFrequencies(),
                  rope.magnitude() * 1.05f,
                  rope.interleaved(),
                  rope.growth()),
              new RopeSpec(
                  rope.inverseFrequencies(),
                  rope.magnitude(),
                  !rope.interleaved(),
                  rope.growth()))) {
        double[][] logits =
            new ReferenceTransformer(new WithRope(model, other)).logits(golden.tokens());
        assertThat(
                IntStream.range(0, logits.length)
                    .mapToDouble(t -> golden.relativeError(t, logits[t]))
                    .max()
                    .orElseThrow())
            .isGreaterThan(2 * Golden.TOLERANCE);
      }
    }
  }

  @ParameterizedTest
  @MethodSource("goldens")
  void haveTheSameGeometryFromHeadersAlone(Golden golden) {
    try (Model model = golden.open()) {
      assertThat(ModelLoader.geometry(golden.model())).isEqualTo(model.geometry());
    }
  }

  @ParameterizedTest
  @MethodSource("goldens")
  void haveTheSameGeometryFromTheConfigurationAlone(Golden golden) {
    if (golden.model().toString().endsWith(".gguf")) {
      return;
    }
    try (Model model = golden.open()) {
      assertThat(ModelLoader.geometry(golden.model().resolve("config.json")))
          .isEqualTo(model.geometry());
    }
  }

  @Test
  void coverEveryStorageType() {
    assertThat(
            goldens().stream()
                .flatMap(
                    g -> {
                      try (Model m = g.open()) {
                        return Stream.concat(
                            Stream.of(m.embedding(), m.output()),
                            m.layers().stream().flatMap(LayerTensors::all))
                            .map(TensorData::type)
                            .toList()
                            .stream();
                      }
                    }))
        .contains(TensorType.values());
  }

  @Test
  void aSlidingWindowCapsTheContext() {
    try (Model model = ModelLoader.open(Golden.file("mistral"))) {
      assertThat(model.spec().maxContext()).isEqualTo(64);
    }
  }

  @Test
  void longropeFollowsTheServedContext() {
    for (String file : List.of("phi3", "phi3-f16.gguf")) {
      try (Model few = ModelLoader.open(Golden.file(file), 32, ModelLoader.Verification.NONE);
          Model many = ModelLoader.open(Golden.file(file), 33, ModelLoader.Verification.NONE)) {
        assertThat(few.spec().rope().inverseFrequencies()[0]).isEqualTo(1f);
        assertThat(many.spec().rope().inverseFrequencies()[0]).isEqualTo(0.5f);
        assertThat(few.spec().rope().rotaryDim()).isEqualTo(12);
        assertThat(few.spec().rope().magnitude()).isEqualTo(many.spec().rope().magnitude());
      }
    }
  }

  private record WithRope(Model model, RopeSpec rope) implements Model {
    @Override
    public TransformerSpec spec() {
      TransformerSpec s = model.spec();
      return new TransformerSpec(
          s.architecture(),
          s.name(),
          s.shape(),
          s.maxContext(),
          s.rmsEpsilon(),
          s.attentionScale(),
          rope,
          s.unrotatedLayers(),
          s.multipliers());
    }

    @Override
    public TensorData embedding() {
      return model.embedding();
    }

    @Override
    public TensorData outputNorm() {
      return model.outputNorm();
    }

    @Override
    public TensorData output() {
      return model.output();
    }

    @Override
    public List<LayerTensors> layers() {
      return model.layers();
    }

    @Override
    public ModelGeometry geometry() {
      return model.geometry();
    }

    @Override
    public TokenizerSource tokenizer() {
      return model.tokenizer();
    }

    @Override
    public void close() {
      model.close();
    }
  }
}
