package dev.kvdrive.cli.plan;

import dev.kvdrive.cli.plan.ManifestPlans.Judged;
import dev.kvdrive.plan.Alternative;
import dev.kvdrive.plan.Budget;
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
import java.util.Map;

/** A plan as a table for people and as a tree for programs. */
final class PlanReport {
  private PlanReport() {}

  static String table(Plan plan) {
    StringBuilder out = new StringBuilder();
    PlanRequest r = plan.request();
    heading(out, plan);
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
          "device",
          r.device().word(),
          "",
          "weights: %s; activations of %d bytes"
              .formatted(r.device().weights(), r.device().activationBytes()));
      row(
          out,
          "engine",
          "KV cache",
          ByteSize.human(s.layout().backingBytes(1)),
          "per token: %d layers x %d KV heads x %d B for %d tokens in %s; in the window %s"
              .formatted(
                  s.layout().layers(),
                  s.layout().kvHeads(),
                  s.layout().backing().bytes(),
                  s.layout().grid().chunk(),
                  s.layout().formats().backing().word(),
                  s.layout().formats().resident().word()));
      row(
          out,
          "engine",
          "window",
          "%,d".formatted(s.windowSlots()),
          "chunks per (sequence, layer, KV head), %,d selected per step at %s"
              .formatted(s.maxSelected(), attended(r.attention().budget())));
      if (s.denseChunks() > 0) {
        row(
            out,
            "engine",
            "dense below",
            "%,d".formatted(s.denseBelow()),
            "tokens, up to which a sequence attends everything");
      }
      row(
          out,
          "pod",
          "heap",
          ByteSize.mebibytes(pod.heapBytes()),
          "-Xmx%dm".formatted(pod.heapBytes() / ByteSize.MIB));
      row(
          out,
          "pod",
          "memory",
          ByteSize.mebibytes(pod.memoryBytes()),
          "request and limit: heap + %s of direct buffers + %s of JVM + DRAM budget%s"
              .formatted(
                  ByteSize.human(pod.directBytes()),
                  ByteSize.human(pod.overheadBytes()),
                  r.device().arenaInHostMemory() ? " + GPU memory budget (an arena)" : ""));
      row(
          out,
          "pod",
          "requests",
          ByteSize.mebibytes(pod.requests().heapBytes()),
          "of the heap: %s of bodies, %s to parse and tokenise them, %,d connections"
              .formatted(
                  ByteSize.human(pod.requests().bodyBytes()),
                  ByteSize.human(pod.requests().workBytes()),
                  pod.requests().connections()));
      row(out, "pod", "volume", ByteSize.mebibytes(pod.volumeBytes()), "local NVMe volume");
      if (r.tiers().nvmeWritesPerDay() > 0) {
        row(
            out,
            "pod",
            "writes a day",
            ByteSize.human(r.tiers().nvmeWritesPerDay()),
            "to the volume at most; a sequence of %,d tokens alone may take %s"
                .formatted(
                    r.load().contextLength(),
                    ByteSize.human(
                        s.leavingDram(r.load().contextLength()) * s.layout().extentBytes())));
      }
      if (r.tiers().nvmeEncryption().encrypts()) {
        row(
            out,
            "pod",
            "encryption",
            r.tiers().nvmeEncryption().word(),
            "of the volume's extents, with keys in DRAM alone");
      }
    }
    for (String warning : plan.warnings()) {
      out.append("\nNote: ").append(warning).append('\n');
    }
    return out.toString();
  }

  private static String attended(Budget budget) {
    return budget.exact() ? "100 % (exact)" : budget.words();
  }

  /** The plan's verdict, a line for each of its sentences. */
  private static void heading(StringBuilder out, Plan plan) {
    if (plan.feasible()) {
      out.append(plan.verdict()).append("\n\n");
      return;
    }
    PlanRequest r = plan.request();
    out.append(
        "%s at %,d tokens x %d does not fit:%n"
            .formatted(r.model().name(), r.load().contextLength(), r.load().concurrency()));
    plan.shortfalls().forEach(line -> out.append("  - ").append(line).append('\n'));
    if (!plan.alternatives().isEmpty()) {
      out.append("What would fit:\n");
      plan.alternatives().forEach(a -> out.append("  - ").append(a.text()).append('\n'));
    }
    out.append("\nThe least it takes:\n");
  }

  /** One deployment of a manifest. */
  static String table(Judged judged) {
    StringBuilder out = new StringBuilder();
    out.append("# ").append(judged.name()).append('\n');
    Plan plan = judged.plan();
    // A plan may fit its budgets, and not what holds them.
    if (plan == null || (plan.feasible() && !judged.feasible())) {
      out.append(judged.reason()).append(": ").append(judged.message()).append('\n');
    }
    if (plan != null) {
      out.append(table(plan));
    }
    if (judged.note() != null) {
      judged.note().lines().forEach(note -> out.append("\nNote: ").append(note).append('\n'));
    }
    return out.toString();
  }

  /** One deployment of a manifest. */
  static Map<String, Object> tree(Judged judged) {
    Map<String, Object> out = new LinkedHashMap<>();
    out.put("deployment", judged.name());
    if (judged.reason() != null) {
      out.put("reason", judged.reason());
    }
    Plan plan = judged.plan();
    if (plan != null) {
      out.putAll(tree(plan));
    }
    if (plan == null || (plan.feasible() && !judged.feasible())) {
      out.put("feasible", false);
      out.put("verdict", String.valueOf(judged.message()));
    }
    if (judged.note() != null) {
      out.put("note", judged.note());
    }
    return out;
  }

  private static void row(StringBuilder out, String tier, String item, String size, String text) {
    out.append(PlanRows.row(tier, item, size, text));
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
      engine.put("bytesPerToken", s.layout().backingBytes(1));
      engine.put("chunkBytes", s.layout().backing().bytes());
      engine.put("residentChunkBytes", s.layout().resident().bytes());
      engine.put("extentBytes", s.layout().extentBytes());
      engine.put("maxChunks", s.maxChunks());
      engine.put("maxSelected", s.maxSelected());
      engine.put("denseBelow", s.denseBelow());
      engine.put("windowSlots", s.windowSlots());
      engine.put("dramFrames", s.dramFrames());
      engine.put("nvmeExtents", s.nvmeExtents());
      out.put("engine", engine);
      Map<String, Object> podTree = new LinkedHashMap<>();
      podTree.put("heapBytes", pod.heapBytes());
      podTree.put("directBytes", pod.directBytes());
      podTree.put(
          "requests",
          Map.of(
              "connections", pod.requests().connections(),
              "largestBodyBytes", pod.requests().largestBodyBytes(),
              "bodyBytes", pod.requests().bodyBytes(),
              "workBytes", pod.requests().workBytes()));
      podTree.put("overheadBytes", pod.overheadBytes());
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
    out.put("contextLength", r.load().contextLength());
    out.put("concurrency", r.load().concurrency());
    out.put("budget", r.attention().budget().share());
    if (r.attention().budget().quality() != null) {
      out.put("quality", r.attention().budget().quality());
    }
    if (r.attention().denseBelow() != null) {
      out.put("denseBelow", r.attention().denseBelow());
    }
    out.put("policy", r.attention().policy().name());
    out.put("index", r.attention().policy().index().word());
    out.put("kvType", r.attention().kvType().name());
    out.put("resident", r.attention().formats().resident().name());
    out.put("backing", r.attention().formats().backing().name());
    out.put(
        "windows",
        Map.of(
            "division", r.attention().windows().division().name(),
            "warmUpTokens", r.attention().windows().warmUpTokens(),
            "prefetch", r.attention().windows().prefetch()));
    out.put("device", r.device().name());
    out.put("gpuBytes", r.tiers().gpu());
    out.put("dramBytes", r.tiers().dram());
    out.put("nvmeBytes", r.tiers().nvme());
    if (r.tiers().nvmeWritesPerDay() > 0) {
      out.put("nvmeWritesPerDay", r.tiers().nvmeWritesPerDay());
    }
    if (r.tiers().nvmeEncryption().encrypts()) {
      out.put("nvmeEncryption", r.tiers().nvmeEncryption().name());
    }
    return out;
  }
}
