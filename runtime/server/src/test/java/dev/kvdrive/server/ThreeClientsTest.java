package dev.kvdrive.server;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.openai.client.OpenAIClient;
import com.openai.client.okhttp.OpenAIOkHttpClient;
import com.openai.core.http.StreamResponse;
import com.openai.errors.BadRequestException;
import com.openai.errors.NotFoundException;
import com.openai.errors.UnauthorizedException;
import com.openai.models.chat.completions.ChatCompletion;
import com.openai.models.chat.completions.ChatCompletionChunk;
import com.openai.models.chat.completions.ChatCompletionCreateParams;
import dev.langchain4j.exception.AuthenticationException;
import dev.langchain4j.model.chat.response.ChatResponse;
import dev.langchain4j.model.chat.response.StreamingChatResponseHandler;
import dev.langchain4j.model.openai.OpenAiStreamingChatModel;
import java.util.Objects;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;
import org.springframework.ai.openai.OpenAiChatModel;
import org.springframework.ai.openai.OpenAiChatOptions;

/** The clients that people have: each asks, streams and fails, and understands the answers. */
class ThreeClientsTest extends RealServer {
  private static final String QUESTION = "What does the linker do?";
  private static final int TOKENS = 8;

  private OpenAIClient openAi(String key) {
    return OpenAIOkHttpClient.builder().baseUrl(url() + "/v1").apiKey(key).maxRetries(0).build();
  }

  private static ChatCompletionCreateParams.Builder question() {
    return ChatCompletionCreateParams.builder()
        .model(MODEL)
        .addUserMessage(QUESTION)
        .temperature(0)
        .maxCompletionTokens(TOKENS);
  }

  private String answer() {
    ChatCompletion answer = openAi(KEY).chat().completions().create(question().build());
    return answer.choices().getFirst().message().content().orElseThrow();
  }

  @Test
  void openAiJavaAsksForLogprobsAndStops() {
    ChatCompletion answer =
        openAi(KEY).chat().completions().create(question().logprobs(true).topLogprobs(3).build());
    String text = answer.choices().getFirst().message().content().orElseThrow();
    var tokens = answer.choices().getFirst().logprobs().orElseThrow().content().orElseThrow();
    assertThat(tokens.stream().map(t -> t.token()).collect(Collectors.joining())).isEqualTo(text);
    assertThat(tokens).allMatch(t -> t.topLogprobs().size() == 3 && t.logprob() <= 0);
    assertThat(answer.usage().orElseThrow().completionTokens()).isEqualTo(TOKENS);
    String stop = text.substring(2, 4);
    ChatCompletion stopped = openAi(KEY).chat().completions().create(question().stop(stop).build());
    assertThat(stopped.choices().getFirst().message().content().orElseThrow())
        .isEqualTo(text.substring(0, text.indexOf(stop)));
    assertThat(stopped.choices().getFirst().finishReason().asString()).isEqualTo("stop");
  }

  @Test
  void openAiJavaStreams() {
    StringBuilder text = new StringBuilder();
    try (StreamResponse<ChatCompletionChunk> stream =
        openAi(KEY).chat().completions().createStreaming(question().build())) {
      stream.stream()
          .flatMap(chunk -> chunk.choices().stream())
          .forEach(choice -> choice.delta().content().ifPresent(text::append));
    }
    assertThat(text.toString()).isEqualTo(answer());
  }

  @Test
  void openAiJavaKnowsOurErrors() {
    assertThatThrownBy(
            () -> openAi(KEY).chat().completions().create(question().temperature(9).build()))
        .isInstanceOf(BadRequestException.class)
        .hasMessageContaining("temperature");
    assertThatThrownBy(
            () -> openAi(KEY).chat().completions().create(question().model("other").build()))
        .isInstanceOf(NotFoundException.class);
    assertThatThrownBy(
            () -> openAi("sk-wrong-wrong-wrong").chat().completions().create(question().build()))
        .isInstanceOf(UnauthorizedException.class);
    assertThat(openAi(KEY).models().list().data()).extracting(m -> m.id()).containsExactly(MODEL);
  }

  @Test
  void langChain4jAsksStreamsAndFails() throws Exception {
    var model =
        dev.langchain4j.model.openai.OpenAiChatModel.builder()
            .baseUrl(url() + "/v1")
            .apiKey(KEY)
            .modelName(MODEL)
            .temperature(0.0)
            .maxTokens(TOKENS)
            .build();
    assertThat(model.chat(QUESTION)).isEqualTo(answer());
    CompletableFuture<String> streamed = new CompletableFuture<>();
    OpenAiStreamingChatModel.builder()
        .baseUrl(url() + "/v1")
        .apiKey(KEY)
        .modelName(MODEL)
        .temperature(0.0)
        .maxTokens(TOKENS)
        .build()
        .chat(
            QUESTION,
            new StreamingChatResponseHandler() {
              @Override
              public void onCompleteResponse(ChatResponse response) {
                streamed.complete(response.aiMessage().text());
              }

              @Override
              public void onError(Throwable error) {
                streamed.completeExceptionally(error);
              }
            });
    assertThat(streamed.get(60, TimeUnit.SECONDS)).isEqualTo(answer());
    var stranger =
        dev.langchain4j.model.openai.OpenAiChatModel.builder()
            .baseUrl(url() + "/v1")
            .apiKey("sk-wrong-wrong-wrong")
            .modelName(MODEL)
            .maxRetries(0)
            .build();
    assertThatThrownBy(() -> stranger.chat(QUESTION)).isInstanceOf(AuthenticationException.class);
  }

  @Test
  void springAiAsksAndStreams() {
    OpenAiChatModel model =
        OpenAiChatModel.builder()
            .options(
                OpenAiChatOptions.builder()
                    .baseUrl(url() + "/v1")
                    .apiKey(KEY)
                    .model(MODEL)
                    .temperature(0.0)
                    .maxTokens(TOKENS)
                    .build())
            .build();
    assertThat(model.call(QUESTION)).isEqualTo(answer());
    assertThat(Objects.requireNonNull(model.stream(QUESTION).collect(Collectors.joining()).block()))
        .isEqualTo(answer());
  }
}
