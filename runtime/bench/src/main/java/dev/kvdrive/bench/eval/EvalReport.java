package dev.kvdrive.bench.eval;

import java.util.ArrayList;
import java.util.Collection;
import java.util.Comparator;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.function.Function;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;

/**
 * Scores by task and column, in percent: for a task the mean over its samples, for a column the
 * mean over its tasks, each with its interval; and what a column is above or below exact attention
 * on the very same samples. Columns may come from several runs: those with the same settings are
 * one.
 */
public final class EvalReport {
  private final Map<EvalSettings, EvalColumn> columns = new LinkedHashMap<>();
  private final Map<EvalSettings, Row> rows = new HashMap<>();

  /**
   * A column as it is told.
   *
   * @param column its samples
   * @param mean over tasks
   * @param scores of each task
   * @param against exact attention: the mean of the differences; null where no sample was answered
   *     exactly too
   * @param againstByTask the same of each task
   * @param paired samples that were answered exactly too
   */
  public record Row(
      EvalColumn column,
      Score mean,
      Map<String, Score> scores,
      @Nullable Score against,
      Map<String, Score> againstByTask,
      int paired) {}

  /**
   * Adds samples: to the column with the same settings, if there is one.
   *
   * @return how many samples were there already, with another score; the first one counts
   */
  public int add(EvalColumn column) {
    rows.clear();
    EvalColumn before = columns.get(column.settings());
    if (before == null) {
      columns.put(column.settings(), column);
      return 0;
    }
    Map<String, Double> known =
        before.samples().stream().collect(Collectors.toMap(EvalSample::sample, EvalSample::score));
    columns.put(column.settings(), before.with(column));
    return (int)
        column.samples().stream()
            .filter(s -> known.getOrDefault(s.sample(), s.score()) != s.score())
            .count();
  }

  /** The columns in the order in which they were added first. */
  public List<EvalColumn> columns() {
    return List.copyOf(columns.values());
  }

  /** The columns with their scores, in the same order. */
  public List<Row> rows() {
    return columns.values().stream().map(this::row).toList();
  }

  private Row row(EvalColumn column) {
    Row known = rows.get(column.settings());
    if (known == null) {
      Map<String, Score> scores = new LinkedHashMap<>();
      Map<String, double[]> points = column.points();
      points.forEach((task, values) -> scores.put(task, Score.of(List.of(values))));
      Map<String, Score> against = new LinkedHashMap<>();
      Map<String, double[]> differences =
          column.settings().exact() ? Map.of() : column.pointsOver(exact(column.settings()));
      differences.forEach((task, values) -> against.put(task, Score.of(List.of(values))));
      known =
          new Row(
              column,
              Score.of(points.values()),
              scores,
              differences.isEmpty() ? null : Score.of(differences.values()),
              against,
              differences.values().stream().mapToInt(values -> values.length).sum());
      rows.put(column.settings(), known);
    }
    return known;
  }

  /**
   * Scores of all samples that this model answered exactly: on the same device rather than another,
   * with keys and values as they are cached rather than rounded again.
   */
  private Map<String, Double> exact(EvalSettings of) {
    Map<String, Double> scores = new HashMap<>();
    columns.values().stream()
        .filter(c -> c.settings().exact())
        .filter(c -> c.settings().weights().equals(of.weights()))
        .filter(c -> c.settings().length() == of.length())
        .filter(c -> c.settings().variant().equals(of.variant()))
        .sorted(
            Comparator.comparing((EvalColumn c) -> !c.settings().device().equals(of.device()))
                .thenComparing(c -> !c.settings().kvType().equals(of.kvType()))
                .thenComparing(c -> !c.settings().lossless()))
        .forEach(c -> c.samples().forEach(s -> scores.putIfAbsent(s.sample(), s.score())));
    return scores;
  }

