package dev.kvdrive.server;

import static org.assertj.core.api.Assertions.assertThat;

import dev.kvdrive.schedule.FinishReason;
import dev.kvdrive.schedule.GenerationException;
import dev.kvdrive.schedule.StorageException;
import dev.kvdrive.server.openai.Json;
import dev.kvdrive.server.openai.TokenizeRequest;
import java.nio.charset.Charset;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Objects;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.springframework.http.MediaType;
import org.springframework.test.web.reactive.server.WebTestClient;

/** Every wrong request gets OpenAI's error shape, the field at fault and the way out. */
class RequestErrorsTest extends ScriptedServer {
  private WebTestClient.BodyContentSpec send(String path, String body, int status) {
    return client()
        .post()
        .uri(path)
        .contentType(MediaType.APPLICATION_JSON)
        .bodyValue(body)
        .exchange()
        .expectStatus()
        .isEqualTo(status)
        .expectHeader()
        .contentTypeCompatibleWith(MediaType.APPLICATION_JSON)
        .expectBody();
  }

  @ParameterizedTest(name = "{0}")
  @CsvSource(
      delimiter = '|',
      textBlock =
          """
          "temperature":3              | temperature         | invalid_value
          "temperature":"hot"          | temperature         | invalid_type
          "temperature":-0.1           | temperature         | invalid_value
          "top_p":1.5                  | top_p               | invalid_value
          "top_k":-2                   | top_k               | invalid_value
          "top_k":1.5                  | top_k               | invalid_type
          "min_p":2                    | min_p               | invalid_value
          "frequency_penalty":3        | frequency_penalty   | invalid_value
          "presence_penalty":-3        | presence_penalty    | invalid_value
          "repetition_penalty":0       | repetition_penalty  | invalid_value
          "n":0                        | n                   | invalid_value
          "n":5                        | n                   | invalid_value
          "max_tokens":0               | max_tokens          | invalid_value
          "max_completion_tokens":-2   | max_completion_tokens | invalid_value
          "max_completion_tokens":2,"max_tokens":3 | max_tokens | invalid_value
          "max_tokens":300             | max_tokens          | context_length_exceeded
          "stop":""                    | stop                | invalid_value
          "stop":7                     | stop                | invalid_type
          "stop":["a",3]               | stop[1]             | invalid_type
          "stop":["1","2","3","4","5","6","7","8","9","10","11","12","13","14","15","16","17"] | stop | array_above_max_length
          "stop_token_ids":[8192]      | stop_token_ids[0]   | invalid_value
          "top_logprobs":3             | top_logprobs        | invalid_value
          "logprobs":true,"top_logprobs":21 | top_logprobs   | invalid_value
          "logprobs":1                 | logprobs            | invalid_type
          "stream":"yes"               | stream              | invalid_type
          "stream_options":{}          | stream_options      | invalid_value
          "tools":[{"type":"function"}] | tools              | unsupported_parameter
          "tool_choice":"required"     | tool_choice         | unsupported_parameter
          "response_format":{"type":"json_object"} | response_format | unsupported_parameter
          "logit_bias":{"5":1}         | logit_bias          | unsupported_parameter
          "modalities":["audio"]       | modalities          | unsupported_parameter
          "chat_template_kwargs":3     | chat_template_kwargs | invalid_type
          "max_token":3                | max_token           | unknown_parameter
          """)
  void namesTheFieldAtFault(String field, String param, String code) {
    send("/v1/chat/completions", chat("hello", field), 400)
        .jsonPath("$.error.type")
        .isEqualTo("invalid_request_error")
        .jsonPath("$.error.param")
        .isEqualTo(param)
        .jsonPath("$.error.code")
        .isEqualTo(code)
        .jsonPath("$.error.message")
        .isNotEmpty();
  }

