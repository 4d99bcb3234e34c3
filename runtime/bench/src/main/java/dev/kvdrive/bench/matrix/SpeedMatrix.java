package dev.kvdrive.bench.matrix;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/**
 * What was measured, of one run or several.
 *
 * @param facts of the run: model, budget, device and so on
 * @param cells in the order of measurement
 */
public record SpeedMatrix(Map<String, String> facts, List<CellFigures> cells) {
  /** Tokens of the whole answers that are told. */
  public static final int ANSWER_TOKENS = 128;

  public SpeedMatrix {
    facts = Map.copyOf(new TreeMap<>(facts));
    cells = List.copyOf(cells);
  }

  /**
   * One cell.
   *
   * @param caps bytes that the configurations have; null if nothing was begun
   * @param figures of each configuration
   */
  public record CellFigures(Cell cell, @Nullable Caps caps, List<Figures> figures) {
    public CellFigures {
      figures = List.copyOf(figures);
    }

    /** Those of a variation, if there are any. */
    public Optional<Figures> of(Variation variation) {
      return figures.stream().filter(f -> f.variation() == variation).findFirst();
    }

    /** Whether there is anything to compare with. */
    public boolean measured() {
      return base().isPresent();
    }

    /** What all others are compared with, if it was measured. */
    public Optional<Figures> base() {
      return of(Variation.NONE).filter(Figures::measured);
    }
  }

  /** Bytes of the tiers. */
  public record Caps(long gpu, long dram, long nvme) {}

  /**
   * Several runs as one. A cell that two of them have measured is there twice, since a ratio is of
   * one run; one that only others have measured is left out.
   *
   * @throws IllegalArgumentException if they are not of one model and budget on one device
   */
  public static SpeedMatrix merged(List<SpeedMatrix> runs) {
    Set<Cell> measured = new HashSet<>();
    List<CellFigures> cells = new ArrayList<>();
    for (SpeedMatrix run : runs) {
      if (!run.facts.equals(runs.getFirst().facts)) {
        throw new IllegalArgumentException(
            "only runs under the same conditions can be told as one, got %s and %s"
                .formatted(new TreeMap<>(runs.getFirst().facts), new TreeMap<>(run.facts)));
      }
      cells.addAll(run.cells);
      run.cells.stream().filter(CellFigures::measured).forEach(cell -> measured.add(cell.cell()));
    }
    cells.removeIf(cell -> !cell.measured() && measured.contains(cell.cell()));
    cells.sort(Comparator.comparing(CellFigures::cell, Cell.IN_ORDER));
    return new SpeedMatrix(runs.getFirst().facts, cells);
  }

  /** What has no figures, and why, in words. */
  public List<String> missing() {
    List<String> all = new ArrayList<>();
    for (CellFigures cell : cells) {
      for (Figures figures : cell.figures()) {
        if (figures.failure() != null) {
          all.add(
              "%s, %s: %s%s"
                  .formatted(
                      cell.cell().words(),
                      figures.variation().words(),
                      figures.failure(),
                      figures.measured()
                          ? " (%d rounds counted)".formatted(figures.rounds().size())
                          : ""));
        }
      }
    }
    return all;
  }

  /**
   * The longest of the lengths measured up to which attending everything is at least as fast as
   * choosing, at it and at all shorter ones, one sequence and everything in DRAM; 0 if it never is.
   * Empty if fewer than two lengths were measured so.
   */
  public Optional<Integer> denseUpTo() {
    Map<Integer, Double> ratios = new TreeMap<>();
    for (CellFigures cell : cells) {
      if (cell.cell().batch() == 1 && cell.cell().tiers() == Tiering.DRAM) {
        cell.base()
            .flatMap(base -> cell.of(Variation.DENSE).map(dense -> dense.against(base)))
            .ifPresent(ratio -> ratios.put(cell.cell().length(), ratio.median()));
      }
    }
    int longest = 0;
    for (Map.Entry<Integer, Double> ratio : ratios.entrySet()) {
      if (ratio.getValue() < 1) {
        break;
      }
      longest = ratio.getKey();
    }
    return ratios.size() < 2 ? Optional.empty() : Optional.of(longest);
  }
}
