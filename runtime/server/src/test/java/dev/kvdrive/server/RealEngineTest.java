package dev.kvdrive.server;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Objects;
import java.util.Set;
import java.util.TreeSet;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;
import org.springframework.http.MediaType;
import org.springframework.test.web.reactive.server.WebTestClient;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/** Answers of the bundled model through the API. */
class RealEngineTest extends RealServer {
  private static final JsonMapper JSON = JsonMapper.builder().build();

  private JsonNode post(String path, String body) {
    WebTestClient.BodyContentSpec answer =
        client()
            .post()
            .uri(path)
            .contentType(MediaType.APPLICATION_JSON)
            .bodyValue(body)
            .exchange()
            .expectStatus()
            .isOk()
            .expectBody();
    return JSON.readTree(Objects.requireNonNull(answer.returnResult().getResponseBodyContent()));
  }

  private String scrape() {
    return Objects.requireNonNull(
        client()
            .get()
            .uri("/metrics")
            .exchange()
            .expectStatus()
            .isOk()
            .expectBody(String.class)
            .returnResult()
            .getResponseBody());
  }

  @Test
  void theSameSeedGivesTheSameTokensAndChoicesDiffer() {
    String body =
        "{\"prompt\":\"The linker\",\"max_tokens\":8,\"n\":2,\"seed\":7,\"temperature\":2}";
    JsonNode first = post("/v1/completions", body);
    JsonNode second = post("/v1/completions", body);
    assertThat(first.at("/choices/0/text")).isEqualTo(second.at("/choices/0/text"));
    assertThat(first.at("/choices/1/text")).isEqualTo(second.at("/choices/1/text"));
    assertThat(first.at("/choices/0/text")).isNotEqualTo(first.at("/choices/1/text"));
  }

  @Test
  void streamsTheSameTextAsTheWholeAnswer() {
    String body = "{\"prompt\":\"The linker\",\"max_tokens\":12,\"temperature\":0%s}";
    String whole = post("/v1/completions", body.formatted("")).at("/choices/0/text").stringValue();
    List<String> lines =
        Objects.requireNonNull(
                client()
                    .post()
                    .uri("/v1/completions")
                    .contentType(MediaType.APPLICATION_JSON)
                    .bodyValue(
                        body.formatted(
                            ",\"stream\":true,\"stream_options\":{\"include_usage\":true}"))
                    .exchange()
                    .expectHeader()
                    .contentTypeCompatibleWith(MediaType.TEXT_EVENT_STREAM)
                    .expectBody(String.class)
                    .returnResult()
                    .getResponseBody())
            .lines()
            .filter(line -> line.startsWith("data: "))
            .map(line -> line.substring(6))
            .toList();
    assertThat(lines.getLast()).isEqualTo("[DONE]");
    StringBuilder text = new StringBuilder();
    for (String line : lines.subList(0, lines.size() - 1)) {
      text.append(JSON.readTree(line).at("/choices/0/text").asString(""));
    }
    assertThat(text.toString()).isEqualTo(whole).isNotEmpty();
    assertThat(JSON.readTree(lines.get(lines.size() - 2)).at("/usage/completion_tokens").asInt())
        .isEqualTo(12);
  }

  @Test
  void aStopStringIsCutOffAndItsTokensHaveNoLogprobs() {
    JsonNode free =
        post("/v1/completions", "{\"prompt\":\"The linker\",\"max_tokens\":12,\"temperature\":0}");
    String text = free.at("/choices/0/text").stringValue();
    String stop = text.substring(text.length() / 2, text.length() / 2 + 3);
    JsonNode stopped =
        post(
            "/v1/completions",
            JSON.writeValueAsString(
                java.util.Map.of(
                    "prompt",
                    "The linker",
                    "max_tokens",
                    12,
                    "temperature",
                    0,
                    "stop",
                    List.of(stop),
                    "logprobs",
                    2)));
    String before = text.substring(0, text.indexOf(stop));
    assertThat(stopped.at("/choices/0/text").stringValue()).isEqualTo(before);
    assertThat(stopped.at("/choices/0/finish_reason").stringValue()).isEqualTo("stop");
    StringBuilder spelled = new StringBuilder();
    stopped.at("/choices/0/logprobs/tokens").forEach(token -> spelled.append(token.stringValue()));
    assertThat(spelled.toString()).startsWith(before);
    assertThat(stopped.at("/choices/0/logprobs/top_logprobs/0").size()).isEqualTo(2);
  }