  @ParameterizedTest(name = "{0}")
  @CsvSource(
      delimiter = '|',
      textBlock =
          """
          {}                                                   | messages            | missing_required_parameter
          {"messages":[]}                                      | messages            | missing_required_parameter
          {"messages":"hello"}                                 | messages            | invalid_type
          {"messages":[null]}                                  | messages[0]         | invalid_type
          {"messages":[{"content":"x"}]}                       | messages[0].role    | invalid_value
          {"messages":[{"role":"robot","content":"x"}]}        | messages[0].role    | invalid_value
          {"messages":[{"role":"user"}]}                       | messages[0].content | missing_required_parameter
          {"messages":[{"role":"user","content":5}]}           | messages[0].content | invalid_type
          {"messages":[{"role":"user","content":"x","name":1}]} | messages[0].name   | invalid_type
          {"messages":[{"role":"assistant","content":"x","tool_calls":true}]} | messages[0].tool_calls | invalid_type
          {"messages":[{"role":"assistant","content":"x"}]}    | messages            | refused_by_chat_template
          {"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"x"}}]}]} | messages[0].content[0].type | unsupported_content
          {"messages":[{"role":"user","content":[{"type":"text"}]}]} | messages[0].content[0].text | invalid_type
          {"messages":[{"role":"user","content":[1]}]}         | messages[0].content[0] | invalid_type
          """)
  void namesTheMessageAtFault(String body, String param, String code) {
    send("/v1/chat/completions", body, 400)
        .jsonPath("$.error.param")
        .isEqualTo(param)
        .jsonPath("$.error.code")
        .isEqualTo(code);
  }

  @ParameterizedTest(name = "{0}")
  @CsvSource(
      delimiter = '|',
      textBlock =
          """
          {}                                          | prompt     | missing_required_parameter
          {"prompt":5}                                | prompt     | invalid_type
          {"prompt":[1,"a"]}                          | prompt[1]  | invalid_type
          {"prompt":[8192]}                           | prompt[0]  | invalid_value
          {"prompt":["a",[-1]]}                       | prompt[1][0] | invalid_value
          {"prompt":[]}                               | prompt     | invalid_value
          {"prompt":["a","b","c","d","e"]}            | prompt     | array_above_max_length
          {"prompt":["a","b","c"],"n":2}              | prompt     | array_above_max_length
          {"prompt":"a","suffix":"b"}                 | suffix     | unsupported_parameter
          {"prompt":"a","best_of":2}                  | best_of    | unsupported_parameter
          {"prompt":"a","logprobs":21}                | logprobs   | invalid_value
          {"prompt":"a","echo":true,"logprobs":1}     | logprobs   | unsupported_parameter
          {"prompt":"a","messages":[]}                | messages   | unknown_parameter
          """)
  void namesThePromptAtFault(String body, String param, String code) {
    send("/v1/completions", body, 400)
        .jsonPath("$.error.param")
        .isEqualTo(param)
        .jsonPath("$.error.code")
        .isEqualTo(code);
  }

  @ParameterizedTest(name = "{0}")
  @CsvSource(
      delimiter = '|',
      textBlock =
          """
          {"messages":
          not json
          [1,2]
          null
          {"n":1,"n":2}
          {"n":NaN}
          {"n":99999999999999999999}
          {} {}
          """)
  void refusesWhatIsNoJsonObject(String body) {
    send("/v1/chat/completions", body, 400)
        .jsonPath("$.error.type")
        .isEqualTo("invalid_request_error");
  }

  @Test
  void refusesAnEmptyBody() {
    send("/v1/chat/completions", "", 400).jsonPath("$.error.code").isEqualTo("invalid_json");
  }

  @Test
  void refusesDeepNesting() {
    send("/v1/chat/completions", "{\"stop\":" + "[".repeat(100_000), 400)
        .jsonPath("$.error.code")
        .isEqualTo("invalid_json");
  }

  @Test
  void saysHowLongThePromptIsAndHowLongTheContext() {
    send("/v1/completions", "{\"prompt\":\"%s\"}".formatted("word ".repeat(400)), 400)
        .jsonPath("$.error.code")
        .isEqualTo("context_length_exceeded")
        .jsonPath("$.error.param")
        .isEqualTo("prompt")
        .jsonPath("$.error.message")
        .value(String.class, text -> assertThat(text).contains("256 tokens").contains("40"));
  }

  @Test
  void refusesABodyThatIsTooLarge() {
    send("/v1/completions", "{\"prompt\":\"%s\"}".formatted("x".repeat(2 << 20)), 413)
        .jsonPath("$.error.code")
        .isEqualTo("request_too_large")
        .jsonPath("$.error.message")
        .value(
            String.class,
            text ->
                assertThat(text)
                    .contains("%d bytes".formatted((2 << 20) + "{\"prompt\":\"\"}".length()))
                    .contains("%d tokens".formatted(ScriptedRuntime.CONTEXT))
                    .contains("1048576 bytes"));
  }

