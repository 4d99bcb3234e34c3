package dev.kvdrive.server.openai;

import dev.kvdrive.schedule.Finish;
import dev.kvdrive.schedule.FinishReason;
import dev.kvdrive.schedule.GeneratedToken;
import dev.kvdrive.schedule.GenerationUsage;
import dev.kvdrive.text.Tokenizer;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * Follows the choices of one request from token to token and makes the answer, as events or as a
 * whole. Used by one thread at a time. Holds no text of a stream that is already out.
 */
public final class AnswerWriter {
  private final PreparedCompletion request;
  private final AnswerFormat format;
  private final List<Progress> choices = new ArrayList<>();

  private static final class Progress {
    final TokenAlignment alignment;
    final StringBuilder text = new StringBuilder();
    final List<PlacedToken> tokens = new ArrayList<>();
    int generated;
    @Nullable Finish finish;
    boolean opened;

    Progress(TokenAlignment alignment) {
      this.alignment = alignment;
    }
  }

  public AnswerWriter(PreparedCompletion request, AnswerFormat format, Tokenizer tokenizer) {
    this.request = request;
    this.format = format;
    for (int i = 0; i < request.generations().size(); i++) {
      choices.add(new Progress(new TokenAlignment(tokenizer, request.continuation())));
    }
  }

  /**
   * The events that a token of a stream makes. What opens a choice comes with its first token and
   * not before, because clients take the first event for the first token.
   */
  public List<Object> stream(int choice, GeneratedToken token) {
    Progress progress = choices.get(choice);
    List<Object> events = new ArrayList<>();
    open(choice, progress, events);
    progress.generated++;
    List<PlacedToken> certain = request.logprobs() ? progress.alignment.accept(token) : List.of();
    if (!token.text().isEmpty() || !certain.isEmpty()) {
      events.add(format.text(choice, token.text(), certain));
    }
    return counted(events);
  }

  /** The events that the end of a choice of a stream makes. */
  public List<Object> stream(int choice, Finish finish) {
    Progress progress = choices.get(choice);
    progress.finish = finish;
    List<PlacedToken> certain =
        request.logprobs() ? progress.alignment.finish(finish.text()) : List.of();
    List<Object> events = new ArrayList<>();
    open(choice, progress, events);
    if (!finish.text().isEmpty() || !certain.isEmpty()) {
      events.add(format.text(choice, finish.text(), certain));
    }
    events.add(format.end(choice, finish.reason()));
    return counted(events);
  }

  private void open(int choice, Progress progress, List<Object> events) {
    if (progress.opened) {
      return;
    }
    progress.opened = true;
    Object event = format.open(choice);
    if (event != null) {
      events.add(event);
    }
  }

  /** The event after all choices of a stream, if the usage was asked for. */
  public List<Object> close() {
    return request.options().includeUsage() ? List.of(format.usage(usage())) : List.of();
  }

  /** Keeps a token for {@link #whole}. */
  public void collect(int choice, GeneratedToken token) {
    Progress progress = choices.get(choice);
    progress.text.append(token.text());
    if (request.logprobs()) {
      progress.tokens.addAll(progress.alignment.accept(token));
    }
  }

  /** Keeps the end of a choice for {@link #whole}. */
  public void collect(int choice, Finish finish) {
    Progress progress = choices.get(choice);
    progress.text.append(finish.text());
    progress.finish = finish;
    if (request.logprobs()) {
      progress.tokens.addAll(progress.alignment.finish(finish.text()));
    }
  }

  /** The answer, once every choice has finished. */
  public Object whole() {
    List<AnswerFormat.Choice> all = new ArrayList<>(choices.size());
    for (int i = 0; i < choices.size(); i++) {
      Progress progress = choices.get(i);
      FinishReason reason = finished(progress).reason();
      all.add(
          new AnswerFormat.Choice(request.promptText(i) + progress.text, progress.tokens, reason));
    }
    return format.whole(all, usage());
  }

  private List<Object> counted(List<Object> events) {
    if (!request.options().continuousUsage()) {
      return events;
    }
    int generated = 0;
    for (Progress choice : choices) {
      generated +=
          choice.finish == null ? choice.generated : choice.finish.usage().completionTokens();
    }
    Usage usage = Usage.soFar(request.promptTokens(), generated);
    return events.stream().map(event -> format.withUsage(event, usage)).toList();
  }

  private Usage usage() {
    List<GenerationUsage> usages = new ArrayList<>(choices.size());
    choices.forEach(choice -> usages.add(finished(choice).usage()));
    return Usage.of(request.promptTokens(), usages);
  }

  private static Finish finished(Progress progress) {
    if (progress.finish == null) {
      throw new IllegalStateException("a choice has not finished");
    }
    return progress.finish;
  }
}
