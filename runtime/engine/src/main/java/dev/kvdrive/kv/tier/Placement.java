package dev.kvdrive.kv.tier;

/**
 * Which extents deserve DRAM: the seam between the store, which moves extents, and the method that
 * decides. The store demotes the extents with the lowest priority first and promotes an extent that
 * caused an NVMe miss only in the place of one with a lower priority.
 *
 * <p>Called on the engine thread, once for each candidate of a demotion; must be a pure function of
 * its arguments.
 */
@FunctionalInterface
public interface Placement {
  /** Least recently used leaves first. */
  Placement LEAST_RECENTLY_USED = (layer, seat, kvHead, extent, lastUse) -> lastUse;

  /**
   * Priority of a full extent; among equals the one that was created first leaves first.
   *
   * @param lastUse decode step of the store in which a chunk of it was last fetched, or that in
   *     which it was created
   */
  int priority(int layer, int seat, int kvHead, int extent, int lastUse);
}
