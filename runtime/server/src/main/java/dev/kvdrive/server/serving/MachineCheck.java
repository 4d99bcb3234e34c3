package dev.kvdrive.server.serving;

import com.sun.management.OperatingSystemMXBean;
import dev.kvdrive.kv.tier.NvmeFolder;
import dev.kvdrive.plan.ByteSize;
import dev.kvdrive.plan.EngineSizes;
import dev.kvdrive.plan.Plan;
import dev.kvdrive.plan.PodSizes;
import dev.kvdrive.plan.VolumeSpace;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/**
 * Compares what a plan promises with what the machine has: memory, heap and volume. Says everything
 * that is missing at once.
 *
 * @param memoryBytes memory of the machine, or of the container if that is less
 * @param heapBytes largest heap of this JVM
 */
public record MachineCheck(long memoryBytes, long heapBytes) {
  /** What a collector may keep for itself of the heap that was asked for. */
  private static final double HEAP_TOLERANCE = 0.9;

  /** This machine. */
  public static MachineCheck here() {
    long memory =
        ManagementFactory.getOperatingSystemMXBean() instanceof OperatingSystemMXBean system
            ? system.getTotalMemorySize()
            : Long.MAX_VALUE;
    return new MachineCheck(memory, Runtime.getRuntime().maxMemory());
  }

  /**
   * Checks a plan that fits its budgets.
   *
   * @param nvmeDir where the volume is mounted
   * @throws StartFailure with every mismatch: what was promised, what is there, what to do
   */
  public void require(Plan plan, Path nvmeDir) {
    PodSizes pod = plan.requirePod();
    EngineSizes sizes = plan.requireSizes();
    List<String> missing = new ArrayList<>();
    if (memoryBytes < pod.memoryBytes()) {
      missing.add(
          "memory: the plan needs %s, this machine or container has %s; raise the memory limit or lower the tiers"
              .formatted(ByteSize.human(pod.memoryBytes()), ByteSize.human(memoryBytes)));
    }
    if (heapBytes < HEAP_TOLERANCE * pod.heapBytes()) {
      missing.add(
          "heap: the plan needs %s, this JVM may use %s; start it with -Xmx%dm"
              .formatted(
                  ByteSize.human(pod.heapBytes()),
                  ByteSize.human(heapBytes),
                  Math.ceilDiv(pod.heapBytes(), ByteSize.MIB)));
    }
    long extents = sizes.leastNvmeExtents() * sizes.layout().extentBytes();
    if (extents > 0) {
      volume(nvmeDir, extents, missing);
    }
    if (!missing.isEmpty()) {
      throw new StartFailure(
          "the machine does not have what the plan promises. " + String.join(". ", missing) + ".");
    }
  }

  private static void volume(Path directory, long extentBytes, List<String> missing) {
    try {
      NvmeFolder folder = NvmeFolder.open(directory);
      String refusal = folder.refusal();
      if (refusal != null) {
        missing.add("NVMe volume: %s cannot be used: %s".formatted(directory, refusal));
        return;
      }
      long room = folder.roomBytes();
      if (room < extentBytes) {
        missing.add(
            "NVMe volume: the extents need %s, %s has room for %s; give it a larger volume (%s would do), or give DRAM more"
                .formatted(
                    ByteSize.human(extentBytes),
                    directory,
                    ByteSize.human(room),
                    ByteSize.mebibytes(VolumeSpace.volumeFor(extentBytes))));
      }
    } catch (IOException e) {
      missing.add(
          "NVMe volume: %s cannot be used: %s; mount a volume there that user %s may write"
              .formatted(directory, e.getMessage(), System.getProperty("user.name")));
    }
  }
}
