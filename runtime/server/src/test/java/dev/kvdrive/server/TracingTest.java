package dev.kvdrive.server;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.kvdrive.schedule.FinishReason;
import io.netty.pkitesting.CertificateBuilder;
import io.netty.pkitesting.CertificateBuilder.Algorithm;
import io.netty.pkitesting.X509Bundle;
import io.opentelemetry.proto.trace.v1.Span;
import io.opentelemetry.proto.trace.v1.Status;
import java.io.IOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.HexFormat;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import javax.net.ssl.SSLContext;
import org.awaitility.Awaitility;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Traces of requests, as a collector gets them, and as metrics point to them. */
class TracingTest {
  private static final String CHAT = "/v1/chat/completions";
  private static final String SECRET = "xylophone";
  private static final String TRACE = "0af7651916cd43dd8448eb211c80319c";
  private static final String CALLER = "b7ad6b7169203331";

  private final ScriptedRuntime scripted = new ScriptedRuntime();

  private OwnRuntime start(String endpoint, String... more) {
    String[] settings = new String[more.length + 2];
    settings[0] = "--management.opentelemetry.tracing.export.otlp.endpoint=" + endpoint;
    settings[1] = "--management.opentelemetry.tracing.export.schedule-delay=50ms";
    System.arraycopy(more, 0, settings, 2, more.length);
    return OwnRuntime.start(scripted, settings).ready();
  }

  private HttpResponse<String> ask(
      OwnRuntime runtime, @Nullable String parent, Consumer<ScriptedEngine.Played> play)
      throws Exception {
    HttpRequest.Builder request =
        runtime
            .request(CHAT)
            .header("Content-Type", "application/json")
            .POST(HttpRequest.BodyPublishers.ofString(ScriptedServer.chat(SECRET, "")));
    if (parent != null) {
      request.header("traceparent", parent);
    }
    CompletableFuture<HttpResponse<String>> answer = runtime.sendAsync(request);
    play.accept(scripted.engine.next());
    return answer.get(30, TimeUnit.SECONDS);
  }

  private static void answer(ScriptedEngine.Played generation) {
    generation.token(5, "a");
    generation.token(6, "b");
    generation.finish(FinishReason.STOP, "");
  }

  private static Span named(List<Span> spans, String name) {
    return spans.stream()
        .filter(span -> span.getName().equals(name))
        .findFirst()
        .orElseThrow(() -> new AssertionError("no span " + name + " in " + spans));
  }

  private static String hex(com.google.protobuf.ByteString bytes) {
    return HexFormat.of().formatHex(bytes.toByteArray());
  }

  @Test
  void showsARequestAndItsPhasesInTheTraceOfTheCaller() throws Exception {
    try (Collector collector = new Collector();
        OwnRuntime runtime = start(collector.endpoint())) {
      HttpResponse<String> response =
          ask(runtime, "00-" + TRACE + "-" + CALLER + "-01", TracingTest::answer);
      assertThat(response.statusCode()).isEqualTo(200);
      runtime.get("/health/ready");

      List<Span> spans = collector.await(4);
      assertThat(spans)
          .extracting(Span::getName)
          .containsExactlyInAnyOrder(
              "http post /v1/chat/completions", "queue", "prefill", "decode");
      Span request = named(spans, "http post /v1/chat/completions");
      assertThat(hex(request.getParentSpanId())).isEqualTo(CALLER);
      assertThat(request.getKind()).isEqualTo(Span.SpanKind.SPAN_KIND_SERVER);
      assertThat(spans).allSatisfy(span -> assertThat(hex(span.getTraceId())).isEqualTo(TRACE));
      Span queue = named(spans, "queue");
      Span prefill = named(spans, "prefill");
      Span decode = named(spans, "decode");
      assertThat(List.of(queue, prefill, decode))
          .extracting(Span::getParentSpanId)
          .containsOnly(request.getSpanId());
      assertThat(queue.getEndTimeUnixNano()).isEqualTo(prefill.getStartTimeUnixNano());
      assertThat(prefill.getEndTimeUnixNano()).isEqualTo(decode.getStartTimeUnixNano());

      var of = Collector.attributes(request);
      assertThat(of.get("gen_ai.operation.name").getStringValue()).isEqualTo("chat");
      assertThat(of.get("gen_ai.request.model").getStringValue()).isEqualTo(ScriptedRuntime.NAME);
      assertThat(of.get("gen_ai.usage.input_tokens").getIntValue()).isPositive();
      assertThat(of.get("gen_ai.usage.output_tokens").getIntValue()).isEqualTo(3);
      assertThat(
              of.get("gen_ai.response.finish_reasons")
                  .getArrayValue()
                  .getValues(0)
                  .getStringValue())
          .isEqualTo("stop");
      var steps = Collector.attributes(decode);
      assertThat(steps.get("kvdrive.attended.share").getDoubleValue()).isEqualTo(0.5);
      assertThat(steps.get("kvdrive.window.hits").getIntValue()).isEqualTo(9);
      assertThat(steps.get("kvdrive.fetched.dram.bytes").getIntValue()).isEqualTo(4096);
      assertThat(steps.get("kvdrive.fetched.nvme.bytes").getIntValue()).isEqualTo(2048);
      assertThat(steps.get("kvdrive.nvme.seconds").getDoubleValue()).isEqualTo(6e-9);
      assertThat(steps.get("kvdrive.stalled.seconds").getDoubleValue()).isEqualTo(5e-9);
      assertThat(Collector.attributes(prefill).get("kvdrive.stalled.seconds").getDoubleValue())
          .isEqualTo(4e-9);
      assertThat(collector.resource().get("service.name").getStringValue()).isEqualTo("kvdrive");
      assertThat(spans.toString()).doesNotContain(SECRET);
    }
  }

