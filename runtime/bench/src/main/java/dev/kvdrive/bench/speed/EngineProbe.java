package dev.kvdrive.bench.speed;

import dev.kvdrive.bench.engine.LocalEngine;
import dev.kvdrive.schedule.Finish;
import dev.kvdrive.schedule.GeneratedToken;
import dev.kvdrive.schedule.GenerationException;
import dev.kvdrive.schedule.GenerationListener;
import dev.kvdrive.schedule.GenerationRequest;
import dev.kvdrive.schedule.GenerationUsage;
import dev.kvdrive.schedule.Sampling;
import java.util.List;
import java.util.Random;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;

/** This project's engine, with the whole path of a request in front of it. */
public final class EngineProbe implements Probe {
  private final LocalEngine local;
  private final int promptTokens;
  private final int tokens;
  private final Random random = new Random(1);

  /**
   * @param local the engine; closed with the probe
   * @param promptTokens of each run
   * @param tokens to write in each run, the first included
   */
  public EngineProbe(LocalEngine local, int promptTokens, int tokens) {
    this.local = local;
    this.promptTokens = promptTokens;
    this.tokens = tokens;
  }

  @Override
  public String description() {
    return "KVDrive, " + local.device().description();
  }

  @Override
  public SpeedRun run() {
    int vocabulary =
        Math.min(local.model().spec().vocabulary(), local.tokenizer().vocabularySize());
    List<Integer> prompt = random.ints(promptTokens, 0, vocabulary).boxed().toList();
    CompletableFuture<GenerationUsage> usage = new CompletableFuture<>();
    local
        .engine()
        .submit(
            new GenerationRequest(
                "bench", prompt, Sampling.GREEDY, tokens, Set.of(), List.of(), -1, true),
            new GenerationListener() {
              @Override
              public void onToken(GeneratedToken token) {}

              @Override
              public void onFinish(Finish finish) {
                usage.complete(finish.usage());
              }

              @Override
              public void onError(GenerationException error) {
                usage.completeExceptionally(error);
              }
            });
    try {
      GenerationUsage took = usage.join();
      int steps = Math.max(1, took.completionTokens() - 1);
      return new SpeedRun(
          took.promptTokens(),
          took.completionTokens() - 1,
          took.prefillNanos(),
          took.decodeNanos(),
          (double) took.attendedTokens() / steps,
          took.hitRate(),
          (double) (took.dramBytes() + took.nvmeBytes()) / steps);
    } catch (CompletionException e) {
      throw new GenerationException("the measured request failed: " + e.getCause(), e);
    }
  }

  @Override
  public void close() {
    local.close();
  }
}
