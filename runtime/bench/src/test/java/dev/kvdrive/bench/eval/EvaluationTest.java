package dev.kvdrive.bench.eval;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.kvdrive.bench.document.TaskFamily;
import dev.kvdrive.bench.document.TaskMaker;
import dev.kvdrive.bench.engine.ComfortableTiers;
import dev.kvdrive.bench.engine.LocalEngine;
import dev.kvdrive.bench.engine.LocalModel;
import dev.kvdrive.model.ModelLoader;
import dev.kvdrive.model.source.HubSettings;
import dev.kvdrive.model.source.ModelSource;
import dev.kvdrive.plan.Budget;
import dev.kvdrive.plan.DeviceKind;
import dev.kvdrive.plan.KvType;
import dev.kvdrive.plan.Load;
import dev.kvdrive.plan.PlanRequest;
import dev.kvdrive.plan.TierBudgets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.awaitility.Awaitility;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** With the bundled model on the CPU device. */
class EvaluationTest {
  private static final int CONTEXT = 700;

  @TempDir private Path folder;
  private LocalEngine local;

  @BeforeEach
  void start() {
    Path model = new ModelSource(folder, HubSettings.from(Map.of())).resolve(ModelSource.BUILTIN);
    PlanRequest request =
        PlanRequest.of(
            ModelLoader.geometry(model),
            new Load(CONTEXT, 2, 2),
            1,
            KvType.BF16,
            new TierBudgets(0, 0, 0),
            DeviceKind.CPU);
    local =
        LocalEngine.of(
                LocalModel.of(model),
                request.withTiers(new ComfortableTiers(1, 1).of(request)),
                2,
                folder)
            .start();
  }

  @AfterEach
  void stop() {
    local.close();
  }

  private List<EvalTask> tasks(int length) {
    TaskMaker maker = new TaskMaker(5, text -> local.tokenizer().encode(text, false).length);
    return List.of(
        maker.make(TaskFamily.PASSKEY, length, 0.2),
        maker.make(TaskFamily.NIAH_SINGLE, length, 0.5),
        maker.make(TaskFamily.PASSKEY, length, 0.8));
  }

  private List<EvalResult> run(List<EvalTask> tasks, EvalListener listener, Double... shares)
      throws InterruptedException {
    List<Budget> budgets = Arrays.stream(shares).map(Budget::of).toList();
    return new Evaluation(local.engine(), local.tokenizer(), local.template().orElseThrow())
        .run(tasks.stream().map(t -> new Evaluation.Question(t, budgets)).toList(), listener);
  }

  @Test
  void theModelFindsWhatIsHiddenAndResultsComeInTheOrderOfTheSamples() throws Exception {
    List<EvalTask> tasks = tasks(CONTEXT);
    List<EvalResult> told = new ArrayList<>();
    long[] read = {0};
    List<EvalResult> results =
        run(
            tasks,
            new EvalListener() {
              @Override
              public void finished(EvalResult result) {
                told.add(result);
              }

              @Override
              public void read(long tokens) {
                assertThat(tokens).isGreaterThanOrEqualTo(read[0]);
                read[0] = tokens;
              }
            },
            1.0);
    assertThat(results).extracting(EvalResult::task).containsExactlyElementsOf(tasks);
    assertThat(results).allSatisfy(r -> assertThat(r.score()).as(r.text()).isEqualTo(1));
    assertThat(told).containsExactlyInAnyOrderElementsOf(results);
    assertThat(read[0]).isEqualTo(results.stream().mapToLong(r -> r.usage().promptTokens()).sum());
  }

  @Test
  void severalBudgetsShareOnePrefillAndEachAttendsItsShare() throws Exception {
    List<EvalTask> tasks = tasks(CONTEXT).subList(0, 2);
    List<EvalResult> results = run(tasks, result -> {}, 1.0, 0.25);
    assertThat(results).extracting(r -> r.budget().share()).containsExactly(1.0, 0.25, 1.0, 0.25);
    assertThat(results).extracting(EvalResult::task).startsWith(tasks.get(0), tasks.get(0));
    assertThat(local.engine().status().promptTokens())
        .isEqualTo(results.get(0).usage().promptTokens() + results.get(2).usage().promptTokens());
    assertThat(results.get(0).usage().attendedTokens())
        .isEqualTo(results.get(0).usage().contextTokens());
    assertThat(results.get(1).usage().attendedTokens())
        .isLessThan(results.get(1).usage().contextTokens() / 2);
  }

  @Test
  void moreBudgetsThanSeatsCannotBeAskedAtOnce() {
    assertThatThrownBy(() -> run(tasks(CONTEXT), result -> {}, 1.0, 0.5, 0.25))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("3 budgets at once need as many seats, the engine has 2");
  }

  @Test
  void aSampleThatDoesNotFitTheContextEndsTheRunAndNoSeatStaysTaken() {
    List<EvalTask> tasks = new ArrayList<>(tasks(CONTEXT));
    tasks.addAll(tasks(2 * CONTEXT));
    assertThatThrownBy(() -> run(tasks, result -> {}, 1.0))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("the context is %d tokens", CONTEXT);
    Awaitility.await().until(() -> local.engine().status().running() == 0);
  }
}
