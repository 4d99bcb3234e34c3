package dev.kvdrive.schedule;

import dev.kvdrive.plan.NvmeEncryption;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * State of an engine at one moment.
 *
 * @param device {@code Device.description()}
 * @param running generations with a seat, or with a free one kept for them
 * @param withoutRoom of {@code running}, generations whose free seat waits until memory, or what
 *     may be written in a day, lets them begin: while there are any, no other gets a seat before
 *     them
 * @param waiting generations in the queue, for which no seat is free; at most {@code queueLimit}
 * @param queueLimit places in the queue
 * @param tiers GPU, DRAM, NVMe, in this order
 * @param promptTokens tokens of the prompts that were read since start
 * @param reusedTokens of these, tokens whose keys and values were there already
 * @param completionTokens tokens generated since start
 * @param steps decode steps since start
 * @param attendedTokens tokens attended in decode since start, summed over steps and generations,
 *     mean over layers and KV heads
 * @param contextTokens tokens that dense attention would have attended in the same steps
 * @param hits selected chunks found in windows since start
 * @param dramMisses selected chunks fetched from DRAM since start
 * @param nvmeMisses selected chunks fetched from NVMe since start
 * @param prefetched chunks brought from DRAM by a predicted query, before anything selected them
 * @param prefetchedHits of the hits, chunks that were there because they had been prefetched
 * @param accuracy what attention has left out since start, of the (layer, KV head) that were
 *     measured
 * @param demotions extents moved from DRAM to NVMe since start
 * @param promotions extents moved from NVMe to DRAM since start
 * @param nvmeWritten what was written to the NVMe tier, and how much may be
 * @param ioErrors failed reads and writes of the NVMe tier since start
 * @param nvmeDirect whether NVMe is accessed with O_DIRECT
 * @param nvmeEncryption in which form extents are there
 * @param nvmeFailure why the drive of the NVMe tier does not work, in words for a client; null
 *     while it does, or if there is no NVMe tier. Requests that need no NVMe are served all the
 *     same, and once the drive works again so are the others
 * @param draining whether no new requests are taken
 * @param failure why the engine stopped working, or null while it works: it has failed, or its
 *     thread, or one of those of the tiers, has ended or does not get on. It never recovers: its
 *     process is to be restarted
 */
public record EngineStatus(
    String device,
    int running,
    int withoutRoom,
    int waiting,
    int queueLimit,
    List<Tier> tiers,
    long promptTokens,
    long reusedTokens,
    long completionTokens,
    long steps,
    long attendedTokens,
    long contextTokens,
    long hits,
    long dramMisses,
    long nvmeMisses,
    long prefetched,
    long prefetchedHits,
    Map<Head, Accuracy> accuracy,
    long demotions,
    long promotions,
    Written nvmeWritten,
    long ioErrors,
    boolean nvmeDirect,
    NvmeEncryption nvmeEncryption,
    @Nullable String nvmeFailure,
    boolean draining,
    @Nullable String failure) {
  /** One KV head of a layer. */
  public record Head(int layer, int kvHead) {}

  /**
   * What is written to NVMe.
   *
   * @param bytes since start
   * @param lastDay in the last 24 hours, this process or another on the same volume
   * @param perDay that may be written in 24 hours; 0 if there is no limit
   * @param shortage why a sequence as long as may be cannot begin before less was written in a day,
   *     in the words that its request is refused with; null if it can
   */
  public record Written(long bytes, long lastDay, long perDay, @Nullable String shortage) {
    /** Nothing, and no limit. */
    public static final Written NONE = new Written(0, 0, 0, null);
  }

  /**
   * One tier.
   *
   * @param name "gpu", "dram" or "nvme"
   * @param capacityBytes hard cap
   * @param usedBytes in use now, in-flight bytes counted
   * @param kvBytes of these, cached keys and values of sequences that run
   * @param keptBytes of these, what is kept of the prompts of others, until there is need of the
   *     room
   */
  public record Tier(
      String name, long capacityBytes, long usedBytes, long kvBytes, long keptBytes) {}
}
