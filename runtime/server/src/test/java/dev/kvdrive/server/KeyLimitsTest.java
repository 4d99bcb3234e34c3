package dev.kvdrive.server;

import static org.assertj.core.api.Assertions.assertThat;

import dev.kvdrive.schedule.FinishReason;
import java.io.IOException;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.stream.Stream;
import org.awaitility.Awaitility;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What a key may take, over real sockets, with an engine that the test plays. */
class KeyLimitsTest {
  private static final String ADA = key("ada");
  private static final String BOB = key("bob");

  @TempDir static Path folder;
  private static final ScriptedRuntime SCRIPTED = new ScriptedRuntime();
  private static OwnRuntime runtime;
  private static Path keys;

  private static String key(String name) {
    return name + "-0123456789abcdef";
  }

  private static String entry(String name, String limits) {
    return "- {name: %s, key: %s, %s}\n".formatted(name, key(name), limits);
  }

  @BeforeAll
  static void start() throws IOException {
    keys =
        Files.writeString(
            folder.resolve("keys"),
            "keys:\n"
                + entry("ada", "requestsPerMinute: 5")
                + entry("bob", "tokensPerMinute: 100000")
                + entry("ann", "requestsPerMinute: 100")
                + entry("use", "tokensPerMinute: 200")
                + entry("few", "tokensPerMinute: 30")
                + entry("two", "concurrentRequests: 2")
                + entry("one", "concurrentRequests: 1")
                + entry("full", "tokensPerMinute: 1000"));
    runtime = OwnRuntime.start(SCRIPTED, "--kvdrive.api-keys-file=" + keys).ready();
  }

  @AfterAll
  static void end() {
    runtime.close();
  }

  @BeforeEach
  void forget() {
    SCRIPTED.engine.reset();
  }

  private HttpRequest.Builder tokenize(String key) {
    return runtime
        .request("/tokenize")
        .header("Authorization", "Bearer " + key)
        .header("Content-Type", "application/json")
        .POST(HttpRequest.BodyPublishers.ofString("{\"prompt\":\"hello\"}"));
  }

  private HttpRequest.Builder chat(String key, String more) {
    return runtime
        .request("/v1/chat/completions")
        .header("Authorization", "Bearer " + key)
        .header("Content-Type", "application/json")
        .POST(HttpRequest.BodyPublishers.ofString(ScriptedServer.chat("hello", more)));
  }

  private static String header(HttpResponse<?> response, String name) {
    return response.headers().firstValue(name).orElse("");
  }

  @Test
  void ofManyRequestsAtOnceAsManyAreAnsweredAsTheKeyMayMake() throws Exception {
    String ann = key("ann");
    long start = System.nanoTime();
    List<HttpResponse<String>> answers = new ArrayList<>();
    try (HttpClient client = HttpClient.newHttpClient()) {
      List<CompletableFuture<HttpResponse<String>>> all =
          Stream.generate(() -> tokenize(ADA).build())
              .limit(60)
              .map(r -> client.sendAsync(r, HttpResponse.BodyHandlers.ofString()))
              .toList();
      all.forEach(one -> answers.add(one.join()));
    }
    double minutes = (System.nanoTime() - start) / 60e9;
    List<HttpResponse<String>> refused =
        answers.stream().filter(answer -> answer.statusCode() == 429).toList();
    long admitted = answers.stream().filter(answer -> answer.statusCode() == 200).count();
    assertThat(admitted).isBetween(5L, (long) (5 + 5 * minutes));
    assertThat(refused).hasSize((int) (60 - admitted));
    HttpResponse<String> one = refused.getLast();
    assertThat(one.body())
        .contains("\"code\":\"rate_limit_exceeded\"")
        .contains("\"type\":\"requests\"")
        .contains("Rate limit reached for key 'ada': 5 requests per minute. Try again in ")
        .doesNotContain(ADA);
    assertThat(Integer.parseInt(header(one, "Retry-After"))).isBetween(1, 12);
    assertThat(header(one, "x-ratelimit-limit-requests")).isEqualTo("5");
    assertThat(header(one, "x-ratelimit-remaining-requests")).isEqualTo("0");
    assertThat(header(one, "x-ratelimit-reset-requests")).matches("[45]\\d(\\.\\d+)?s|1m0s");

    // Neither others nor what asks for nothing of the engine are held up.
    assertThat(runtime.send(tokenize(ann)).statusCode()).isEqualTo(200);
    HttpRequest.Builder models =
        runtime.request("/v1/models").header("Authorization", "Bearer " + ADA);
    assertThat(runtime.send(models).statusCode()).isEqualTo(200);
    assertThat(runtime.get("/metrics").body())
        .contains("kvdrive_key_requests_total{key=\"ada\"} %d.0".formatted(admitted))
        .contains(
            "kvdrive_key_requests_refused_total{key=\"ada\",reason=\"requests\"} %d.0"
                .formatted(60 - admitted))
        .contains("kvdrive_key_requests_total{key=\"ann\"} 1.0")
        .contains("kvdrive_key_requests_running{key=\"ada\"} 0.0")
        .doesNotContain(ADA)
        .doesNotContain(ann);
  }

