package dev.kvdrive.server;

import static java.nio.charset.StandardCharsets.US_ASCII;
import static org.assertj.core.api.Assertions.assertThat;

import dev.kvdrive.schedule.FinishReason;
import dev.kvdrive.server.serving.ModelStart;
import dev.kvdrive.server.serving.ServedModel;
import dev.kvdrive.server.serving.Serving;
import java.net.Socket;
import java.net.http.HttpResponse;
import java.util.Iterator;
import java.util.concurrent.CountDownLatch;
import java.util.function.Consumer;
import java.util.stream.Stream;
import org.awaitility.Awaitility;
import org.junit.jupiter.api.Test;

/** Not ready before the model has loaded and run, and no answer lost at the end. */
class RuntimeLifeTest {
  private static final String CHAT = "/v1/chat/completions";

  /** A start that waits until the test lets the model be ready. */
  private static final class HeldStart implements ModelStart {
    final ScriptedRuntime runtime = new ScriptedRuntime();
    final CountDownLatch release = new CountDownLatch(1);

    @Override
    public ServedModel start(Consumer<String> progress) throws InterruptedException {
      progress.accept("loading and warming up on the played device");
      release.await();
      return runtime.start(progress);
    }

    @Override
    public void close() {
      runtime.close();
    }
  }

  private static String streamed(String content) {
    return ScriptedServer.chat(content, "\"stream\":true");
  }

  private static String lineWith(Iterator<String> lines, String text) {
    while (lines.hasNext()) {
      String line = lines.next();
      if (line.contains(text)) {
        return line;
      }
    }
    throw new AssertionError("the stream ended before '" + text + "' came");
  }

  @Test
  void isAliveButNotReadyWhileTheModelLoads() throws Exception {
    HeldStart start = new HeldStart();
    try (OwnRuntime runtime = OwnRuntime.start(start)) {
      Awaitility.await()
          .untilAsserted(
              () -> assertThat(runtime.get("/health/ready").body()).contains("warming up"));
      assertThat(runtime.get("/health/startup").statusCode()).isEqualTo(200);
      assertThat(runtime.get("/health/live").statusCode()).isEqualTo(200);
      assertThat(runtime.get("/health/ready").statusCode()).isEqualTo(503);
      assertThat(runtime.get("/metrics").statusCode()).isEqualTo(200);
      HttpResponse<String> refused = runtime.post(CHAT, ScriptedServer.chat("hello", ""));
      assertThat(refused.statusCode()).isEqualTo(503);
      assertThat(refused.headers().firstValue("Retry-After")).hasValue("5");
      assertThat(refused.body()).contains("not_ready").contains("warming up");
      start.release.countDown();
      runtime.ready();
      assertThat(runtime.get("/health/ready").statusCode()).isEqualTo(200);
      assertThat(runtime.get("/v1/models").body()).contains(ScriptedRuntime.NAME);
    }
  }

  @Test
  void endsWhileTheModelIsStillLoading() {
    HeldStart start = new HeldStart();
    OwnRuntime runtime = OwnRuntime.start(start);
    Serving serving = runtime.serving();
    runtime.close();
    assertThat(serving.state()).isInstanceOf(Serving.State.Draining.class);
  }

  @Test
  void drainingFinishesWhatRunsAndRefusesWhatIsNew() throws Exception {
    ScriptedRuntime played = new ScriptedRuntime();
    OwnRuntime runtime = OwnRuntime.start(played).ready();
    try (Stream<String> stream = runtime.stream(CHAT, streamed("hello")).body()) {
      ScriptedEngine.Played generation = played.engine.next();
      Iterator<String> lines = stream.iterator();
      lineWith(lines, ": prefill 0 %");
      Serving serving = runtime.serving();
      Thread end = Thread.ofPlatform().start(runtime::close);
      Awaitility.await().until(() -> serving.state() instanceof Serving.State.Draining);
      HttpResponse<String> refused = runtime.post(CHAT, ScriptedServer.chat("hello", ""));
      assertThat(refused.statusCode()).isEqualTo(503);
      assertThat(refused.headers().firstValue("Retry-After")).hasValue("1");
      assertThat(refused.body()).contains("shutting_down");
      assertThat(runtime.get("/health/ready").statusCode()).isEqualTo(503);
      assertThat(runtime.get("/health/live").statusCode()).isEqualTo(200);
      generation.token(5, "more");
      lineWith(lines, "more");
      generation.finish(FinishReason.STOP, "");
      lineWith(lines, "\"finish_reason\":\"stop\"");
      lineWith(lines, "[DONE]");
      end.join();
    }
  }

  /** Whoever is sent nothing new any more still has connections that lead here. */
  @Test
  void whoKeepsItsConnectionIsAnsweredOnceMoreAndToldToClose() throws Exception {
    ScriptedRuntime played = new ScriptedRuntime();
    OwnRuntime runtime = OwnRuntime.start(played).ready();
    try (Stream<String> stream = runtime.stream(CHAT, streamed("hello")).body()) {
      ScriptedEngine.Played running = played.engine.next();
      Iterator<String> lines = stream.iterator();
      lineWith(lines, ": prefill 0 %");
      Serving serving = runtime.serving();
      Thread end = Thread.ofPlatform().start(runtime::close);
      Awaitility.await().until(() -> serving.state() instanceof Serving.State.Draining);
      running.finish(FinishReason.STOP, "");
      lines.forEachRemaining(line -> {});

      HttpResponse<Stream<String>> again = runtime.stream(CHAT, streamed("and"));
      assertThat(again.statusCode()).isEqualTo(200);
      assertThat(again.headers().firstValue("Connection")).hasValue("close");
      played.engine.next().finish(FinishReason.STOP, "");
      assertThat(again.body()).contains("data: [DONE]");
      end.join();
    }
  }

  @Test
  void aConnectionOverWhichNothingComesKeepsNobodyWaiting() throws Exception {
    OwnRuntime runtime = OwnRuntime.start(new ScriptedRuntime()).ready();
    try (Socket quiet = new Socket("localhost", runtime.port());
        Socket asked = new Socket("localhost", runtime.port())) {
      asked
          .getOutputStream()
          .write("GET /health/live HTTP/1.1\r\nHost: a\r\n\r\n".getBytes(US_ASCII));
      assertThat(asked.getInputStream().read()).isEqualTo('H');
      Thread end = Thread.ofPlatform().start(runtime::close);
      asked.getInputStream().readAllBytes();
      quiet.getInputStream().readAllBytes();
      end.join();
    }
  }

  @Test
  void aDrainThatTakesTooLongEndsStreamsWithAClearError() throws Exception {
    ScriptedRuntime played = new ScriptedRuntime();
    OwnRuntime runtime = OwnRuntime.start(played, "--kvdrive.drain-timeout=100ms").ready();
    try (Stream<String> stream = runtime.stream(CHAT, streamed("hello")).body()) {
      played.engine.next();
      Iterator<String> lines = stream.iterator();
      lineWith(lines, ": prefill 0 %");
      Thread end = Thread.ofPlatform().start(runtime::close);
      assertThat(lineWith(lines, "\"error\"")).contains("shutting_down");
      end.join();
    }
  }
}
