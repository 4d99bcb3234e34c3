package dev.kvdrive.bench.speed;

import java.util.ArrayList;
import java.util.EnumMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * Microseconds of each stage of a step, beside what its bytes would take at the memory's bandwidth.
 */
public final class StageTable {
  private final @Nullable Spread bandwidth;
  private final List<Column> columns = new ArrayList<>();

  /**
   * @param cells one for each stage
   */
  private record Column(String name, Map<Stage, Cell> cells) {
    private Cell of(Stage stage) {
      return Objects.requireNonNull(cells.get(stage));
    }

    private Cell all() {
      double nanos = cells.values().stream().mapToDouble(cell -> cell.nanos().median()).sum();
      return new Cell(
          new Spread(nanos, nanos, nanos),
          cells.values().stream().mapToDouble(Cell::floorNanos).sum());
    }
  }

  /**
   * @param floorNanos 0 if not known
   */
  private record Cell(Spread nanos, double floorNanos) {
    @Override
    public String toString() {
      return floorNanos > 0
          ? String.format(Locale.ROOT, " %.0f / %.0f |", nanos.median() / 1e3, floorNanos / 1e3)
          : String.format(Locale.ROOT, " %.0f |", nanos.median() / 1e3);
    }
  }

  /**
   * @param bandwidth in bytes per second; null if it was not measured
   */
  public StageTable(@Nullable Spread bandwidth) {
    this.bandwidth = bandwidth;
  }

  /**
   * Adds a column.
   *
   * @param runs at least one, with the times of verbs
   * @param bytes of a step
   */
  public void add(String name, List<SpeedRun> runs, StepBytes bytes, int sequences) {
    double fetched =
        Spread.of(runs.stream().mapToDouble(SpeedRun::fetchedBytes).toArray()).median();
    Map<Stage, Cell> cells = new EnumMap<>(Stage.class);
    for (Stage stage : Stage.values()) {
      cells.put(
          stage,
          new Cell(
              Spread.of(runs.stream().mapToDouble(run -> stage.nanos(run, sequences)).toArray()),
              bandwidth == null
                  ? 0
                  : 1e9 * stage.bytes(bytes, fetched, sequences) / bandwidth.median()));
    }
    columns.add(new Column(name, cells));
  }

  /** The table as Markdown: medians in microseconds, with the floor after a slash. */
  public String markdown() {
    StringBuilder out = new StringBuilder("| us of a step / floor |");
    columns.forEach(column -> out.append(' ').append(column.name()).append(" |"));
    out.append("\n|---|").append("--:|".repeat(columns.size())).append('\n');
    for (Stage stage : Stage.values()) {
      out.append("| ").append(stage).append(" |");
      columns.forEach(column -> out.append(column.of(stage)));
      out.append('\n');
    }
    out.append("| **all** |");
    columns.forEach(column -> out.append(column.all()));
    return out.append('\n').toString();
  }

  /** The table for programs. */
  public List<Map<String, Object>> tree() {
    List<Map<String, Object>> tree = new ArrayList<>();
    for (Column column : columns) {
      Map<String, Object> of = new LinkedHashMap<>();
      of.put("engine", column.name());
      for (Stage stage : Stage.values()) {
        of.put(stage.toString(), column.of(stage));
      }
      tree.add(of);
    }
    return tree;
  }
}
