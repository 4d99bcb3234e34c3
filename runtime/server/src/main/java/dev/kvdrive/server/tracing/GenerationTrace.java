package dev.kvdrive.server.tracing;

import dev.kvdrive.schedule.Finish;
import dev.kvdrive.schedule.FinishReason;
import dev.kvdrive.schedule.GenerationException;
import dev.kvdrive.schedule.GenerationRequest;
import dev.kvdrive.schedule.GenerationUsage;
import dev.kvdrive.schedule.StorageException;
import dev.kvdrive.server.generation.GenerationObserver;
import io.micrometer.tracing.Span;
import io.micrometer.tracing.TraceContext;
import io.micrometer.tracing.Tracer;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReferenceArray;
import org.jspecify.annotations.Nullable;
import reactor.core.scheduler.Schedulers;

/**
 * The generations of one traced request. The engine's thread only notes their ends; spans are made
 * of what each has taken, elsewhere, when the last has ended. Nothing of a prompt, an answer or a
 * key goes into them. Thread-safe.
 */
final class GenerationTrace implements GenerationObserver {
  private final Tracer tracer;
  private final TraceContext request;
  private final String operation;
  private final String model;
  private final List<GenerationRequest> generations;
  private final GenerationObserver other;
  private final AtomicReferenceArray<End> ends;
  private final AtomicInteger open;

  /** The clock of spans at a time of {@link System#nanoTime}. */
  private final long epochMicros = TimeUnit.MILLISECONDS.toMicros(Instant.now().toEpochMilli());

  private final long epochNanoTime = System.nanoTime();

  /**
   * How a generation ended.
   *
   * @param took until then
   * @param reason null after an error
   * @param failure null if it succeeded
   */
  private record End(
      long nanoTime,
      GenerationUsage took,
      @Nullable FinishReason reason,
      @Nullable SpanFailure failure) {}

  GenerationTrace(
      Tracer tracer,
      TraceContext request,
      String operation,
      String model,
      List<GenerationRequest> generations,
      GenerationObserver other) {
    this.tracer = tracer;
    this.request = request;
    this.operation = operation;
    this.model = model;
    this.generations = generations;
    this.other = other;
    this.ends = new AtomicReferenceArray<>(generations.size());
    this.open = new AtomicInteger(generations.size());
  }

  @Override
  public void token(int choice) {
    other.token(choice);
  }

  @Override
  public void finished(int choice, Finish finish) {
    boolean cancelled = finish.reason() == FinishReason.CANCELLED;
    end(
        choice,
        new End(
            System.nanoTime(),
            finish.usage(),
            finish.reason(),
            cancelled ? SpanFailure.of("cancelled") : null));
    other.finished(choice, finish);
  }

  @Override
  public void failed(int choice, GenerationException error, GenerationUsage took) {
    String word = error instanceof StorageException ? "storage_failed" : "generation_failed";
    end(choice, new End(System.nanoTime(), took, null, SpanFailure.of(word)));
    other.failed(choice, error, took);
  }

  private void end(int choice, End end) {
    ends.set(choice, end);
    if (open.decrementAndGet() == 0) {
      var _ = Schedulers.parallel().schedule(this::write);
    }
  }

  /** Why not all of it succeeded, or null. */
  @Nullable SpanFailure failure() {
    for (int i = 0; i < ends.length(); i++) {
      End end = ends.get(i);
      if (end != null && end.failure() != null) {
        return end.failure();
      }
    }
    return null;
  }

  /** Says what was asked and what it took. */
  void describe(Span span) {
    span.tag("gen_ai.operation.name", operation);
    span.tag("gen_ai.provider.name", "kvdrive");
    span.tag("gen_ai.request.model", model);
    span.tag("gen_ai.response.model", model);
    span.tag("gen_ai.request.max_tokens", generations.getFirst().maxTokens());
    if (generations.size() > 1) {
      span.tag("gen_ai.request.choice.count", generations.size());
    }
    // The same for all.
    span.tag("gen_ai.usage.input_tokens", generations.getFirst().prompt().size());
    long output = 0;
    List<String> reasons = new ArrayList<>();
    for (int i = 0; i < ends.length(); i++) {
      End end = ends.get(i);
      if (end != null) {
        output += end.took().completionTokens();
        reasons.add(end.reason() == null ? "error" : end.reason().name().toLowerCase(Locale.ROOT));
      }
    }
    if (!reasons.isEmpty()) {
      span.tag("gen_ai.usage.output_tokens", output);
      span.tagOfStrings("gen_ai.response.finish_reasons", reasons);
    }
  }

  private void write() {
    for (int choice = 0; choice < ends.length(); choice++) {
      End end = ends.get(choice);
      write(choice, end, end.took());
    }
  }

  private void write(int choice, End end, GenerationUsage usage) {
    long decode = end.nanoTime() - usage.decodeNanos();
    long prefill = decode - usage.prefillNanos();
    long submitted = prefill - usage.queueNanos();
    boolean answers = usage.completionTokens() > 0;
    boolean began = answers || usage.prefillNanos() > 0;

    Span queue = phase("queue", choice, submitted);
    finish(queue, began ? prefill : end.nanoTime(), began ? null : end.failure());
    if (!began) {
      return;
    }
    Span reading = phase("prefill", choice, prefill);
    reading.tag("gen_ai.usage.input_tokens", usage.promptTokens());
    reading.tag("gen_ai.usage.cache_read.input_tokens", usage.reusedTokens());
    reading.tag("kvdrive.stalled.seconds", usage.prefillStalledNanos() / 1e9);
    finish(reading, answers ? decode : end.nanoTime(), answers ? null : end.failure());
    if (!answers) {
      return;
    }
    Span steps = phase("decode", choice, decode);
    steps.tag("gen_ai.usage.output_tokens", usage.completionTokens());
    if (usage.contextTokens() > 0) {
      steps.tag("kvdrive.attended.share", (double) usage.attendedTokens() / usage.contextTokens());
    }
    steps.tag("kvdrive.window.hits", usage.hits());
    steps.tag("kvdrive.window.misses.dram", usage.dramMisses());
    steps.tag("kvdrive.window.misses.nvme", usage.nvmeMisses());
    steps.tag("kvdrive.fetched.dram.bytes", usage.dramBytes());
    steps.tag("kvdrive.fetched.nvme.bytes", usage.nvmeBytes());
    steps.tag("kvdrive.nvme.written.bytes", usage.nvmeWrittenBytes());
    steps.tag("kvdrive.nvme.seconds", usage.decodeNvmeNanos() / 1e9);
    steps.tag("kvdrive.stalled.seconds", usage.decodeStalledNanos() / 1e9);
    finish(steps, end.nanoTime(), end.failure());
  }

  private Span phase(String name, int choice, long nanoTime) {
    Span span =
        tracer
            .spanBuilder()
            .setParent(request)
            .name(name)
            .startTimestamp(micros(nanoTime), TimeUnit.MICROSECONDS)
            .start();
    if (generations.size() > 1) {
      span.tag("kvdrive.choice", choice);
    }
    return span;
  }

  private void finish(Span span, long nanoTime, @Nullable SpanFailure failure) {
    if (failure != null) {
      failure.mark(span);
    }
    span.end(micros(nanoTime), TimeUnit.MICROSECONDS);
  }

  private long micros(long nanoTime) {
    return epochMicros + TimeUnit.NANOSECONDS.toMicros(nanoTime - epochNanoTime);
  }
}