  /** What tells each column from the others, in few words; for one column its budget. */
  public List<String> names() {
    Collection<EvalSettings> all = columns.keySet();
    List<Function<EvalSettings, String>> parts = new ArrayList<>();
    addIfSeveral(parts, all, EvalSettings::model);
    addIfSeveral(parts, all, EvalSettings::policy);
    addIfSeveral(parts, all, s -> severalIndexes(all, s) ? s.index() : "");
    addIfSeveral(parts, all, s -> length(s.length()));
    parts.add(s -> s.attends().word());
    List<String> names = named(all, parts);
    List<Function<EvalSettings, String>> more =
        List.of(
            s -> s.quality() == null ? "" : s.attends().words(),
            s -> s.denseBelow() == 0 ? "" : "dense below " + s.denseBelow(),
            EvalReport::formats,
            EvalSettings::device,
            EvalSettings::variant,
            EvalSettings::weights);
    for (Function<EvalSettings, String> part : more) {
      if (names.stream().distinct().count() < names.size()) {
        addIfSeveral(parts, all, part);
        names = named(all, parts);
      }
    }
    return names;
  }

  private static List<String> named(
      Collection<EvalSettings> all, List<Function<EvalSettings, String>> parts) {
    return all.stream()
        .map(
            settings ->
                parts.stream()
                    .map(part -> part.apply(settings))
                    .filter(part -> !part.isEmpty())
                    .collect(Collectors.joining(" ")))
        .toList();
  }

  private static void addIfSeveral(
      List<Function<EvalSettings, String>> parts,
      Collection<EvalSettings> all,
      Function<EvalSettings, String> part) {
    if (all.stream().map(part).distinct().count() > 1) {
      parts.add(part);
    }
  }

  private static boolean severalIndexes(Collection<EvalSettings> all, EvalSettings of) {
    return all.stream()
        .anyMatch(s -> s.policy().equals(of.policy()) && !s.index().equals(of.index()));
  }

  /** The policy, with its index where there are columns of several. */
  String method(EvalSettings settings) {
    return severalIndexes(columns.keySet(), settings)
        ? settings.policy() + " " + settings.index()
        : settings.policy();
  }

  /** A length as people write it: 16k. */
  static String length(int tokens) {
    return tokens % 1024 == 0 ? tokens / 1024 + "k" : Integer.toString(tokens);
  }

  private static String formats(EvalSettings settings) {
    return settings.lossless()
        ? settings.kvType()
        : "%s from %s".formatted(settings.resident(), settings.backing());
  }

  /** Tasks down, columns across, as Markdown, padded so that it can be read as it is. */
  public String byTask() {
    List<Row> told = rows();
    Set<String> tasks = new TreeSet<>();
    told.forEach(row -> tasks.addAll(row.scores().keySet()));
    List<List<String>> cells = new ArrayList<>();
    cells.add(cells("task", names()));
    for (String task : tasks) {
      cells.add(cells(task, of(told, row -> score(row.scores().get(task)))));
    }
    cells.add(cells("**mean**", of(told, row -> "**" + score(row.mean()) + "**")));
    if (told.stream().anyMatch(row -> row.against() != null)) {
      cells.add(cells("against exact", of(told, row -> difference(row.against()))));
    }
    cells.add(cells("samples", of(told, row -> Integer.toString(row.column().samples().size()))));
    cells.add(cells("attended", of(told, row -> percent(row.column().taken().attended()))));
    cells.add(cells("hit rate", of(told, EvalReport::hits)));
    if (told.stream().anyMatch(row -> row.column().accuracy().samples() > 0)) {
      cells.add(cells("mass missed", of(told, row -> missed(row.column()))));
      cells.add(cells("output error", of(told, row -> error(row.column()))));
    }
    cells.add(cells("index, B/token", of(told, row -> decimal(row.column().indexBytes()))));
    return MarkdownTable.of(cells);
  }

