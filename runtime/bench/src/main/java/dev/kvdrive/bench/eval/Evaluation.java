package dev.kvdrive.bench.eval;

import dev.kvdrive.plan.Budget;
import dev.kvdrive.schedule.Finish;
import dev.kvdrive.schedule.FinishReason;
import dev.kvdrive.schedule.GeneratedToken;
import dev.kvdrive.schedule.Generation;
import dev.kvdrive.schedule.GenerationException;
import dev.kvdrive.schedule.GenerationListener;
import dev.kvdrive.schedule.GenerationRequest;
import dev.kvdrive.schedule.GenerationUsage;
import dev.kvdrive.schedule.InferenceEngine;
import dev.kvdrive.schedule.Sampling;
import dev.kvdrive.schedule.Submission;
import dev.kvdrive.text.ChatTemplate;
import dev.kvdrive.text.Tokenizer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;

/**
 * Runs accuracy tasks through an engine, greedily and without penalties. The prompt is the model's
 * chat template with the opening of the answer; the answer ends with the model's end of generation
 * or after the sample's tokens.
 *
 * <p>A sample that is to be answered with several budgets is prefilled once, so every budget reads
 * the same keys and values.
 */
public final class Evaluation {
  private static final long PROGRESS_MILLIS = 500;

  private final InferenceEngine engine;
  private final Tokenizer tokenizer;
  private final ChatTemplate template;

  /**
   * An evaluation on {@code engine}, whose model {@code tokenizer} and {@code template} belong to.
   * Its queue needs a place for each seat: an answer is told before its seat is free.
   */
  public Evaluation(InferenceEngine engine, Tokenizer tokenizer, ChatTemplate template) {
    this.engine = engine;
    this.tokenizer = tokenizer;
    this.template = template;
  }

  /**
   * A sample and the budgets to answer it with.
   *
   * @param budgets at least one, none above the engine's, and no more than it has seats
   */
  public record Question(EvalTask task, List<Budget> budgets) {
    public Question {
      budgets = List.copyOf(budgets);
      if (budgets.isEmpty()) {
        throw new IllegalArgumentException("a question needs a budget");
      }
    }
  }

  /** The prompt of a sample. */
  public static int[] prompt(EvalTask task, Tokenizer tokenizer, ChatTemplate template) {
    return tokenizer.encode(template.prompt(task.messages(), Map.of(), true));
  }

  /**
   * Asks all questions, in their order, as many at once as the engine has seats.
   *
   * @return the results in the order of the questions, and of the budgets of each
   * @throws GenerationException if a generation fails; it names the sample
   * @throws IllegalArgumentException if a sample does not fit the engine's context, or a question
   *     has more budgets than the engine has seats
   */
  public List<EvalResult> run(List<Question> questions, EvalListener listener)
      throws InterruptedException {
    int seats = engine.sizes().concurrency();
    BlockingQueue<Answer> ended = new LinkedBlockingQueue<>();
    List<Sample> samples = new ArrayList<>();
    int running = 0;
    int open = questions.stream().mapToInt(q -> q.budgets().size()).sum();
    try {
      while (open > 0) {
        while (samples.size() < questions.size()) {
          Question next = questions.get(samples.size());
          if (next.budgets().size() > seats) {
            throw new IllegalArgumentException(
                "%d budgets at once need as many seats, the engine has %d"
                    .formatted(next.budgets().size(), seats));
          }
          if (running + next.budgets().size() > seats) {
            break;
          }
          Sample sample = new Sample(samples.size() + 1, next, ended);
          samples.add(sample);
          sample.submit();
          running += next.budgets().size();
        }
        Answer answer = ended.poll(PROGRESS_MILLIS, TimeUnit.MILLISECONDS);
        listener.read(samples.stream().mapToLong(Sample::tokensRead).sum());
        if (answer != null) {
          running--;
          open--;
          listener.finished(answer.result());
        }
      }
    } finally {
      samples.forEach(Sample::cancel);
    }
    return samples.stream().flatMap(sample -> sample.answers.stream()).map(Answer::result).toList();
  }

  /** One sample on its way. */
  private final class Sample {
    private final int number;
    private final EvalTask task;
    private final List<Answer> answers;
    private List<Generation> generations = List.of();
    private int promptTokens;
    private volatile double prefilled;

    Sample(int number, Question question, BlockingQueue<Answer> ended) {
      this.number = number;
      this.task = question.task();
      answers = question.budgets().stream().map(b -> new Answer(this, b, ended)).toList();
    }

    void submit() {
      int[] prompt = prompt(task, tokenizer, template);
      promptTokens = prompt.length;
      GenerationRequest request =
          new GenerationRequest(
              task.task() + "-" + number,
              Arrays.stream(prompt).boxed().toList(),
              Sampling.GREEDY,
              task.maxNewTokens(),
              tokenizer.special().endOfGeneration(),
              List.of(),
              -1,
              false);
      generations =
          engine.submit(
              answers.stream()
                  .map(
                      answer ->
                          new Submission(
                              request.withBudget(
                                  request.id() + ", " + answer.budget.words(), answer.budget),
                              answer))
                  .toList());
    }

    void cancel() {
      generations.forEach(Generation::cancel);
    }

    long tokensRead() {
      return Math.round(promptTokens * prefilled);
    }
  }

  /** One answer to a sample; told by the engine's thread, asked by the caller's. */
  private static final class Answer implements GenerationListener {
    private final Sample sample;
    private final Budget budget;
    private final BlockingQueue<Answer> ended;
    private final StringBuilder text = new StringBuilder();
    private volatile @Nullable EvalResult result;
    private volatile @Nullable GenerationException failure;

    Answer(Sample sample, Budget budget, BlockingQueue<Answer> ended) {
      this.sample = sample;
      this.budget = budget;
      this.ended = ended;
    }

    EvalResult result() {
      GenerationException error = failure;
      if (error != null) {
        throw new GenerationException(
            "sample %d (%s): %s".formatted(sample.number, sample.task.task(), error.getMessage()),
            error);
      }
      EvalResult got = result;
      if (got == null) {
        throw new IllegalStateException("sample %d has not ended".formatted(sample.number));
      }
      return got;
    }

    @Override
    public void onPrefill(long done, long total) {
      sample.prefilled = (double) done / total;
    }

    @Override
    public void onToken(GeneratedToken token) {
      text.append(token.text());
    }

    @Override
    public void onFinish(Finish finish) {
      text.append(finish.text());
      if (finish.reason() == FinishReason.CANCELLED) {
        failure = new GenerationException("it was cancelled");
      } else {
        String all = text.toString();
        result = new EvalResult(sample.task, budget, all, sample.task.score(all), finish.usage());
      }
      ended.add(this);
    }

    @Override
    public void onError(GenerationException error, GenerationUsage took) {
      failure = error;
      ended.add(this);
    }
  }
}
