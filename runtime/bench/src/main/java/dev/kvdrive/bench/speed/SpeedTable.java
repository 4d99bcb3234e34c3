package dev.kvdrive.bench.speed;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.function.ToDoubleFunction;
import org.jspecify.annotations.Nullable;

/** What was measured: a row for each engine, prompt length and budget, with the yardstick. */
public final class SpeedTable {
  private final @Nullable Spread bandwidth;
  private String device = "";
  private String beside = "";
  private final List<Row> rows = new ArrayList<>();

  /**
   * One row.
   *
   * @param engine and what it read
   * @param prompt tokens of the prompt
   * @param budget in words
   * @param prefill tokens per second
   * @param decode tokens per second
   * @param stepBytes bytes that a step has to read at least; 0 if not known
   * @param hitRate of the window, median
   * @param fetchedBytes per step, median
   * @param beside how it compares with another engine; null where there is none
   */
  public record Row(
      String engine,
      int prompt,
      String budget,
      Spread prefill,
      Spread decode,
      long stepBytes,
      double hitRate,
      double fetchedBytes,
      @Nullable Beside beside) {
    /**
     * A row of some runs.
     *
     * @param others runs of another engine, each right after or before the one here; empty for none
     */
    public static Row of(
        String engine, String budget, List<SpeedRun> runs, long stepBytes, List<SpeedRun> others) {
      return new Row(
          engine,
          runs.getFirst().promptTokens(),
          budget,
          spread(runs, SpeedRun::prefillRate),
          spread(runs, SpeedRun::decodeRate),
          stepBytes,
          spread(runs, SpeedRun::hitRate).median(),
          spread(runs, SpeedRun::fetchedBytes).median(),
          others.isEmpty()
              ? null
              : new Beside(
                  ratio(runs, others, SpeedRun::prefillRate),
                  ratio(runs, others, SpeedRun::decodeRate)));
    }

    private static Spread ratio(
        List<SpeedRun> runs, List<SpeedRun> others, ToDoubleFunction<SpeedRun> rate) {
      double[] ratios = new double[runs.size()];
      for (int i = 0; i < ratios.length; i++) {
        ratios[i] = rate.applyAsDouble(runs.get(i)) / rate.applyAsDouble(others.get(i));
      }
      return Spread.of(ratios);
    }

    private static Spread spread(List<SpeedRun> runs, ToDoubleFunction<SpeedRun> value) {
      return Spread.of(runs.stream().mapToDouble(value).toArray());
    }
  }

  /**
   * Rates as multiples of another engine's, run by run: what slows a machine down for a while slows
   * both.
   */
  public record Beside(Spread prefill, Spread decode) {}

  /**
   * @param bandwidth of the device's memory in bytes per second, on the CPU read by as many threads
   *     as the engines have; null if it was not measured, so that there is no roofline
   */
  public SpeedTable(@Nullable Spread bandwidth) {
    this.bandwidth = bandwidth;
  }

  /** Notes what this project's engine computed on, for the table's head. */
  public void on(String device) {
    this.device = device;
  }

  /** Notes the other engine that rows are compared with. */
  public void beside(String engine) {
    beside = engine;
  }

  /** Adds a row. */
  public void add(Row row) {
    rows.add(row);
  }

  /**
   * Tokens per second if a step did nothing but read its bytes at the memory's bandwidth; NaN if
   * either is not known.
   */
  public double roofline(Row row) {
    return bandwidth == null || row.stepBytes() == 0
        ? Double.NaN
        : bandwidth.median() / row.stepBytes();
  }

