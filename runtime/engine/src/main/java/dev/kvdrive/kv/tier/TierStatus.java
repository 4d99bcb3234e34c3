package dev.kvdrive.kv.tier;

import org.jspecify.annotations.Nullable;

/**
 * State of DRAM and NVMe tier at one moment.
 *
 * @param dramCapacityBytes all frames
 * @param dramUsedBytes frames not free: those that hold an extent, and those that I/O still reads
 *     or fills
 * @param dramKvBytes frames that hold an extent of an open seat
 * @param dramKeptBytes frames that hold what is kept of prompts, and nothing of an open seat
 * @param stagingBytes pinned memory beside the frames: read buffers, mailbox, tables; constant
 * @param nvmeCapacityBytes all extents of the files
 * @param nvmeUsedBytes extents not free, in-flight writes counted
 * @param nvmeKvBytes extents that hold valid data of an open seat
 * @param nvmeKeptBytes extents that hold what is kept of prompts, and nothing of an open seat
 * @param demotions extents moved from DRAM to NVMe since start
 * @param promotions extents moved from NVMe to DRAM since start
 * @param reads extents read from NVMe since start
 * @param writes extents written to NVMe since start
 * @param written bytes written to NVMe, and how many may be
 * @param ioErrors reads and writes that failed, each attempt counted, since start
 * @param direct whether the NVMe files are open with O_DIRECT
 * @param degraded whether the last write failed, so that demotion is suspended or retried
 * @param nvmeFailure why the drive of the NVMe tier does not work, without the names of files; null
 *     while it does, or if there is no NVMe tier
 */
public record TierStatus(
    long dramCapacityBytes,
    long dramUsedBytes,
    long dramKvBytes,
    long dramKeptBytes,
    long stagingBytes,
    long nvmeCapacityBytes,
    long nvmeUsedBytes,
    long nvmeKvBytes,
    long nvmeKeptBytes,
    long demotions,
    long promotions,
    long reads,
    long writes,
    Written written,
    long ioErrors,
    boolean direct,
    boolean degraded,
    @Nullable String nvmeFailure) {
  /**
   * What is written to NVMe.
   *
   * @param bytes since the start
   * @param lastDay in the last 24 hours, this process or another on the same volume
   * @param perDay that may be written in 24 hours; 0 if there is no limit
   */
  public record Written(long bytes, long lastDay, long perDay) {
    /** Nothing, and no limit. */
    public static final Written NONE = new Written(0, 0, 0);
  }
}