  @Test
  void aKeyIsChargedWithWhatTheUsageSays() throws Exception {
    String use = key("use");
    long start = System.nanoTime();
    CompletableFuture<HttpResponse<String>> asked = sendAsync(chat(use, ""));
    ScriptedEngine.Played generation = SCRIPTED.engine.next();
    assertThat(generation.request.tenant()).as("of whose blocks it is").isEqualTo("use");
    generation.token(5, "one");
    generation.token(6, "two");
    // As the engine does, with one token more that ends it.
    generation.finish(FinishReason.STOP, "");
    HttpResponse<String> answer = asked.join();
    int prompt = generation.request.prompt().size();
    assertThat(answer.body()).contains("\"total_tokens\":" + (prompt + 3));
    double minutes = (System.nanoTime() - start) / 60e9;
    assertThat(Integer.parseInt(header(answer, "x-ratelimit-remaining-tokens")))
        .isBetween(200 - prompt - 3, (int) (200 - prompt - 3 + 200 * minutes) + 1);
    assertThat(runtime.get("/metrics").body())
        .contains("kvdrive_key_prompt_tokens_total{key=\"use\"} %d.0".formatted(prompt))
        .contains("kvdrive_key_completion_tokens_total{key=\"use\"} 3.0");
  }

  @Test
  void tokensAreChargedWhileTheyAreGeneratedAndRefuseTheNextRequest() throws Exception {
    String few = key("few");
    CompletableFuture<HttpResponse<String>> asked = sendAsync(chat(few, ""));
    ScriptedEngine.Played generation = SCRIPTED.engine.next();
    for (int i = 0; i < 60; i++) {
      generation.token(5, "one");
    }
    HttpResponse<String> refused = runtime.send(chat(few, ""));
    assertThat(refused.statusCode()).isEqualTo(429);
    assertThat(refused.body())
        .contains("\"type\":\"tokens\"")
        .contains("30 tokens per minute, of which ");
    assertThat(Integer.parseInt(header(refused, "Retry-After"))).isGreaterThan(50);
    assertThat(SCRIPTED.engine.nothingSubmitted()).isTrue();
    generation.finish(FinishReason.STOP, "");
    assertThat(asked.join().statusCode()).isEqualTo(200);
  }

