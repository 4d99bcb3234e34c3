package dev.kvdrive.bench.simulate;

import dev.kvdrive.bench.simulate.Simulation.Counts;
import dev.kvdrive.bench.simulate.Simulation.Setting;
import dev.kvdrive.kv.policy.SelectionObserver.Purpose;
import dev.kvdrive.plan.WindowOptions;
import dev.kvdrive.plan.WindowOptions.Division;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeSet;
import org.jspecify.annotations.Nullable;

/**
 * Every rule, division and way to fill windows, in windows of several sizes, over all recordings:
 * the table of {@code ./kvdrive simulate}.
 */
public final class SimulationTable {
  /** Tokens of a warm-up; more than were recorded are those that were. */
  private static final List<Integer> WARM_UPS = List.of(16, 32, 64);

  private final List<Recording> recorded;
  private final List<Recording> recordings;
  private final List<Double> sizes;
  private final Map<String, Map<Double, Counts>> rows = new LinkedHashMap<>();
  private final Map<String, Counts> tiers = new LinkedHashMap<>();
  private final @Nullable Double budget;

  /**
   * @param recordings of one model
   * @param sizes of the windows, in selections of the largest context of a recording
   * @param budget of the sequences that are looked at; null for all
   */
  public SimulationTable(List<Recording> recordings, List<Double> sizes, @Nullable Double budget) {
    recorded = recordings;
    this.recordings =
        budget == null
            ? recordings
            : recordings.stream().map(recording -> recording.only(budget)).toList();
    this.sizes = sizes;
    this.budget = budget;
  }

  /** Chunks of a selection of the largest context. */
  private static int selection(Recording of, double share) {
    return (int) Math.ceil(share * of.header().maxChunks());
  }

  private double share(Recording of) {
    if (budget != null) {
      return budget;
    }
    TreeSet<Double> all = new TreeSet<>();
    for (Recording.Event event : of.events()) {
      if (event instanceof Recording.Opened(int seat, double share) && share < 1) {
        all.add(share);
      }
    }
    return all.isEmpty() ? 1 : all.last();
  }

  private Counts run(WindowOptions windows, Keeping keeping, double size, boolean asRecorded) {
    Counts sum = Counts.none();
    for (Recording recording : asRecorded ? recorded : recordings) {
      Setting setting = Setting.of(recording.header()).with(keeping);
      if (!asRecorded) {
        int selection = selection(recording, share(recording));
        setting = setting.with(windows).withSlots((int) Math.ceil(size * selection), selection);
      }
      sum = sum.plus(Simulation.run(recording, setting, null));
    }
    return sum;
  }

  /** Runs everything. */
  public void run() {
    WindowOptions plain = new WindowOptions(Division.UNIFORM, 0, false);
    for (Keeping keeping : Keeping.values()) {
      row(keeping.word(), plain, keeping);
    }
    row("lookahead, slots by reuse", plain.with(Division.BY_REUSE), Keeping.LOOKAHEAD);
    boolean warm = has(Purpose.WARM_UP);
    boolean ahead = has(Purpose.PREFETCH);
    if (warm) {
      for (int tokens : WARM_UPS) {
        row(
            "lookahead, warm-up by %d tokens".formatted(tokens),
            plain.withWarmUp(tokens),
            Keeping.LOOKAHEAD);
      }
      row(
          "lookahead, slots by reuse, warm-up",
          plain.with(Division.BY_REUSE).withWarmUp(WARM_UPS.getLast()),
          Keeping.LOOKAHEAD);
    }
    if (ahead) {
      row("lookahead, prefetch", plain.withPrefetch(true), Keeping.LOOKAHEAD);
      row(
          "lookahead, slots by reuse, warm-up, prefetch",
          plain.with(Division.BY_REUSE).withWarmUp(WARM_UPS.getLast()).withPrefetch(true),
          Keeping.LOOKAHEAD);
    }
  }

  private boolean has(Purpose purpose) {
    return recordings.stream()
        .flatMap(recording -> recording.events().stream())
        .anyMatch(e -> e instanceof Recording.Chosen c && c.purpose() == purpose);
  }

