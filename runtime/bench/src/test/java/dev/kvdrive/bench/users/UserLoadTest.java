package dev.kvdrive.bench.users;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.io.OutputStream;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.URI;
import java.net.http.HttpClient;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashSet;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/** A small server of the same API: four characters are a token, every answer has three. */
class UserLoadTest {
  private final List<String> prompts = Collections.synchronizedList(new ArrayList<>());
  private final List<String> keys = Collections.synchronizedList(new ArrayList<>());
  private final ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor();
  private CountDownLatch together = new CountDownLatch(0);
  private String refused = "no such text: #";
  private HttpServer server;
  private URI address;

  @BeforeEach
  void start() throws IOException {
    server = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
    server.setExecutor(threads);
    server.createContext("/v1/chat/completions", this::chat);
    server.createContext(
        "/v1/models", exchange -> answer(exchange, 200, "{\"data\":[{\"id\":\"small\"}]}"));
    server.start();
    address = URI.create("http://127.0.0.1:" + server.getAddress().getPort());
  }

  @AfterEach
  void stop() {
    server.stop(0);
    threads.close();
  }

  private void chat(HttpExchange exchange) throws IOException {
    JsonNode body = JsonMapper.shared().readTree(exchange.getRequestBody());
    String prompt = body.at("/messages/0/content").asString();
    boolean first = prompts.isEmpty();
    prompts.add(prompt);
    keys.add(String.valueOf(exchange.getRequestHeaders().getFirst("Authorization")));
    if (prompt.contains(refused)) {
      answer(exchange, 429, "{\"error\":{\"message\":\"too much for today\"}}");
      return;
    }
    if (!first) {
      together.countDown();
      try {
        assertThat(together.await(20, TimeUnit.SECONDS)).as("all ask at once").isTrue();
      } catch (InterruptedException e) {
        throw new IOException(e);
      }
    }
    exchange.sendResponseHeaders(200, 0);
    try (OutputStream out = exchange.getResponseBody()) {
      for (String line :
          List.of(
              "{\"choices\":[{\"delta\":{\"content\":\"a\"}}]}",
              "{\"choices\":[{\"delta\":{\"content\":\"b\"}}]}",
              "{\"choices\":[{\"delta\":{\"content\":\"c\"}}]}",
              "{\"choices\":[],\"usage\":{\"prompt_tokens\":%d,\"completion_tokens\":3}}"
                  .formatted(prompt.length() / 4),
              "[DONE]")) {
        out.write(("data: " + line + "\n\n").getBytes(StandardCharsets.UTF_8));
        out.flush();
      }
    }
  }

  private static void answer(HttpExchange exchange, int status, String body) throws IOException {
    byte[] bytes = body.getBytes(StandardCharsets.UTF_8);
    exchange.sendResponseHeaders(status, bytes.length);
    try (OutputStream out = exchange.getResponseBody()) {
      out.write(bytes);
    }
  }

  private UserLoad load(int users, int requests) {
    return new UserLoad(
        address, "small", users, requests, 1000, 3000, 64, 1, 7, new BearerKey("secret"));
  }

  @Test
  void everyUserAsksAtOnceWithPromptsOfItsOwnLength() throws Exception {
    together = new CountDownLatch(5);
    UserLoad.Outcome outcome;
    try (HttpClient client = ChatStream.client()) {
      assertThat(ChatStream.firstModel(client, address, null)).isEqualTo("small");
      outcome = load(5, 2).run(client, answered -> {});
    }
    assertThat(outcome.answers()).hasSize(10);
    for (Answered answered : outcome.answers()) {
      assertThat(answered.failure()).isNull();
      assertThat(answered.tokens()).isEqualTo(3);
      assertThat(answered.gapNanos()).hasSize(2);
      assertThat(answered.firstNanos()).isPositive().isLessThanOrEqualTo(answered.nanos());
      assertThat(answered.promptTokens())
          .isBetween(1000 + 500 * answered.user(), 1200 + 500 * answered.user());
    }
    assertThat(outcome.nanos())
        .isGreaterThanOrEqualTo(
            outcome.answers().stream().mapToLong(Answered::nanos).max().orElseThrow());
    // Of the ten long ones none begins like another: a server that keeps prefixes gains nothing.
    assertThat(new HashSet<>(prompts.stream().skip(1).map(p -> p.substring(0, 110)).toList()))
        .hasSize(10);
    assertThat(keys).containsOnly("Bearer secret");
    assertThat(new BearerKey("secret").toString()).doesNotContain("secret");
    assertThat(UserReport.markdown(outcome))
        .contains("10 of 10 requests answered", "30 written", "to the first token, s");
  }

  @Test
  void whatFailsIsToldInTheServersWordsAndTheOthersGoOn() throws Exception {
    refused = "Part 1 of book 2.";
    UserLoad.Outcome outcome;
    try (HttpClient client = ChatStream.client()) {
      outcome = load(2, 2).run(client, answered -> {});
    }
    assertThat(outcome.answers().stream().map(Answered::failure).toList())
        .containsOnlyOnce("HTTP 429: too much for today")
        .hasSize(4);
    assertThat(UserReport.markdown(outcome))
        .contains("3 of 4 requests answered", "Failed: HTTP 429: too much for today");
  }

  @Test
  void aServerThatRefusesTheFirstQuestionIsAnError() {
    refused = "";
    try (HttpClient client = ChatStream.client()) {
      assertThatThrownBy(() -> load(1, 1).run(client, answered -> {}))
          .isInstanceOf(IOException.class)
          .hasMessage("HTTP 429: too much for today");
    }
  }

  @Test
  void quantilesAreOfWhatWasSeen() {
    long[] hundred = new long[100];
    for (int i = 0; i < 100; i++) {
      hundred[i] = i + 1L;
    }
    assertThat(UserReport.quantile(hundred, 0.5)).isEqualTo(50);
    assertThat(UserReport.quantile(hundred, 0.95)).isEqualTo(95);
    assertThat(UserReport.quantile(hundred, 1)).isEqualTo(100);
    assertThat(UserReport.quantile(new long[] {4}, 0.5)).isEqualTo(4);
  }
}
