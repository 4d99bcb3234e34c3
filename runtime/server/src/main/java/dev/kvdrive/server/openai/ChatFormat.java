package dev.kvdrive.server.openai;

import com.fasterxml.jackson.annotation.JsonInclude;
import dev.kvdrive.schedule.FinishReason;
import dev.kvdrive.text.Tokenizer;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** {@code chat.completion} and {@code chat.completion.chunk}. */
public final class ChatFormat implements AnswerFormat {
  private final String id;
  private final long created;
  private final String model;
  private final Tokenizer tokenizer;
  private final boolean logprobs;

  private record Whole(
      String id,
      String object,
      long created,
      String model,
      List<WholeChoice> choices,
      Usage usage) {}

  @JsonInclude(JsonInclude.Include.ALWAYS)
  private record WholeChoice(
      int index, Message message, Logprobs.@Nullable Chat logprobs, String finishReason) {}

  @JsonInclude(JsonInclude.Include.ALWAYS)
  private record Message(String role, String content, @Nullable String refusal) {}

  private record Chunk(
      String id,
      String object,
      long created,
      String model,
      List<ChunkChoice> choices,
      @Nullable Usage usage) {}

  @JsonInclude(JsonInclude.Include.ALWAYS)
  private record ChunkChoice(
      int index, Delta delta, Logprobs.@Nullable Chat logprobs, @Nullable String finishReason) {}

  private record Delta(@Nullable String role, @Nullable String content) {}

  /**
   * @param id of the answer
   * @param created seconds since 1970
   * @param model served name
   * @param logprobs whether log-probabilities are reported
   */
  public ChatFormat(String id, long created, String model, Tokenizer tokenizer, boolean logprobs) {
    this.id = id;
    this.created = created;
    this.model = model;
    this.tokenizer = tokenizer;
    this.logprobs = logprobs;
  }

  @Override
  public Object open(int choice) {
    return chunk(new ChunkChoice(choice, new Delta("assistant", ""), null, null));
  }

  @Override
  public Object text(int choice, String text, List<PlacedToken> tokens) {
    return chunk(new ChunkChoice(choice, new Delta(null, text), logprobs(tokens), null));
  }

  @Override
  public Object end(int choice, FinishReason reason) {
    return chunk(new ChunkChoice(choice, new Delta(null, null), null, AnswerFormat.word(reason)));
  }

  @Override
  public Object usage(Usage usage) {
    return new Chunk(id, "chat.completion.chunk", created, model, List.of(), usage);
  }

  @Override
  public Object withUsage(Object event, Usage usage) {
    Chunk chunk = (Chunk) event;
    return new Chunk(id, chunk.object(), created, model, chunk.choices(), usage);
  }

  @Override
  public Object whole(List<Choice> choices, Usage usage) {
    List<WholeChoice> all = new ArrayList<>(choices.size());
    for (Choice choice : choices) {
      all.add(
          new WholeChoice(
              all.size(),
              new Message("assistant", choice.text(), null),
              logprobs(choice.tokens()),
              AnswerFormat.word(choice.reason())));
    }
    return new Whole(id, "chat.completion", created, model, all, usage);
  }

  private Object chunk(ChunkChoice choice) {
    return new Chunk(id, "chat.completion.chunk", created, model, List.of(choice), null);
  }

  private Logprobs.@Nullable Chat logprobs(List<PlacedToken> tokens) {
    return logprobs ? Logprobs.chat(tokenizer, tokens) : null;
  }
}
