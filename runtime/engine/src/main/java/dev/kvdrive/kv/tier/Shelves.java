package dev.kvdrive.kv.tier;

import dev.kvdrive.kv.extent.ExtentSpace;
import dev.kvdrive.kv.extent.ExtentTable;
import dev.kvdrive.plan.ChunkGrid;
import dev.kvdrive.plan.EngineSizes;
import dev.kvdrive.plan.Workspace;
import java.util.Arrays;
import java.util.function.IntPredicate;
import org.jspecify.annotations.Nullable;

/**
 * Whose extents were made of which prompt: those of sequences in seats, and those on shelves, where
 * they stay when a sequence ends until room is needed, the least recently used first. A prompt of
 * the same tenant that begins with the same tokens finds them; only what is made of prompts is
 * found, since it depends on their tokens alone.
 *
 * <p>Belongs to the engine thread.
 */
final class Shelves {
  private final EngineSizes sizes;
  private final ChunkGrid grid;
  private final int extentTokens;
  private final ExtentTable extents;
  private final ExtentSpace space;
  private final Residence residence;
  private final @Nullable Prompt[] prompts;
  private long uses;
  private long changes;

  /** What a holder's first extents were made of. */
  private static final class Prompt {
    private final String tenant;
    private final int[] tokens;
    private final int extents;

    /** Whether all of them are there. */
    private boolean complete;

    private long used;

    private Prompt(String tenant, int[] tokens, int extents) {
      this.tenant = tenant;
      this.tokens = tokens;
      this.extents = extents;
    }
  }

  Shelves(EngineSizes sizes, Residence residence) {
    this.sizes = sizes;
    this.residence = residence;
    grid = sizes.layout().grid();
    extentTokens = grid.chunk() * sizes.layout().extentChunks();
    extents = residence.extents();
    space = extents.space();
    prompts = new Prompt[space.holders()];
  }

  /** Tokens that the first extents stand for, with the sink before them. */
  private int tokens(int ofExtents) {
    return ofExtents == 0 ? 0 : grid.sink() + ofExtents * extentTokens;
  }

  /** Extents that are made of the first tokens of a prompt alone and closed at its end. */
  private int extents(int tokens, int promptTokens) {
    int closed = grid.firstToken(grid.closedChunks(promptTokens));
    int end = Math.min(Math.min(tokens, closed), promptTokens - 1);
    return Math.max(0, (end - grid.sink()) / extentTokens);
  }

  /** Grows whenever a prompt may find something else than before. */
  long changes() {
    return changes;
  }

  /** A sequence that begins with a prompt has come to a seat. */
  void open(int seat, String tenant, int[] prompt) {
    prompts[seat] = new Prompt(tenant, prompt, extents(prompt.length, prompt.length));
  }

  /** The extents of a seat's prompt are there. */
  void complete(int seat) {
    Prompt prompt = prompts[seat];
    if (prompt != null) {
      prompt.complete = true;
      changes++;
      prompt.used = ++uses;
    }
  }

  /** A holder has nothing any more. */
  void forget(int holder) {
    prompts[holder] = null;
    changes++;
  }

  /** What a prompt finds. */
  Reuse find(String tenant, int[] prompt) {
    int most = extents(prompt.length, prompt.length);
    int best = 0;
    int holder = -1;
    for (int i = 0; i < prompts.length; i++) {
      Prompt other = prompts[i];
      if (other != null && other.complete && other.tenant.equals(tenant)) {
        int same = Arrays.mismatch(prompt, other.tokens);
        int common = same < 0 ? prompt.length : same;
        int found = Math.min(Math.min(extents(common, prompt.length), other.extents), most);
        if (found > best) {
          best = found;
          holder = i;
        }
      }
    }
    int tokens = tokens(best);
    return holder < 0 || !Workspace.reuses(prompt.length, tokens, sizes.prefillBlock())
        ? Reuse.NONE
        : new Reuse(holder, best, tokens, seated(holder, best));
  }

  private long seated(int holder, int count) {
    int seated = 0;
    while (seated < count && extents.seated(space.index(0, holder, 0, seated)) > 0) {
      seated++;
    }
    return sizes.layout().heads() * seated;
  }

  /** A seat gets what was found for its prompt. */
  void take(int seat, Reuse reuse) {
    share(reuse.holder(), seat, reuse.extents());
    changes++;
    Prompt found = prompts[reuse.holder()];
    if (found != null) {
      found.used = ++uses;
    }
  }

  private void share(int from, int to, int count) {
    for (int layer = 0; layer < space.layers(); layer++) {
      for (int kvHead = 0; kvHead < space.kvHeads(); kvHead++) {
        for (int extent = 0; extent < count; extent++) {
          residence.share(
              space.index(layer, to, kvHead, extent), space.index(layer, from, kvHead, extent));
        }
      }
      extents.closeChunks(layer, to, count * sizes.layout().extentChunks());
    }
  }

  /**
   * Whether a seat's prompt is to stay when its sequence leaves: it is there, of use, and no other
   * holder has all of it.
   */
  boolean stays(int seat) {
    Prompt prompt = prompts[seat];
    if (prompt == null
        || !prompt.complete
        || space.shelves() == 0
        || !Workspace.reuses(prompt.tokens.length, tokens(prompt.extents), sizes.prefillBlock())) {
      return false;
    }
    for (int i = 0; i < prompts.length; i++) {
      Prompt other = prompts[i];
      if (i != seat && other != null && other.complete && covers(other, prompt)) {
        other.used = Math.max(other.used, prompt.used);
        return false;
      }
    }
    return true;
  }

  private boolean covers(Prompt whole, Prompt part) {
    int tokens = tokens(part.extents);
    return whole.tenant.equals(part.tenant)
        && whole.extents >= part.extents
        && Arrays.equals(whole.tokens, 0, tokens, part.tokens, 0, tokens);
  }

  /** A free shelf, or -1. */
  int free() {
    for (int shelf = space.seats(); shelf < space.holders(); shelf++) {
      if (prompts[shelf] == null) {
        return shelf;
      }
    }
    return -1;
  }

  /** Of the shelves that meet a condition the one that was not used for longest, or -1. */
  int oldest(IntPredicate condition) {
    int oldest = -1;
    long since = Long.MAX_VALUE;
    for (int shelf = space.seats(); shelf < space.holders(); shelf++) {
      Prompt prompt = prompts[shelf];
      if (prompt != null && prompt.used < since && condition.test(shelf)) {
        oldest = shelf;
        since = prompt.used;
      }
    }
    return oldest;
  }

  /** A shelf of which another holder has all, or -1. */
  int covered(int by) {
    Prompt whole = prompts[by];
    for (int shelf = space.seats(); shelf < space.holders(); shelf++) {
      Prompt prompt = prompts[shelf];
      if (shelf != by && prompt != null && whole != null && covers(whole, prompt)) {
        return shelf;
      }
    }
    return -1;
  }

  /** The prompt of a seat stays on a free shelf, whatever becomes of the seat. */
  void put(int seat, int shelf) {
    Prompt prompt = prompts[seat];
    if (prompt == null) {
      throw new IllegalStateException("seat " + seat + " has no prompt to keep");
    }
    share(seat, shelf, prompt.extents);
    prompts[shelf] = prompt;
    changes++;
  }
}
