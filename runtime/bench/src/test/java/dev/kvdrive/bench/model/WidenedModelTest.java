package dev.kvdrive.bench.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.kvdrive.bench.document.TaskFamily;
import dev.kvdrive.bench.document.TaskMaker;
import dev.kvdrive.bench.engine.ComfortableTiers;
import dev.kvdrive.bench.engine.LocalEngine;
import dev.kvdrive.bench.engine.LocalModel;
import dev.kvdrive.bench.eval.Evaluation;
import dev.kvdrive.model.Model;
import dev.kvdrive.model.ModelLoader;
import dev.kvdrive.model.source.HubSettings;
import dev.kvdrive.model.source.ModelSource;
import dev.kvdrive.model.tensor.TensorType;
import dev.kvdrive.plan.Budget;
import dev.kvdrive.plan.DeviceKind;
import dev.kvdrive.plan.KvType;
import dev.kvdrive.plan.Load;
import dev.kvdrive.plan.ModelShape;
import dev.kvdrive.plan.PlanRequest;
import dev.kvdrive.plan.TierBudgets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** With the bundled model: 6 layers, 256, 4 heads on 2, 64 elements, 768, 8,192 tokens. */
class WidenedModelTest {
  private static final int CONTEXT = 700;

  @TempDir private Path folder;

  private Path bundled() {
    return new ModelSource(folder, HubSettings.from(Map.of())).resolve(ModelSource.BUILTIN);
  }

  private Path widened(ModelShape shape, TensorType type) {
    Path file = folder.resolve("widened.gguf");
    try (Model model = ModelLoader.open(bundled(), 0, ModelLoader.Verification.NONE)) {
      WidenedModel.write(model, shape, type, file);
    }
    return file;
  }

  /** Answers to two tasks with full attention. */
  private List<String> answers(Path file) throws Exception {
    List<Budget> budgets = List.of(Budget.of(1));
    PlanRequest request =
        PlanRequest.of(
            ModelLoader.geometry(file),
            new Load(CONTEXT, budgets.size(), 2),
            1,
            KvType.F32,
            new TierBudgets(0, 0, 0),
            DeviceKind.CPU);
    List<String> answers = new ArrayList<>();
    try (LocalEngine local =
        LocalEngine.of(
                LocalModel.of(file),
                request.withTiers(new ComfortableTiers(1, 1).of(request)),
                2,
                folder)
            .start()) {
      TaskMaker maker = new TaskMaker(5, text -> local.tokenizer().encode(text, false).length);
      new Evaluation(local.engine(), local.tokenizer(), local.template().orElseThrow())
          .run(
              List.of(
                  new Evaluation.Question(
                      maker.make(TaskFamily.NIAH_MULTIQUERY, CONTEXT, 0.2), budgets),
                  new Evaluation.Question(maker.make(TaskFamily.PASSKEY, CONTEXT, 0.7), budgets)),
              result -> answers.add(result.text()));
    }
    return answers;
  }

  @Test
  void itAnswersWhatTheSmallModelAnswers() throws Exception {
    // More of everything, none of it a multiple but the head.
    Path wide = widened(new ModelShape(8, 352, 15, 5, 128, 1024, 9000), TensorType.F32);
    assertThat(ModelLoader.geometry(wide).vocabulary()).isEqualTo(9000);
    List<String> answers = answers(bundled());
    assertThat(answers).hasSize(2).allSatisfy(answer -> assertThat(answer).isNotBlank());
    assertThat(answers(wide)).isEqualTo(answers);
  }

  @ParameterizedTest
  @CsvSource({"BF16", "Q8_0"})
  void itIsAWholeModelInEachType(TensorType type) {
    Path wide = widened(new ModelShape(7, 512, 8, 4, 64, 1024, 8192), type);
    try (Model model = ModelLoader.open(wide, 0, ModelLoader.Verification.FULL)) {
      assertThat(model.layers().getFirst().query().type()).isEqualTo(type);
      assertThat(model.spec().name()).endsWith(", widened");
      assertThat(model.spec().maxContext()).isEqualTo(32_768);
    }
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      textBlock =
          """
          5 | 256 | 2 | 64 | 768 | 8192 | 5 layers, fewer than 6
          6 | 128 | 2 | 64 | 768 | 8192 | 128 hidden elements, fewer than 256
          6 | 256 | 4 | 64 | 768 | 8192 | 1 query heads for each KV head, fewer than 2
          6 | 256 | 2 | 96 | 768 | 8192 | heads of 96 elements, no multiple of 64
          6 | 256 | 2 | 64 | 512 | 8000 | 512 MLP neurons, fewer than 768, 8000 tokens in the vocabulary
          """)
  void whatIsTooSmallIsNamed(
      int layers, int hidden, int kvHeads, int headDim, int neurons, int vocabulary, String words) {
    ModelShape shape = new ModelShape(layers, hidden, 4, kvHeads, headDim, neurons, vocabulary);
    assertThatThrownBy(() -> widened(shape, TensorType.BF16))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining(words)
        .hasMessageContaining("take a larger shape or a smaller model");
    assertThat(Files.exists(folder.resolve("widened.gguf"))).isFalse();
  }
}
