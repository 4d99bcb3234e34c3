package dev.kvdrive.bench.simulate;

import dev.kvdrive.bench.simulate.Recording.Chosen;
import dev.kvdrive.bench.simulate.Recording.Closed;
import dev.kvdrive.bench.simulate.Recording.Event;
import dev.kvdrive.bench.simulate.Recording.Opened;
import dev.kvdrive.bench.simulate.Recording.Stepped;
import dev.kvdrive.device.LayerReuse;
import dev.kvdrive.kv.window.WindowDivision;
import dev.kvdrive.plan.WindowOptions;
import java.util.Arrays;
import java.util.HashSet;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * Replays a recording through windows of a rule, size and division, and counts as an engine counts.
 * What an engine does with its windows depends on nothing but what is selected, so that for its own
 * rule, sizes and options the numbers are those of the engine.
 */
public final class Simulation {
  /** Steps of a sequence that count as its first. */
  public static final int FIRST_STEPS = 64;

  /**
   * What is simulated.
   *
   * @param keeping by what chunks stay
   * @param shape of the windows
   * @param windows how they are divided, and whether what was recorded for warm-up and prefetch is
   *     used
   * @param dram share of the extents of a sequence that DRAM holds, the least recently used leaving
   *     first; 1 for all
   * @param extentChunks chunks of an extent
   * @param placing which chunks share one
   */
  public record Setting(
      Keeping keeping,
      WindowDivision.Shape shape,
      WindowOptions windows,
      double dram,
      int extentChunks,
      Placing placing) {
    /** As the engine ran that was recorded. */
    public static Setting of(RecordingHeader header) {
      return new Setting(
          Keeping.LOOKAHEAD,
          header.shape(),
          header.windows(),
          1,
          header.extentChunks(),
          Placing.POSITION);
    }

    public Setting with(Keeping rule) {
      return new Setting(rule, shape, windows, dram, extentChunks, placing);
    }

    public Setting with(WindowOptions options) {
      return new Setting(keeping, shape, options, dram, extentChunks, placing);
    }

    Setting withSeats(int seats) {
      return new Setting(
          keeping,
          new WindowDivision.Shape(
              seats,
              shape.layers(),
              shape.heads(),
              shape.uniform(),
              shape.fewest(),
              shape.most(),
              shape.exact()),
          windows,
          dram,
          extentChunks,
          placing);
    }

    /** With windows of so many slots, if all have the same. */
    public Setting withSlots(int slots, int pass) {
      return new Setting(
          keeping,
          new WindowDivision.Shape(
              shape.seats(),
              shape.layers(),
              shape.heads(),
              slots,
              Math.min(pass, slots),
              shape.most(),
              shape.exact()),
          windows,
          dram,
          extentChunks,
          placing);
    }

    /** With other chunks in an extent. */
    public Setting with(Placing other) {
      return new Setting(keeping, shape, windows, dram, extentChunks, other);
    }

    /** With other tiers. */
    public Setting withTiers(double share, int chunksOfExtent) {
      return new Setting(keeping, shape, windows, share, chunksOfExtent, placing);
    }
  }

  /**
   * Counts.
   *
   * @param steps rows of steps
   * @param hits chunks that were in the window when a step asked for them
   * @param misses chunks that were not
   * @param firstHits hits of the first steps of each sequence
   * @param firstMisses misses of those
   * @param fetched chunks brought before a step asked for them
   * @param unused of those, chunks that left before a step asked for them, or never were
   * @param nvmeExtents extents read from NVMe
   * @param nvmeChunks chunks that were needed from NVMe
   */
  public record Counts(
      long steps,
      long hits,
      long misses,
      long firstHits,
      long firstMisses,
      long fetched,
      long unused,
      long nvmeExtents,
      long nvmeChunks) {
    public double hitRate() {
      return (double) hits / Math.max(1, hits + misses);
    }

    public double firstHitRate() {
      return (double) firstHits / Math.max(1, firstHits + firstMisses);
    }

    Counts plus(Counts other) {
      return new Counts(
          steps + other.steps,
          hits + other.hits,
          misses + other.misses,
          firstHits + other.firstHits,
          firstMisses + other.firstMisses,
          fetched + other.fetched,
          unused + other.unused,
          nvmeExtents + other.nvmeExtents,
          nvmeChunks + other.nvmeChunks);
    }

    static Counts none() {
      return new Counts(0, 0, 0, 0, 0, 0, 0, 0, 0);
    }
  }

