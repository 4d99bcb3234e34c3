package dev.kvdrive.bench.matrix;

import dev.kvdrive.bench.matrix.SpeedMatrix.Caps;
import dev.kvdrive.bench.matrix.SpeedMatrix.CellFigures;
import dev.kvdrive.bench.speed.PacedProbe;
import dev.kvdrive.bench.speed.ProbeSettings;
import dev.kvdrive.bench.speed.Stretch;
import dev.kvdrive.plan.InfeasiblePlanException;
import dev.kvdrive.plan.ModelGeometry;
import dev.kvdrive.plan.Planner;
import dev.kvdrive.plan.TierBudgets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.function.LongSupplier;
import org.jspecify.annotations.Nullable;

/**
 * Measures cells one after the other: every configuration is started and reads the prompt once,
 * then all decode in turn, round by round, so that what changes on the machine changes for all of
 * them. A cell has its part of the time that is left; what it does not get to is told.
 */
public final class MatrixRun {
  /** Tokens from which the rate is known well enough to cut rounds by it. */
  private static final int FIRST_TOKENS = 8;

  /** Share of a cell's time in which configurations are started at most. */
  private static final double STARTING = 0.5;

  /** Share of it after which no more prompts are begun. */
  private static final double READING = 0.75;

  private final ProbeSettings usual;
  private final ModelGeometry model;
  private final Extent extent;
  private final Machine machine;
  private final List<CellFigures> done = new ArrayList<>();

  /**
   * How much is measured.
   *
   * @param tokens that each sequence writes in a round at most
   * @param rounds that count, at most
   * @param settling tokens of an answer of its own by which each configuration's code is compiled
   * @param stretch the longest that a configuration should take for its part of a round
   * @param only what is measured beside {@link Variation#NONE}
   * @param within for everything together
   */
  public record Extent(
      int tokens,
      int rounds,
      int settling,
      Duration stretch,
      Set<Variation> only,
      Duration within) {
    /**
     * Tokens that a sequence may write in all, the first included. A sequence that waits for the
     * drive is overtaken by the others of its batch: they have room for two rounds more.
     */
    public int allTokens() {
      return 1 + FIRST_TOKENS + (rounds + 3) * tokens;
    }
  }

  /** What it runs on. */
  public interface Machine {
    /** Starts a configuration; several threads. */
    PacedProbe start(ProbeSettings settings);

    /** How many are started at once. */
    int startsAtOnce();

    /** Nanoseconds. */
    LongSupplier clock();

    /** What is going on, for a person. */
    void tell(String line);
  }

  /**
   * @param usual how {@code serve} would run, with an empty prompt
   * @param model its geometry
   */
  public MatrixRun(ProbeSettings usual, ModelGeometry model, Extent extent, Machine machine) {
    this.usual = usual;
    this.model = model;
    this.extent = extent;
    this.machine = machine;
  }

  /** A configuration under way. */
  private static final class Runner {
    private final Variation variation;
    private final List<Stretch> rounds = new ArrayList<>();
    private @Nullable ProbeSettings settings;
    private @Nullable PacedProbe probe;
    private long promptNanos;
    private int tokens = FIRST_TOKENS;
    private @Nullable String failure;

    private Runner(Variation variation) {
      this.variation = variation;
    }

    private PacedProbe probe() {
      if (probe == null) {
        throw new IllegalStateException(variation + " was not started");
      }
      return probe;
    }

    private boolean runs() {
      return probe != null && failure == null;
    }

    private Figures figures() {
      return new Figures(variation, promptNanos, rounds, failure);
    }
  }

  /**
   * Measures.
   *
   * @return what was measured, and what was not
   */
  public List<CellFigures> measure(List<Cell> cells) {
    long end = now() + extent.within().toNanos();
    for (int i = 0; i < cells.size(); i++) {
      long now = now();
      done.add(cell(cells.get(i), now, now + Math.max(0, end - now) / (cells.size() - i), end));
    }
    return List.copyOf(done);
  }

  private CellFigures cell(Cell cell, long from, long until, long end) {
    ProbeSettings base = settings(cell);
    List<Runner> runners = new ArrayList<>();
    for (Variation variation : Variation.values()) {
      boolean asked = variation == Variation.NONE || extent.only().contains(variation);
      ProbeSettings varied = asked ? variation.of(base, model) : null;
      if (asked && varied == null) {
        machine.tell("%s, %s: nothing would differ".formatted(cell.words(), variation.words()));
      }
      if (varied != null) {
        Runner runner = new Runner(variation);
        runner.settings = varied;
        runners.add(runner);
      }
    }
    Caps caps = null;
    try {
      caps = cap(base, runners);
      start(cell, runners, from + (long) (STARTING * (until - from)), end);
      prompts(cell, runners, from + (long) (READING * (until - from)), end);
      rounds(cell, runners, until, end);
    } finally {
      for (Runner runner : runners) {
        if (runner.probe != null) {
          runner.probe.close();
        }
      }
    }
    return new CellFigures(cell, caps, runners.stream().map(Runner::figures).toList());
  }

  private ProbeSettings settings(Cell cell) {
    ProbeSettings.Tiers tiers = usual.tiers();
    return usual
        .of(new ProbeSettings.Work(cell.length(), extent.allTokens(), cell.batch()))
        .with(tiers.withDramShare(cell.tiers().dramShare()));
  }

