package dev.kvdrive.schedule;

import dev.kvdrive.decode.DecodeStep;
import dev.kvdrive.kv.tier.Reuse;
import dev.kvdrive.plan.Budget;
import dev.kvdrive.plan.EngineSizes;
import dev.kvdrive.schedule.GeneratedToken.TokenLogprob;
import dev.kvdrive.text.TokenStream;
import dev.kvdrive.text.Tokenizer;
import java.util.Arrays;
import java.util.List;
import java.util.function.LongSupplier;
import org.jspecify.annotations.Nullable;

/**
 * One request from submission to its end: what it has generated and what its listener was told.
 * Everything but {@link #cancel} belongs to the engine thread once it was submitted.
 */
final class Sequence implements Generation {
  private static final System.Logger LOG = System.getLogger(Sequence.class.getName());

  private final GenerationRequest request;
  private final GenerationListener listener;
  private final Runnable onCancel;
  private final int[] prompt;
  private final int[] stopTokens;
  private final TokenStream text;
  private final RandomDraws random;
  private final @Nullable TokenCounts seen;
  private final SequenceUsage usage;
  private final double budget;
  private final double mayMiss;
  private List<Sequence> group = List.of();
  private long arrival;
  private volatile @Nullable String obstacle;
  private volatile boolean cancelled;

  /** Prompt tokens that are not prefilled yet, and tokens generated; for who waits. */
  private volatile double promptTokensLeft;

  private volatile int generated;

  /** Tells the listener of the end; null while it goes on, and after it was told. */
  private @Nullable Runnable announcement;

  private @Nullable Reuse found;
  private long foundUntil = -1;
  private boolean ended;
  private SequenceStatus.State endedAs = SequenceStatus.State.ENDED;
  private @Nullable GenerationUsage took;
  private int late;
  private long stalls;
  private long stalledNanos;

  /** When it began to wait for room or chunks; meaningless while it does not. */
  private long stalledSince;

  private boolean stalled;
  private int seat = -1;
  private int lastToken = -1;

  /**
   * @param onCancel called by {@link #cancel}, from any thread
   */
  Sequence(
      GenerationRequest request,
      GenerationListener listener,
      Tokenizer tokenizer,
      EngineSizes sizes,
      Runnable onCancel) {
    this.request = request;
    this.listener = listener;
    this.onCancel = onCancel;
    prompt = request.prompt().stream().mapToInt(Integer::intValue).toArray();
    stopTokens = request.stopTokens().stream().mapToInt(Integer::intValue).sorted().toArray();
    text =
        request.continuation()
            ? TokenStream.continuing(tokenizer, request.stopStrings())
            : TokenStream.answering(tokenizer, request.stopStrings());
    random = new RandomDraws(request.sampling().seed());
    usage = new SequenceUsage(sizes.layout(), prompt.length);
    promptTokensLeft = prompt.length;
    Budget attends = request.budget() == null ? sizes.budget() : request.budget();
    budget = attends.share();
    mayMiss = attends.quality() == null ? 0 : 1 - attends.quality();
    if (penalised(request.sampling())) {
      seen = new TokenCounts();
      for (int token : prompt) {
        seen.seen(token);
      }
    } else {
      seen = null;
    }
  }

  private static boolean penalised(Sampling sampling) {
    return sampling.repetitionPenalty() != 1
        || sampling.frequencyPenalty() != 0
        || sampling.presencePenalty() != 0;
  }

  @Override
  public String id() {
    return request.id();
  }

  @Override
  public void cancel() {
    cancelled = true;
    onCancel.run();
  }

  boolean cancelled() {
    return cancelled;
  }

  GenerationRequest request() {
    return request;
  }

  int[] prompt() {
    return prompt;
  }

  /** Share of the closed chunks it attends per step, at most if it {@link #mayMiss} something. */
  double budget() {
    return budget;
  }

  /** Share of its attention that it may miss; 0 for what its budget says. */
  double mayMiss() {
    return mayMiss;
  }

