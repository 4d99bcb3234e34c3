package dev.kvdrive.bench;

import dev.kvdrive.schedule.EngineBusyException;
import dev.kvdrive.schedule.Finish;
import dev.kvdrive.schedule.GeneratedToken;
import dev.kvdrive.schedule.GenerationException;
import dev.kvdrive.schedule.GenerationListener;
import dev.kvdrive.schedule.GenerationRequest;
import dev.kvdrive.schedule.InferenceEngine;
import dev.kvdrive.schedule.Sampling;
import dev.kvdrive.text.ChatTemplate;
import dev.kvdrive.text.Tokenizer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Semaphore;
import java.util.function.Consumer;

/** Runs accuracy tasks through an engine, greedily, as many at once as it has seats. */
public final class Evaluation {
  private final InferenceEngine engine;
  private final Tokenizer tokenizer;
  private final ChatTemplate template;

  /**
   * An evaluation on {@code engine}, whose model {@code tokenizer} and {@code template} belong to.
   */
  public Evaluation(InferenceEngine engine, Tokenizer tokenizer, ChatTemplate template) {
    this.engine = engine;
    this.tokenizer = tokenizer;
    this.template = template;
  }

  /** Tokens of a sample's prompt. */
  public int promptTokens(EvalTask task) {
    return prompt(task).length;
  }

  private int[] prompt(EvalTask task) {
    return tokenizer.encode(template.prompt(task.messages(), Map.of(), true));
  }

  /**
   * Runs all samples.
   *
   * @param finished called with each result as it comes, on the engine's thread
   * @return the results in the order of the samples
   * @throws GenerationException if a generation fails
   */
  public List<EvalResult> run(List<EvalTask> tasks, Consumer<EvalResult> finished)
      throws InterruptedException {
    Semaphore seats = new Semaphore(engine.sizes().concurrency());
    List<CompletableFuture<EvalResult>> running = new ArrayList<>();
    for (EvalTask task : tasks) {
      seats.acquire();
      CompletableFuture<EvalResult> result = new CompletableFuture<>();
      running.add(
          result
              .whenComplete((r, e) -> seats.release())
              .thenApply(
                  r -> {
                    finished.accept(r);
                    return r;
                  }));
      submit(task, result);
    }
    List<EvalResult> results = new ArrayList<>();
    for (CompletableFuture<EvalResult> result : running) {
      try {
        results.add(result.get());
      } catch (ExecutionException e) {
        Throwable cause = e.getCause();
        throw new GenerationException(
            "sample %d (%s): %s"
                .formatted(
                    results.size() + 1,
                    tasks.get(results.size()).task(),
                    cause == null ? e.getMessage() : cause.getMessage()),
            e);
      }
    }
    return results;
  }

  private void submit(EvalTask task, CompletableFuture<EvalResult> result) {
    StringBuilder text = new StringBuilder();
    GenerationListener listener =
        new GenerationListener() {
          @Override
          public void onToken(GeneratedToken token) {
            text.append(token.text());
          }

          @Override
          public void onFinish(Finish finish) {
            text.append(finish.text());
            String all = text.toString();
            result.complete(new EvalResult(task, all, task.score(all), finish.usage()));
          }

          @Override
          public void onError(GenerationException error) {
            result.completeExceptionally(error);
          }
        };
    try {
      engine.submit(
          new GenerationRequest(
              task.task(),
              Arrays.stream(prompt(task)).boxed().toList(),
              Sampling.GREEDY,
              task.maxNewTokens(),
              tokenizer.special().endOfGeneration(),
              List.of(),
              -1,
              false),
          listener);
    } catch (EngineBusyException | IllegalArgumentException e) {
      result.completeExceptionally(e);
    }
  }
}
