package dev.kvdrive.plan;

/**
 * One line of a plan's arithmetic.
 *
 * @param tier where the bytes are
 * @param item what they are for, one word or two
 * @param bytes how many
 * @param arithmetic how they come about, in words and numbers
 */
public record Demand(Tier tier, String item, long bytes, String arithmetic) {
  /** Item of what a device takes beside what the engine allocates. */
  public static final String DEVICE = "device";

  /** Where bytes live. */
  public enum Tier {
    GPU,
    DRAM,
    NVME;

    /** As in metrics, status and manifests. */
    public String word() {
      return name().toLowerCase(java.util.Locale.ROOT);
    }
  }
}