  private final Setting setting;
  private final int layers;
  private final int heads;
  private final WindowDivision division;
  private final WindowModel[] windows;

  /** {@code [window][chunk]} position of the last selection, and its ages since the seat opened. */
  private final int[][] lastSelected;

  private final int[][] ages;

  /** Steps that the sequence of each seat has had. */
  private final int[] steps;

  /** First position behind the prompt of each sequence, in the order in which they took seats. */
  private final Iterator<Integer> promptEnds;

  private final int[] promptEnd;

  /** Brought but not asked for yet, by window. */
  private final Set<Integer>[] brought;

  private final Dram[] dram;

  /** Where chunks are in extents, by sequence, and which sequence has a seat. */
  private final List<int[][]> places;

  private final int[] sequenceOf;
  private int sequences;

  /** What each sequence will select, for the rule that asks. */
  private final List<Future[]> futures;

  private long hits;
  private long misses;
  private long firstHits;
  private long firstMisses;
  private long rows;
  private long fetched;
  private long used;
  private long nvmeExtents;
  private long nvmeChunks;

  /** The extents of a window's sequence in DRAM, least recently used first. */
  private static final class Dram {
    private final Map<Integer, Boolean> extents = new LinkedHashMap<>(16, 0.75f, true);
  }

  @SuppressWarnings({"unchecked", "rawtypes"})
  private Simulation(Recording recording, Setting setting) {
    RecordingHeader header = recording.header();
    this.setting = setting;
    promptEnds = recording.promptEnds().iterator();
    promptEnd = new int[setting.shape().seats()];
    layers = setting.shape().layers();
    heads = setting.shape().heads();
    division = new WindowDivision(setting.shape(), setting.windows().division());
    int count = setting.shape().seats() * layers * heads;
    windows = new WindowModel[count];
    lastSelected = new int[count][header.maxChunks()];
    ages = new int[count][LayerReuse.CLASSES];
    brought = new Set[count];
    dram = new Dram[count];
    places = setting.dram() < 1 ? setting.placing().places(recording) : List.of();
    sequenceOf = new int[setting.shape().seats()];
    futures = setting.keeping() == Keeping.BELADY ? Future.of(recording) : List.of();
    for (int i = 0; i < count; i++) {
      windows[i] = new WindowModel(header.maxChunks());
      brought[i] = new HashSet<>();
      dram[i] = new Dram();
    }
    steps = new int[setting.shape().seats()];
    resize();
  }

  /**
   * Replays.
   *
   * @param budget of the sequences that are replayed, as if there were no others: an engine with as
   *     many seats as they take at once; null for all
   */
  public static Counts run(Recording recording, Setting setting, @Nullable Double budget) {
    if (budget != null) {
      Recording only = recording.only(budget);
      return run(only, setting.withSeats(only.header().shape().seats()), null);
    }
    Simulation simulation = new Simulation(recording, setting);
    for (Event event : recording.events()) {
      switch (event) {
        case Opened(int seat, double _) -> simulation.open(seat);
        case Closed(int seat) -> simulation.close(seat);
        case Stepped() -> simulation.stepped();
        case Chosen choice -> simulation.chosen(choice);
      }
    }
    return simulation.counts();
  }

  private Counts counts() {
    return new Counts(
        rows,
        hits,
        misses,
        firstHits,
        firstMisses,
        fetched,
        fetched - used,
        nvmeExtents,
        nvmeChunks);
  }

  private int window(int seat, int layer, int head) {
    return (seat * layers + layer) * heads + head;
  }

  private void open(int seat) {
    for (int window = window(seat, 0, 0); window < window(seat + 1, 0, 0); window++) {
      Arrays.fill(lastSelected[window], -1);
      Arrays.fill(ages[window], 0);
    }
    sequenceOf[seat] = sequences++;
    steps[seat] = 0;
    promptEnd[seat] = promptEnds.next();
    if (division.open(seat)) {
      resize();
    }
    for (int window = window(seat, 0, 0); window < window(seat + 1, 0, 0); window++) {
      windows[window].open(
          futures.isEmpty() ? null : futures.get(sequenceOf[seat])[window - window(seat, 0, 0)]);
      brought[window].clear();
      dram[window].extents.clear();
    }
  }

