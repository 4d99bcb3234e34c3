package dev.kvdrive.server.metrics;

import dev.kvdrive.schedule.Accuracy;
import dev.kvdrive.schedule.EngineStatus;
import dev.kvdrive.server.serving.ServedModel;
import io.micrometer.core.instrument.FunctionCounter;
import io.micrometer.core.instrument.Gauge;
import io.micrometer.core.instrument.MeterRegistry;
import io.micrometer.core.instrument.Tags;
import java.util.List;
import java.util.function.ToDoubleFunction;

/**
 * Tiers, queue and totals of an engine. All figures of one scrape come from one status, so they add
 * up. The metrics that schedulers in front of several servers look for have vLLM's names too.
 */
final class EngineMetrics {
  private final ServedModel model;
  private final MeterRegistry registry;
  private final long chunkBytes;
  private volatile EngineStatus status;

  EngineMetrics(ServedModel model, MeterRegistry registry) {
    this.model = model;
    this.registry = registry;
    this.chunkBytes = model.engine().sizes().layout().backing().bytes();
    this.status = model.engine().status();
    Tags none = Tags.empty();
    gauge("kvdrive.requests.running", "Generations with a seat.", none, EngineStatus::running);
    gauge("kvdrive.requests.waiting", "Generations in the queue.", none, EngineStatus::waiting);
    gauge(
        "kvdrive.requests.without.room",
        "Generations whose seat waits for room in the tiers.",
        none,
        EngineStatus::withoutRoom);
    int seats = model.engine().sizes().concurrency();
    gauge("kvdrive.seats", "Generations that may run at the same time.", none, s -> seats);
    gauge("kvdrive.queue.limit", "Places in the queue.", none, EngineStatus::queueLimit);
    for (int i = 0; i < status.tiers().size(); i++) {
      tier(i);
    }
    counter("kvdrive.prompt.tokens", "Tokens of prompts read.", none, EngineStatus::promptTokens);
    counter(
        "kvdrive.prompt.reused.tokens",
        "Of these, tokens whose keys and values were kept from a prompt that begins alike.",
        none,
        EngineStatus::reusedTokens);
    counter("kvdrive.completion.tokens", "Tokens generated.", none, EngineStatus::completionTokens);
    counter("kvdrive.decode.steps", "Decode steps.", none, EngineStatus::steps);
    counter(
        "kvdrive.attended.tokens",
        "Tokens attended in decode steps, mean over layers and KV heads.",
        none,
        EngineStatus::attendedTokens);
    counter(
        "kvdrive.context.tokens",
        "Tokens that dense attention would have attended in the same steps.",
        none,
        EngineStatus::contextTokens);
    counter("kvdrive.window.hits", "Selected chunks in the window.", none, EngineStatus::hits);
    missed("dram", EngineStatus::dramMisses);
    missed("nvme", EngineStatus::nvmeMisses);
    counter(
        "kvdrive.prefetched.chunks",
        "Chunks brought into the window before they were selected.",
        none,
        EngineStatus::prefetched);
    counter(
        "kvdrive.prefetched.bytes",
        "Bytes of the prefetched chunks.",
        none,
        s -> s.prefetched() * chunkBytes);
    counter(
        "kvdrive.prefetched.hits",
        "Prefetched chunks that were selected while they were in the window.",
        none,
        EngineStatus::prefetchedHits);
    accuracy();
    counter("kvdrive.demotions", "Extents moved from DRAM to NVMe.", none, EngineStatus::demotions);
    counter(
        "kvdrive.promotions", "Extents moved from NVMe to DRAM.", none, EngineStatus::promotions);
    counter(
        "kvdrive.nvme.written.bytes", "Bytes written to NVMe.", none, s -> s.nvmeWritten().bytes());
    gauge(
        "kvdrive.nvme.written.day.bytes",
        "Bytes written to NVMe in the last 24 hours.",
        none,
        s -> s.nvmeWritten().lastDay());
    gauge(
        "kvdrive.nvme.writes.per.day.bytes",
        "Bytes that may be written to NVMe in 24 hours, 0 for no limit.",
        none,
        s -> s.nvmeWritten().perDay());
    gauge(
        "kvdrive.nvme.writes.spent",
        "1 while the longest request cannot begin before less was written to NVMe in a day.",
        none,
        s -> s.nvmeWritten().shortage() == null ? 0 : 1);
    counter("kvdrive.nvme.io.errors", "Failed NVMe I/O.", none, EngineStatus::ioErrors);
    gauge(
        "kvdrive.nvme.direct",
        "1 if NVMe is accessed with O_DIRECT.",
        none,
        s -> s.nvmeDirect() ? 1 : 0);
    gauge(
        "kvdrive.nvme.encrypted",
        "1 if what is written to NVMe is encrypted.",
        none,
        s -> s.nvmeEncryption().encrypts() ? 1 : 0);
    gauge(
        "kvdrive.nvme.healthy",
        "0 while the drive of the NVMe tier fails.",
        none,
        s -> s.nvmeFailure() == null ? 1 : 0);
    gauge(
        "kvdrive.draining", "1 while no new requests are taken.", none, s -> s.draining() ? 1 : 0);
    Tags vllm = Tags.of("model_name", model.name());
    gauge("vllm:num_requests_running", "As kvdrive_requests_running.", vllm, EngineStatus::running);
    gauge("vllm:num_requests_waiting", "As kvdrive_requests_waiting.", vllm, EngineStatus::waiting);
    counter(
        "vllm:prefix_cache_queries", "As kvdrive_prompt_tokens.", vllm, EngineStatus::promptTokens);
    counter(
        "vllm:prefix_cache_hits",
        "As kvdrive_prompt_reused_tokens.",
        vllm,
        EngineStatus::reusedTokens);
    // The second is what vLLM called it before, and what endpoint pickers before llm-d's look for.
    for (String name : List.of("vllm:kv_cache_usage_perc", "vllm:gpu_cache_usage_perc")) {
      gauge(
          name,
          "Share of DRAM and NVMe tier that keys and values take, 1 while a request has no room.",
          vllm,
          EngineMetrics::kvUsage);
    }
  }

