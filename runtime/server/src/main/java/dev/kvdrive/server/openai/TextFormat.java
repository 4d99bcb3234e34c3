package dev.kvdrive.server.openai;

import com.fasterxml.jackson.annotation.JsonInclude;
import dev.kvdrive.schedule.FinishReason;
import dev.kvdrive.text.Tokenizer;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** {@code text_completion}, whole and as events. */
public final class TextFormat implements AnswerFormat {
  private final String id;
  private final long created;
  private final String model;
  private final Tokenizer tokenizer;
  private final PreparedCompletion request;

  private record Answer(
      String id,
      String object,
      long created,
      String model,
      List<TextChoice> choices,
      @Nullable Usage usage) {}

  @JsonInclude(JsonInclude.Include.ALWAYS)
  private record TextChoice(
      int index, String text, Logprobs.@Nullable Text logprobs, @Nullable String finishReason) {}

  /**
   * @param id of the answer
   * @param created seconds since 1970
   * @param model served name
   */
  public TextFormat(
      String id, long created, String model, Tokenizer tokenizer, PreparedCompletion request) {
    this.id = id;
    this.created = created;
    this.model = model;
    this.tokenizer = tokenizer;
    this.request = request;
  }

  @Override
  public @Nullable Object open(int choice) {
    String echoed = request.promptText(choice);
    return echoed.isEmpty() ? null : text(choice, echoed, List.of());
  }

  @Override
  public Object text(int choice, String text, List<PlacedToken> tokens) {
    return answer(List.of(new TextChoice(choice, text, logprobs(tokens), null)), null);
  }

  @Override
  public Object end(int choice, FinishReason reason) {
    return answer(List.of(new TextChoice(choice, "", null, AnswerFormat.word(reason))), null);
  }

  @Override
  public Object usage(Usage usage) {
    return answer(List.of(), usage);
  }

  @Override
  public Object withUsage(Object event, Usage usage) {
    return answer(((Answer) event).choices(), usage);
  }

  @Override
  public Object whole(List<Choice> choices, Usage usage) {
    List<TextChoice> all = new ArrayList<>(choices.size());
    for (Choice choice : choices) {
      all.add(
          new TextChoice(
              all.size(),
              choice.text(),
              logprobs(choice.tokens()),
              AnswerFormat.word(choice.reason())));
    }
    return answer(all, usage);
  }

  private Answer answer(List<TextChoice> choices, @Nullable Usage usage) {
    return new Answer(id, "text_completion", created, model, choices, usage);
  }

  private Logprobs.@Nullable Text logprobs(List<PlacedToken> tokens) {
    return request.logprobs() ? Logprobs.text(tokenizer, tokens) : null;
  }
}