  @Test
  void refusesATypeOtherThanJson() {
    client()
        .post()
        .uri("/v1/completions")
        .contentType(MediaType.TEXT_PLAIN)
        .bodyValue("{\"prompt\":\"a\"}")
        .exchange()
        .expectStatus()
        .isEqualTo(415)
        .expectBody()
        .jsonPath("$.error.code")
        .isEqualTo("unsupported_media_type");
  }

  @Test
  void knowsOnlyItsOwnModel() {
    send("/v1/completions", "{\"model\":\"gpt-4\",\"prompt\":\"a\"}", 404)
        .jsonPath("$.error.code")
        .isEqualTo("model_not_found")
        .jsonPath("$.error.message")
        .value(String.class, text -> assertThat(text).contains(ScriptedRuntime.NAME));
    client()
        .get()
        .uri("/v1/models/gpt-4")
        .exchange()
        .expectStatus()
        .isNotFound()
        .expectBody()
        .jsonPath("$.error.code")
        .isEqualTo("model_not_found");
  }

  @Test
  void knowsOnlyItsOwnPathsAndMethods() {
    client()
        .get()
        .uri("/v1/nothing")
        .exchange()
        .expectStatus()
        .isNotFound()
        .expectBody()
        .jsonPath("$.error.code")
        .isEqualTo("unknown_url");
    client()
        .get()
        .uri("/v1/chat/completions")
        .exchange()
        .expectStatus()
        .isEqualTo(405)
        .expectHeader()
        .valueEquals("Allow", "POST")
        .expectBody()
        .jsonPath("$.error.code")
        .isEqualTo("method_not_supported");
  }

  @Test
  void answersHeadAsGetWithoutTheBody() {
    for (String path :
        List.of("/health", "/health/live", "/health/ready", "/v1/models", "/metrics")) {
      client().head().uri(path).exchange().expectStatus().isOk().expectBody().isEmpty();
    }
  }

  @Test
  void saysWhenToComeBackWhenFull() throws InterruptedException {
    for (int i = 0; i < ScriptedRuntime.CONCURRENCY + ScriptedEngine.QUEUE_LIMIT; i++) {
      client()
          .post()
          .uri("/v1/chat/completions")
          .contentType(MediaType.APPLICATION_JSON)
          .bodyValue(chat("hello", "\"stream\":true"))
          .exchange()
          .expectStatus()
          .isOk();
    }
    client()
        .post()
        .uri("/v1/chat/completions")
        .contentType(MediaType.APPLICATION_JSON)
        .bodyValue(chat("hello", ""))
        .exchange()
        .expectStatus()
        .isEqualTo(429)
        .expectHeader()
        .valueEquals("Retry-After", "7")
        .expectBody()
        .jsonPath("$.error.type")
        .isEqualTo("rate_limit_error");
  }

  @Test
  void admitsAllChoicesOrNone() throws InterruptedException {
    send("/v1/chat/completions", chat("hello", "\"n\":4,\"stream\":false,\"max_tokens\":0"), 400);
    client()
        .post()
        .uri("/v1/chat/completions")
        .contentType(MediaType.APPLICATION_JSON)
        .bodyValue(chat("hello", "\"n\":2,\"stream\":true"))
        .exchange()
        .expectStatus()
        .isOk();
    List<ScriptedEngine.Played> first = List.of(runtime.engine.next(), runtime.engine.next());
    send("/v1/chat/completions", chat("hello", "\"n\":3"), 429);
    assertThat(runtime.engine.nothingSubmitted()).isTrue();
    assertThat(first).allMatch(ScriptedEngine.Played::running);
  }

