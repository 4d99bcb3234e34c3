package dev.kvdrive.bench.eval;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;

/**
 * Scores by task and column (a length and a budget), in percent: for a task the mean over its
 * samples, for a column the mean over its tasks.
 */
public final class EvalReport {
  private final Map<String, Column> columns = new LinkedHashMap<>();

  /**
   * One column.
   *
   * @param scores of each task, in percent
   * @param samples how many
   * @param attended share of the context attended in decode
   * @param hitRate share of the selected chunks that were in the window
   * @param indexBytes of a token and KV head
   * @param prefillPerSecond prompt tokens per second
   * @param decodePerSecond tokens per second of a sequence, the first of each answer not counted
   */
  public record Column(
      Map<String, Double> scores,
      int samples,
      double attended,
      double hitRate,
      double indexBytes,
      double prefillPerSecond,
      double decodePerSecond) {
    /** The mean over tasks. */
    public double mean() {
      return scores.values().stream().mapToDouble(Double::doubleValue).average().orElse(Double.NaN);
    }

    static Column of(List<EvalResult> results, double indexBytes) {
      Map<String, Double> scores =
          results.stream()
              .collect(
                  Collectors.groupingBy(
                      r -> r.task().task(),
                      LinkedHashMap::new,
                      Collectors.averagingDouble(r -> 100 * r.score())));
      long attended = 0;
      long context = 0;
      long hits = 0;
      long selected = 0;
      long prompt = 0;
      long prefillNanos = 0;
      long steps = 0;
      long decodeNanos = 0;
      for (EvalResult r : results) {
        attended += r.usage().attendedTokens();
        context += r.usage().contextTokens();
        hits += r.usage().hits();
        selected += r.usage().hits() + r.usage().dramMisses() + r.usage().nvmeMisses();
        prompt += r.usage().promptTokens();
        prefillNanos += r.usage().prefillNanos();
        steps += r.usage().completionTokens() - 1;
        decodeNanos += r.usage().decodeNanos();
      }
      return new Column(
          scores,
          results.size(),
          context == 0 ? 1 : (double) attended / context,
          selected == 0 ? 1 : (double) hits / selected,
          indexBytes,
          prefillNanos == 0 ? Double.NaN : 1e9 * prompt / prefillNanos,
          decodeNanos == 0 ? Double.NaN : 1e9 * steps / decodeNanos);
    }
  }

  /**
   * Adds a column.
   *
   * @param indexBytes that the column's policy keeps of a token and KV head
   * @param results at least one
   */
  public void add(String column, double indexBytes, List<EvalResult> results) {
    columns.put(column, Column.of(results, indexBytes));
  }

  /** The columns in the order in which they were added. */
  public Map<String, Column> columns() {
    return java.util.Collections.unmodifiableMap(columns);
  }

  /** The whole table as Markdown, padded so that it can be read as it is. */
  public String markdown() {
    Set<String> tasks = new LinkedHashSet<>();
    columns.values().forEach(column -> tasks.addAll(column.scores().keySet()));
    List<List<String>> rows = new ArrayList<>();
    rows.add(row("task", columns.keySet()));
    for (String task : tasks) {
      rows.add(
          row(
              task,
              columns.values().stream()
                  .map(c -> c.scores().containsKey(task) ? score(c.scores().get(task)) : "-")
                  .toList()));
    }
    rows.add(row("**mean**", means()));
    rows.add(row("samples", cells("%d", c -> c.samples())));
    rows.add(row("attended", cells("%.1f %%", c -> 100 * c.attended())));
    rows.add(row("hit rate", cells("%.1f %%", c -> 100 * c.hitRate())));
    rows.add(row("index, B/token", cells("%.1f", c -> c.indexBytes())));
    return table(rows);
  }

  private List<String> means() {
    return columns.values().stream().map(c -> "**" + score(c.mean()) + "**").toList();
  }

  private List<String> cells(String format, java.util.function.Function<Column, Number> value) {
    return columns.values().stream()
        .map(c -> String.format(Locale.ROOT, format, value.apply(c)))
        .toList();
  }

  private static String score(double percent) {
    return String.format(Locale.ROOT, "%.1f", percent);
  }

  private static List<String> row(String first, Iterable<String> rest) {
    List<String> row = new ArrayList<>();
    row.add(first);
    rest.forEach(row::add);
    return row;
  }

  private static String table(List<List<String>> rows) {
    int[] widths = new int[rows.getFirst().size()];
    for (List<String> row : rows) {
      for (int i = 0; i < widths.length; i++) {
        widths[i] = Math.max(widths[i], row.get(i).length());
      }
    }
    StringBuilder out = new StringBuilder();
    for (int r = 0; r < rows.size(); r++) {
      out.append('|');
      for (int i = 0; i < widths.length; i++) {
        String cell = rows.get(r).get(i);
        String padding = " ".repeat(widths[i] - cell.length());
        out.append(' ').append(i == 0 ? cell + padding : padding + cell).append(" |");
      }
      out.append('\n');
      if (r == 0) {
        out.append('|');
        for (int i = 0; i < widths.length; i++) {
          String line = "-".repeat(widths[i] + 1);
          out.append(i == 0 ? line + "-|" : line + ":|");
        }
        out.append('\n');
      }
    }
    return out.toString();
  }
}
