package dev.kvdrive.bench.eval;

import dev.kvdrive.schedule.Accuracy;
import dev.kvdrive.schedule.GenerationUsage;
import java.util.Arrays;
import java.util.List;
import java.util.Map;

/** Columns of samples that nobody has answered. */
final class Columns {
  private Columns() {}

  static EvalSettings settings(String policy, double budget, int length) {
    return new EvalSettings(
        "tiny",
        "0123",
        policy,
        policy + "-index",
        budget,
        0,
        length,
        "CPU",
        "BF16",
        "BF16",
        "BF16",
        "",
        null);
  }

  static EvalSample sample(String task, int number, double score) {
    return sample(task, number, score, 1000, 0);
  }

  static EvalSample sample(String task, int number, double score, long attended, long hits) {
    return new EvalSample(
        task + "-" + number,
        task,
        score,
        "text",
        new GenerationUsage(
            1000,
            0,
            11,
            attended,
            1000,
            hits,
            60,
            40,
            0,
            0,
            0,
            0,
            0,
            0,
            2_000_000_000L,
            500_000_000L,
            0,
            0,
            0,
            Accuracy.NONE));
  }

  /** Samples of one task, numbered from 0. */
  static List<EvalSample> samples(String task, double... scores) {
    int[] next = {0};
    return Arrays.stream(scores).mapToObj(score -> sample(task, next[0]++, score)).toList();
  }

  static EvalColumn column(EvalSettings settings, List<EvalSample> samples) {
    return new EvalColumn(settings, 18, List.of(Map.of("device", "a machine")), samples);
  }
}
