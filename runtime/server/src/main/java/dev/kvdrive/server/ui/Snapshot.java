package dev.kvdrive.server.ui;

import dev.kvdrive.plan.Demand;
import dev.kvdrive.server.openai.Usage;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * What the page shows, at one moment. No prompt, no answer, no key.
 *
 * @param atMillis since 1970
 * @param state of the runtime, one word
 * @param detail of the state, for a person
 * @param engine once the model has loaded; null before
 */
public record Snapshot(long atMillis, String state, String detail, @Nullable Engine engine) {
  /**
   * The engine.
   *
   * @param plan what the runtime was planned for
   * @param tiers GPU, DRAM, NVMe, in this order
   * @param queue generations that run and wait
   * @param totals since the start
   * @param sequences those with a seat, then those that wait
   * @param unseen sequences beside these
   * @param ended sequences that have ended last, the latest first
   * @param step the last step that was timed; null if there is none
   * @param accuracy what attention has left out
   */
  public record Engine(
      Plan plan,
      List<Tier> tiers,
      Queue queue,
      Totals totals,
      List<Sequence> sequences,
      int unseen,
      List<Sequence> ended,
      @Nullable Step step,
      Accuracy accuracy) {}

  /**
   * What the runtime was planned for.
   *
   * @param model its name in the API
   * @param budget share of the context attended per step, in words
   * @param denseBelow tokens up to which a sequence attends everything
   * @param chunkTokens tokens of a chunk
   * @param resident format of chunks in the window
   * @param residentBytes of such a chunk
   * @param backing format of chunks in DRAM and on NVMe
   * @param backingBytes of such a chunk
   * @param windowSlots of each (sequence, layer, KV head)
   * @param demands the arithmetic
   */
  public record Plan(
      String model,
      String device,
      String policy,
      int contextLength,
      int concurrency,
      String budget,
      int denseBelow,
      int layers,
      int kvHeads,
      int headDim,
      int chunkTokens,
      String resident,
      int residentBytes,
      String backing,
      int backingBytes,
      int extentBytes,
      int windowSlots,
      List<Demand> demands) {}

  /** One tier; see {@code EngineStatus.Tier}. */
  public record Tier(
      String name, long capacityBytes, long usedBytes, long kvBytes, long keptBytes) {}

  /** Generations with a seat, generations in the queue, and places in it. */
  public record Queue(int running, int waiting, int limit) {}

  /** Sums since the start, as in the metrics. */
  public record Totals(
      long promptTokens,
      long completionTokens,
      long steps,
      long windowHits,
      Usage.ByTier missedChunks,
      Usage.ByTier fetchedBytes,
      long prefetchedChunks,
      long prefetchedHits,
      long demotions,
      long promotions,
      long nvmeWrittenBytes,
      long nvmeWrittenDayBytes,
      long nvmeWritesPerDayBytes,
      long nvmeIoErrors,
      boolean nvmeDirect,
      String nvmeEncryption) {}

  /**
   * A sequence; see {@code SequenceStatus}.
   *
   * @param usage as the API tells it in the end
   */
  public record Sequence(
      long number,
      String id,
      String state,
      @Nullable String waitsFor,
      double promptRead,
      int mostTokens,
      double budget,
      Usage usage,
      long stalls,
      double stalledSeconds,
      Held held) {}

  /** Where the bytes of a sequence are; see {@code SequenceStatus.Held}. */
  public record Held(
      long fixedBytes,
      long windowBytes,
      long residentBytes,
      long dramBytes,
      long nvmeBytes,
      long copiedBytes,
      Places places) {}

  /** Where the chunks of a context are, in thousandths; see {@code SequenceStatus.Places}. */
  public record Places(int tokens, List<Integer> window, List<Integer> dram, List<Integer> nvme) {}

  /** A step; see {@code TimedStep}. */
  public record Step(
      long number,
      int sequences,
      long nanos,
      Map<String, Long> stageNanos,
      long hits,
      long dramMisses,
      long nvmeMisses) {}

  /**
   * What attention has left out, by layer and KV head: means of the samples.
   *
   * @param samples by layer, then by KV head, as the others
   * @param massMissed shares of the softmax mass
   * @param outputError shares of the output's norm
   */
  public record Accuracy(
      List<List<Long>> samples, List<List<Double>> massMissed, List<List<Double>> outputError) {}
}
