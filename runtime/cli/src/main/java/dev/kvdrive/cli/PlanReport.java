package dev.kvdrive.cli;

import dev.kvdrive.plan.Alternative;
import dev.kvdrive.plan.ByteSize;
import dev.kvdrive.plan.Demand;
import dev.kvdrive.plan.Demand.Tier;
import dev.kvdrive.plan.EngineSizes;
import dev.kvdrive.plan.Plan;
import dev.kvdrive.plan.PlanRequest;
import dev.kvdrive.plan.PodSizes;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/** A plan as a table for people and as a tree for programs. */
final class PlanReport {
  private PlanReport() {}

  static String table(Plan plan) {
    StringBuilder out = new StringBuilder();
    PlanRequest r = plan.request();
    out.append(plan.verdict()).append("\n\n");
    row(out, "tier", "item", "bytes", "arithmetic");
    for (Tier tier : Tier.values()) {
      for (Demand d : plan.demands()) {
        if (d.tier() == tier) {
          row(out, tier.word(), d.item(), ByteSize.human(d.bytes()), d.arithmetic());
        }
      }
      long budget =
          switch (tier) {
            case GPU -> r.tiers().gpu();
            case DRAM -> r.tiers().dram();
            case NVME -> r.tiers().nvme();
          };
      row(
          out,
          tier.word(),
          "total",
          ByteSize.human(plan.demand(tier)),
          "of %s budgeted".formatted(ByteSize.human(budget)));
    }
    if (plan.feasible()) {
      EngineSizes s = plan.requireSizes();
      PodSizes pod = plan.requirePod();
      out.append('\n');
      row(
          out,
          "engine",
          "window",
          "%,d".formatted(s.windowSlots()),
          "chunks per (sequence, layer, KV head), %,d selected per step at %s"
              .formatted(
                  s.maxSelected(),
                  s.exact() ? "100 % (exact)" : "%.4g %%".formatted(100 * s.budget())));
      row(
          out,
          "pod",
          "memory",
          ByteSize.mebibytes(pod.memoryBytes()),
          "request and limit; -Xmx%dm".formatted(pod.heapBytes() / ByteSize.MIB));
      row(out, "pod", "volume", ByteSize.mebibytes(pod.volumeBytes()), "local NVMe volume");
    }
    for (String warning : plan.warnings()) {
      out.append("\nNote: ").append(warning).append('\n');
    }
    return out.toString();
  }

  private static void row(StringBuilder out, String tier, String item, String size, String text) {
    out.append(String.format(Locale.ROOT, "%-7s %-14s %10s  %s%n", tier, item, size, text));
  }

  static Map<String, Object> tree(Plan plan) {
    Map<String, Object> out = new LinkedHashMap<>();
    out.put("feasible", plan.feasible());
    out.put("verdict", plan.verdict());
    out.put("request", request(plan.request()));
    List<Map<String, Object>> demands = new ArrayList<>();
    for (Demand d : plan.demands()) {
      Map<String, Object> line = new LinkedHashMap<>();
      line.put("tier", d.tier().word());
      line.put("item", d.item());
      line.put("bytes", d.bytes());
      line.put("arithmetic", d.arithmetic());
      demands.add(line);
    }
    out.put("demands", demands);
    if (plan.feasible()) {
      EngineSizes s = plan.requireSizes();
      PodSizes pod = plan.requirePod();
      Map<String, Object> engine = new LinkedHashMap<>();
      engine.put("chunkBytes", s.layout().chunkBytes());
      engine.put("extentBytes", s.layout().extentBytes());
      engine.put("maxChunks", s.maxChunks());
      engine.put("maxSelected", s.maxSelected());
      engine.put("windowSlots", s.windowSlots());
      engine.put("dramFrames", s.dramFrames());
      engine.put("nvmeExtents", s.nvmeExtents());
      out.put("engine", engine);
      Map<String, Object> podTree = new LinkedHashMap<>();
      podTree.put("heapBytes", pod.heapBytes());
      podTree.put("directBytes", pod.directBytes());
      podTree.put("memoryBytes", pod.memoryBytes());
      podTree.put("volumeBytes", pod.volumeBytes());
      out.put("pod", podTree);
    }
    out.put("shortfalls", plan.shortfalls());
    List<Map<String, Object>> alternatives = new ArrayList<>();
    for (Alternative a : plan.alternatives()) {
      Map<String, Object> line = new LinkedHashMap<>();
      line.put("text", a.text());
      line.put("request", request(a.request()));
      alternatives.add(line);
    }
    out.put("alternatives", alternatives);
    out.put("warnings", plan.warnings());
    return out;
  }

  private static Map<String, Object> request(PlanRequest r) {
    Map<String, Object> out = new LinkedHashMap<>();
    out.put("model", r.model().name());
    out.put("contextLength", r.contextLength());
    out.put("concurrency", r.concurrency());
    out.put("budget", r.budget());
    out.put("kvType", r.kvType().name());
    out.put("device", r.device().name());
    out.put("gpuBytes", r.tiers().gpu());
    out.put("dramBytes", r.tiers().dram());
    out.put("nvmeBytes", r.tiers().nvme());
    return out;
  }
}