  private void close(int seat) {
    if (division.close(seat, division.observes() ? ages(seat) : null)) {
      resize();
    }
  }

  private void stepped() {
    if (division.stepped()) {
      for (int seat = 0; seat < steps.length; seat++) {
        if (division.taken(seat)) {
          division.take(seat, ages(seat));
        }
      }
      if (division.divide()) {
        resize();
      }
    }
  }

  private int[] ages(int seat) {
    int[] all = new int[layers * heads * LayerReuse.CLASSES];
    for (int i = 0; i < layers * heads; i++) {
      System.arraycopy(
          ages[window(seat, 0, 0) + i], 0, all, i * LayerReuse.CLASSES, LayerReuse.CLASSES);
    }
    return all;
  }

  private void resize() {
    for (int window = 0; window < windows.length; window++) {
      int slots = division.slots(window / heads / layers, window / heads % layers, window % heads);
      if (slots != windows[window].slots()) {
        windows[window].resize(slots);
      }
    }
  }

  private void chosen(Chosen choice) {
    boolean last = choice.layer() == layers - 1 && choice.head() == heads - 1;
    switch (choice.purpose()) {
      case WARM_UP -> {
        if (choice.position() >= promptEnd[choice.seat()] - setting.windows().warmUpTokens()) {
          observe(choice);
          bring(choice);
          if (last) {
            division.selected(choice.seat());
          }
        }
      }
      case PREFETCH -> {
        if (setting.windows().prefetch()) {
          bring(choice);
        }
      }
      case STEP -> {
        observe(choice);
        step(choice);
        if (last) {
          rows++;
          steps[choice.seat()]++;
          division.selected(choice.seat());
        }
      }
    }
  }

  private void bring(Chosen choice) {
    int window = window(choice.seat(), choice.layer(), choice.head());
    windows[window].use(
        choice,
        setting.keeping(),
        setting.shape().fewest(),
        chunk -> {
          fetched++;
          brought[window].add(chunk);
        });
  }

  private void step(Chosen choice) {
    int window = window(choice.seat(), choice.layer(), choice.head());
    Set<Integer> extents = new HashSet<>();
    int hit =
        windows[window].use(
            choice,
            setting.keeping(),
            setting.shape().fewest(),
            chunk -> {
              brought[window].remove(chunk);
              readFromDram(window, choice, chunk, extents);
            });
    for (int chunk : choice.chunks()) {
      if (brought[window].remove(chunk)) {
        used++;
      }
    }
    int missed = choice.chunks().length - hit;
    hits += hit;
    misses += missed;
    if (steps[choice.seat()] < FIRST_STEPS) {
      firstHits += hit;
      firstMisses += missed;
    }
    nvmeExtents += extents.size();
  }

  /** Looks a missed chunk's extent up in DRAM; if it is not there it is read and stays. */
  private void readFromDram(int window, Chosen choice, int chunk, Set<Integer> read) {
    if (setting.dram() >= 1) {
      return;
    }
    Map<Integer, Boolean> extents = dram[window].extents;
    int[][] ofSequence = places.get(sequenceOf[choice.seat()]);
    int place = ofSequence[choice.layer() * heads + choice.head()][chunk];
    int extent = place / setting.extentChunks();
    if (read.contains(extent) || extents.get(extent) == null) {
      nvmeChunks++;
      read.add(extent);
    }
    extents.put(extent, true);
    int capacity =
        (int) Math.ceil(setting.dram() * Math.ceilDiv(choice.closed(), setting.extentChunks()));
    while (extents.size() > Math.max(1, capacity)) {
      extents.remove(extents.keySet().iterator().next());
    }
  }

  private void observe(Chosen choice) {
    if (!division.observes() || choice.all()) {
      return;
    }
    int window = window(choice.seat(), choice.layer(), choice.head());
    for (int chunk : choice.chunks()) {
      int before = lastSelected[window][chunk];
      if (before != choice.position()) {
        int age = before < 0 ? LayerReuse.NEVER : LayerReuse.classOf(choice.position() - before);
        ages[window][age]++;
        lastSelected[window][chunk] = choice.position();
      }
    }
  }
}
