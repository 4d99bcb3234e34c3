package dev.kvdrive.kv.tier;

/**
 * The state of the tiers for other threads: what of it is the engine thread's as of the last time
 * that it was published, the rest as it is.
 */
final class PublishedStatus {
  private final long extentBytes;
  private final long stagingBytes;
  private final boolean direct;
  private final Residence residence;
  private final SlotAllocator slots;
  private final Demotion demotion;
  private final Promotion promotion;
  private final NvmeIo io;
  private final DailyWrites writes;
  private volatile Occupancy occupancy = new Occupancy(0, 0, 0, 0, 0, 0, 0, 0, false);

  private record Occupancy(
      long frames,
      long extents,
      long kept,
      long slots,
      long copies,
      long keptCopies,
      long demotions,
      long promotions,
      boolean degraded) {}

  /**
   * @param stagingBytes pinned memory beside the frames
   * @param direct whether files are open with O_DIRECT
   */
  PublishedStatus(
      long extentBytes,
      long stagingBytes,
      boolean direct,
      Residence residence,
      SlotAllocator slots,
      Demotion demotion,
      Promotion promotion,
      NvmeIo io,
      DailyWrites writes) {
    this.extentBytes = extentBytes;
    this.stagingBytes = stagingBytes;
    this.direct = direct;
    this.residence = residence;
    this.slots = slots;
    this.demotion = demotion;
    this.promotion = promotion;
    this.io = io;
    this.writes = writes;
  }

  /** The engine thread's part is as it is now. */
  void publish() {
    FrameList frames = residence.frames();
    Occupancy seen = occupancy;
    int inUse = frames.size() - frames.free();
    int slotsInUse = slots.slots() - slots.freeSlots();
    int kept = residence.keptFrames();
    int extents = frames.held() - kept;
    // Most steps change nothing, and a step makes no objects.
    if (seen.frames() != inUse
        || seen.extents() != extents
        || seen.kept() != kept
        || seen.slots() != slotsInUse
        || seen.copies() != residence.validSlots()
        || seen.keptCopies() != residence.keptSlots()
        || seen.demotions() != demotion.demotions()
        || seen.promotions() != promotion.promotions()
        || seen.degraded() != demotion.degraded()) {
      occupancy =
          new Occupancy(
              inUse,
              extents,
              kept,
              slotsInUse,
              residence.validSlots(),
              residence.keptSlots(),
              demotion.demotions(),
              promotion.promotions(),
              demotion.degraded());
    }
  }

  /** A recent state; any thread. */
  TierStatus status() {
    Occupancy seen = occupancy;
    NvmeHealth health = io.health();
    return new TierStatus(
        residence.frames().size() * extentBytes,
        seen.frames() * extentBytes,
        seen.extents() * extentBytes,
        seen.kept() * extentBytes,
        stagingBytes,
        slots.slots() * extentBytes,
        seen.slots() * extentBytes,
        seen.copies() * extentBytes,
        seen.keptCopies() * extentBytes,
        seen.demotions(),
        seen.promotions(),
        health.reads(),
        health.writes(),
        new TierStatus.Written(writes.sinceStart(), writes.lastDay(), writes.perDay()),
        health.errors(),
        direct,
        seen.degraded(),
        health.failure());
  }
}
