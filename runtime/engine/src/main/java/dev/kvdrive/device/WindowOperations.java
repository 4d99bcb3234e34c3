package dev.kvdrive.device;

import static dev.kvdrive.device.Checks.check;
import static dev.kvdrive.device.Checks.checkSeat;
import static dev.kvdrive.device.Checks.require;
import static dev.kvdrive.device.Checks.words;

import org.jspecify.annotations.Nullable;

/** The window: which selected chunks are in it, which leave it, and how the missing ones come. */
public interface WindowOperations {
  /**
   * Writes {@code keyOfSlot} of every chunk in the window of each (row, KV head): how soon it is
   * likely to be used, by what this step knows. Where the row selects some of its chunks, the key
   * is the chunk's score in {@code selection}, if {@code uses} plus {@link Uses#merit} of its
   * {@code usesOfSlot} at the row's newest token. Where it selects all, in ascending order as in
   * every step, the key is minus the chunk: of those that a pass does not need the last one is used
   * latest.
   *
   * @param uses whether earlier uses count
   */
  record Keys(LayerStep step, Selection selection, boolean uses) {
    public Keys {
      check(step.batch(), step.layer(), selection);
    }
  }

  /** Which chunks a window forgets. */
  enum Forgotten {
    /** Those that the row has not selected. */
    UNSELECTED,
    /** Every one. */
    ALL
  }

  /**
   * Takes chunks out of the window of each (row, KV head): their slots are empty then, and they are
   * misses when they are selected again; how often they were looked up is kept. Before the
   * selection is looked up.
   */
  record Forget(LayerStep step, Selection selection, Forgotten which) {
    public Forget {
      check(step.batch(), step.layer(), selection);
    }
  }

  /**
   * Copies the misses of a pass that are in DRAM into their slots and counts them, and requests the
   * others through the mailbox, whose {@code COUNT} it sets; once the mailbox is stopped these
   * become faults instead. Sets {@code lastUse} of the extents asked for.
   */
  record Fetch(Pass of, FramePool frames, Mailbox mailbox) {
    public Fetch {
      check(of.layer().layout(), frames);
      check(of.batch(), of.layer().layout(), of.selection(), mailbox);
    }
  }

  /**
   * Waits, at most {@code timeoutMillis}, until the requests of the last {@link Fetch} are served
   * and copies and counts the chunks into their slots. A chunk that failed or did not come is
   * counted as a fault of its row, taken out of the window maps, and its entry of {@code slots} is
   * -1: attention skips it. Nothing to do when the last fetch requested nothing or the mailbox was
   * stopped before.
   */
  record Land(Pass of, Mailbox mailbox, int timeoutMillis) {
    public Land {
      check(of.batch(), of.layer().layout(), of.selection(), mailbox);
      require(timeoutMillis >= 0, "a wait of %d ms", timeoutMillis);
    }
  }

  /**
   * Copies the misses of a pass that are in DRAM into their slots, counts them, and sets {@code
   * lastUse} of their extents: chunks that are brought before they are needed. The others are taken
   * out of the window maps again and their entries of {@code slots} become -1; that is no fault.
   *
   * @param marks {@code int[slots]} of the pool, 1 where a slot has been filled by this; null if
   *     nobody asks what became of it
   */
  record Prefetch(Pass of, FramePool frames, @Nullable DeviceBuffer marks) {
    public Prefetch {
      check(of.layer().layout(), frames);
      if (marks != null) {
        words("marks", marks, of.layer().window().slots());
      }
    }
  }

  /**
   * Counts the hits of a pass that has been looked up, and only that, whose slots are marked by
   * {@link Prefetch}, and takes the marks of all its slots away: what is used again is no merit of
   * the prefetch, and what a miss is brought to is not prefetched.
   *
   * @param marks {@code int[slots]} of the pool
   */
  record Credit(Pass of, DeviceBuffer marks) {
    public Credit {
      words("marks", marks, of.layer().window().slots());
    }
  }

  /**
   * Notes which chunks each (row, KV head) has selected: adds to {@code ages} the positions since
   * each of them was selected last, and sets {@code lastSelected}. A row that selects all its
   * closed chunks, or has been noted at this position already, adds nothing.
   */
  record Observe(LayerStep step, Selection selection, LayerReuse reuse) {
    public Observe {
      check(step.batch(), step.layer(), selection);
      check(step.layer(), reuse);
    }
  }

  /**
   * Empties the slots of {@code seat} at places {@code keep[seat][head]} and above: before these
   * slots go to other windows.
   *
   * @param keep {@code int[seats][kvHeads]}
   */
  record Trim(KvLayer layer, int seat, DeviceBuffer keep) {
    public Trim {
      check(layer);
      checkSeat(layer, seat);
      words("keep", keep, (long) layer.seats() * layer.layout().kvHeads());
    }
  }

  /** See {@link Keys}. */
  void key(Queue queue, Keys keys);

  /**
   * Writes {@code keyOfSlot} of the chunks of a pass that has been looked up: the position of the
   * row's newest token, so that the chunk used least recently has the lowest.
   */
  void recent(Queue queue, Pass pass);

  /** See {@link Forget}. */
  void forget(Queue queue, Forget forget);

  /**
   * Finds the slots of the chunks of a pass. Chunks in the window are hits; each miss is given an
   * empty slot or that of the chunk with the lowest key which this pass does not need (equal keys:
   * the lower slot; the key is any number). Misses are served in ascending order, empty slots first
   * and from the lowest; the two maps are updated, the keys are only read. Counts hits. {@code
   * usesOfSlot} of each chunk of the pass becomes one look-up more than it was, or than {@code
   * slotOfChunk} kept of a miss, and the position of the row's newest token. A row without chunks
   * in this pass keeps its {@code slots} of the pass before and has no misses.
   */
  void diff(Queue queue, Pass pass);

  /** See {@link Fetch}. */
  void fetch(Queue queue, Fetch fetch);

  /** See {@link Land}. */
  void land(Queue queue, Land land);

  /** See {@link Prefetch}. */
  void prefetch(Queue queue, Prefetch prefetch);

  /** See {@link Credit}. */
  void credit(Queue queue, Credit credit);

  /** See {@link Observe}. */
  void observe(Queue queue, Observe observe);

  /** See {@link Trim}. */
  void trim(Queue queue, Trim trim);
}
