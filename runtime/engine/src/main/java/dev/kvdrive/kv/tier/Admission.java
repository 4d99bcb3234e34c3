package dev.kvdrive.kv.tier;

import dev.kvdrive.plan.ByteSize;
import dev.kvdrive.plan.EngineSizes;
import java.time.Duration;
import org.jspecify.annotations.Nullable;

/**
 * Whether one more sequence may begin: only if both tiers have room for all that it can become
 * beside what is promised to others and, where extents may have to leave DRAM, so much may be
 * written in this day. So none runs out of room, or of what may be written, half way.
 *
 * <p>Belongs to the engine thread but for {@link #shortage}.
 */
public final class Admission {
  private final EngineSizes sizes;
  private final long extentBytes;
  private final SeatNeeds needs;
  private final DailyWrites writes;
  private final Residence residence;

  Admission(EngineSizes sizes, SeatNeeds needs, DailyWrites writes, Residence residence) {
    this.sizes = sizes;
    extentBytes = sizes.layout().extentBytes();
    this.needs = needs;
    this.writes = writes;
    this.residence = residence;
  }

  /** Whether a sequence may begin that will have so many tokens at most. */
  public boolean hasRoomFor(int tokens) {
    return hasRoomFor(tokens, Reuse.NONE);
  }

  /**
   * Like {@link #hasRoomFor(int)}.
   *
   * @param reuse what it finds of its prompt: what others in seats have of it takes no room
   */
  public boolean hasRoomFor(int tokens, Reuse reuse) {
    return needs.fit(tokens, reuse.seated())
        && unwritten(tokens, reuse) <= Math.max(0, writes.left());
  }

  /** Bytes that may have to be written for all that runs, and one more of so many tokens. */
  private long unwritten(int tokens, Reuse reuse) {
    return (needs.leaving(tokens, reuse.seated()) - residence.validSlots()) * extentBytes;
  }

  /** Why a sequence for which there is {@link #hasRoomFor no room} has to wait; the way out. */
  public String obstacle(int tokens, Reuse reuse) {
    return needs.fit(tokens, reuse.seated())
        ? writes.promised(unwritten(tokens, reuse))
        : "%s of KV cache for %d tokens do not fit beside what is promised to others of %s in DRAM and NVMe; it begins when others have ended, ask for fewer tokens, or enlarge a tier"
            .formatted(
                ByteSize.human(sizes.extents(tokens) * extentBytes),
                tokens,
                ByteSize.human(sizes.tierExtents() * extentBytes));
  }

  /**
   * Why a sequence that will have so many tokens at most cannot begin, even alone, before less was
   * written to NVMe in a day; null if it can. Any thread.
   */
  public @Nullable Shortage shortage(int tokens) {
    long bytes = sizes.leavingDram(tokens) * extentBytes;
    return bytes <= Math.max(0, writes.left())
        ? null
        : new Shortage(writes.shortage(bytes), writes.until(bytes));
  }

  /**
   * What may be written in a day is too little.
   *
   * @param message with the way out
   * @param until how long it takes until so much may be written
   */
  public record Shortage(String message, Duration until) {}
}
