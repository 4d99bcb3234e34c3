package dev.kvdrive.cli.demo;

import com.google.errorprone.annotations.FormatMethod;
import com.google.errorprone.annotations.FormatString;
import dev.kvdrive.cli.terminal.Quantities;
import dev.kvdrive.cli.terminal.Terminal;
import dev.kvdrive.plan.ByteSize;
import dev.kvdrive.plan.ClusterFormat;
import dev.kvdrive.plan.DeviceKind;
import dev.kvdrive.schedule.EngineStatus;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import tools.jackson.databind.JsonNode;

/** What the demo prints in the end: where the bytes were and how fast they came. */
final class DemoReport {
  private DemoReport() {}

  /** What the GPU tier is on a kind of device. */
  static String gpuTier(DeviceKind device) {
    return device.arenaInHostMemory() ? "GPU arena" : "GPU memory";
  }

  /**
   * The report, line by line.
   *
   * @param device kind of the device
   * @param clusters by which the rest is estimated; null for none
   * @param fullest the engine when most of the KV cache was in its tiers
   * @param usage of the answer, as the API tells it
   */
  static List<String> lines(
      Terminal terminal,
      DeviceKind device,
      @Nullable ClusterFormat clusters,
      EngineStatus fullest,
      JsonNode usage) {
    Map<String, String> names = Map.of("gpu", gpuTier(device), "dram", "DRAM", "nvme", "NVMe");
    List<String> lines = new ArrayList<>();
    lines.add(terminal.bold("Where the bytes lived"));
    lines.add(terminal.faint("  %-10s %12s %12s %12s".formatted("tier", "used", "of", "KV cache")));
    for (EngineStatus.Tier tier : fullest.tiers()) {
      lines.add(
          "  %-10s %12s %12s %12s"
              .formatted(
                  names.getOrDefault(tier.name(), tier.name()),
                  ByteSize.human(tier.usedBytes()),
                  ByteSize.human(tier.capacityBytes()),
                  ByteSize.human(tier.kvBytes())));
    }
    lines.add("");
    lines.add(terminal.bold("How the answer was decoded"));
    JsonNode tiers = usage.path("kvdrive");
    int tokens = usage.path("completion_tokens").asInt();
    long steps = Math.max(1, tokens - 1);
    long attended = tiers.path("attended_tokens").asLong();
    long context = tiers.path("context_tokens").asLong();
    row(
        lines,
        "attended",
        "%s of %s tokens per step (%s)",
        Quantities.count(attended / steps),
        Quantities.count(context / steps),
        Quantities.percent(context == 0 ? 1 : (double) attended / context));
    if (clusters != null && context > attended) {
      row(
          lines,
          "estimated",
          "the other %s, by clusters of %d tokens on average",
          Quantities.count((context - attended) / steps),
          clusters.tokens());
    }
    JsonNode accuracy = tiers.path("accuracy");
    if (accuracy.path("samples").asLong() > 0) {
      row(
          lines,
          "missed",
          "%s of the attention is on tokens not attended; its output is off by %s (measured: %s)",
          Quantities.percent(accuracy.path("mass_missed").asDouble()),
          Quantities.percent(accuracy.path("output_error").asDouble()),
          Quantities.count(accuracy.path("samples").asLong()));
    }
    row(
        lines,
        "window",
        "%s hits; %s misses from DRAM, %s from NVMe; %s",
        Quantities.count(tiers.path("window_hits").asLong()),
        Quantities.count(tiers.at("/missed_chunks/dram").asLong()),
        Quantities.count(tiers.at("/missed_chunks/nvme").asLong()),
        tiers.has("window_hit_rate")
            ? "hit rate " + Quantities.percent(tiers.path("window_hit_rate").asDouble())
            : "nothing was selected");
    long prefetched = tiers.path("prefetched_chunks").asLong();
    if (prefetched > 0) {
      row(
          lines,
          "prefetched",
          "%s chunks for the next layer, of which steps asked for %s",
          Quantities.count(prefetched),
          Quantities.percent(tiers.path("prefetched_hits").asDouble() / prefetched));
    }
    long dram = tiers.at("/fetched_bytes/dram").asLong();
    long nvme = tiers.at("/fetched_bytes/nvme").asLong();
    row(
        lines,
        "fetched",
        "%s per token: %s from DRAM, %s from NVMe",
        ByteSize.human((dram + nvme) / steps),
        ByteSize.human(dram / steps),
        ByteSize.human(nvme / steps));
    row(
        lines,
        "moved",
        "%s extents demoted to NVMe, %s promoted back; %s",
        Quantities.count(fullest.demotions()),
        Quantities.count(fullest.promotions()),
        fullest.nvmeDirect() ? "O_DIRECT" : "through the page cache (no O_DIRECT here)");
    row(
        lines,
        "speed",
        "prefill %s tokens/s, decode %s tokens/s",
        Quantities.rate(
            usage.path("prompt_tokens").asLong() / tiers.path("prefill_seconds").asDouble()),
        Quantities.rate(steps / tiers.path("decode_seconds").asDouble()));
    row(lines, "device", "%s", fullest.device());
    return lines;
  }

  @FormatMethod
  private static void row(
      List<String> lines, String name, @FormatString String text, Object... values) {
    lines.add("  %-10s %s".formatted(name, String.format(Locale.ROOT, text, values)));
  }
}