  /** By the settings that the operator writes. */
  @Test
  void sendsItsTokenToACollectorThatAnAuthorityOfItsOwnVouchesFor(@TempDir Path folder)
      throws Exception {
    CertificateBuilder builder = new CertificateBuilder().algorithm(Algorithm.ecp256);
    X509Bundle authority =
        builder.copy().subject("CN=authority").setIsCertificateAuthority(true).buildSelfSigned();
    X509Bundle own =
        builder.copy().subject("CN=collector").addSanDnsName("localhost").buildIssuedBy(authority);
    SSLContext tls = SSLContext.getInstance("TLS");
    tls.init(own.toKeyManagerFactory().getKeyManagers(), null, null);
    Path trusted = Files.writeString(folder.resolve("ca.crt"), authority.getCertificatePathPEM());
    try (Collector collector = new Collector(tls);
        OwnRuntime runtime =
            start(
                collector.endpoint(),
                "--management.opentelemetry.tracing.export.otlp.ssl.bundle=traces",
                "--spring.ssl.bundle.pem.traces.truststore.certificate=file:" + trusted,
                "--management.opentelemetry.tracing.export.otlp.headers.Authorization=Bearer token",
                "--management.opentelemetry.resource-attributes.service.name=contracts",
                "--management.opentelemetry.resource-attributes.k8s.pod.name=contracts-1")) {
      ask(runtime, null, TracingTest::answer);
      collector.await(4);
      assertThat(collector.authorizations()).contains("Bearer token");
      assertThat(collector.resource().get("service.name").getStringValue()).isEqualTo("contracts");
      assertThat(collector.resource().get("k8s.pod.name").getStringValue())
          .isEqualTo("contracts-1");
    }
  }

  @Test
  void pointsFromTimesToTraces() throws Exception {
    try (Collector collector = new Collector();
        OwnRuntime runtime = start(collector.endpoint())) {
      ask(runtime, "00-" + TRACE + "-" + CALLER + "-01", TracingTest::answer);
      String open =
          runtime
              .send(
                  runtime
                      .request("/metrics")
                      .header("Accept", "application/openmetrics-text;version=1.0.0"))
              .body();
      for (String times :
          List.of("time_to_first_token", "inter_token_latency", "generation_duration")) {
        assertThat(open.lines())
            .anyMatch(
                line ->
                    line.startsWith("kvdrive_" + times + "_seconds_bucket")
                        && line.contains("trace_id=\"" + TRACE + "\""));
      }
      assertThat(open).endsWith("# EOF\n");
      assertThat(runtime.get("/metrics").body()).doesNotContain("trace_id");
    }
  }