  @Test
  void aLongPromptUsesAllTiersAndTheUsageSaysSo() {
    JsonNode answer =
        post(
            "/v1/completions",
            "{\"prompt\":\"%s\",\"max_tokens\":4,\"temperature\":0,\"ignore_eos\":true}"
                .formatted("The kernel reads a page. ".repeat(60)));
    JsonNode usage = answer.at("/usage/kvdrive");
    assertThat(answer.at("/usage/completion_tokens").asInt()).isEqualTo(4);
    assertThat(usage.at("/attended_tokens").asLong())
        .isPositive()
        .isLessThan(usage.at("/context_tokens").asLong());
    assertThat(usage.at("/window_hit_rate").asDouble()).isBetween(0.0, 1.0);
    assertThat(usage.at("/nvme_written_bytes").isIntegralNumber()).isTrue();
    assertThat(scrape())
        .contains("vllm:num_requests_running{model_name=\"acme/tiny\"} 0")
        .contains("vllm:num_requests_waiting{")
        .contains("vllm:kv_cache_usage_perc{")
        .contains("kvdrive_tier_capacity_bytes{tier=\"nvme\"}")
        .contains("kvdrive_fetched_bytes_total{tier=\"dram\"}")
        .contains("kvdrive_time_to_first_token_seconds_bucket{")
        .contains("kvdrive_inter_token_latency_seconds_bucket{")
        .contains("kvdrive_queue_time_seconds_bucket{");
  }

  @Test
  void everyMetricIsDocumentedAndEveryDocumentedMetricIsThere() throws IOException {
    Set<String> scraped =
        Pattern.compile("^# TYPE (\\S+) ", Pattern.MULTILINE)
            .matcher(scrape())
            .results()
            .map(found -> found.group(1))
            .filter(name -> !name.matches("(jvm|process|system)_.*"))
            .map(name -> name.replaceFirst("_max$", ""))
            .collect(Collectors.toCollection(TreeSet::new));
    Set<String> documented =
        Pattern.compile("^\\| `([^`]+)`", Pattern.MULTILINE)
            .matcher(
                Files.readString(Path.of("../../docs/metrics.md"))
                    .split("\n## The operator\n", 2)[0]
                    // Of a server with a certificate: TlsTest; of one with a GPU: GpuMetricsTest.
                    .replaceAll("(?s)\n## (TLS|GPUs)\n.*?(?=\n## )", ""))
            .results()
            .map(found -> found.group(1))
            .collect(Collectors.toCollection(TreeSet::new));
    assertThat(scraped).isEqualTo(documented);
  }

  @Test
  void detokenizeUndoesTokenize() {
    JsonNode tokens =
        post(
            "/tokenize",
            "{\"prompt\":\"Hello, tiers!\",\"add_special_tokens\":false,\"return_token_strs\":true}");
    assertThat(tokens.at("/max_model_len").asInt()).isEqualTo(2048);
    assertThat(tokens.at("/token_strs").size()).isEqualTo(tokens.at("/count").asInt());
    assertThat(
            post("/detokenize", "{\"tokens\":" + tokens.at("/tokens") + "}")
                .at("/prompt")
                .stringValue())
        .isEqualTo("Hello, tiers!");
  }

  @Test
  void onlyAKeyOpensTheApi() {
    WebTestClient stranger = WebTestClient.bindToServer().baseUrl(url()).build();
    stranger
        .get()
        .uri("/v1/models")
        .exchange()
        .expectStatus()
        .isUnauthorized()
        .expectHeader()
        .valueEquals("WWW-Authenticate", "Bearer")
        .expectBody()
        .jsonPath("$.error.code")
        .isEqualTo("invalid_api_key");
    stranger
        .get()
        .uri("/v1/models")
        .header("Authorization", "Bearer sk-0123456789abcdeX")
        .exchange()
        .expectStatus()
        .isUnauthorized();
    stranger.get().uri("/health/ready").exchange().expectStatus().isOk();
    stranger.get().uri("/metrics").exchange().expectStatus().isOk();
    client()
        .get()
        .uri("/v1/models/" + MODEL)
        .exchange()
        .expectStatus()
        .isOk()
        .expectBody()
        .jsonPath("$.id")
        .isEqualTo(MODEL);
  }
}
