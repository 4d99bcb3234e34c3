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
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.stream.IntStream;
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

  /** An index of random values, whose prompt has asked with random queries last. */
  private static TokenIndex index(TokenMethod method, Rows keys) {
    float[][] queries = new float[method.queries()][];
    for (int i = 0; i < queries.length; i++) {
      queries[i] = random(7).row(i);
    }
    return method.index(new ClosedTokens(keys, random(2), queries, 0.125f));
  }

  @ParameterizedTest
  @MethodSource("methods")
  void noTokenIsAttendedTwiceNorMoreThanTheBudget(TokenMethod method) {
    TokenIndex index = index(method, random(1));
    float[][] queries = {random(3).row(0), random(3).row(1), random(3).row(2)};
    for (int budget : new int[] {16, 64, 333}) {
      assertThat(index.choose(queries, budget)).hasSize(queries.length);
      for (TokenIndex.Attended attended : index.choose(queries, budget)) {
        assertThat(attended.tokens()).doesNotHaveDuplicates().hasSizeLessThanOrEqualTo(budget);
        assertThat(attended.corrections()).hasSameSizeAs(attended.tokens());
        if (!(method instanceof MagicPig)) {
          // A cluster that has no room any more may leave some of it; a sample is as large as it
          // is.
          assertThat(attended.tokens().length).isGreaterThan(budget - 64);
        }
        int all =
            attended.tokens().length
                + attended.estimates().stream().mapToInt(TokenIndex.Estimate::tokens).sum();
        assertThat(all).isLessThanOrEqualTo(TOKENS);
      }
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
    int[] found = index(method, keys).choose(new float[][] {query}, 96).getFirst().tokens();
    assertThat(Arrays.stream(found).filter(t -> t >= 700 && t < 720).count())
        .isGreaterThanOrEqualTo(18);
  }

  /** As many directions as are kept hold all of the queries: then nothing is left out. */
  @Test
  void infiniGenAttendsWhatIsAtMostFourBelowTheLargestScore() {
    Random random = new Random(11);
    float[][] basis = new float[12][];
    for (int i = 0; i < basis.length; i++) {
      basis[i] = random(20 + i).row(0);
    }
    float[][] asked = new float[300][WIDTH];
    for (float[] query : asked) {
      for (float[] direction : basis) {
        float along = (float) random.nextGaussian() / 4;
        for (int i = 0; i < WIDTH; i++) {
          query[i] += along * direction[i];
        }
      }
    }
    Rows keys = random(12);
    TokenIndex index = new InfiniGen().index(new ClosedTokens(keys, random(13), asked, 0.5f));
    float[] query = asked[0];
    double[] scores = new double[TOKENS];
    for (int t = 0; t < TOKENS; t++) {
      scores[t] = 0.5 * keys.product(t, query);
    }
    double most = Arrays.stream(scores).max().orElseThrow();
    int[] within = IntStream.range(0, TOKENS).filter(t -> scores[t] > most - 4).toArray();
    assertThat(within.length).isBetween(1, 500);
    int[] all = index.choose(new float[][] {query}, TOKENS).getFirst().tokens();
    assertThat(all).containsExactlyInAnyOrder(within);
    int[] few = index.choose(new float[][] {query}, 1).getFirst().tokens();
    assertThat(few).containsExactly(Ranking.descending(scores)[0]);
  }

  @Test
  void magicPigSamplesAsOftenAsItsProbabilitySaysAndWeighsByIt() {
    int sampled = 0;
    double expected = 0;
    Rows keys = random(14);
    TokenIndex index = index(new MagicPig(), keys);
    float[] mean = new float[WIDTH];
    for (int t = 0; t < TOKENS; t++) {
      for (int i = 0; i < WIDTH; i++) {
        mean[i] += keys.at(t, i) / TOKENS;
      }
    }
    for (int q = 0; q < 20; q++) {
      float[] query = random(15).row(q);
      TokenIndex.Attended sample = index.choose(new float[][] {query}, TOKENS - 1).getFirst();
      sampled += sample.tokens().length;
      for (int t = 0; t < TOKENS; t++) {
        expected += MagicPig.probability(angle(query, keys.row(t), mean), 8, 75);
      }
      for (int i = 0; i < sample.tokens().length; i++) {
        double angle = angle(query, keys.row(sample.tokens()[i]), mean);
        assertThat(sample.corrections()[i])
            .isCloseTo(-Math.log(MagicPig.probability(angle, 8, 75)), within(1e-4));
      }
    }
    assertThat(sampled / expected).isBetween(0.85, 1.15);
  }

  private static double angle(float[] query, float[] key, float[] mean) {
    double product = 0;
    double ofQuery = 0;
    double ofKey = 0;
    for (int i = 0; i < WIDTH; i++) {
      double centred = key[i] - mean[i];
      product += query[i] * centred;
      ofQuery += query[i] * query[i];
      ofKey += centred * centred;
    }
    return Math.acos(product / Math.sqrt(ofQuery * ofKey));
  }

  /** By counting, table for table: two collisions at least. */
  @Test
  void magicPigsProbabilityIsThatOfTwoCollisions() {
    Random random = new Random(5);
    double angle = 1.0;
    int both = 0;
    int runs = 4000;
    for (int run = 0; run < runs; run++) {
      int collisions = 0;
      for (int table = 0; table < 30; table++) {
        boolean same = true;
        for (int bit = 0; bit < 6; bit++) {
          same &= random.nextDouble() >= angle / Math.PI;
        }
        collisions += same ? 1 : 0;
      }
      both += collisions >= 2 ? 1 : 0;
    }
    assertThat(MagicPig.probability(angle, 6, 30)).isCloseTo((double) both / runs, within(0.03));
  }

  @Test
  void magicPigDrawsALargerSampleDownAndWeighsForIt() {
    Rows keys = random(16);
    float[][] query = {random(17).row(0)};
    for (int t = 0; t < 200; t++) {
      for (int i = 0; i < WIDTH; i++) {
        keys.elements()[t * WIDTH + i] = Bfloat16.round(query[0][i] + keys.at(t, i));
      }
    }
    TokenIndex index = index(new MagicPig(), keys);
    TokenIndex.Attended all = index.choose(query, TOKENS - 1).getFirst();
    assertThat(all.tokens().length).isGreaterThan(45);
    // More than 4 % of the tokens, so that it is the same setting.
    TokenIndex.Attended some = index.choose(query, 41).getFirst();
    assertThat(some.tokens()).hasSize(41);
    double share = Math.log((double) all.tokens().length / 41);
    List<Integer> drawnFrom = Arrays.stream(all.tokens()).boxed().toList();
    for (int i = 0; i < 41; i++) {
      int at = drawnFrom.indexOf(some.tokens()[i]);
      assertThat(at).as("token %d was sampled", some.tokens()[i]).isNotNegative();
      assertThat(some.corrections()[i] - all.corrections()[at]).isCloseTo(share, within(1e-9));
    }
  }

  @Test
  void parisKvTurnsWithoutChangingProducts() {
    float[] a = random(18).row(0);
    float[] b = random(18).row(1);
    double before = 0;
    double after = 0;
    double ofA = 0;
    double ofB = 0;
    float[] turnedA = ParisKv.turned(a, WIDTH);
    float[] turnedB = ParisKv.turned(b, WIDTH);
    for (int i = 0; i < WIDTH; i++) {
      before += (double) a[i] * b[i];
      after += (double) turnedA[i] * turnedB[i];
      ofA += (double) a[i] * a[i];
      ofB += (double) b[i] * b[i];
    }
    assertThat(after * Math.sqrt(ofA * ofB)).isCloseTo(before, within(1e-4));
  }

  /** Votes by the definition, one key after the other. */
  @Test
  void parisKvVotesByTheRankOfAKeysCentroid() {
    int blocks = WIDTH / 8;
    int[][] centroid = new int[blocks][TOKENS];
    int[][] members = new int[blocks][256];
    Random random = new Random(19);
    for (int b = 0; b < blocks; b++) {
      for (int t = 0; t < TOKENS; t++) {
        centroid[b][t] = random.nextInt(256);
        members[b][centroid[b][t]]++;
      }
    }
    float[] query = random(21).row(0);
    long[] votes = new long[TOKENS];
    ParisKv.vote(query, centroid, members, votes);
    for (int t = 0; t < TOKENS; t += 37) {
      long expected = 0;
      for (int b = 0; b < blocks; b++) {
        int before = 0;
        for (int other = 0; other < TOKENS; other++) {
          if (product(query, b, centroid[b][other]) > product(query, b, centroid[b][t])) {
            before++;
          }
        }
        // Of 1000 keys the first 500 collide: 25, 75, 150, 250, 375 of them end the tiers.
        expected +=
            before < 25
                ? 6
                : before < 75
                    ? 5
                    : before < 150 ? 4 : before < 250 ? 3 : before < 375 ? 2 : before < 500 ? 1 : 0;
      }
      assertThat(votes[t]).isEqualTo(expected);
    }
  }

  private static double product(float[] query, int block, int signs) {
    double sum = 0;
    for (int i = 0; i < 8; i++) {
      sum += (signs >> i & 1) == 1 ? query[block * 8 + i] : -query[block * 8 + i];
    }
    return sum;
  }

  @Test
  void parisKvFindsNearlyAllOfTheLargestProducts() {
    Rows keys = random(22);
    float[] query = random(23).row(0);
    double[] products = new double[TOKENS];
    for (int t = 0; t < TOKENS; t++) {
      products[t] = keys.product(t, query);
    }
    List<Integer> best = Arrays.stream(Ranking.descending(products)).limit(64).boxed().toList();
    int[] found = index(new ParisKv(), keys).choose(new float[][] {query}, 64).getFirst().tokens();
    assertThat(Arrays.stream(found).filter(best::contains).count()).isGreaterThan(54);
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
        PlanRequest.of(
            ModelLoader.geometry(model),
            new Load(700, 2, 2),
            1,
            KvType.BF16,
            new TierBudgets(0, 0, 0),
            DeviceKind.CPU);
    try (LocalEngine local =
        LocalEngine.of(
                LocalModel.of(model),
                request.withTiers(new ComfortableTiers(1, 1).of(request)),
                2,
                folder)
            .attending(method)
            .start()) {
      TaskMaker maker = new TaskMaker(5, text -> local.tokenizer().encode(text, false).length);
      EvalTask task = maker.make(TaskFamily.PASSKEY, 690, 0.4);
      return new Evaluation(local.engine(), local.tokenizer(), local.template().orElseThrow())
          .run(
              List.of(new Evaluation.Question(task, List.of(Budget.of(1), Budget.of(0.25)))),
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
