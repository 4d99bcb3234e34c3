package dev.kvdrive.schedule;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.SplittableRandom;
import net.jqwik.api.Example;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.DoubleRange;
import net.jqwik.api.constraints.IntRange;
import org.jspecify.annotations.Nullable;

/** What can be chosen, and how often, against the definition written out. */
class TokenChooserTest {
  private static final int DRAWS = 4000;

  /** Candidates by the definition: token to probability. */
  private static Map<Integer, Double> candidates(
      float[] logits, Sampling sampling, @Nullable TokenCounts seen) {
    double[] penalised = new double[logits.length];
    for (int i = 0; i < logits.length; i++) {
      penalised[i] = logits[i];
    }
    if (seen != null) {
      for (int slot = 0; slot < seen.slots(); slot++) {
        int token = seen.token(slot);
        if (token >= 0 && token < logits.length) {
          double logit = penalised[token];
          double factor = sampling.repetitionPenalty();
          logit = logit > 0 ? logit / factor : logit * factor;
          int count = seen.count(slot);
          logit -= count * sampling.frequencyPenalty();
          logit -= count > 0 ? sampling.presencePenalty() : 0;
          penalised[token] = logit;
        }
      }
    }
    List<Integer> order = new ArrayList<>();
    for (int i = 0; i < logits.length; i++) {
      order.add(i);
    }
    order.sort(
        Comparator.comparingDouble((Integer t) -> -penalised[t])
            .thenComparing(Comparator.naturalOrder()));
    if (sampling.temperature() == 0) {
      return Map.of(order.getFirst(), 1.0);
    }
    if (sampling.topK() > 0 && sampling.topK() < order.size()) {
      order = order.subList(0, sampling.topK());
    }
    double best = penalised[order.getFirst()];
    double mass = 0;
    for (int token : order) {
      mass += Math.exp((penalised[token] - best) / sampling.temperature());
    }
    Map<Integer, Double> kept = new HashMap<>();
    double sum = 0;
    double keptMass = 0;
    for (int token : order) {
      double weight = Math.exp((penalised[token] - best) / sampling.temperature());
      if (sampling.topP() < 1 && !kept.isEmpty() && sum >= sampling.topP() * mass) {
        break;
      }
      sum += weight;
      if (weight < sampling.minP()) {
        break;
      }
      kept.put(token, weight);
      keptMass += weight;
    }
    double all = keptMass;
    kept.replaceAll((token, weight) -> weight / all);
    return kept;
  }

  private static TokenChooser chooser(float[] logits) {
    TokenChooser chooser = new TokenChooser(logits.length);
    System.arraycopy(logits, 0, chooser.logits(), 0, logits.length);
    return chooser;
  }

  private static float[] logits(long seed, int vocabulary) {
    SplittableRandom random = new SplittableRandom(seed);
    float[] logits = new float[vocabulary];
    for (int i = 0; i < vocabulary; i++) {
      // Few different values among many, so that there are ties.
      logits[i] = random.nextInt(3) == 0 ? random.nextInt(4) : (float) (2 * random.nextGaussian());
    }
    return logits;
  }

  @Property(tries = 300)
  void choosesOnlyCandidatesAndEachAsOftenAsItIsLikely(
      @ForAll long seed,
      @ForAll @IntRange(min = 1, max = 70) int vocabulary,
      @ForAll @DoubleRange(min = 0, max = 3) double temperature,
      @ForAll @IntRange(max = 80) int topK,
      @ForAll @DoubleRange(min = 0.01, max = 1) double topP,
      @ForAll @DoubleRange(max = 1) double minP,
      @ForAll boolean penalties) {
    Sampling sampling =
        new Sampling(
            temperature < 0.05 ? 0 : temperature,
            topK,
            seed % 3 == 0 ? 1 : topP,
            seed % 5 < 3 ? 0 : minP,
            penalties ? 1.4 : 1,
            penalties ? 0.3 : 0,
            penalties ? -0.7 : 0,
            seed);
    float[] logits = logits(seed, vocabulary);
    TokenCounts seen = null;
    if (penalties) {
      seen = new TokenCounts();
      for (int i = 0; i < vocabulary; i += 3) {
        seen.seen(i);
        seen.generated((7 * i) % vocabulary);
      }
    }
    Map<Integer, Double> expected = candidates(logits, sampling, seen);
    TokenChooser chooser = chooser(logits);
    RandomDraws random = new RandomDraws(seed);
    Map<Integer, Integer> drawn = new HashMap<>();
    for (int i = 0; i < DRAWS; i++) {
      drawn.merge(chooser.choose(sampling, seen, random.bits()), 1, Integer::sum);
      random.advance();
    }
    for (Map.Entry<Integer, Integer> entry : drawn.entrySet()) {
      assertThat(expected).as("a candidate of %s", sampling).containsKey(entry.getKey());
    }
    expected.forEach(
        (token, probability) -> {
          double mean = DRAWS * probability;
          // Six standard deviations: hardly ever in all the tries of a lifetime.
          assertThat((double) drawn.getOrDefault(token, 0))
              .as("draws of token %d with probability %s", token, probability)
              .isCloseTo(mean, within(6 * Math.sqrt(mean * (1 - probability)) + 6));
        });
    assertThat(chooser.logits()).as("the raw logits").isEqualTo(logits);
  }

