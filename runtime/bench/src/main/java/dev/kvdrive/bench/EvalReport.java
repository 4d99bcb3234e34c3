package dev.kvdrive.bench;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.stream.Collectors;

/** Scores by task and column (a length and a budget), in percent, with their mean over tasks. */
public final class EvalReport {
  private final Map<String, Map<String, Double>> scores = new LinkedHashMap<>();
  private final Map<String, String> facts = new LinkedHashMap<>();

  /** Adds the results of one column. */
  public void add(String column, List<EvalResult> results) {
    results.stream()
        .collect(
            Collectors.groupingBy(
                r -> r.task().task(),
                LinkedHashMap::new,
                Collectors.averagingDouble(r -> 100 * r.score())))
        .forEach(
            (task, mean) ->
                scores.computeIfAbsent(task, t -> new LinkedHashMap<>()).put(column, mean));
    long attended = results.stream().mapToLong(r -> r.usage().attendedTokens()).sum();
    long context = results.stream().mapToLong(r -> r.usage().contextTokens()).sum();
    long hits = results.stream().mapToLong(r -> r.usage().hits()).sum();
    long misses =
        results.stream().mapToLong(r -> r.usage().dramMisses() + r.usage().nvmeMisses()).sum();
    facts.put(
        column,
        String.format(
            Locale.ROOT,
            "%d samples, %.1f %% of the context attended, hit rate %.1f %%",
            results.size(),
            context == 0 ? 100.0 : 100.0 * attended / context,
            hits + misses == 0 ? 100.0 : 100.0 * hits / (hits + misses)));
  }

  /** The mean over tasks of a column. */
  public double mean(String column) {
    return scores.values().stream()
        .filter(row -> row.containsKey(column))
        .mapToDouble(row -> row.get(column))
        .average()
        .orElse(Double.NaN);
  }

  /** The whole table as Markdown. */
  public String markdown() {
    StringBuilder out = new StringBuilder("| task |");
    facts.keySet().forEach(c -> out.append(' ').append(c).append(" |"));
    out.append("\n|---|").append("---|".repeat(facts.size())).append('\n');
    scores.forEach(
        (task, row) -> {
          out.append("| ").append(task).append(" |");
          for (String column : facts.keySet()) {
            Double score = row.get(column);
            out.append(score == null ? " - |" : String.format(Locale.ROOT, " %.1f |", score));
          }
          out.append('\n');
        });
    out.append("| **mean** |");
    for (String column : facts.keySet()) {
      out.append(String.format(Locale.ROOT, " **%.1f** |", mean(column)));
    }
    out.append("\n\n");
    facts.forEach(
        (column, text) -> out.append("- ").append(column).append(": ").append(text).append('\n'));
    return out.toString();
  }
}
