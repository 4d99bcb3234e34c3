package dev.kvdrive.schedule;

import dev.kvdrive.decode.DecodeStep;
import dev.kvdrive.decode.StepStage;
import dev.kvdrive.device.Queue;
import dev.kvdrive.kv.tier.TieredStore;
import dev.kvdrive.kv.window.KvState;
import dev.kvdrive.plan.ClusterFormat;
import dev.kvdrive.plan.EngineSizes;
import dev.kvdrive.plan.KvLayout;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Deque;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** Makes the {@link EngineView} of what the scheduler runs. Engine thread, between turns. */
final class SequenceViews {
  /** Sequences of a view at most, those with a seat and those that wait each. */
  static final int MOST_SEQUENCES = 32;

  /** Sequences that have ended of a view. */
  static final int MOST_ENDED = 8;

  /** Pieces of a context. */
  private static final int PIECES = 64;

  private final EngineSizes sizes;
  private final KvState kv;
  private final TieredStore store;
  private final Queue queue;
  private final Deque<SequenceStatus> ended = new ArrayDeque<>();
  private @Nullable TimedStep step;
  private long number;

  SequenceViews(EngineSizes sizes, KvState kv, TieredStore store, Queue queue) {
    this.sizes = sizes;
    this.kv = kv;
    this.store = store;
    this.queue = queue;
  }

  /** Forgets what was before the engine was ready. */
  void forget() {
    ended.clear();
    step = null;
  }

  /** A step was timed. */
  void timed(long ofStep, int rows, DecodeStep.Times times, SelectedChunks selected) {
    Map<String, Long> stages = new LinkedHashMap<>();
    for (StepStage stage : StepStage.values()) {
      stages.put(stage.name().toLowerCase(Locale.ROOT), times.stages().getOrDefault(stage, 0L));
    }
    step =
        new TimedStep(
            ofStep,
            rows,
            times.nanos(),
            stages,
            selected.hits(),
            selected.dramMisses(),
            selected.nvmeMisses());
  }

  /** A sequence has ended, and is about to give back what it has. */
  void ended(Sequence sequence) {
    if (ended.size() == MOST_ENDED) {
      ended.removeLast();
    }
    ended.addFirst(status(sequence, sequence.endedAs(), null, SequenceStatus.Held.NOTHING));
  }

  /** Whether, and for what, a sequence with a seat waits. */
  interface Stalls {
    @Nullable String reason(Sequence sequence);
  }

  /**
   * Makes a view.
   *
   * @param seated sequences with a seat
   * @param waiting those without, the first {@link #MOST_SEQUENCES} of them at most
   * @param allWaiting how many there are
   * @param freeSeats whether there is a seat that is free
   */
  EngineView view(
      List<Sequence> seated,
      Stalls stalls,
      List<Sequence> waiting,
      int allWaiting,
      boolean freeSeats) {
    List<Sequence> shown = seated.subList(0, Math.min(MOST_SEQUENCES, seated.size()));
    @Nullable Count[] ofSeats = new Count[sizes.concurrency()];
    List<Count> counts = new ArrayList<>();
    for (Sequence sequence : shown) {
      Count count = new Count(sequence.seat(), sequence.lastPosition() + 1);
      store.read(sequence.seat(), count);
      ofSeats[sequence.seat()] = count;
      counts.add(count);
    }
    if (sizes.allWindowSlots() > 0 && !shown.isEmpty()) {
      kv.windows()
          .read(
              queue,
              (seat, chunk) -> {
                Count of = ofSeats[seat];
                if (of != null) {
                  of.inWindow(chunk);
                }
              });
    }
    List<SequenceStatus> all = new ArrayList<>();
    for (int i = 0; i < shown.size(); i++) {
      Sequence sequence = shown.get(i);
      String reason = stalls.reason(sequence);
      all.add(
          status(
              sequence,
              reason != null
                  ? SequenceStatus.State.STALLED
                  : sequence.usage().completionTokens() == 0
                      ? SequenceStatus.State.READING
                      : SequenceStatus.State.DECODING,
              reason,
              counts.get(i).held()));
    }
    for (Sequence sequence : waiting) {
      all.add(
          status(
              sequence,
              SequenceStatus.State.WAITING,
              reason(sequence, freeSeats),
              SequenceStatus.Held.NOTHING));
    }
    return new EngineView(
        ++number,
        all,
        seated.size() - shown.size() + allWaiting - waiting.size(),
        List.copyOf(ended),
        step);
  }

