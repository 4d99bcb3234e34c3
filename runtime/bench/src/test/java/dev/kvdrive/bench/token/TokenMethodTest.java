package dev.kvdrive.bench.token;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import dev.kvdrive.bench.document.TaskFamily;
import dev.kvdrive.bench.document.TaskMaker;
import dev.kvdrive.bench.engine.ComfortableTiers;
import dev.kvdrive.bench.engine.LocalEngine;
import dev.kvdrive.bench.engine.LocalModel;
import dev.kvdrive.bench.eval.EvalListener;
import dev.kvdrive.bench.eval.EvalResult;
import dev.kvdrive.bench.eval.EvalTask;
import dev.kvdrive.bench.eval.Evaluation;
import dev.kvdrive.device.Bfloat16;
import dev.kvdrive.kv.window.WindowOptions;
import dev.kvdrive.model.ModelLoader;
import dev.kvdrive.model.source.HubSettings;
import dev.kvdrive.model.source.ModelSource;
import dev.kvdrive.plan.DeviceKind;
import dev.kvdrive.plan.KvType;
import dev.kvdrive.plan.PlanRequest;
import dev.kvdrive.plan.TierBudgets;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

class TokenMethodTest {
  private static final int WIDTH = 64;
  private static final int TOKENS = 1000;

  @TempDir private Path folder;

  static List<TokenMethod> methods() {
    return TokenMethod.all();
  }

  private static Rows random(long seed) {
    Random random = new Random(seed);
    short[] elements = new short[TOKENS * WIDTH];
    for (int i = 0; i < elements.length; i++) {
      elements[i] = Bfloat16.round((float) random.nextGaussian());
    }
    return new Rows(elements, 0, TOKENS, WIDTH);
  }

  @ParameterizedTest
  @MethodSource("methods")
  void noTokenIsAttendedTwiceNorMoreThanTheBudget(TokenMethod method) {
    TokenIndex index = method.index(random(1), random(2), 0.125f);
    float[][] queries = {random(3).row(0), random(3).row(1), random(3).row(2)};
    for (int budget : new int[] {16, 64, 333}) {
      TokenIndex.Attended attended = index.choose(queries, budget);
      assertThat(attended.tokens()).doesNotHaveDuplicates().hasSizeLessThanOrEqualTo(budget);
      // A cluster that has no room any more may leave some of it.
      assertThat(attended.tokens().length).isGreaterThan(budget - 64);
      int all =
          attended.tokens().length
              + attended.estimates().stream().mapToInt(TokenIndex.Estimate::tokens).sum();
      assertThat(all).isLessThanOrEqualTo(TOKENS);
    }
  }

  @ParameterizedTest
  @MethodSource("methods")
  void tokensThatAQueryLooksForAreFound(TokenMethod method) {
    Rows keys = random(4);
    float[] query = random(5).row(0);
    for (int t = 700; t < 720; t++) {
      for (int i = 0; i < WIDTH; i++) {
        keys.elements()[t * WIDTH + i] = Bfloat16.round(2 * query[i] + keys.at(t, i) / 4);
      }
    }
    int[] found = method.index(keys, random(6), 0.125f).choose(new float[][] {query}, 96).tokens();
    assertThat(Arrays.stream(found).filter(t -> t >= 700 && t < 720).count())
        .isGreaterThanOrEqualTo(18);
  }

  @Test
  void anEstimateOfEqualKeysIsTheirAttention() {
    float[][] values = {{1, 2}, {5, -2}, {3, 3}};
    RunningSoftmax each = new RunningSoftmax(2);
    RunningSoftmax together = new RunningSoftmax(2);
    for (RunningSoftmax softmax : List.of(each, together)) {
      softmax.add(-1, 1, new float[] {7, 9}, 0);
    }
    for (float[] value : values) {
      each.add(0.5, 1, value, 0);
    }
    together.add(0.5, 3, new float[] {3, 1}, 0);
    float[] expected = new float[2];
    float[] actual = new float[2];
    each.write(expected, 0);
    together.write(actual, 0);
    assertThat(actual[0]).isCloseTo(expected[0], within(1e-6f));
    assertThat(actual[1]).isCloseTo(expected[1], within(1e-6f));
  }

  private List<EvalResult> answers(@Nullable TokenMethod method) throws InterruptedException {
    Path model = new ModelSource(folder, HubSettings.from(Map.of())).resolve(ModelSource.BUILTIN);
    PlanRequest request =
        new PlanRequest(
            ModelLoader.geometry(model),
            700,
            2,
            1,
            KvType.BF16,
            new TierBudgets(0, 0, 0),
            DeviceKind.CPU,
            2);
    try (LocalEngine local =
        LocalEngine.start(
            LocalModel.of(model),
            request.withTiers(new ComfortableTiers(1, 1).of(request)),
            2,
            folder,
            WindowOptions.DEFAULT,
            null,
            method)) {
      TaskMaker maker = new TaskMaker(5, text -> local.tokenizer().encode(text, false).length);
      EvalTask task = maker.make(TaskFamily.PASSKEY, 690, 0.4);
      return new Evaluation(local.engine(), local.tokenizer(), local.template().orElseThrow())
          .run(
              List.of(new Evaluation.Question(task, List.of(1.0, 0.25))),
              new EvalListener() {
                @Override
                public void finished(EvalResult result) {}

                @Override
                public void read(long tokens) {}
              });
    }
  }

  @Test
  void inAnEngineEachAnswersAsItDoesInExactModeAndFindsWithLess() throws Exception {
    List<EvalResult> exact = answers(null);
    for (TokenMethod method : methods()) {
      List<EvalResult> own = answers(method);
      assertThat(own.getFirst().text()).as(method.word()).isEqualTo(exact.getFirst().text());
      assertThat(own.getLast().score()).as(method.word() + " at 25 %").isEqualTo(1);
    }
  }
}
