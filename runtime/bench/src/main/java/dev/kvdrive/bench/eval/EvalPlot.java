package dev.kvdrive.bench.eval;

import dev.kvdrive.bench.plot.Svg;
import dev.kvdrive.plan.Budget;
import java.util.Comparator;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Locale;
import java.util.TreeSet;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/**
 * What sparse attention loses, as a drawing: for each model and budget a panel, in it a line for
 * each policy and a dot for each context, which is the mean difference from exact attention on the
 * same samples; the bar through it is its interval. All panels have one scale.
 */
public final class EvalPlot {
  private static final List<String> COLOURS =
      List.of("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9");
  private static final double PANEL = 320;
  private static final double GAP = 30;
  private static final double TOP = 64;
  private static final double TITLE = 26;
  private static final double STEP = 11;
  private static final double CHARACTER = 6.6;
  private static final double MARGIN = 20;
  private static final int TICKS = 6;

  private final EvalReport report;
  private final List<EvalReport.Row> rows;
  private final List<Integer> lengths;
  private final List<String> policies;
  private final List<Panel> panels;
  private final double low;
  private final double high;
  private final double tick;
  private final double labels;

  private record Panel(String model, Budget budget) {}

  private EvalPlot(EvalReport report, List<EvalReport.Row> rows) {
    this.report = report;
    this.rows = rows;
    lengths = List.copyOf(new TreeSet<>(rows.stream().map(r -> settings(r).length()).toList()));
    policies = distinct(rows.stream().map(r -> report.method(settings(r))));
    panels =
        distinct(
            rows.stream()
                .map(r -> new Panel(settings(r).model(), settings(r).attends()))
                .sorted(
                    Comparator.comparing(Panel::model)
                        .thenComparingDouble(p -> -p.budget().share())));
    double least = 0;
    double most = 0;
    for (EvalReport.Row row : rows) {
      Interval interval = interval(row);
      least = Math.min(least, interval.low());
      most = Math.max(most, interval.high());
    }
    tick = tick(Math.max(most - least, 1));
    low = tick * Math.floor(least / tick - 0.1);
    high = tick * Math.ceil(most / tick + 0.1);
    labels = MARGIN + CHARACTER * policies.stream().mapToInt(String::length).max().orElse(0);
  }

  /**
   * Draws a report as SVG.
   *
   * @throws IllegalArgumentException if no column can be compared with exact attention
   */
  public static String svg(EvalReport report) {
    List<EvalReport.Row> rows =
        report.rows().stream().filter(row -> row.against() != null).toList();
    if (rows.isEmpty()) {
      throw new IllegalArgumentException(
          "there is nothing to draw: no sample was answered with a sparse budget and exactly; add a"
              + " file of a run with --budget exact");
    }
    return new EvalPlot(report, rows).draw();
  }

  private static <T> List<T> distinct(Stream<T> all) {
    return List.copyOf(all.collect(Collectors.toCollection(LinkedHashSet::new)));
  }

  private static EvalSettings settings(EvalReport.Row row) {
    return row.column().settings();
  }

  private static Score against(EvalReport.Row row) {
    Score score = row.against();
    if (score == null) {
      throw new IllegalStateException("not compared: " + settings(row));
    }
    return score;
  }

  /** The interval of a difference; the difference itself where there is none. */
  private static Interval interval(EvalReport.Row row) {
    @Nullable Interval interval = against(row).interval();
    return interval == null ? new Interval(against(row).mean(), against(row).mean()) : interval;
  }

  /** 1, 2 or 5 of a power of ten, so that there are about as many as wanted. */
  private static double tick(double range) {
    double power = Math.pow(10, Math.floor(Math.log10(range / TICKS)));
    for (int factor : new int[] {1, 2, 5}) {
      if (range / (factor * power) <= TICKS) {
        return factor * power;
      }
    }
    return 10 * power;
  }

  private double policyHeight() {
    return STEP * lengths.size() + 10;
  }

  private double panelHeight() {
    return TITLE + policyHeight() * policies.size() + 30;
  }

  private double x(double points) {
    return PANEL * (points - low) / (high - low);
  }

  private String draw() {
    List<String> models = distinct(panels.stream().map(Panel::model));
    int across =
        models.stream()
            .mapToInt(m -> (int) panels.stream().filter(p -> p.model().equals(m)).count())
            .max()
            .orElse(1);
    double width = labels + across * (PANEL + GAP);
    double height = TOP + models.size() * (panelHeight() + GAP);
    Svg svg = new Svg(width, height);
    svg.text(
        labels,
        24,
        "start",
        14,
        "Points against exact attention on the same samples, with 95 % intervals");
    double at = labels;
    for (int length : lengths) {
      String name = EvalReport.length(length) + " tokens";
      svg.dot(at + 4, 44, colour(length));
      svg.text(at + 12, 48, "start", 12, name);
      at += 30 + CHARACTER * name.length();
    }
    for (int m = 0; m < models.size(); m++) {
      String model = models.get(m);
      List<Panel> own = panels.stream().filter(p -> p.model().equals(model)).toList();
      for (int p = 0; p < own.size(); p++) {
        panel(svg, own.get(p), labels + p * (PANEL + GAP), TOP + m * (panelHeight() + GAP), p == 0);
      }
    }
    return svg.end();
  }

  private String colour(int length) {
    return COLOURS.get(lengths.indexOf(length) % COLOURS.size());
  }

  private void panel(Svg svg, Panel panel, double left, double top, boolean first) {
    svg.text(left, top + 14, "start", 12, panel.model() + ", " + panel.budget().words());
    double bottom = top + TITLE + policyHeight() * policies.size();
    int ticks = (int) Math.round((high - low) / tick);
    for (int i = 0; i <= ticks; i++) {
      double points = low + i * tick;
      boolean zero = Math.abs(points) < tick / 2;
      svg.line(
          left + x(points), top + TITLE, left + x(points), bottom, zero ? "#555555" : "#dddddd", 1);
      svg.text(left + x(points), bottom + 15, "middle", 11, label(zero ? 0 : points));
    }
    for (int i = 0; i < policies.size(); i++) {
      double middle = top + TITLE + policyHeight() * (i + 0.5);
      if (first) {
        svg.text(left - 8, middle + 4, "end", 12, policies.get(i));
      }
      for (int length : lengths) {
        double y = middle + STEP * (lengths.indexOf(length) - (lengths.size() - 1) / 2.0);
        for (EvalReport.Row row : of(panel, policies.get(i), length)) {
          Interval interval = interval(row);
          svg.line(left + x(interval.low()), y, left + x(interval.high()), y, colour(length), 2);
          svg.dot(left + x(against(row).mean()), y, colour(length));
        }
      }
    }
  }

  private List<EvalReport.Row> of(Panel panel, String policy, int length) {
    return rows.stream()
        .filter(r -> settings(r).model().equals(panel.model()))
        .filter(r -> settings(r).attends().equals(panel.budget()))
        .filter(r -> settings(r).length() == length)
        .filter(r -> report.method(settings(r)).equals(policy))
        .toList();
  }

  private String label(double points) {
    return String.format(Locale.ROOT, tick < 1 ? "%.1f" : "%.0f", points);
  }
}
