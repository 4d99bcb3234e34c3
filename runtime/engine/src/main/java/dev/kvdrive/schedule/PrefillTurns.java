package dev.kvdrive.schedule;

import dev.kvdrive.prefill.Prefill;
import dev.kvdrive.prefill.PromptPrefill;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * The prompts in prefill and whose quantum is next: that of the prompt with the least work left, so
 * that a short prompt does not wait for a long one; but of all work at least {@link #FIRST_SHARE}
 * goes to the prompt that came first, so that none is starved by shorter ones. Prompts that need
 * the same scratch change places only between layers; who waits for it lends its turns to who has
 * it. Counts work, not time, so that an order of arrivals always has the same outcome. Engine
 * thread.
 */
final class PrefillTurns {
  /** Share of the work that the prompt that came first gets at least while shorter ones pass it. */
  static final double FIRST_SHARE = 0.25;

  /**
   * A prompt may pass those in prefill if it is at most this share of the work that any of them has
   * left: passing costs memory and a seat, which is worth it only for who is much shorter.
   */
  static final double PASSING_SHARE = 0.5;

  private final Prefill prefill;
  private final List<Turn> turns = new ArrayList<>();

  /** Work that the prompt that came first may do although others have less left. */
  private double credit;

  /** Whether {@link #next} was the first although another has less left. */
  private boolean charged;

  /** A prompt in prefill and the sequences that go on from it. */
  static final class Turn {
    private final PromptPrefill prompt;
    private final List<Sequence> sequences;
    private final long arrival;

    /** Whether it waits for room in DRAM. */
    private boolean waits;

    Turn(PromptPrefill prompt, List<Sequence> sequences) {
      this.prompt = prompt;
      this.sequences = sequences;
      arrival = sequences.getFirst().arrival();
    }

    PromptPrefill prompt() {
      return prompt;
    }

    /** Those that are still there. */
    List<Sequence> sequences() {
      return sequences;
    }

    /** Whether its quantum cannot be run before there is room in DRAM. */
    boolean waits() {
      return waits;
    }

    void waits(boolean forRoom) {
      waits = forRoom;
    }

    /** Of the first of its sequences. */
    long arrival() {
      return arrival;
    }
  }

  PrefillTurns(Prefill prefill) {
    this.prefill = prefill;
  }

  boolean isEmpty() {
    return turns.isEmpty();
  }

  /** All prompts in prefill. */
  List<Turn> all() {
    return turns;
  }

  /** Adds a prompt whose prefill begins. */
  void add(Turn turn) {
    Turn first = first();
    if (first == null || turn.arrival < first.arrival) {
      credit = 0;
    }
    turns.add(turn);
  }

  /** Removes a prompt whose prefill has ended. */
  void remove(Turn turn) {
    if (turn == first()) {
      credit = 0;
    }
    turns.remove(turn);
  }

  /** The prompt that came first; null if there is none. */
  @Nullable Turn first() {
    Turn first = null;
    for (Turn turn : turns) {
      if (first == null || turn.arrival < first.arrival) {
        first = turn;
      }
    }
    return first;
  }

  /**
   * Whether a prompt of so many tokens is short enough to pass all that are in prefill, those aside
   * that cannot run at the moment.
   *
   * @param reused tokens of it that need not be computed
   */
  boolean mayPass(int promptTokens, int reused) {
    double work = prefill.work(promptTokens, reused);
    for (Turn turn : turns) {
      if (canRun(turn) && work > PASSING_SHARE * turn.prompt.remaining()) {
        return false;
      }
    }
    return true;
  }

  /** Whether a quantum of it could be run now. */
  private boolean canRun(Turn turn) {
    return !turn.waits && prefill.ready(turn.prompt);
  }

  /** Whose quantum is next; null if none can be run before there is room in DRAM. */
  @Nullable Turn next() {
    Turn first = first();
    Turn best = null;
    for (Turn turn : turns) {
      if (!holder(turn).waits && (best == null || isBefore(turn, best))) {
        best = turn;
      }
    }
    if (first == null || best == null) {
      return null;
    }
    Turn next = holder(!holder(first).waits && credit >= stake(first) ? first : best);
    charged = next == first && first != best;
    return next;
  }

  private static boolean isBefore(Turn a, Turn b) {
    int order = Double.compare(a.prompt.remaining(), b.prompt.remaining());
    return order < 0 || (order == 0 && a.arrival < b.arrival);
  }

  /** The turn itself, or who has the scratch that it needs. */
  private Turn holder(Turn wanted) {
    if (prefill.ready(wanted.prompt)) {
      return wanted;
    }
    Turn holder = null;
    for (Turn turn : turns) {
      if (prefill.keepsWaiting(turn.prompt, wanted.prompt)
          && (holder == null
              || turn.prompt.remainingInLayer() < holder.prompt.remainingInLayer())) {
        holder = turn;
      }
    }
    if (holder == null) {
      throw new IllegalStateException("no prompt has the scratch that another waits for");
    }
    return holder;
  }

  /**
   * What the turn does at once when its time comes: a quantum, or a whole layer if another needs
   * the same scratch.
   */
  private double stake(Turn turn) {
    if (!turn.prompt.insideLayer() && prefill.needsWhole(turn.prompt)) {
      for (Turn other : turns) {
        if (other != turn && prefill.needsWhole(other.prompt)) {
          return turn.prompt.remainingInLayer();
        }
      }
    }
    return turn.prompt.nextQuantum();
  }

  /** Notes that the quantum of {@link #next}, of so much work, was run. */
  void ran(Turn turn, double work) {
    Turn first = first();
    if (first == null || turns.size() == 1) {
      credit = 0;
    } else if (turn == first) {
      credit -= charged ? work : 0;
    } else {
      credit = Math.min(credit + work * FIRST_SHARE / (1 - FIRST_SHARE), stake(first));
    }
  }
}
