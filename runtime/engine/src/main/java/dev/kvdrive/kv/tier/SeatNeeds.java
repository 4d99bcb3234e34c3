package dev.kvdrive.kv.tier;

import dev.kvdrive.plan.EngineSizes;

/**
 * What the sequences in seats need of the tiers when they are as long as they can become. A
 * sequence begins only when all that it can ever need is there, so that none runs out of room, or
 * of what may be written, half way.
 *
 * <p>Belongs to the engine thread.
 */
final class SeatNeeds {
  private final EngineSizes sizes;
  private final int[] mostTokens;
  private long extents;
  private long fullExtents;

  /** Extents of seats that are the same as one of another seat, which is counted. */
  private long same;

  SeatNeeds(EngineSizes sizes) {
    this.sizes = sizes;
    mostTokens = new int[sizes.concurrency()];
  }

  void open(int seat, int tokens) {
    mostTokens[seat] = tokens;
    extents += sizes.extents(tokens);
    fullExtents += sizes.fullExtents(tokens);
  }

  void close(int seat) {
    extents -= sizes.extents(mostTokens[seat]);
    fullExtents -= sizes.fullExtents(mostTokens[seat]);
    mostTokens[seat] = 0;
  }

  /** So many more extents of seats are the same as one of another seat, or fewer. */
  void same(int more) {
    same += more;
  }

  /**
   * Whether DRAM and NVMe have room for one more sequence of so many tokens.
   *
   * @param shared extents that it has in common with others in seats
   */
  boolean fit(int tokens, long shared) {
    return all(tokens, shared) <= sizes.tierExtents();
  }

  /**
   * Whether DRAM has room for all, and one more of so many tokens: then nothing has to leave it.
   */
  boolean fitDram(int tokens, long shared) {
    return all(tokens, shared) <= sizes.dramFrames();
  }

  private long all(int tokens, long shared) {
    return extents - same + sizes.extents(tokens) - shared;
  }

  /** Extents that may come to leave DRAM, if one more sequence of so many tokens begins. */
  long leaving(int tokens, long shared) {
    return fitDram(tokens, shared) ? 0 : fullExtents - same + sizes.fullExtents(tokens) - shared;
  }
}
