package dev.kvdrive.bench.speed;

import dev.kvdrive.bench.document.TaskFamily;
import dev.kvdrive.bench.document.TaskMaker;
import dev.kvdrive.bench.engine.LocalEngine;
import dev.kvdrive.schedule.EngineStatus;
import dev.kvdrive.schedule.Finish;
import dev.kvdrive.schedule.GeneratedToken;
import dev.kvdrive.schedule.GenerationException;
import dev.kvdrive.schedule.GenerationListener;
import dev.kvdrive.schedule.GenerationRequest;
import dev.kvdrive.schedule.GenerationUsage;
import dev.kvdrive.schedule.Sampling;
import dev.kvdrive.schedule.Submission;
import dev.kvdrive.text.ChatMessage;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import org.jspecify.annotations.Nullable;

/** This project's engine, with the whole path of a request in front of it. */
public final class EngineProbe implements PacedProbe {
  /** Longest prompt of {@link #settle}. */
  private static final int SHORT_PROMPT = 2_048;

  /** Tokens of a document of {@link #prompt}, about. */
  private static final int DOCUMENT = 4_096;

  private final LocalEngine local;
  private final ProbeSettings.Work work;
  private final @Nullable StageClock clock;
  private final Random random = new Random(1);
  private final Pace pace = new Pace();
  private volatile Map<String, Long> verbNanos = Map.of();

  /**
   * @param local the engine; closed with the probe
   * @param work what it answers
   * @param clock that watches the engine's device; null for none
   */
  public EngineProbe(LocalEngine local, ProbeSettings.Work work, @Nullable StageClock clock) {
    this.local = local;
    this.work = work;
    this.clock = clock;
  }

  @Override
  public String description() {
    return "KVDrive, " + local.device().description();
  }

  @Override
  public SpeedRun run() {
    return run(random(work.promptTokens()), work.tokens());
  }

  private List<Integer> random(int length) {
    int vocabulary =
        Math.min(local.model().spec().vocabulary(), local.tokenizer().vocabularySize());
    return random.ints(length, 0, vocabulary).boxed().toList();
  }

  private SpeedRun run(List<Integer> prompt, int tokens) {
    List<CompletableFuture<GenerationUsage>> usages = new ArrayList<>();
    List<Submission> group = new ArrayList<>();
    for (int sequence = 0; sequence < work.sequences(); sequence++) {
      CompletableFuture<GenerationUsage> usage = new CompletableFuture<>();
      usages.add(usage);
      group.add(
          new Submission(
              request(prompt, sequence == 0 ? Sampling.GREEDY : drawn(sequence), tokens),
              sequence == 0 ? timing(telling(usage)) : telling(usage)));
    }
    local.engine().submit(group);
    try {
      return run(usages.stream().map(CompletableFuture::join).toList(), verbNanos);
    } catch (CompletionException e) {
      throw new GenerationException("the measured request failed: " + e.getCause(), e);
    }
  }

  /** One of a group, which reads its prompt once and decodes from the same step on. */
  private static GenerationRequest request(List<Integer> prompt, Sampling sampling, int tokens) {
    return new GenerationRequest("bench", prompt, sampling, tokens, Set.of(), List.of(), -1, true);
  }

  private static Sampling drawn(int seed) {
    return new Sampling(1, 0, 1, 0, 1, 0, 0, seed);
  }

  @Override
  public void settle(int more) {
    run(random(Math.min(work.promptTokens(), SHORT_PROMPT)), Math.min(more, work.tokens()));
  }

  /**
   * {@inheritDoc}
   *
   * <p>Prompt and answers are like text, which selects what random tokens do not: the prompt is of
   * the evaluation's documents, and all answers are drawn, since what is likeliest soon repeats
   * itself.
   */
  @Override
  public long prompt() {
    List<Submission> group = new ArrayList<>();
    List<Integer> prompt = document();
    for (int sequence = 0; sequence < work.sequences(); sequence++) {
      group.add(new Submission(request(prompt, drawn(1 + sequence), work.tokens()), pacing()));
    }
    local.engine().submit(group);
    return pace.await(work.sequences());
  }

  private GenerationListener pacing() {
    return new GenerationListener() {
      @Override
      public void onToken(GeneratedToken token) {
        pace.token();
      }

      @Override
      public void onFinish(Finish finish) {
        pace.ended(
            new GenerationException(
                "%s after %d tokens".formatted(finish.reason(), work.tokens())));
      }

      @Override
      public void onError(GenerationException error, GenerationUsage took) {
        pace.ended(error);
      }
    };
  }

  /** Documents one behind the other, cut at the length of the prompt. */
  private List<Integer> document() {
    TaskMaker tasks = new TaskMaker(1, text -> local.tokenizer().encode(text, false).length);
    List<Integer> all = new ArrayList<>();
    for (int part = 0; all.size() < work.promptTokens(); part++) {
      TaskFamily family = TaskFamily.TRAINED.get(part % TaskFamily.TRAINED.size());
      double depth = 1 / (2.0 + part);
      for (ChatMessage message : tasks.make(family, DOCUMENT, depth).messages()) {
        for (int token :
            local.tokenizer().encode(String.valueOf(message.fields().get("content")), false)) {
          all.add(token);
        }
      }
    }
    return List.copyOf(all.subList(0, work.promptTokens()));
  }

  @Override
  public Stretch go(int more) {
    EngineStatus before = local.engine().status();
    long nanos = pace.await(more * work.sequences());
    EngineStatus now = local.engine().status();
    return new Stretch(
        more * work.sequences(),
        nanos,
        now.hits() - before.hits(),
        now.dramMisses() - before.dramMisses(),
        now.nvmeMisses() - before.nvmeMisses());
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
      public void onError(GenerationException error, GenerationUsage took) {
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
      public void onError(GenerationException error, GenerationUsage took) {
        told.onError(error, took);
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
    pace.release();
    local.close();
  }
}