  /** Tasks down, columns across: what each is above exact attention on the same samples. */
  public String againstByTask() {
    List<String> names = names();
    List<Row> all = rows();
    List<Row> told = all.stream().filter(row -> row.against() != null).toList();
    Set<String> tasks = new TreeSet<>();
    told.forEach(row -> tasks.addAll(row.againstByTask().keySet()));
    List<List<String>> cells = new ArrayList<>();
    cells.add(cells("task", told.stream().map(row -> names.get(all.indexOf(row))).toList()));
    for (String task : tasks) {
      cells.add(cells(task, of(told, row -> difference(row.againstByTask().get(task)))));
    }
    cells.add(cells("**mean**", of(told, row -> "**" + difference(row.against()) + "**")));
    cells.add(cells("samples", of(told, row -> Integer.toString(row.paired()))));
    return MarkdownTable.of(cells);
  }

  /** A line for each column. */
  public String summary() {
    List<List<String>> cells = new ArrayList<>();
    cells.add(
        List.of(
            "model",
            "context",
            "policy",
            "index",
            "budget",
            "formats",
            "device",
            "mean",
            "against exact",
            "samples",
            "attended",
            "hit rate",
            "index, B/token"));
    rows().stream()
        .sorted(
            Comparator.comparing((Row row) -> row.column().settings().model())
                .thenComparingInt(row -> row.column().settings().length())
                .thenComparingDouble(row -> -row.column().settings().budget()))
        .forEach(row -> cells.add(line(row)));
    return MarkdownTable.of(cells);
  }

  private static List<String> line(Row row) {
    EvalSettings s = row.column().settings();
    return List.of(
        s.variant().isEmpty() ? s.model() : s.model() + ", " + s.variant(),
        length(s.length()),
        s.policy(),
        s.index(),
        s.denseBelow() == 0
            ? s.attends().words()
            : "%s, dense below %,d".formatted(s.attends().words(), s.denseBelow()),
        formats(s),
        s.device(),
        score(row.mean()),
        difference(row.against()),
        s.exact() || row.paired() == row.column().samples().size()
            ? Integer.toString(row.column().samples().size())
            : "%d, %d of them exact".formatted(row.column().samples().size(), row.paired()),
        percent(row.column().taken().attended()),
        hits(row),
        decimal(row.column().indexBytes()));
  }

  /** Nothing in exact mode with a window that keeps nothing: every chunk goes through it. */
  private static String hits(Row row) {
    double rate = row.column().taken().hitRate();
    return row.column().settings().exact() && rate == 0 ? "-" : percent(rate);
  }

  private static List<String> of(List<Row> rows, Function<Row, String> cell) {
    return rows.stream().map(cell).toList();
  }

  private static List<String> cells(String first, List<String> rest) {
    List<String> cells = new ArrayList<>(rest);
    cells.addFirst(first);
    return cells;
  }

  private static String score(@Nullable Score score) {
    return number("%.1f", score);
  }

  private static String difference(@Nullable Score score) {
    return number("%+.1f", score);
  }

  private static String number(String format, @Nullable Score score) {
    if (score == null) {
      return "-";
    }
    String mean = decimal(format, score.mean());
    Interval interval = score.interval();
    return interval == null
        ? mean
        : "%s [%s, %s]"
            .formatted(mean, decimal(format, interval.low()), decimal(format, interval.high()));
  }

  private static String decimal(double value) {
    return decimal("%.1f", value);
  }

  /** Without the sign of a zero. */
  private static String decimal(String format, double value) {
    return Math.abs(value) < 0.05 ? "0.0" : String.format(Locale.ROOT, format, value);
  }

  private static String missed(EvalColumn column) {
    return measured(column, column.accuracy().massMissed());
  }

  private static String error(EvalColumn column) {
    return measured(column, column.accuracy().outputError());
  }

  private static String measured(EvalColumn column, double share) {
    return column.accuracy().samples() == 0
        ? "-"
        : String.format(Locale.ROOT, "%.2f %%", 100 * share);
  }

  private static String percent(double share) {
    return String.format(Locale.ROOT, "%.1f %%", 100 * share);
  }
}
