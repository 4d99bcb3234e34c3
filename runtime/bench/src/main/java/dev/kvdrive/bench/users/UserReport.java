package dev.kvdrive.bench.users;

import java.util.List;
import java.util.Locale;
import java.util.stream.LongStream;

/** What users saw, as Markdown. */
public final class UserReport {
  private UserReport() {}

  /** One table of times, and a line of rates and failures. */
  public static String markdown(UserLoad.Outcome outcome) {
    List<Answered> came = outcome.answers().stream().filter(a -> a.failure() == null).toList();
    StringBuilder out = new StringBuilder();
    out.append("| | median | 95 % | 99 % | largest |\n|---|--:|--:|--:|--:|\n");
    row(out, "to the first token, s", came.stream().mapToLong(Answered::firstNanos), 1e9, 3);
    row(
        out,
        "between tokens, ms",
        came.stream().flatMapToLong(a -> a.gapNanos().stream().mapToLong(Long::longValue)),
        1e6,
        1);
    row(out, "whole answer, s", came.stream().mapToLong(Answered::nanos), 1e9, 2);
    long tokens = came.stream().mapToLong(Answered::tokens).sum();
    long prompts = came.stream().mapToLong(Answered::promptTokens).sum();
    double seconds = outcome.nanos() / 1e9;
    double[] rates =
        came.stream()
            .mapToDouble(Answered::tokensPerSecond)
            .filter(rate -> !Double.isNaN(rate))
            .sorted()
            .toArray();
    out.append(
        String.format(
            Locale.ROOT,
            "%n%d of %d requests answered in %.1f s: %,d tokens read, %,d written, %.1f a second of"
                + " all users.",
            came.size(),
            outcome.answers().size(),
            seconds,
            prompts,
            tokens,
            tokens / seconds));
    if (rates.length > 0) {
      out.append(
          String.format(
              Locale.ROOT,
              " A user reads %.1f a second behind the first (%.1f..%.1f).",
              rates[rates.length / 2],
              rates[0],
              rates[rates.length - 1]));
    }
    out.append('\n');
    outcome.answers().stream()
        .map(Answered::failure)
        .filter(failure -> failure != null)
        .distinct()
        .forEach(failure -> out.append("Failed: ").append(failure).append('\n'));
    return out.toString();
  }

  private static void row(
      StringBuilder out, String name, LongStream nanos, double unit, int decimals) {
    long[] sorted = nanos.sorted().toArray();
    out.append("| ").append(name);
    for (double share : new double[] {0.5, 0.95, 0.99, 1}) {
      out.append(" | ")
          .append(
              sorted.length == 0
                  ? "-"
                  : String.format(
                      Locale.ROOT, "%." + decimals + "f", quantile(sorted, share) / unit));
    }
    out.append(" |\n");
  }

  /** The smallest value that at least a share of all do not exceed. */
  static long quantile(long[] sorted, double share) {
    return sorted[Math.max(0, (int) Math.ceil(share * sorted.length) - 1)];
  }
}
