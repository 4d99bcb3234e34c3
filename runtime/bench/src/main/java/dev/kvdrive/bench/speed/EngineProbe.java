package dev.kvdrive.bench.speed;

import dev.kvdrive.bench.engine.LocalEngine;
import dev.kvdrive.schedule.Finish;
import dev.kvdrive.schedule.GeneratedToken;
import dev.kvdrive.schedule.GenerationException;
import dev.kvdrive.schedule.GenerationListener;
import dev.kvdrive.schedule.GenerationRequest;
import dev.kvdrive.schedule.GenerationUsage;
import dev.kvdrive.schedule.Sampling;
import dev.kvdrive.schedule.Submission;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import org.jspecify.annotations.Nullable;

/** This project's engine, with the whole path of a request in front of it. */
public final class EngineProbe implements Probe {
  private final LocalEngine local;
  private final int promptTokens;
  private final int tokens;
  private final int sequences;
  private final @Nullable StageClock clock;
  private final Random random = new Random(1);
  private volatile Map<String, Long> verbNanos = Map.of();

  /**
   * @param local the engine; closed with the probe
   * @param promptTokens of each run
   * @param tokens to write in each run and sequence, the first included
   * @param sequences that decode together
   * @param clock that watches the engine's device; null for none
   */
  public EngineProbe(
      LocalEngine local, int promptTokens, int tokens, int sequences, @Nullable StageClock clock) {
    this.local = local;
    this.promptTokens = promptTokens;
    this.tokens = tokens;
    this.sequences = sequences;
    this.clock = clock;
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
    List<CompletableFuture<GenerationUsage>> usages = new ArrayList<>();
    List<Submission> group = new ArrayList<>();
    for (int sequence = 0; sequence < sequences; sequence++) {
      CompletableFuture<GenerationUsage> usage = new CompletableFuture<>();
      usages.add(usage);
      // Of a group, which reads its prompt once and decodes from the same step on.
      Sampling sampling =
          sequence == 0 ? Sampling.GREEDY : new Sampling(1, 0, 1, 0, 1, 0, 0, sequence);
      group.add(
          new Submission(
              new GenerationRequest(
                  "bench", prompt, sampling, tokens, Set.of(), List.of(), -1, true),
              sequence == 0 ? timing(telling(usage)) : telling(usage)));
    }
    local.engine().submit(group);
    try {
      return run(usages.stream().map(CompletableFuture::join).toList(), verbNanos);
    } catch (CompletionException e) {
      throw new GenerationException("the measured request failed: " + e.getCause(), e);
    }
  }

  private static GenerationListener telling(CompletableFuture<GenerationUsage> usage) {
    return new GenerationListener() {
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
    };
  }

  /** Starts the clock with the first token and reads it at the end, on the engine's thread. */
  private GenerationListener timing(GenerationListener told) {
    StageClock verbs = clock;
    if (verbs == null) {
      return told;
    }
    return new GenerationListener() {
      private boolean started;

      @Override
      public void onToken(GeneratedToken token) {
        if (!started) {
          verbs.restart();
        }
        started = true;
      }

      @Override
      public void onFinish(Finish finish) {
        verbNanos = verbs.nanos();
        told.onFinish(finish);
      }

      @Override
      public void onError(GenerationException error) {
        told.onError(error);
      }
    };
  }

  private static SpeedRun run(List<GenerationUsage> usages, Map<String, Long> verbNanos) {
    long steps = 0;
    long attended = 0;
    long hits = 0;
    long selected = 0;
    long fetched = 0;
    long nanos = 0;
    for (GenerationUsage usage : usages) {
      steps += Math.max(1, usage.completionTokens() - 1);
      attended += usage.attendedTokens();
      hits += usage.hits();
      selected += usage.hits() + usage.dramMisses() + usage.nvmeMisses();
      fetched += usage.dramBytes() + usage.nvmeBytes();
      nanos = Math.max(nanos, usage.decodeNanos());
    }
    GenerationUsage first = usages.getFirst();
    return new SpeedRun(
        first.promptTokens(),
        Math.toIntExact(steps),
        first.prefillNanos(),
        nanos,
        (double) attended / steps,
        selected == 0 ? 1 : (double) hits / selected,
        (double) fetched / steps,
        verbNanos);
  }

  @Override
  public void close() {
    local.close();
  }
}