  /** Notes what it was submitted with, itself included, and its number in the order of arrival. */
  void queued(List<Sequence> submitted, long number) {
    group = submitted;
    arrival = number;
  }

  /** Less than that of any sequence that came later. */
  long arrival() {
    return arrival;
  }

  /**
   * Whether one prefill serves both. Only within a group: sharing between strangers would show one
   * in the other's timing.
   */
  boolean sharesPrefill(Sequence other) {
    return group.contains(other) && Arrays.equals(prompt, other.prompt);
  }

  SequenceUsage usage() {
    return usage;
  }

  /** Tokens it can have in the end. */
  int mostTokens() {
    return prompt.length + request.maxTokens();
  }

  /** What it has found of its prompt, if that is still so; engine thread. */
  @Nullable Reuse found(long until) {
    return until == foundUntil ? found : null;
  }

  /** Notes what it has found of its prompt, until something changes. */
  void found(Reuse reuse, long until) {
    found = reuse;
    foundUntil = until;
  }

  /** Why it waits although a seat is free, when that began; null if it does not. Any thread. */
  @Nullable String obstacle() {
    return obstacle;
  }

  void waitsFor(String reason) {
    obstacle = reason;
    tell(() -> listener.onWait(reason));
  }

  int seat() {
    return seat;
  }

  /**
   * @param written bytes that were written to NVMe for the seat
   */
  void takeSeat(int seat, LongSupplier written) {
    this.seat = seat;
    obstacle = null;
    usage.admitted(written);
  }

  /** Its row was late, so that the step is repeated for it. */
  void late() {
    late++;
  }

  /** How often in a row. */
  int timesLate() {
    return late;
  }

  /** It begins to wait for room in DRAM, or for chunks. */
  void stalls(boolean waits) {
    long now = System.nanoTime();
    if (waits && !stalled) {
      stalls++;
      stalledSince = now;
    } else if (!waits && stalled) {
      stalledNanos += now - stalledSince;
      usage.stalled(now - stalledSince);
    }
    stalled = waits;
  }

  /** How often it had to wait so. */
  long stalls() {
    return stalls;
  }

  /** How long it did, what goes on now included. */
  long stalledNanos() {
    return stalledNanos + (stalled ? System.nanoTime() - stalledSince : 0);
  }

  /** Share of the prompt that is read, in [0, 1]. */
  double promptRead() {
    return 1 - promptTokensLeft / prompt.length;
  }

  /** What it took, so far or in the end. */
  GenerationUsage took() {
    return took == null ? usage.toUsage() : took;
  }

  /** How it ended. */
  SequenceStatus.State endedAs() {
    return endedAs;
  }

  /** Tokens of its answer so far. */
  int answered() {
    return usage.completionTokens();
  }

  /** The token that the next step appends. */
  int lastToken() {
    return lastToken;
  }

  /** Position of {@link #lastToken}. */
  int lastPosition() {
    return prompt.length + usage.completionTokens() - 1;
  }

  /**
   * Whether the host must see the logits to choose its next token or to report probabilities.
   *
   * @param first whether that is its first, which comes of a prompt that others may share: no
   *     device draws it
   */
  boolean wantsLogits(boolean first) {
    return choosesOnHost(first) || request.topLogprobs() >= 0;
  }

  private boolean choosesOnHost(boolean first) {
    return seen != null || (first && request.sampling().temperature() > 0);
  }

  boolean ended() {
    return ended;
  }

  /** Tells a step how the sequence's row is sampled. */
  void sample(DecodeStep step, double logitMultiplier) {
    Sampling sampling = request.sampling();
    if (!choosesOnHost(false) && sampling.temperature() > 0) {
      step.sample(
          (float) (sampling.temperature() / logitMultiplier),
          sampling.topK(),
          (float) sampling.topP(),
          (float) sampling.minP(),
          random.bits());
    }
  }