  private String reason(Sequence waiting, boolean freeSeats) {
    String obstacle = waiting.obstacle();
    return obstacle != null
        ? obstacle
        : freeSeats
            ? "its turn: prompts that came before it are read first"
            : "a seat: all %d are taken".formatted(sizes.concurrency());
  }

  private static SequenceStatus status(
      Sequence sequence,
      SequenceStatus.State state,
      @Nullable String waitsFor,
      SequenceStatus.Held held) {
    return new SequenceStatus(
        sequence.arrival(),
        sequence.id(),
        state,
        waitsFor,
        sequence.prompt().length,
        sequence.promptRead(),
        sequence.mostTokens(),
        sequence.budget(),
        sequence.took(),
        sequence.stalls(),
        sequence.stalledNanos(),
        held);
  }

  /** Counts where the chunks of one sequence are. */
  private final class Count implements TieredStore.ExtentReader {
    private final KvLayout layout = sizes.layout();
    private final int seat;
    private final int tokens;

    /** Of one (layer, KV head), once everything is read. */
    private final int extents;

    private final int pieces;
    private final long[] window;
    private final long[] dram;
    private final long[] nvme;
    private long resident;
    private long frames;
    private long slots;
    private long copies;

    Count(int seat, int tokens) {
      this.seat = seat;
      this.tokens = tokens;
      extents = layout.extents(layout.grid().closedChunks(tokens));
      pieces = Math.min(PIECES, extents);
      window = new long[pieces];
      dram = new long[pieces];
      nvme = new long[pieces];
    }

    private int piece(int extent) {
      return (int) ((long) Math.min(extent, extents - 1) * pieces / extents);
    }

    @Override
    public void is(int extent, boolean frame, boolean slot) {
      frames += frame ? 1 : 0;
      slots += slot ? 1 : 0;
      copies += frame && slot ? 1 : 0;
      if (pieces > 0) {
        dram[piece(extent)] += frame ? 1 : 0;
        nvme[piece(extent)] += slot && !frame ? 1 : 0;
      }
    }

    void inWindow(int chunk) {
      resident++;
      if (pieces > 0) {
        window[piece(chunk / layout.extentChunks())]++;
      }
    }

    SequenceStatus.Held held() {
      ClusterFormat clusters = sizes.policy().clusters();
      long fixed =
          layout.denseBytesPerSequence()
              + layout.heads()
                  * (sizes.indexBytes()
                      + (clusters == null ? 0 : clusters.bytesOfHead(layout, sizes.maxChunks())));
      long ofSlots = 0;
      for (int layer = 0; layer < layout.layers(); layer++) {
        for (int head = 0; head < layout.kvHeads(); head++) {
          ofSlots += kv.windows().slots(seat, layer, head);
        }
      }
      return new SequenceStatus.Held(
          fixed,
          ofSlots * layout.resident().bytes(),
          resident * layout.resident().bytes(),
          frames * layout.extentBytes(),
          slots * layout.extentBytes(),
          copies * layout.extentBytes(),
          new SequenceStatus.Places(
              tokens, shares(window, layout.extentChunks()), shares(dram, 1), shares(nvme, 1)));
    }

    /**
     * @param ofExtent what an extent counts for
     */
    private List<Integer> shares(long[] counts, int ofExtent) {
      long[] whole = new long[pieces];
      for (int extent = 0; extent < extents; extent++) {
        whole[piece(extent)] += ofExtent * layout.heads();
      }
      return Arrays.stream(shareOf(counts, whole)).boxed().toList();
    }

    private static int[] shareOf(long[] counts, long[] whole) {
      int[] shares = new int[counts.length];
      for (int piece = 0; piece < counts.length; piece++) {
        shares[piece] = (int) Math.min(1000, Math.ceilDiv(1000 * counts[piece], whole[piece]));
      }
      return shares;
    }
  }
}