  /** Takes the figures of the next scrape. */
  void refresh() {
    status = model.engine().status();
  }

  private void tier(int index) {
    Tags tier = Tags.of("tier", status.tiers().get(index).name());
    gauge(
        "kvdrive.tier.capacity.bytes",
        "Hard cap of a tier.",
        tier,
        s -> s.tiers().get(index).capacityBytes());
    gauge(
        "kvdrive.tier.used.bytes",
        "Bytes of a tier in use, in-flight ones counted.",
        tier,
        s -> s.tiers().get(index).usedBytes());
    gauge(
        "kvdrive.tier.kv.bytes",
        "Bytes of a tier that hold keys and values of what runs.",
        tier,
        s -> s.tiers().get(index).kvBytes());
    gauge(
        "kvdrive.tier.kept.bytes",
        "Bytes of a tier that hold what is kept of prompts, until there is need of the room.",
        tier,
        s -> s.tiers().get(index).keptBytes());
  }

  /** Of heads that were never measured there is a sample count of 0. */
  private void accuracy() {
    var layout = model.engine().sizes().layout();
    for (int layer = 0; layer < layout.layers(); layer++) {
      for (int head = 0; head < layout.kvHeads(); head++) {
        int l = layer;
        int h = head;
        Tags tags = Tags.of("layer", Integer.toString(l), "kv_head", Integer.toString(h));
        counter(
            "kvdrive.accuracy.samples",
            "Measurements of what attention leaves out.",
            tags,
            s -> of(s, l, h).samples());
        counter(
            "kvdrive.mass.missed",
            "Shares of the attention on tokens that were not attended, summed over measurements.",
            tags,
            s -> of(s, l, h).samples() * of(s, l, h).massMissed());
        counter(
            "kvdrive.output.error",
            "Errors of the attention's output, as shares of its norm, summed over measurements.",
            tags,
            s -> of(s, l, h).samples() * of(s, l, h).outputError());
      }
    }
  }

  private static Accuracy of(EngineStatus status, int layer, int head) {
    return status.accuracy().getOrDefault(new EngineStatus.Head(layer, head), Accuracy.NONE);
  }

  private void missed(String tier, ToDoubleFunction<EngineStatus> chunks) {
    Tags tags = Tags.of("tier", tier);
    counter(
        "kvdrive.window.misses", "Selected chunks fetched into the window, by tier.", tags, chunks);
    counter(
        "kvdrive.fetched.bytes",
        "Bytes of the chunks fetched into the window, by tier.",
        tags,
        s -> chunks.applyAsDouble(s) * chunkBytes);
  }

  /**
   * How full an endpoint picker shall take this server for. Room is promised to a sequence before
   * its keys and values are there, so bytes alone would send requests to where the next one waits.
   */
  private static double kvUsage(EngineStatus status) {
    if (status.waiting() > 0 || status.withoutRoom() > 0) {
      return 1;
    }
    List<EngineStatus.Tier> backing =
        status.tiers().stream().filter(tier -> !tier.name().equals("gpu")).toList();
    long capacity = backing.stream().mapToLong(EngineStatus.Tier::capacityBytes).sum();
    long used = backing.stream().mapToLong(EngineStatus.Tier::kvBytes).sum();
    return capacity == 0 ? 0 : (double) used / capacity;
  }

  private void gauge(
      String name, String description, Tags tags, ToDoubleFunction<EngineStatus> value) {
    Gauge.builder(name, this, metrics -> value.applyAsDouble(metrics.status))
        .description(description)
        .tags(tags)
        .register(registry);
  }

  private void counter(
      String name, String description, Tags tags, ToDoubleFunction<EngineStatus> value) {
    FunctionCounter.builder(name, this, metrics -> value.applyAsDouble(metrics.status))
        .description(description)
        .tags(tags)
        .register(registry);
  }
}
