package dev.kvdrive.feasibility;

import dev.kvdrive.api.v1alpha1.GpuSpec;
import dev.kvdrive.plan.ByteSize;
import org.jspecify.annotations.Nullable;

/**
 * The GPU that a pod asks for.
 *
 * @param resourceName extended resource; of no meaning beside a claim
 * @param count how much of it
 * @param claimTemplate ResourceClaimTemplate in place of the resource; null for none
 * @param memory bytes that the class says a card has; null if it does not say
 * @param matchMemory whether the pods only go where a label says that a card holds the GPU tier
 */
public record GpuRequest(
    String resourceName,
    int count,
    @Nullable String claimTemplate,
    @Nullable Long memory,
    boolean matchMemory) {
  /** Resources that several pods share are labelled as the card they share. */
  private static final String SHARED = ".shared";

  /** What a class of device CUDA asks for that does not say more. */
  static final GpuRequest CARD = new GpuRequest(GpuSpec.RESOURCE, 1, null, null, false);

  /** The label by which GPU feature discovery says how many MiB a card, or its part, has. */
  public String memoryLabel() {
    String card =
        resourceName.endsWith(SHARED)
            ? resourceName.substring(0, resourceName.length() - SHARED.length())
            : resourceName;
    return card + ".memory";
  }

  /** What is asked for, in words. */
  public String words() {
    return claimTemplate == null
        ? resourceName
        : "a device of ResourceClaimTemplate " + claimTemplate;
  }

  /** MiB that a card needs for a tier, as whole as labels are. */
  public static long mebibytes(long tier) {
    return Math.ceilDiv(tier, ByteSize.MIB);
  }
}