  /**
   * Chooses the next token and tells the listener; ends the sequence if that was the last.
   *
   * @param chosen what the device found; -1 if a logit is not a number
   * @param chooser holds the row's logits if {@link #wantsLogits}
   */
  void advance(int chosen, TokenChooser chooser) {
    late = 0;
    boolean first = answered() == 0;
    float logprob = Float.NaN;
    List<TokenLogprob> top = List.of();
    int token = chosen;
    if (chosen < 0 || (wantsLogits(first) && !chooser.finite())) {
      fail(
          new GenerationException(
              "the model's output for request %s at position %d is not a number; the weights or the prompt's cached keys and values are damaged"
                  .formatted(id(), lastPosition() + 1)));
      return;
    }
    if (choosesOnHost(first)) {
      token = chooser.choose(request.sampling(), seen, random.bits());
    }
    random.advance();
    if (request.topLogprobs() >= 0) {
      double logSumExp = chooser.logSumExp();
      top = request.topLogprobs() == 0 ? top : chooser.top(request.topLogprobs(), logSumExp);
      logprob = (float) (chooser.logits()[token] - logSumExp);
    }
    accept(token, logprob, top);
  }

  private void accept(int token, float logprob, List<TokenLogprob> top) {
    usage.token();
    promptTokensLeft = 0;
    generated = usage.completionTokens();
    lastToken = token;
    if (seen != null) {
      seen.generated(token);
    }
    if (Arrays.binarySearch(stopTokens, token) >= 0) {
      finish(FinishReason.STOP);
      return;
    }
    GeneratedToken generated = new GeneratedToken(token, text.accept(token), logprob, top);
    tell(() -> listener.onToken(generated));
    if (ended) {
      return;
    }
    if (text.stop().isPresent()) {
      finish(FinishReason.STOP);
    } else if (usage.completionTokens() >= request.maxTokens()) {
      finish(FinishReason.LENGTH);
    }
  }

  /** What is left of it, as far as one can know; any thread. */
  WaitEstimate.Work left(Speeds speeds) {
    return new WaitEstimate.Work(
        promptTokensLeft, speeds.expectedAnswer(request.maxTokens() - generated));
  }

  void prefilled(long done, long total) {
    promptTokensLeft = prompt.length * (double) (total - done) / total;
    tell(() -> listener.onPrefill(done, total));
  }

  /** Ends it, without telling the listener yet. No effect if it has ended. */
  void finish(FinishReason reason) {
    if (!ended) {
      stalls(false);
      Finish finish = new Finish(reason, text.finish(), usage.toUsage());
      took = finish.usage();
      if (reason == FinishReason.CANCELLED) {
        endedAs = SequenceStatus.State.CANCELLED;
      }
      end("onFinish", () -> listener.onFinish(finish));
    }
  }

  /** Ends it with an error, without telling the listener yet. No effect if it has ended. */
  void fail(GenerationException error) {
    if (!ended) {
      stalls(false);
      GenerationUsage until = usage.toUsage();
      took = until;
      endedAs = SequenceStatus.State.FAILED;
      end("onError", () -> listener.onError(error, until));
    }
  }

  private void end(String method, Runnable call) {
    ended = true;
    announcement =
        () -> {
          try {
            call.run();
          } catch (Throwable t) {
            warn(method, t);
          }
        };
  }

  /**
   * Tells the listener of the end, once. Comes after all that the sequence had was given back, so
   * that who hears of it finds a free seat.
   */
  void announce() {
    Runnable due = announcement;
    announcement = null;
    if (due != null) {
      due.run();
    }
  }

  /** A listener that throws, whatever it throws, ends its own generation and nothing else. */
  private void tell(Runnable call) {
    try {
      call.run();
    } catch (Throwable t) {
      fail(new GenerationException("the listener of request %s failed: %s".formatted(id(), t), t));
    }
  }

  private void warn(String method, Throwable t) {
    LOG.log(System.Logger.Level.WARNING, "listener of request " + id() + " failed in " + method, t);
  }
}