  @Test
  void saysWhatFailedAndNotWhatWasAsked() throws Exception {
    try (Collector collector = new Collector();
        OwnRuntime runtime = start(collector.endpoint())) {
      assertThat(ask(runtime, null, played -> played.fail("damaged")).statusCode()).isEqualTo(500);
      List<Span> spans = collector.await(4);
      for (String name : List.of("http post /v1/chat/completions", "decode")) {
        Span failed = named(spans, name);
        assertThat(failed.getStatus().getCode()).isEqualTo(Status.StatusCode.STATUS_CODE_ERROR);
        assertThat(Collector.attributes(failed).get("error.type").getStringValue())
            .isEqualTo("generation_failed");
        assertThat(Collector.attributes(failed).get("gen_ai.usage.output_tokens").getIntValue())
            .isEqualTo(3);
      }
      for (String name : List.of("queue", "prefill")) {
        assertThat(named(spans, name).getStatus().getCode())
            .isEqualTo(Status.StatusCode.STATUS_CODE_UNSET);
      }
      assertThat(spans.toString()).doesNotContain("damaged");

      assertThat(
              runtime
                  .post(CHAT, ScriptedServer.chat("x", "\"temperature\":\"" + SECRET + "\""))
                  .statusCode())
          .isEqualTo(400);
      Span refused = collector.await(5).getLast();
      assertThat(refused.getStatus().getCode()).isEqualTo(Status.StatusCode.STATUS_CODE_UNSET);
      assertThat(refused.toString()).doesNotContain(SECRET);
    }
  }

  @Test
  void saysThatAClientLeft() throws Exception {
    try (Collector collector = new Collector();
        OwnRuntime runtime = start(collector.endpoint())) {
      CompletableFuture<HttpResponse<String>> answer =
          runtime.sendAsync(
              runtime
                  .request(CHAT)
                  .POST(HttpRequest.BodyPublishers.ofString(ScriptedServer.chat("x", ""))));
      ScriptedEngine.Played generation = scripted.engine.next();
      generation.token(5, "a");
      answer.cancel(true);
      Awaitility.await().until(generation::cancelled);
      generation.finish(FinishReason.CANCELLED, "");

      List<Span> spans = collector.await(4);
      for (String name : List.of("http post /v1/chat/completions", "decode")) {
        Span span = named(spans, name);
        assertThat(span.getStatus().getCode()).isEqualTo(Status.StatusCode.STATUS_CODE_ERROR);
        assertThat(Collector.attributes(span).get("error.type").getStringValue())
            .isEqualTo("cancelled");
      }
    }
  }

  @Test
  void tracesTheShareThatIsAskedForUnlessTheCallerHasDecided() throws Exception {
    try (Collector collector = new Collector();
        OwnRuntime runtime =
            start(collector.endpoint(), "--management.tracing.sampling.probability=0")) {
      ask(runtime, null, TracingTest::answer);
      ask(runtime, "00-" + TRACE + "-" + CALLER + "-01", TracingTest::answer);
      assertThat(collector.await(4))
          .allSatisfy(span -> assertThat(hex(span.getTraceId())).isEqualTo(TRACE));
    }
    assertThat(scripted.engine.nothingSubmitted()).isTrue();
  }

  @Test
  void answersAndEndsAlthoughTheCollectorIsSilent() throws Exception {
    // Accepts connections, never answers.
    try (ServerSocket silent = new ServerSocket(0, 50, InetAddress.getLoopbackAddress())) {
      OwnRuntime runtime = start("http://localhost:" + silent.getLocalPort() + "/v1/traces");
      assertThat(ask(runtime, null, TracingTest::answer).statusCode()).isEqualTo(200);
      silent.accept();
      long began = System.nanoTime();
      runtime.close();
      // Two seconds of waiting, one of leave and what a busy machine takes; the SDK alone waits
      // ten.
      assertThat(Duration.ofNanos(System.nanoTime() - began)).isLessThan(Duration.ofSeconds(9));
    }
  }

  @Test
  void refusesWhatIsNoCollector() throws IOException {
    assertThatThrownBy(() -> start("otel:4318"))
        .hasStackTraceContaining("such as http://otel-collector:4318/v1/traces, got 'otel:4318'");
    assertThatThrownBy(
            () -> start("http://otel:4318", "--management.tracing.sampling.probability=1.5"))
        .hasStackTraceContaining("must be a share of the requests from 0 to 1, got '1.5'");
    assertThatThrownBy(
            () ->
                start(
                    "http://otel:4317",
                    "--management.opentelemetry.tracing.export.otlp.transport=grpc"))
        .hasStackTraceContaining("the collector's port for HTTP, 4318 mostly");
  }
}