  @Test
  void noMoreRequestsRunThanMayAndTheEndOfOneLetsTheNextIn() throws Exception {
    String two = key("two");
    List<CompletableFuture<HttpResponse<String>>> three =
        List.of(
            sendAsync(chat(two, "\"stream\":true")),
            sendAsync(chat(two, "\"n\":1")),
            sendAsync(chat(two, "")));
    List<ScriptedEngine.Played> running = List.of(SCRIPTED.engine.next(), SCRIPTED.engine.next());
    Awaitility.await().until(() -> three.stream().anyMatch(CompletableFuture::isDone));
    HttpResponse<String> refused =
        three.stream().filter(CompletableFuture::isDone).findFirst().orElseThrow().join();
    assertThat(refused.statusCode()).isEqualTo(429);
    assertThat(refused.body())
        .contains("\"type\":\"concurrent_requests\"")
        .contains("2 concurrent requests, all of them running");
    assertThat(header(refused, "Retry-After")).isEqualTo("1");
    assertThat(runtime.get("/metrics").body())
        .contains("kvdrive_key_requests_running{key=\"two\"} 2.0");
    running.getFirst().finish(FinishReason.STOP, "");
    CompletableFuture<HttpResponse<String>> next = sendAsync(chat(two, ""));
    SCRIPTED.engine.next().finish(FinishReason.STOP, "");
    assertThat(next.join().statusCode()).isEqualTo(200);
    running.getLast().finish(FinishReason.STOP, "");
    three.forEach(CompletableFuture::join);
    assertThat(runtime.get("/metrics").body())
        .contains("kvdrive_key_requests_running{key=\"two\"} 0.0");
  }

  @Test
  void aClientThatLeavesGivesItsPlaceBack() throws Exception {
    String one = key("one");
    CompletableFuture<HttpResponse<String>> left = sendAsync(chat(one, ""));
    ScriptedEngine.Played generation = SCRIPTED.engine.next();
    assertThat(runtime.send(chat(one, "")).statusCode()).isEqualTo(429);
    left.cancel(true);
    Awaitility.await().until(generation::cancelled);
    Awaitility.await().until(() -> runtime.send(tokenize(one)).statusCode() == 200);
  }

  @Test
  void aFullEngineGivesThePlaceBackAndChargesNoTokens() throws Exception {
    List<CompletableFuture<HttpResponse<String>>> full = new ArrayList<>();
    List<ScriptedEngine.Played> played = new ArrayList<>();
    for (int i = 0; i < ScriptedRuntime.CONCURRENCY + ScriptedEngine.QUEUE_LIMIT; i++) {
      full.add(sendAsync(chat(BOB, "")));
      played.add(SCRIPTED.engine.next());
    }
    HttpResponse<String> refused = runtime.send(chat(key("full"), ""));
    assertThat(refused.statusCode()).isEqualTo(429);
    assertThat(refused.body()).contains("engine_overloaded");
    assertThat(header(refused, "x-ratelimit-remaining-tokens")).isEqualTo("1000");
    assertThat(runtime.get("/metrics").body())
        .contains("kvdrive_key_prompt_tokens_total{key=\"full\"} 0.0")
        .contains("kvdrive_key_requests_running{key=\"full\"} 0.0");
    played.forEach(one -> one.finish(FinishReason.STOP, ""));
    full.forEach(one -> assertThat(one.join().statusCode()).isEqualTo(200));
  }

  @Test
  void aChangedFileIsFollowedAndItsOldKeyRefused() throws Exception {
    String before = Files.readString(keys);
    String eve = key("eve");
    write(before.replace(key("one"), eve));
    Awaitility.await().until(() -> runtime.send(tokenize(eve)).statusCode() == 200);
    assertThat(runtime.send(tokenize(key("one"))).statusCode()).isEqualTo(401);

    write(
        before
            .replace("name: one", "name: uno")
            .replace("tokensPerMinute: 100000", "tokensPerMinute: 70000"));
    Awaitility.await()
        .until(
            () -> header(runtime.send(tokenize(BOB)), "x-ratelimit-limit-tokens").equals("70000"));
    Awaitility.await()
        .untilAsserted(
            () ->
                assertThat(runtime.get("/metrics").body())
                    .contains("kvdrive_key_requests_running{key=\"uno\"}")
                    .doesNotContain("key=\"one\""));
    write(before);
    Awaitility.await().until(() -> runtime.send(tokenize(key("one"))).statusCode() == 200);
  }

  /** As the kubelet does: the whole file at once. */
  private static void write(String text) throws IOException {
    Files.move(
        Files.writeString(folder.resolve("fresh"), text), keys, StandardCopyOption.ATOMIC_MOVE);
  }

  private CompletableFuture<HttpResponse<String>> sendAsync(HttpRequest.Builder request) {
    return runtime.sendAsync(request);
  }
}
