package dev.kvdrive.server;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import org.awaitility.Awaitility;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.springframework.boot.test.system.CapturedOutput;
import org.springframework.boot.test.system.OutputCaptureExtension;

/** Who may call from a browser, and who is told of requests. */
@ExtendWith(OutputCaptureExtension.class)
class HttpSettingsTest {
  private static final String PAGE = "https://app.example.com";
  private static OwnRuntime runtime;

  @BeforeAll
  static void start() {
    runtime =
        OwnRuntime.start(
            new ScriptedRuntime(),
            "--kvdrive.http.cors-origins=" + PAGE,
            "--kvdrive.http.access-log=true",
            "--kvdrive.api-keys-file=" + TestFolder.withKey("sk-0123456789abcdef"));
    Awaitility.await()
        .until(
            () ->
                runtime.serving().state()
                    instanceof dev.kvdrive.server.serving.Serving.State.Ready);
  }

  @AfterAll
  static void end() {
    runtime.close();
  }

  private static HttpResponse<String> preflight(String origin)
      throws IOException, InterruptedException {
    return runtime.send(
        runtime
            .request("/v1/chat/completions")
            .method("OPTIONS", HttpRequest.BodyPublishers.noBody())
            .header("Origin", origin)
            .header("Access-Control-Request-Method", "POST")
            .header("Access-Control-Request-Headers", "authorization,content-type"));
  }

  @Test
  void aPageOfAnAllowedOriginMayCallWithAKey() throws Exception {
    HttpResponse<String> asked = preflight(PAGE);
    assertThat(asked.statusCode()).isEqualTo(200);
    assertThat(asked.headers().firstValue("Access-Control-Allow-Origin")).hasValue(PAGE);
    assertThat(asked.headers().firstValue("Access-Control-Allow-Headers").orElse(""))
        .contains("authorization", "content-type");
    HttpResponse<String> called =
        runtime.send(
            runtime
                .request("/tokenize?secret=hidden")
                .header("Origin", PAGE)
                .header("Authorization", "Bearer sk-0123456789abcdef")
                .header("Content-Type", "application/json")
                .POST(HttpRequest.BodyPublishers.ofString("{\"prompt\":\"my own words\"}")));
    assertThat(called.statusCode()).isEqualTo(200);
    assertThat(called.headers().firstValue("Access-Control-Allow-Origin")).hasValue(PAGE);
  }

  @Test
  void aPageOfAnotherOriginMayNot() throws Exception {
    HttpResponse<String> asked = preflight("https://evil.example");
    assertThat(asked.statusCode()).isEqualTo(403);
    assertThat(asked.body()).contains("origin_not_allowed", "https://evil.example");
    assertThat(asked.headers().firstValue("Access-Control-Allow-Origin")).isEmpty();
  }

  @Test
  void aRefusalCanBeReadByThePageToo() throws Exception {
    HttpResponse<String> refused =
        runtime.send(
            runtime
                .request("/tokenize")
                .header("Origin", PAGE)
                .header("Content-Type", "application/json")
                .POST(HttpRequest.BodyPublishers.ofString("{}")));
    assertThat(refused.statusCode()).isEqualTo(401);
    assertThat(refused.headers().firstValue("Access-Control-Allow-Origin")).hasValue(PAGE);
  }

  @Test
  void everyRequestHasALineThatGivesNothingAway(CapturedOutput log) throws Exception {
    runtime.send(
        runtime
            .request("/tokenize?secret=hidden")
            .header("x-request-id", "id-of-this-test")
            .header("Authorization", "Bearer sk-0123456789abcdef")
            .header("Content-Type", "application/json")
            .POST(HttpRequest.BodyPublishers.ofString("{\"prompt\":\"my own words\"}")));
    Awaitility.await()
        .untilAsserted(
            () ->
                assertThat(log.getOut().lines().filter(line -> line.contains("id-of-this-test")))
                    .singleElement()
                    .asString()
                    .contains("dev.kvdrive.access", "POST", "/tokenize", "200"));
    assertThat(log.getOut()).doesNotContain("hidden", "my own words", "sk-0123456789abcdef");
  }
}
