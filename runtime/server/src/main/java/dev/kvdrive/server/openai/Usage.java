package dev.kvdrive.server.openai;

import dev.kvdrive.schedule.Accuracy;
import dev.kvdrive.schedule.GenerationUsage;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * What a request took, summed over its choices: OpenAI's counts, and beside them where the KV cache
 * was read from.
 *
 * @param promptTokensDetails once the request is done
 * @param kvdrive once the request is done
 */
public record Usage(
    int promptTokens,
    int completionTokens,
    int totalTokens,
    @Nullable PromptDetails promptTokensDetails,
    @Nullable Tiers kvdrive) {

  /**
   * Of the prompts' tokens.
   *
   * @param cachedTokens tokens whose keys and values were kept from a prompt that begins alike
   */
  public record PromptDetails(int cachedTokens) {}

  /**
   * How the KV cache was used while decoding.
   *
   * @param attendedTokens tokens attended, summed over steps, mean over layers and KV heads
   * @param contextTokens tokens that dense attention would have attended
   * @param windowHits selected chunks found in the window
   * @param windowHitRate share of the selected chunks found in the window; null if none was
   *     selected
   * @param missedChunks selected chunks fetched, by tier
   * @param fetchedBytes bytes fetched, by tier
   * @param nvmeWrittenBytes bytes of the KV cache written to NVMe, while the prompt was read too
   * @param prefetchedChunks chunks brought from DRAM before anything had selected them
   * @param prefetchedHits of the hits, chunks that were there because they had been prefetched
   * @param accuracy what attention left out, in the steps that were measured; null if none was
   * @param queueSeconds wait for a seat, longest of the choices
   * @param prefillSeconds from the first work to the first token, longest of the choices
   * @param decodeSeconds from the first token to the end, longest of the choices
   * @param decodeNvmeSeconds of the steps' time, that in which chunks of them were on their way
   *     from NVMe, longest of the choices
   * @param decodeStalledSeconds of the time from the first token on, waiting without a step for
   *     room in DRAM or for late chunks from NVMe, longest of the choices
   */
  public record Tiers(
      long attendedTokens,
      long contextTokens,
      long windowHits,
      @Nullable Double windowHitRate,
      ByTier missedChunks,
      ByTier fetchedBytes,
      long nvmeWrittenBytes,
      long prefetchedChunks,
      long prefetchedHits,
      @Nullable Measured accuracy,
      double queueSeconds,
      double prefillSeconds,
      double decodeSeconds,
      double decodeNvmeSeconds,
      double decodeStalledSeconds) {}

  /**
   * What attention left out.
   *
   * @param samples heads of layers that were measured, each in one step
   * @param massMissed mean share of the softmax mass on tokens that were not attended
   * @param outputError mean error of the attention's output, as a share of its norm
   */
  public record Measured(long samples, double massMissed, double outputError) {}

  /** One figure for each tier below the window. */
  public record ByTier(long dram, long nvme) {}

  /** The counts of a request that goes on. */
  static Usage soFar(int promptTokens, int completionTokens) {
    return new Usage(promptTokens, completionTokens, promptTokens + completionTokens, null, null);
  }

  /**
   * Sums up.
   *
   * @param promptTokens tokens of the prompts, each once
   * @param choices of every choice
   */
  public static Usage of(int promptTokens, List<GenerationUsage> choices) {
    int completion = 0;
    long read = 0;
    long cached = 0;
    long attended = 0;
    long context = 0;
    long hits = 0;
    long dramMisses = 0;
    long nvmeMisses = 0;
    long dramBytes = 0;
    long nvmeBytes = 0;
    long nvmeWritten = 0;
    long prefetched = 0;
    long prefetchedHits = 0;
    long queue = 0;
    long prefill = 0;
    long decode = 0;
    long nvme = 0;
    long stalled = 0;
    Accuracy accuracy = Accuracy.NONE;
    for (GenerationUsage choice : choices) {
      completion += choice.completionTokens();
      read += choice.promptTokens();
      cached += choice.reusedTokens();
      attended += choice.attendedTokens();
      context += choice.contextTokens();
      hits += choice.hits();
      dramMisses += choice.dramMisses();
      nvmeMisses += choice.nvmeMisses();
      dramBytes += choice.dramBytes();
      nvmeBytes += choice.nvmeBytes();
      nvmeWritten += choice.nvmeWrittenBytes();
      prefetched += choice.prefetched();
      prefetchedHits += choice.prefetchedHits();
      accuracy = accuracy.plus(choice.accuracy());
      queue = Math.max(queue, choice.queueNanos());
      prefill = Math.max(prefill, choice.prefillNanos());
      decode = Math.max(decode, choice.decodeNanos());
      nvme = Math.max(nvme, choice.decodeNvmeNanos());
      stalled = Math.max(stalled, choice.decodeStalledNanos());
    }
    long selected = hits + dramMisses + nvmeMisses;
    return new Usage(
        promptTokens,
        completion,
        promptTokens + completion,
        // Each prompt has as many choices as any other.
        new PromptDetails(read == 0 ? 0 : (int) (cached * promptTokens / read)),
        new Tiers(
            attended,
            context,
            hits,
            selected == 0 ? null : Double.valueOf((double) hits / selected),
            new ByTier(dramMisses, nvmeMisses),
            new ByTier(dramBytes, nvmeBytes),
            nvmeWritten,
            prefetched,
            prefetchedHits,
            accuracy.samples() == 0
                ? null
                : new Measured(accuracy.samples(), accuracy.massMissed(), accuracy.outputError()),
            queue / 1e9,
            prefill / 1e9,
            decode / 1e9,
            nvme / 1e9,
            stalled / 1e9));
  }
}