  /** Fails the next generation as soon as it is submitted. */
  private Thread failNext(GenerationException error) {
    return Thread.ofPlatform()
        .start(
            () -> {
              try {
                runtime.engine.next().fail(error);
              } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
              }
            });
  }

  @Test
  void showsTheEnginesErrorOfAGeneration() throws Exception {
    Thread player = failNext(new GenerationException("extent 7 is damaged; ask again"));
    send("/v1/chat/completions", chat("hello", ""), 500)
        .jsonPath("$.error.type")
        .isEqualTo("server_error")
        .jsonPath("$.error.message")
        .isEqualTo("extent 7 is damaged; ask again");
    player.join();
  }

  @Test
  void whatTheTiersFailedMayBeSentAgain() throws Exception {
    Thread player = failNext(new StorageException("extent 7 did not come"));
    client()
        .post()
        .uri("/v1/chat/completions")
        .contentType(MediaType.APPLICATION_JSON)
        .bodyValue(chat("hello", ""))
        .exchange()
        .expectStatus()
        .isEqualTo(503)
        .expectHeader()
        .valueEquals("Retry-After", 4)
        .expectBody()
        .jsonPath("$.error.code")
        .isEqualTo("storage_failed")
        .jsonPath("$.error.message")
        .isEqualTo("extent 7 did not come");
    player.join();
  }

  @Test
  void showsNoPathOfTheServer() throws Exception {
    Thread player =
        failNext(
            new GenerationException(
                "java.io.IOException: /var/lib/kvdrive/nvme/extents-0 is gone"));
    send("/v1/chat/completions", chat("hello", ""), 500)
        .jsonPath("$.error.message")
        .isEqualTo("[path] is gone");
    player.join();
    runtime.engine.breakDown("java.io.IOException: /dev/nvme0 is gone");
    send("/v1/chat/completions", chat("hello", ""), 503)
        .jsonPath("$.error.message")
        .isEqualTo("The engine stopped: [path] is gone");
    client()
        .get()
        .uri("/health/ready")
        .exchange()
        .expectBody()
        .jsonPath("$.detail")
        .isEqualTo("EngineFailed: [path] is gone");
  }

  @Test
  void aFailedEngineIsNeitherAliveNorReady() {
    runtime.engine.breakDown("the device is gone");
    send("/v1/chat/completions", chat("hello", ""), 503)
        .jsonPath("$.error.code")
        .isEqualTo("engine_failed");
    client().get().uri("/health/live").exchange().expectStatus().isEqualTo(503);
    client().get().uri("/health/ready").exchange().expectStatus().isEqualTo(503);
  }

  @Test
  void aFailingDriveMakesTheRuntimeUnreadyButItServesWhatArrives() throws Exception {
    runtime.engine.nvmeFails("the NVMe tier cannot be read from: Input/output error");
    client()
        .get()
        .uri("/health/ready")
        .exchange()
        .expectStatus()
        .isEqualTo(503)
        .expectBody()
        .jsonPath("$.status")
        .isEqualTo("degraded")
        .jsonPath("$.detail")
        .isEqualTo("the NVMe tier cannot be read from: Input/output error");
    client().get().uri("/health/live").exchange().expectStatus().isOk();
    assertThat(metrics()).contains("kvdrive_nvme_healthy 0");
    Thread player =
        Thread.startVirtualThread(
            () -> {
              try {
                runtime.engine.next().finish(FinishReason.STOP, "short");
              } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
              }
            });
    send("/v1/chat/completions", chat("hello", ""), 200);
    player.join();
    runtime.engine.nvmeFails(null);
    client().get().uri("/health/ready").exchange().expectStatus().isOk();
    assertThat(metrics()).contains("kvdrive_nvme_healthy 1");
  }

  private String metrics() {
    byte[] body =
        client().get().uri("/metrics").exchange().expectBody().returnResult().getResponseBody();
    return new String(Objects.requireNonNull(body), StandardCharsets.UTF_8);
  }

  @Test
  void tokenizeNeedsOnePromptAndDetokenizeTokens() {
    send("/tokenize", "{}", 400)
        .jsonPath("$.error.param")
        .isEqualTo("prompt")
        .jsonPath("$.error.code")
        .isEqualTo("missing_required_parameter");
    send("/tokenize", "{\"prompt\":\"a\",\"messages\":[]}", 400)
        .jsonPath("$.error.param")
        .isEqualTo("prompt")
        .jsonPath("$.error.code")
        .isEqualTo("invalid_value");
    send("/detokenize", "{}", 400).jsonPath("$.error.param").isEqualTo("tokens");
    send("/detokenize", "{\"tokens\":[99999]}", 400)
        .jsonPath("$.error.param")
        .isEqualTo("tokens[0]");
  }

  @Test
  void aUsersTextNeverBecomesAControlToken() throws Exception {
    Thread player =
        Thread.ofPlatform()
            .start(
                () -> {
                  try {
                    runtime.engine.next().finish(FinishReason.STOP, "ok");
                  } catch (InterruptedException e) {
                    Thread.currentThread().interrupt();
                  }
                });
    send("/v1/chat/completions", chat("<|im_end|>", ""), 200);
    player.join();
    assertThat(tokens(chat("<|im_end|>", ""))).containsOnlyOnce(2);
  }

  @Test
  void theControlTokensOfARawPromptAreReadUnlessItSaysOtherwise() throws Exception {
    assertThat(tokens("{\"prompt\":\"<|im_end|>\"}")).containsExactly(2);
    assertThat(tokens("{\"prompt\":\"<|im_end|>\",\"parse_special\":false}"))
        .hasSizeGreaterThan(1)
        .doesNotContain(2);
    String prompt = "\"prompt\":\"<|im_start|>user\\nhi<|im_end|>\\n<|im_start|>assistant\\n\"";
    List<Integer> asked = tokens(chat("hi", ""));
    assertThat(tokens("{" + prompt + "}")).isEqualTo(asked);
    assertThat(engineSees("/v1/completions", "{" + prompt + "}")).isEqualTo(asked);
    assertThat(engineSees("/v1/completions", "{" + prompt + ",\"parse_special\":false}"))
        .doesNotContain(1, 2);
  }

  private List<Integer> engineSees(String path, String body) throws Exception {
    CompletableFuture<List<Integer>> seen = new CompletableFuture<>();
    Thread player =
        Thread.ofPlatform()
            .start(
                () -> {
                  try {
                    ScriptedEngine.Played played = runtime.engine.next();
                    seen.complete(played.request.prompt());
                    played.finish(FinishReason.STOP, "ok");
                  } catch (InterruptedException e) {
                    Thread.currentThread().interrupt();
                  }
                });
    send(path, body, 200);
    player.join();
    return seen.get(1, TimeUnit.SECONDS);
  }

  @ParameterizedTest(name = "{0}")
  @CsvSource(
      delimiter = '|',
      textBlock =
          """
          {"messages":                       | The body is not valid JSON (line 1, column 13): it ends too early.
          not json                           | The body is not valid JSON (line 1, column 1): unexpected text.
          {"n":1,"n":2}                      | The body is not valid JSON (line 1, column 11): the field 'n' is there twice.
          {"n":99999999999999999999}         | Invalid 'n': must be between 1 and 4, got 99999999999999999999.
          {"n":1e999}                        | Invalid 'n': must be between 1 and 4, got 1e999.
          {"n":-1e99999999999}               | Invalid 'n': must be between 1 and 4, got -1e99999999999.
          {"n":0e999}                        | Invalid 'n': must be between 1 and 4, got 0e999.
          {"n":1e-999999999}                 | Invalid type for 'n': expected an integer between 1 and 4, got 1e-999999999.
          {"n":1e-99999999999}               | Invalid type for 'n': expected an integer between 1 and 4, got 1e-99999999999.
          {"n":1.5}                          | Invalid type for 'n': expected an integer between 1 and 4, got 1.5.
          {"n":11111111112222222222333333333344444444445555} | Invalid 'n': must be between 1 and 4, got 1111111111222222222233333333334444444444....
          {"n":"2"}                          | Invalid type for 'n': expected an integer, got "2".
          {"n":[2]}                          | Invalid type for 'n': expected an integer, got an array.
          {"n":{"n":2}}                      | Invalid type for 'n': expected an integer, got an object.
          {"n":true}                         | Invalid type for 'n': expected an integer, got true.
          {"n":"2222222222222222222222222222222222222222222222"} | Invalid type for 'n': expected an integer, got "222222222222222222222222222222222222222....
          {"stream":1}                       | Invalid type for 'stream': expected a boolean, got 1.
          {"stream":"yes"}                   | Invalid type for 'stream': expected a boolean, got "yes".
          {"model":7.50}                     | Invalid type for 'model': expected a string, got 7.50.
          {"messages":"hello"}               | Invalid type for 'messages': expected an array, got "hello".
          {"messages":["hello"]}             | Invalid type for 'messages[0]': expected an object, got "hello".
          {"top_logprobs":21}                | Invalid 'top_logprobs': must be between 0 and 20, got 21.
          {"min_tokens":1e999}               | Invalid 'min_tokens': must be between 0 and 256, got 1e999.
          {"temperature":1e999}              | Invalid 'temperature': must be between 0 and 2, got 1e999.
          {"temperature":-1e-5}              | Invalid 'temperature': must be between 0 and 2, got -1e-5.
          {"temperature":"hot"}              | Invalid type for 'temperature': expected a number, got "hot".
          {"stop":[{}]}                      | Invalid type for 'stop[0]': expected a string, got an object.
          {} {}                              | The body goes on behind its JSON value (line 1, column 4); send one JSON object in each request.
          {"n":1}]                           | The body is not valid JSON (line 1, column 8): unexpected text.
          {"seed":1e999999999}               | Invalid 'seed': must be between -9223372036854775808 and 9223372036854775807, got 1e999999999.
          {"messages":[{"role":7}]}          | Invalid type for 'messages[0].role': expected a string, got 7.
          {"stream_options":{"x":1}}         | Unknown parameter: 'stream_options.x'.
          {"stream_options":[]}              | Invalid type for 'stream_options': expected an object, got an array.
          [1,2]                              | Invalid type for 'body': expected an object, got an array.
          "hello"                            | Invalid type for 'body': expected an object, got "hello".
          """)
  void saysInItsOwnWordsWhatIsWrongWithABody(String body, String message) {
    send("/v1/chat/completions", body, 400).jsonPath("$.error.message").isEqualTo(message);
  }

  @ParameterizedTest(name = "{0}")
  @ValueSource(strings = {"0", "-2", "1e999", "-1e999", "99999999999999999999"})
  void saysHowManyTokensMayBeAskedFor(String asked) {
    for (String field : List.of("max_tokens", "max_completion_tokens")) {
      send("/v1/chat/completions", chat("hello", "\"%s\":%s".formatted(field, asked)), 400)
          .jsonPath("$.error.code")
          .isEqualTo("invalid_value")
          .jsonPath("$.error.message")
          .value(
              String.class,
              text ->
                  assertThat(text)
                      .matches(
                          "Invalid '%s': must be between 1 and 2\\d\\d, for which the context has room, or -1 for all of that, got %s\\."
                              .formatted(field, asked)));
    }
  }

  @ParameterizedTest(name = "{0}")
  @ValueSource(strings = {"1e-999999999", "0.5"})
  void tokensAreWhole(String asked) {
    send("/v1/chat/completions", chat("hello", "\"max_tokens\":" + asked), 400)
        .jsonPath("$.error.code")
        .isEqualTo("invalid_type")
        .jsonPath("$.error.message")
        .value(String.class, text -> assertThat(text).contains("an integer between 1 and", asked));
  }

  @ParameterizedTest(name = "{0}")
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '`',
      textBlock =
          """
          [1]                   | Invalid type for 'messages[0].content[0]': expected an object such as {"type": "text", "text": "..."}, got 1.
          ["a"]                 | Invalid type for 'messages[0].content[0]': expected an object such as {"type": "text", "text": "..."}, got "a".
          [{}]                  | Invalid type for 'messages[0].content[0].type': expected "text", got nothing.
          [{"type":7}]          | Invalid type for 'messages[0].content[0].type': expected "text", got 7.
          [{"type":"text"}]     | Invalid type for 'messages[0].content[0].text': expected a string, got nothing.
          true                  | Invalid type for 'messages[0].content': expected a string or an array of parts, got true.
          """)
  void saysWhatStandsInPlaceOfText(String content, String message) {
    String body = "{\"messages\":[{\"role\":\"user\",\"content\":%s}]}".formatted(content);
    send("/v1/chat/completions", body, 400).jsonPath("$.error.message").isEqualTo(message);
  }

  private static byte[] bytes(String text) {
    return text.getBytes(StandardCharsets.ISO_8859_1);
  }

  private static Stream<Arguments> bodiesThatAreNotUtf8() {
    String json = "{\"prompt\":\"a\"}";
    return Stream.of(
        Arguments.of("an overlong NUL", bytes("{\"prompt\":\"\u00c0\u0080\"}"), 11),
        Arguments.of("an overlong quote", bytes("{\"prompt\":\"a\u00c0\u00a2\"}"), 12),
        Arguments.of("an overlong slash", bytes("{\"prompt\":\"\u00e0\u0080\u00af\"}"), 11),
        Arguments.of("half a character", bytes("{\"prompt\":\"\u00ed\u00a0\u0080\"}"), 11),
        Arguments.of(
            "two halves (CESU-8)",
            bytes("{\"prompt\":\"\u00ed\u00a0\u00bd\u00ed\u00b8\u0080\"}"),
            11),
        Arguments.of("beyond Unicode", bytes("{\"prompt\":\"\u00f4\u0090\u0080\u0080\"}"), 11),
        Arguments.of("Latin-1", bytes("{\"prompt\":\"caf\u00e9\"}"), 14),
        Arguments.of("a character cut off", bytes("{\"prompt\":\"a\"}\u00c3"), 14),
        Arguments.of("UTF-16", json.getBytes(StandardCharsets.UTF_16BE), 0),
        Arguments.of("UTF-16 the other way", json.getBytes(StandardCharsets.UTF_16LE), 1),
        Arguments.of("UTF-16 with a mark", json.getBytes(StandardCharsets.UTF_16), 2),
        Arguments.of("UTF-32", json.getBytes(Charset.forName("UTF-32BE")), 0),
        Arguments.of("UTF-32 the other way", json.getBytes(Charset.forName("UTF-32LE")), 1),
        Arguments.of("an escaped half", bytes("{\"prompt\":\"a\\ud83d\"}"), 12),
        Arguments.of("an escaped second half", bytes("{\"prompt\":\"\\uDE00\"}"), 11),
        Arguments.of("two first halves", bytes("{\"prompt\":\"\\ud83d\\ud83d\"}"), 11),
        Arguments.of("a half behind a backslash", bytes("{\"prompt\":\"\\\\\\ud83d\"}"), 13),
        Arguments.of("a half in a name", bytes("{\"\\udfff\":1}"), 2));
  }

  @ParameterizedTest(name = "{0}")
  @MethodSource("bodiesThatAreNotUtf8")
  void aBodyIsUtf8AndNothingElse(String what, byte[] body, int offset) {
    for (String path :
        List.of("/v1/chat/completions", "/v1/completions", "/tokenize", "/detokenize")) {
      client()
          .post()
          .uri(path)
          .contentType(MediaType.APPLICATION_JSON)
          .bodyValue(body)
          .exchange()
          .expectStatus()
          .isBadRequest()
          .expectBody()
          .jsonPath("$.error.code")
          .isEqualTo("invalid_json")
          .jsonPath("$.error.message")
          .value(
              String.class,
              text -> assertThat(text).contains("its byte " + offset + " ").contains("UTF-8"));
    }
  }

  @ParameterizedTest(name = "{0}")
  @ValueSource(
      strings = {
        "\uD83D\uDE00",
        "\\ud83d\\ude00",
        "\\uD83D\\uDE00",
        "\\\\ud83d",
        "\\u00e9",
        "caf\u00e9",
        "\\u0000"
      })
  void textInUtf8IsReadHoweverItIsWritten(String text) {
    assertThat(tokens("{\"prompt\":\"" + text + "\"}")).isNotEmpty();
  }

  @ParameterizedTest(name = "{0}")
  @ValueSource(strings = {"application/json;charset=utf-16", "application/json;charset=latin1"})
  void aBodySaysNothingElseThanUtf8(String type) {
    client()
        .post()
        .uri("/tokenize")
        .header("Content-Type", type)
        .bodyValue(bytes("{\"prompt\":\"a\"}"))
        .exchange()
        .expectStatus()
        .isEqualTo(415);
  }

  static Stream<Arguments> bodiesBeyondALimit() {
    return Stream.of(
        Arguments.of("{\"seed\":" + "9".repeat(200) + "}", "a number has at most 100 characters"),
        Arguments.of(
            "{\"metadata\":" + "[".repeat(70) + "]".repeat(70) + "}",
            "at most 64 levels of nesting"),
        Arguments.of("{\"" + "n".repeat(2000) + "\":1}", "a name has at most 1000 characters"));
  }

  @ParameterizedTest
  @MethodSource("bodiesBeyondALimit")
  void namesTheOneLimitThatABodyExceeds(String body, String limit) {
    send("/v1/chat/completions", body, 400)
        .jsonPath("$.error.message")
        .value(
            String.class,
            text ->
                assertThat(text)
                    .contains("exceeds a limit")
                    .endsWith(": " + limit + ".")
                    .doesNotContain("StreamReadConstraints"));
  }

  @Test
  void healthIsReadinessAndNeedsNoKey() {
    client().get().uri("/health").exchange().expectStatus().isOk();
    runtime.engine.breakDown("the device is gone");
    client().get().uri("/health").exchange().expectStatus().isEqualTo(503);
  }

  private List<Integer> tokens(String body) {
    TokenizeRequest.Answer answer =
        new Json(1 << 20)
            .read(
                Objects.requireNonNull(
                    send("/tokenize", body, 200).returnResult().getResponseBodyContent()),
                TokenizeRequest.Answer.class);
    return answer.tokens();
  }
}
