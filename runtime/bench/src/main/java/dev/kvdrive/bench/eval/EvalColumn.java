package dev.kvdrive.bench.eval;

import dev.kvdrive.schedule.Accuracy;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;

/**
 * All samples that were answered with the same settings.
 *
 * @param settings what the answers depend on
 * @param indexBytes that the policy keeps of a token and KV head
 * @param conditions what they do not depend on: machine, sizes of tiers, windows; one for each run
 * @param samples by task, then fingerprint, so that the order in which runs are merged is no matter
 */
public record EvalColumn(
    EvalSettings settings,
    double indexBytes,
    List<Map<String, Object>> conditions,
    List<EvalSample> samples) {
  public EvalColumn {
    conditions = List.copyOf(new LinkedHashSet<>(conditions));
    samples =
        samples.stream()
            .sorted(Comparator.comparing(EvalSample::task).thenComparing(EvalSample::sample))
            .toList();
    if (samples.isEmpty()) {
      throw new IllegalArgumentException("a column has one sample at least: " + settings);
    }
  }

  /**
   * This column and the samples of another that it does not have.
   *
   * @param other with the same settings
   */
  EvalColumn with(EvalColumn other) {
    Set<Map<String, Object>> all = new LinkedHashSet<>(conditions);
    all.addAll(other.conditions);
    Map<String, EvalSample> merged = new LinkedHashMap<>();
    samples.forEach(sample -> merged.put(sample.sample(), sample));
    other.samples.forEach(sample -> merged.putIfAbsent(sample.sample(), sample));
    return new EvalColumn(settings, indexBytes, List.copyOf(all), List.copyOf(merged.values()));
  }

  /** The points of every task's samples. */
  Map<String, double[]> points() {
    Map<String, double[]> points = new TreeMap<>();
    for (String task : tasks()) {
      points.put(
          task,
          samples.stream()
              .filter(sample -> sample.task().equals(task))
              .mapToDouble(sample -> 100 * sample.score())
              .toArray());
    }
    return points;
  }

  /** The points of every task's samples less those of the same samples of another column. */
  Map<String, double[]> pointsOver(Map<String, Double> others) {
    Map<String, double[]> points = new TreeMap<>();
    for (String task : tasks()) {
      double[] differences =
          samples.stream()
              .filter(sample -> sample.task().equals(task) && others.containsKey(sample.sample()))
              .mapToDouble(
                  sample -> 100 * (sample.score() - others.getOrDefault(sample.sample(), 0.0)))
              .toArray();
      if (differences.length > 0) {
        points.put(task, differences);
      }
    }
    return points;
  }

  /** Names of the tasks. */
  Set<String> tasks() {
    Set<String> tasks = new LinkedHashSet<>();
    samples.forEach(sample -> tasks.add(sample.task()));
    return tasks;
  }

  /** What attention left out, in the steps that were measured. */
  Accuracy accuracy() {
    return samples.stream()
        .map(sample -> sample.usage().accuracy())
        .reduce(Accuracy.NONE, Accuracy::plus);
  }

  /** What decoding took. */
  Taken taken() {
    long attended = 0;
    long context = 0;
    long hits = 0;
    long selected = 0;
    long prompt = 0;
    long prefillNanos = 0;
    long steps = 0;
    long decodeNanos = 0;
    for (EvalSample sample : samples) {
      attended += sample.usage().attendedTokens();
      context += sample.usage().contextTokens();
      hits += sample.usage().hits();
      selected += sample.usage().hits() + sample.usage().dramMisses() + sample.usage().nvmeMisses();
      prompt += sample.usage().promptTokens();
      prefillNanos += sample.usage().prefillNanos();
      steps += sample.usage().completionTokens() - 1;
      decodeNanos += sample.usage().decodeNanos();
    }
    return new Taken(
        context == 0 ? 1 : (double) attended / context,
        selected == 0 ? 1 : (double) hits / selected,
        prefillNanos == 0 ? Double.NaN : 1e9 * prompt / prefillNanos,
        decodeNanos == 0 ? Double.NaN : 1e9 * steps / decodeNanos);
  }

  /**
   * What decoding took, over all samples.
   *
   * @param attended share of the context attended in decode
   * @param hitRate share of the selected chunks that were in the window
   * @param prefillPerSecond prompt tokens per second
   * @param decodePerSecond tokens per second of a sequence, the first of each answer not counted
   */
  record Taken(double attended, double hitRate, double prefillPerSecond, double decodePerSecond) {}
}