  private void row(String name, WindowOptions windows, Keeping keeping) {
    Map<Double, Counts> row = new LinkedHashMap<>();
    for (double size : sizes) {
      row.put(size, run(windows, keeping, size, false));
    }
    rows.put(name, row);
  }

  /**
   * Adds how much is read from NVMe where DRAM holds a share of the chunks, in windows of the first
   * size.
   *
   * @param share of the extents in DRAM
   * @param extents chunks of an extent, a row for each and each {@link Placing}
   */
  public void tiers(double share, List<Integer> extents) {
    boolean warm = has(Purpose.WARM_UP);
    for (int chunks : extents) {
      for (Placing placing : Placing.values()) {
        if (warm || placing != Placing.WARM_UP) {
          tiers.put(
              "%d chunks an extent, %s".formatted(chunks, placing.words()),
              tiers(share, chunks, placing));
        }
      }
    }
  }

  private Counts tiers(double share, int chunks, Placing placing) {
    Counts sum = Counts.none();
    for (Recording recording : recordings) {
      int selection = selection(recording, share(recording));
      Setting setting =
          Setting.of(recording.header())
              .with(new WindowOptions(Division.UNIFORM, 0, false))
              .with(placing)
              .withSlots((int) Math.ceil(sizes.getFirst() * selection), selection)
              .withTiers(share, chunks);
      sum = sum.plus(Simulation.run(recording, setting, null));
    }
    return sum;
  }

  /** The engine's own numbers, as it was recorded. */
  public Counts asRecorded() {
    return run(WindowOptions.DEFAULT, Keeping.LOOKAHEAD, 0, true);
  }

  /** As Markdown: hits of all steps, then of the first ones. */
  public String markdown() {
    StringBuilder out = new StringBuilder();
    out.append("Hits, percent, by slots of a window in selections:\n\n");
    table(out, Counts::hitRate);
    out.append(
        "\nHits of the first %d steps of each sequence:\n\n".formatted(Simulation.FIRST_STEPS));
    table(out, Counts::firstHitRate);
    if (!tiers.isEmpty()) {
      out.append(
          "\n| | extents read a step | KiB a step | bytes read for a useful byte |\n|---|--:|--:|--:|\n");
      int bytes = recordings.getFirst().header().chunkBytes();
      tiers.forEach(
          (name, counts) -> {
            int chunks = Integer.parseInt(name.substring(0, name.indexOf(' ')));
            out.append(
                String.format(
                    Locale.ROOT,
                    "| %s | %.1f | %.0f | %.2f |\n",
                    name,
                    (double) counts.nvmeExtents() / counts.steps(),
                    (double) counts.nvmeExtents() * chunks * bytes / counts.steps() / 1024,
                    (double) counts.nvmeExtents() * chunks / Math.max(1, counts.nvmeChunks())));
          });
    }
    return out.toString();
  }

  private interface Rate {
    double of(Counts counts);
  }

  private void table(StringBuilder out, Rate rate) {
    out.append("| |");
    sizes.forEach(size -> out.append(" ").append(size).append(" |"));
    out.append("\n|---|").append("--:|".repeat(sizes.size())).append("\n");
    rows.forEach(
        (name, row) -> {
          out.append("| ").append(name).append(" |");
          row.values()
              .forEach(
                  counts ->
                      out.append(String.format(Locale.ROOT, " %.1f |", 100 * rate.of(counts))));
          out.append("\n");
        });
  }

  /** Everything, for programs. */
  public Map<String, Object> tree() {
    Map<String, Object> tree = new LinkedHashMap<>();
    tree.put("model", recordings.getFirst().header().model());
    tree.put("recordings", recordings.size());
    tree.put("windowSelections", sizes);
    Map<String, Object> all = new LinkedHashMap<>();
    rows.forEach(
        (name, row) -> {
          List<Object> counts = new ArrayList<>(row.values());
          all.put(name, counts);
        });
    tree.put("rows", all);
    tree.put("tiers", tiers);
    return tree;
  }
}
