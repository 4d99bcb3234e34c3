package dev.kvdrive.bench.matrix;

import dev.kvdrive.bench.matrix.SpeedMatrix.CellFigures;
import dev.kvdrive.bench.plot.Svg;
import dev.kvdrive.bench.speed.Spread;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.TreeSet;
import org.jspecify.annotations.Nullable;

/**
 * A matrix as a drawing: a panel for each tiering and batch, in it a line for each configuration
 * and a dot for each length, which is how many times as fast as {@code kvdrive} it decodes; the bar
 * through it goes from the smallest round to the largest. All panels have one scale.
 */
public final class MatrixPlot {
  private static final List<String> COLOURS =
      List.of("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9");
  private static final double PANEL = 320;
  private static final double GAP = 30;
  private static final double TOP = 64;
  private static final double TITLE = 26;
  private static final double STEP = 11;
  private static final double LABELS = 200;
  private static final double CHARACTER = 6.6;

  private final List<CellFigures> cells;
  private final List<Integer> lengths;
  private final List<Variation> variations;
  private final double most;
  private final double tick;

  private MatrixPlot(List<CellFigures> cells) {
    this.cells = cells;
    lengths = List.copyOf(new TreeSet<>(cells.stream().map(c -> c.cell().length()).toList()));
    TreeSet<Variation> seen = new TreeSet<>();
    double largest = 1;
    for (CellFigures cell : cells) {
      for (Figures figures : cell.figures()) {
        Spread ratio = ratio(cell, figures);
        if (ratio != null) {
          seen.add(figures.variation());
          largest = Math.max(largest, ratio.max());
        }
      }
    }
    variations = List.copyOf(seen);
    tick = largest > 5 ? 1 : largest > 2.5 ? 0.5 : 0.25;
    most = tick * Math.ceil(largest / tick);
  }

  /**
   * Draws a matrix as SVG.
   *
   * @throws IllegalArgumentException if nothing was measured beside {@code kvdrive}
   */
  public static String svg(SpeedMatrix matrix) {
    MatrixPlot plot = of(matrix);
    if (!draws(matrix)) {
      throw new IllegalArgumentException(
          "there is nothing to draw: no configuration was measured in one round with kvdrive");
    }
    return plot.draw();
  }

  /** Whether there is anything to draw. */
  public static boolean draws(SpeedMatrix matrix) {
    return !of(matrix).variations.isEmpty();
  }

  private static MatrixPlot of(SpeedMatrix matrix) {
    return new MatrixPlot(matrix.cells().stream().filter(CellFigures::measured).toList());
  }

  private static @Nullable Spread ratio(CellFigures cell, Figures figures) {
    return figures.variation() == Variation.NONE || cell.base().isEmpty()
        ? null
        : figures.against(cell.base().get());
  }

  private record Panel(Tiering tiers, int batch) {}

  private double lineHeight() {
    return STEP * lengths.size() + 6;
  }

  private double panelHeight() {
    return TITLE + lineHeight() * variations.size() + 30;
  }

  private double x(double ratio) {
    return PANEL * ratio / most;
  }

  private String draw() {
    List<Panel> panels = new ArrayList<>();
    for (CellFigures cell : cells) {
      Panel panel = new Panel(cell.cell().tiers(), cell.cell().batch());
      if (!panels.contains(panel)) {
        panels.add(panel);
      }
    }
    int across = Math.min(panels.size(), 2);
    int down = Math.ceilDiv(panels.size(), across);
    Svg svg = new Svg(LABELS + across * (PANEL + GAP), TOP + down * (panelHeight() + GAP));
    svg.text(
        LABELS,
        24,
        "start",
        14,
        "Decoding, times as fast as kvdrive in the same round: median, slowest, fastest");
    double at = LABELS;
    for (int length : lengths) {
      String name = new Cell(length, 1, Tiering.DRAM).lengthWords() + " tokens";
      svg.dot(at + 4, 44, colour(length));
      svg.text(at + 12, 48, "start", 12, name);
      at += 30 + CHARACTER * name.length();
    }
    for (int i = 0; i < panels.size(); i++) {
      int column = i % across;
      int row = i / across;
      panel(
          svg,
          panels.get(i),
          LABELS + column * (PANEL + GAP),
          TOP + row * (panelHeight() + GAP),
          column == 0);
    }
    return svg.end();
  }

  private String colour(int length) {
    return COLOURS.get(lengths.indexOf(length) % COLOURS.size());
  }

  private void panel(Svg svg, Panel panel, double left, double top, boolean first) {
    svg.text(
        left,
        top + 14,
        "start",
        12,
        "KV cache %s, batch %d".formatted(panel.tiers().words(), panel.batch()));
    double bottom = top + TITLE + lineHeight() * variations.size();
    for (int i = 0; i <= Math.round(most / tick); i++) {
      double ratio = i * tick;
      String colour = ratio == 1 ? "#555555" : "#dddddd";
      svg.line(left + x(ratio), top + TITLE, left + x(ratio), bottom, colour, 1);
      svg.text(
          left + x(ratio), bottom + 15, "middle", 11, String.format(Locale.ROOT, "%.2f", ratio));
    }
    for (int i = 0; i < variations.size(); i++) {
      double middle = top + TITLE + lineHeight() * (i + 0.5);
      if (first) {
        svg.text(left - 8, middle + 4, "end", 12, variations.get(i).words());
      }
      for (CellFigures cell : cells) {
        if (new Panel(cell.cell().tiers(), cell.cell().batch()).equals(panel)) {
          dot(svg, cell, variations.get(i), left, middle);
        }
      }
    }
  }

  private void dot(Svg svg, CellFigures cell, Variation variation, double left, double middle) {
    Spread ratio = cell.of(variation).map(figures -> ratio(cell, figures)).orElse(null);
    if (ratio == null) {
      return;
    }
    int length = cell.cell().length();
    double y = middle + STEP * (lengths.indexOf(length) - (lengths.size() - 1) / 2.0);
    svg.line(left + x(ratio.min()), y, left + x(ratio.max()), y, colour(length), 2);
    svg.dot(left + x(ratio.median()), y, colour(length));
  }
}