  /** The table as Markdown: medians, with the smallest and the largest value after them. */
  public String markdown() {
    StringBuilder out = new StringBuilder();
    if (!device.isEmpty()) {
      out.append("Device: ").append(device).append("\n\n");
    }
    if (!beside.isEmpty()) {
      out.append("Beside: ").append(beside).append("\n\n");
    }
    if (bandwidth != null) {
      out.append(
          String.format(
              Locale.ROOT,
              "Memory bandwidth, streaming read: %.1f GB/s (%.1f..%.1f)%n%n",
              bandwidth.median() / 1e9,
              bandwidth.min() / 1e9,
              bandwidth.max() / 1e9));
    }
    boolean ratios = rows.stream().anyMatch(row -> row.beside() != null);
    out.append("| engine | prompt | budget | prefill tok/s | decode tok/s |")
        .append(ratios ? " prefill, ratio | decode, ratio |" : "");
    out.append(
        " read per token | roofline tok/s | of roofline | window hits | fetched per token |\n");
    out.append("|---|--:|--:|--:|--:|").append(ratios ? "--:|--:|" : "");
    out.append("--:|--:|--:|--:|--:|\n");
    for (Row row : rows) {
      double roofline = roofline(row);
      Beside beside = row.beside();
      String compared =
          !ratios
              ? ""
              : beside == null
                  ? " - | - |"
                  : " %s | %s |".formatted(ratio(beside.prefill()), ratio(beside.decode()));
      out.append(
          String.format(
              Locale.ROOT,
              "| %s | %d | %s | %s | %s |%s %s | %s | %s | %s | %s |%n",
              row.engine(),
              row.prompt(),
              row.budget(),
              text(row.prefill()),
              text(row.decode()),
              compared,
              row.stepBytes() > 0
                  ? String.format(Locale.ROOT, "%.1f MB", row.stepBytes() / 1e6)
                  : "-",
              Double.isNaN(roofline) ? "-" : String.format(Locale.ROOT, "%.1f", roofline),
              Double.isNaN(roofline)
                  ? "-"
                  : String.format(Locale.ROOT, "%.0f %%", 100 * row.decode().median() / roofline),
              Double.isNaN(row.hitRate())
                  ? "-"
                  : String.format(Locale.ROOT, "%.1f %%", 100 * row.hitRate()),
              Double.isNaN(row.fetchedBytes())
                  ? "-"
                  : String.format(Locale.ROOT, "%.2f MB", row.fetchedBytes() / 1e6)));
    }
    return out.toString();
  }

  private static String ratio(Spread spread) {
    return String.format(
        Locale.ROOT, "%.2f (%.2f..%.2f)", spread.median(), spread.min(), spread.max());
  }

  private static String text(Spread spread) {
    return String.format(
        Locale.ROOT, "%.1f (%.1f..%.1f)", spread.median(), spread.min(), spread.max());
  }

  /** The table for programs. */
  public Map<String, Object> tree() {
    List<Map<String, Object>> list = new ArrayList<>();
    for (Row row : rows) {
      Map<String, Object> fields = new LinkedHashMap<>();
      fields.put("engine", row.engine());
      fields.put("promptTokens", row.prompt());
      fields.put("budget", row.budget());
      fields.put("prefillTokensPerSecond", row.prefill());
      fields.put("decodeTokensPerSecond", row.decode());
      if (row.beside() != null) {
        fields.put("beside", row.beside());
      }
      if (row.stepBytes() > 0) {
        fields.put("readBytesPerToken", row.stepBytes());
      }
      if (!Double.isNaN(roofline(row))) {
        fields.put("rooflineTokensPerSecond", roofline(row));
      }
      if (!Double.isNaN(row.hitRate())) {
        fields.put("windowHitRate", row.hitRate());
        fields.put("fetchedBytesPerToken", row.fetchedBytes());
      }
      list.add(fields);
    }
    Map<String, Object> tree = new LinkedHashMap<>();
    tree.put("device", device);
    if (!beside.isEmpty()) {
      tree.put("beside", beside);
    }
    if (bandwidth != null) {
      tree.put("memoryBytesPerSecond", bandwidth);
    }
    tree.put("rows", list);
    return tree;
  }
}