  /**
   * Gives those that are capped the same bytes: GPU memory for the windows of what {@code serve}
   * does, DRAM for its share of the KV cache, and NVMe for all of every cache. Where everything is
   * to be in DRAM, that is room for the largest of them.
   */
  private Caps cap(ProbeSettings base, List<Runner> runners) {
    TierBudgets own = base.request(model).tiers();
    long dram = own.dram();
    long nvme = own.nvme();
    for (Runner runner : runners) {
      ProbeSettings settings = runner.settings;
      if (settings != null && runner.variation.capped()) {
        TierBudgets needed = settings.request(model).tiers();
        if (needed.nvme() > 0) {
          nvme = Math.max(nvme, needed.dram() + needed.nvme());
        }
        if (base.tiers().dramShare() >= 1) {
          dram = Math.max(dram, needed.dram());
        }
      }
    }
    TierBudgets caps = new TierBudgets(own.gpu(), dram, nvme);
    for (Runner runner : runners) {
      ProbeSettings settings = runner.settings;
      if (settings != null && runner.variation.capped()) {
        runner.settings = settings.with(settings.tiers().within(caps));
        try {
          Planner.plan(runner.settings.request(model)).requireSizes();
        } catch (InfeasiblePlanException e) {
          runner.failure = "does not fit the same bytes: " + firstSentence(e);
        }
      }
    }
    return new Caps(caps.gpu(), caps.dram(), caps.nvme());
  }

  private void start(Cell cell, List<Runner> runners, long until, long end) {
    try (ExecutorService starters = Executors.newFixedThreadPool(machine.startsAtOnce())) {
      List<Future<?>> starts = new ArrayList<>();
      for (Runner runner : runners) {
        starts.add(starters.submit(() -> start(runner, until)));
      }
      for (int i = 0; i < starts.size(); i++) {
        get(starts.get(i));
        machine.tell(line(cell, runners.get(i), "started", end));
      }
    }
  }

  private void start(Runner runner, long until) {
    ProbeSettings settings = runner.settings;
    if (runner.failure != null || settings == null) {
      return;
    }
    if (now() > until) {
      runner.failure = "not started in time";
      return;
    }
    attempt(
        runner,
        () -> {
          runner.probe = machine.start(settings);
          runner.probe().settle(extent.settling());
        });
  }

  private void prompts(Cell cell, List<Runner> runners, long until, long end) {
    for (Runner runner : runners) {
      if (runner.runs() && now() > until && runner.variation != Variation.NONE) {
        runner.failure = "its prompt was not read in time";
      }
      if (runner.runs()) {
        attempt(
            runner,
            () -> {
              runner.promptNanos = runner.probe().prompt();
              double rate = runner.probe().go(FIRST_TOKENS).rate() / cell.batch();
              double most = rate * extent.stretch().toNanos() / 1e9;
              runner.tokens = Math.min(extent.tokens(), Math.max(FIRST_TOKENS, (int) most));
            });
        machine.tell(line(cell, runner, "prompt %.1f s".formatted(runner.promptNanos / 1e9), end));
      }
    }
  }

  /** One round that does not count, then as many as there is time for. */
  private void rounds(Cell cell, List<Runner> runners, long until, long end) {
    long longest = 0;
    for (int round = -1; round < extent.rounds(); round++) {
      long from = now();
      if (from + longest > until) {
        tooLate(runners, round);
        return;
      }
      StringBuilder rates = new StringBuilder();
      for (int i = 0; i < runners.size(); i++) {
        // Who comes first changes from round to round.
        Runner runner = runners.get((i + Math.max(0, round)) % runners.size());
        if (!runner.runs()) {
          continue;
        }
        boolean counts = round >= 0;
        attempt(
            runner,
            () -> {
              Stretch stretch = runner.probe().go(runner.tokens);
              if (counts) {
                runner.rounds.add(stretch);
              }
              rates.append(
                  String.format(
                      Locale.ROOT, " %s %.1f,", runner.variation.words(), stretch.rate()));
            });
      }
      longest = Math.max(longest, now() - from);
      machine.tell(
          "%s, %s:%s %s left"
              .formatted(
                  cell.words(), round < 0 ? "warm-up" : "round " + (round + 1), rates, left(end)));
    }
  }

  private void tooLate(List<Runner> runners, int round) {
    for (Runner runner : runners) {
      if (runner.runs()) {
        runner.failure = "time for %d of %d rounds".formatted(Math.max(0, round), extent.rounds());
      }
    }
  }

  private static void attempt(Runner runner, Runnable measuring) {
    try {
      measuring.run();
    } catch (RuntimeException e) {
      runner.failure = "failed: " + firstLine(e);
    }
  }

  private static void get(Future<?> future) {
    try {
      future.get();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IllegalStateException("interrupted", e);
    } catch (java.util.concurrent.ExecutionException e) {
      throw new IllegalStateException(e.getCause());
    }
  }

  private String line(Cell cell, Runner runner, String what, long end) {
    return "%s: %s, %s; %s left"
        .formatted(
            cell.words(),
            runner.variation.words(),
            runner.failure == null ? what : runner.failure,
            left(end));
  }

  private String left(long end) {
    long seconds = Math.max(0, (end - now()) / 1_000_000_000);
    return "%d:%02d".formatted(seconds / 60, seconds % 60);
  }

  private long now() {
    return machine.clock().getAsLong();
  }

  private static String firstSentence(Exception e) {
    String line = firstLine(e);
    int end = line.indexOf(". ");
    return end < 0 ? line : line.substring(0, end);
  }

  private static String firstLine(Exception e) {
    return String.valueOf(e.getMessage()).lines().findFirst().orElse("");
  }
}
