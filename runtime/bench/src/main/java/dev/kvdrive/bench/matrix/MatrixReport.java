package dev.kvdrive.bench.matrix;

import dev.kvdrive.bench.matrix.SpeedMatrix.CellFigures;
import dev.kvdrive.bench.speed.Spread;
import java.util.List;
import java.util.Locale;
import java.util.TreeMap;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;

/** A matrix as Markdown. */
public final class MatrixReport {
  private static final double GIB = 1 << 30;

  private MatrixReport() {}

  /** A table for each cell; behind them what is missing and where the lines of dense cross. */
  public static String markdown(SpeedMatrix matrix) {
    StringBuilder out = new StringBuilder();
    out.append(
            new TreeMap<>(matrix.facts())
                .entrySet().stream()
                    .map(fact -> fact.getKey() + " " + fact.getValue())
                    .collect(Collectors.joining(", ")))
        .append(".\n");
    for (CellFigures cell : matrix.cells()) {
      if (cell.figures().stream().anyMatch(Figures::measured)) {
        out.append('\n');
        table(out, cell);
      }
    }
    matrix
        .denseUpTo()
        .ifPresent(
            length ->
                out.append(
                    length == 0
                        ? "\nAttending everything is slower than choosing at every length measured.\n"
                        : "\nAttending everything is at least as fast as choosing up to %,d tokens.\n"
                            .formatted(length)));
    List<String> missing = matrix.missing();
    if (!missing.isEmpty()) {
      out.append("\nMissing:\n\n");
      missing.forEach(line -> out.append("- ").append(line).append('\n'));
    }
    return out.toString();
  }

  private static void table(StringBuilder out, CellFigures cell) {
    out.append("**").append(cell.cell().words()).append("**");
    SpeedMatrix.Caps caps = cell.caps();
    if (caps != null) {
      out.append(
          String.format(
              Locale.ROOT,
              ": %.2f GiB GPU, %.2f GiB DRAM, %.2f GiB NVMe (* as many as it needs)",
              caps.gpu() / GIB,
              caps.dram() / GIB,
              caps.nvme() / GIB));
    }
    out.append(
        String.format(
            Locale.ROOT,
            "%n%n| | decode tok/s | times kvdrive | prefill tok/s | answer of %d | times kvdrive"
                + " | hits | chunks a token from DRAM, NVMe |%n",
            SpeedMatrix.ANSWER_TOKENS));
    out.append("|---|--:|--:|--:|--:|--:|--:|--:|\n");
    @Nullable Figures base = cell.base().orElse(null);
    int batch = cell.cell().batch();
    for (Figures figures : cell.figures()) {
      if (!figures.measured()) {
        continue;
      }
      double seconds = figures.answerSeconds(SpeedMatrix.ANSWER_TOKENS, batch);
      out.append(
          String.format(
              Locale.ROOT,
              "| %s%s | %s | %s | %.0f | %.2f s | %s | %s | %.1f, %.1f |%n",
              figures.variation().words(),
              figures.variation().capped() ? "" : " *",
              spread(figures.rate(), 1),
              base == null ? "-" : spread(figures.against(base), 2),
              cell.cell().length() / (figures.promptNanos() / 1e9),
              seconds,
              base == null
                  ? "-"
                  : String.format(
                      Locale.ROOT,
                      "%.2f",
                      base.answerSeconds(SpeedMatrix.ANSWER_TOKENS, batch) / seconds),
              Double.isNaN(figures.hitRate())
                  ? "-"
                  : String.format(Locale.ROOT, "%.1f %%", 100 * figures.hitRate()),
              figures.dramChunks(),
              figures.nvmeChunks()));
    }
  }

  private static String spread(@Nullable Spread spread, int decimals) {
    return spread == null
        ? "-"
        : "%s (%s..%s)"
            .formatted(
                number(spread.median(), decimals),
                number(spread.min(), decimals),
                number(spread.max(), decimals));
  }

  private static String number(double value, int decimals) {
    return String.format(Locale.ROOT, "%." + decimals + "f", value);
  }
}