  @Property(tries = 100)
  void theTopIsInOrderAndItsProbabilitiesAreThoseOfTheSoftmax(
      @ForAll long seed,
      @ForAll @IntRange(min = 1, max = 200) int vocabulary,
      @ForAll @IntRange(min = 1, max = 20) int count) {
    float[] logits = logits(seed, vocabulary);
    TokenChooser chooser = chooser(logits);
    double sum = 0;
    for (float logit : logits) {
      sum += Math.exp(logit);
    }
    double logSumExp = chooser.logSumExp();
    assertThat(logSumExp).isCloseTo(Math.log(sum), within(1e-9));
    List<GeneratedToken.TokenLogprob> top = chooser.top(count, logSumExp);
    List<Integer> order = new ArrayList<>();
    for (int i = 0; i < vocabulary; i++) {
      order.add(i);
    }
    order.sort(
        Comparator.comparingDouble((Integer t) -> -logits[t])
            .thenComparing(Comparator.naturalOrder()));
    assertThat(top.stream().map(GeneratedToken.TokenLogprob::id).toList())
        .isEqualTo(order.subList(0, Math.min(count, vocabulary)));
    for (GeneratedToken.TokenLogprob token : top) {
      assertThat((double) token.logprob())
          .isCloseTo(logits[token.id()] - Math.log(sum), within(1e-5));
    }
  }

  @Example
  void noticesLogitsThatAreNoNumbers() {
    for (float bad : new float[] {Float.NaN, Float.POSITIVE_INFINITY, Float.NEGATIVE_INFINITY}) {
      float[] logits = logits(1, 50);
      assertThat(chooser(logits).finite()).isTrue();
      logits[33] = bad;
      assertThat(chooser(logits).finite()).isFalse();
    }
  }

  @Example
  void extremeTemperaturesAndLogitsStayNumbers() {
    float[] logits = {1e30f, -1e30f, 1e30f, 0, -0f, Float.MAX_VALUE / 2};
    for (double temperature : new double[] {1e-12, 1e-3, 1, 100}) {
      TokenChooser chooser = chooser(logits);
      Sampling sampling = new Sampling(temperature, 0, 1, 0, 1, 0, 0, 0);
      assertThat(chooser.choose(sampling, null, new RandomDraws(1).bits())).isEqualTo(5);
    }
  }

  @Example
  void drawsAreUniformAndDependOnTheSeedAlone() {
    RandomDraws first = new RandomDraws(42);
    RandomDraws second = new RandomDraws(42);
    int[] buckets = new int[16];
    Set<Long> distinct = new HashSet<>();
    for (int i = 0; i < 16_000; i++) {
      long draw = first.bits();
      assertThat(draw).isEqualTo(first.bits()).isEqualTo(second.bits());
      buckets[(int) (draw >>> 60)]++;
      distinct.add(draw);
      first.advance();
      second.advance();
    }
    assertThat(distinct).hasSize(16_000);
    for (int bucket : buckets) {
      assertThat(bucket).isBetween(800, 1200);
    }
    assertThat(new RandomDraws(43).bits()).isNotEqualTo(new RandomDraws(42).bits());
  }

  @Property(tries = 50)
  void countsAreThoseOfAMap(@ForAll long seed) {
    SplittableRandom random = new SplittableRandom(seed);
    TokenCounts counts = new TokenCounts();
    Map<Integer, Integer> expected = new HashMap<>();
    for (int i = 0; i < 3000; i++) {
      int token = random.nextInt(1 + random.nextInt(2000));
      if (random.nextBoolean()) {
        counts.seen(token);
        expected.merge(token, 0, Integer::sum);
      } else {
        counts.generated(token);
        expected.merge(token, 1, Integer::sum);
      }
    }
    Map<Integer, Integer> actual = new HashMap<>();
    for (int slot = 0; slot < counts.slots(); slot++) {
      if (counts.token(slot) >= 0) {
        actual.put(counts.token(slot), counts.count(slot));
      }
    }
    assertThat(actual).isEqualTo(expected);
  }

  @Example
  void valuesOutsideOfTheirRangeAreRefusedByName() {
    assertThatThrownBy(() -> new Sampling(-1, 0, 1, 0, 1, 0, 0, 0))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("temperature")
        .hasMessageContaining("-1");
    assertThatThrownBy(() -> new Sampling(Double.NaN, 0, 1, 0, 1, 0, 0, 0))
        .hasMessageContaining("temperature");
    assertThatThrownBy(() -> new Sampling(1, -1, 1, 0, 1, 0, 0, 0)).hasMessageContaining("top_k");
    assertThatThrownBy(() -> new Sampling(1, 0, 0, 0, 1, 0, 0, 0)).hasMessageContaining("top_p");
    assertThatThrownBy(() -> new Sampling(1, 0, 1.1, 0, 1, 0, 0, 0)).hasMessageContaining("top_p");
    assertThatThrownBy(() -> new Sampling(1, 0, 1, 2, 1, 0, 0, 0)).hasMessageContaining("min_p");
    assertThatThrownBy(() -> new Sampling(1, 0, 1, 0, 0, 0, 0, 0))
        .hasMessageContaining("repetition_penalty");
    assertThatThrownBy(() -> new Sampling(1, 0, 1, 0, 1, 3, 0, 0))
        .hasMessageContaining("frequency_penalty");
    assertThatThrownBy(() -> new Sampling(1, 0, 1, 0, 1, 0, -3, 0))
        .hasMessageContaining("presence_penalty");
  }
}
