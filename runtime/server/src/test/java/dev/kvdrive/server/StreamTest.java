package dev.kvdrive.server;

import static org.assertj.core.api.Assertions.assertThat;

import dev.kvdrive.schedule.FinishReason;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.stream.Stream;
import org.awaitility.Awaitility;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.springframework.boot.test.system.CapturedOutput;
import org.springframework.boot.test.system.OutputCaptureExtension;
import org.springframework.http.MediaType;
import org.springframework.test.web.reactive.server.WebTestClient;

/** Streams whose client or engine does something unkind. */
class StreamTest extends ScriptedServer {
  private static final String STREAM = "\"stream\":true";

  private static BufferedReader reader(Socket socket) throws IOException {
    socket.setSoTimeout(20_000);
    return new BufferedReader(
        new InputStreamReader(socket.getInputStream(), StandardCharsets.UTF_8));
  }

  private static String lineWith(BufferedReader reader, String... texts) throws IOException {
    for (String line = reader.readLine(); line != null; line = reader.readLine()) {
      if (Stream.of(texts).anyMatch(line::contains)) {
        return line;
      }
    }
    throw new AssertionError(
        "the connection closed before one of %s came".formatted(List.of(texts)));
  }

  @Test
  void everyEventArrivesAtOnce() throws Exception {
    try (Socket socket = post("/v1/chat/completions", chat("hello", STREAM))) {
      ScriptedEngine.Played generation = runtime.engine.next();
      BufferedReader reader = reader(socket);
      generation.token(5, "one");
      lineWith(reader, "\"role\":\"assistant\"");
      lineWith(reader, "one");
      generation.token(6, "two");
      lineWith(reader, "two");
      generation.finish(FinishReason.LENGTH, "three");
      lineWith(reader, "three");
      lineWith(reader, "\"finish_reason\":\"length\"");
      lineWith(reader, "data: [DONE]");
    }
  }

  /**
   * Reactor's concat loses a request for more that comes from another thread in the moment in which
   * its first source is subscribed to, and then the rest of the stream is never written; Reactor
   * Netty makes such a concat of every event, and its connection's thread asks for more.
   */
  @Test
  void theConnectionsOwnThreadHandsEveryEventOver() throws Exception {
    writingThreads.names.clear();
    try (Socket socket = post("/v1/chat/completions", chat("hello", STREAM))) {
      ScriptedEngine.Played generation = runtime.engine.next();
      for (int i = 0; i < 20; i++) {
        generation.token(5, "one");
      }
      generation.finish(FinishReason.LENGTH, "");
      lineWith(reader(socket), "data: [DONE]");
    }
    assertThat(writingThreads.names)
        .hasSizeGreaterThan(20)
        .allMatch(name -> name.startsWith("http-nio-"));
  }

  /** What clients measure as time to first token is the time to the first event. */
  @Test
  void nothingButCommentsComesBeforeTheFirstTokenOfAChoice() throws Exception {
    try (Socket socket = post("/v1/chat/completions", chat("hello", STREAM + ",\"n\":2"))) {
      List<ScriptedEngine.Played> choices = List.of(runtime.engine.next(), runtime.engine.next());
      BufferedReader reader = reader(socket);
      lineWith(reader, ": prefill 0 %");
      choices.get(0).prefill(40, 200);
      String line = lineWith(reader, ": prefill 20 %", "data:");
      assertThat(line).startsWith(":");
      choices.get(1).token(5, "one");
      assertThat(lineWith(reader, "data:")).contains("\"index\":1", "\"role\":\"assistant\"");
      assertThat(lineWith(reader, "data:")).contains("\"index\":1", "one");
      choices.get(0).finish(FinishReason.STOP, "");
      assertThat(lineWith(reader, "data:")).contains("\"index\":0", "\"role\":\"assistant\"");
      choices.get(1).finish(FinishReason.STOP, "");
      lineWith(reader, "data: [DONE]");
    }
  }

  @Test
  void whoWaitsForMoreThanASeatIsToldForWhat() throws Exception {
    try (Socket socket = post("/v1/chat/completions", chat("hello", STREAM))) {
      ScriptedEngine.Played generation = runtime.engine.next();
      BufferedReader reader = reader(socket);
      generation.waitsFor("2 MiB are left");
      lineWith(reader, ": waits: 2 MiB are left");
      generation.prefill(40, 200);
      lineWith(reader, ": prefill 20 %");
      generation.finish(FinishReason.STOP, "");
      lineWith(reader, "data: [DONE]");
    }
  }

  @Test
  void everyChunkHasTheUsageSoFarWhereThatIsAskedFor() throws Exception {
    String options =
        STREAM + ",\"stream_options\":{\"include_usage\":true,\"continuous_usage_stats\":true}";
    try (Socket socket = post("/v1/chat/completions", chat("hello", options))) {
      ScriptedEngine.Played generation = runtime.engine.next();
      BufferedReader reader = reader(socket);
      int prompt = generation.request.prompt().size();
      generation.token(5, "one");
      assertThat(lineWith(reader, "one"))
          .contains("\"usage\":{\"prompt_tokens\":" + prompt + ",\"completion_tokens\":1,");
      generation.token(6, "two");
      assertThat(lineWith(reader, "two")).contains("\"completion_tokens\":2,");
      generation.finish(FinishReason.LENGTH, "");
      assertThat(lineWith(reader, "\"finish_reason\":\"length\""))
          .contains("\"completion_tokens\":3,")
          .doesNotContain("kvdrive");
      assertThat(lineWith(reader, "\"choices\":[]"))
          .contains("\"completion_tokens\":3,", "kvdrive");
      lineWith(reader, "data: [DONE]");
    }
  }

  @Test
  void aClientThatLeavesCancelsAllItsChoices() throws Exception {
    Socket socket = post("/v1/chat/completions", chat("hello", STREAM + ",\"n\":2"));
    List<ScriptedEngine.Played> choices = List.of(runtime.engine.next(), runtime.engine.next());
    lineWith(reader(socket), ": prefill 0 %");
    socket.close();
    Awaitility.await().until(() -> choices.stream().allMatch(ScriptedEngine.Played::cancelled));
  }

  @Test
  void aClientThatLeavesBeforeItsWholeAnswerCancelsIt() throws Exception {
    Socket socket = post("/v1/chat/completions", chat("hello", ""));
    ScriptedEngine.Played generation = runtime.engine.next();
    socket.close();
    Awaitility.await().until(generation::cancelled);
  }

  @Test
  void aClientThatDoesNotReadLosesItsGenerationAndStopsNobody() throws Exception {
    try (Socket socket = post("/v1/chat/completions", chat("hello", STREAM))) {
      ScriptedEngine.Played generation = runtime.engine.next();
      String text = "x".repeat(10_000);
      int sent = 0;
      while (!generation.cancelled() && sent < 50_000) {
        generation.token(5, text);
        sent++;
      }
      Awaitility.await().until(generation::cancelled);
      assertThat(lineWith(reader(socket), "\"error\"")).contains("slow_client");
    }
  }

  @Test
  void prefillIsReportedInCommentsAndErrorsInTheStream() throws Exception {
    try (Socket socket = post("/v1/chat/completions", chat("hello", STREAM))) {
      ScriptedEngine.Played generation = runtime.engine.next();
      BufferedReader reader = reader(socket);
      generation.prefill(40, 100);
      assertThat(lineWith(reader, ": prefill 40")).isEqualTo(": prefill 40 %");
      generation.fail("extent 7 is damaged; ask again");
      assertThat(lineWith(reader, "\"error\"")).contains("extent 7 is damaged; ask again");
      lineWith(reader, "data: [DONE]");
    }
  }

  @Test
  void anEngineThatClosesEndsAStreamWithAClearError() throws Exception {
    try (Socket socket = post("/v1/chat/completions", chat("hello", STREAM))) {
      ScriptedEngine.Played generation = runtime.engine.next();
      generation.token(5, "one");
      generation.finish(FinishReason.CANCELLED, "");
      assertThat(lineWith(reader(socket), "\"error\"")).contains("shutting_down");
    }
  }

  /** A request whose body never comes. */
  private Socket unfinished(int announced) throws IOException {
    Socket socket = new Socket("localhost", port);
    socket
        .getOutputStream()
        .write(
            "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n{"
                .formatted(announced)
                .getBytes(StandardCharsets.UTF_8));
    return socket;
  }

  @Test
  void aBodyThatNeverComesIsNotWaitedForLong() throws Exception {
    try (Socket socket = unfinished(100)) {
      BufferedReader reader = reader(socket);
      assertThat(reader.readLine()).contains("408");
      assertThat(lineWith(reader, "request_timeout")).contains("did not arrive within 2 s");
    }
  }

  private WebTestClient.ResponseSpec tokenize() {
    return client()
        .post()
        .uri("/tokenize")
        .contentType(MediaType.APPLICATION_JSON)
        .bodyValue("{\"prompt\":\"a\"}")
        .exchange();
  }

  private String metrics() {
    return Objects.requireNonNull(
        client()
            .get()
            .uri("/metrics")
            .exchange()
            .expectBody(String.class)
            .returnResult()
            .getResponseBody());
  }

  @Test
  @ExtendWith(OutputCaptureExtension.class)
  void bodiesAreRefusedBeforeTheyAreReadWhenTheirBytesHaveNoRoom(CapturedOutput log)
      throws Exception {
    List<Socket> sockets = new ArrayList<>();
    try {
      // 24 bodies of the largest size are all there is room for.
      for (int i = 0; i < 24; i++) {
        sockets.add(unfinished(1 << 20));
      }
      Awaitility.await().until(() -> metrics().contains("kvdrive_requests_reading 24.0"));
      assertThat(metrics()).contains("kvdrive_bodies_bytes 2.5165824E7");
      try (Socket socket = unfinished(1 << 20)) {
        BufferedReader reader = reader(socket);
        assertThat(reader.readLine()).contains("429");
        lineWith(reader, "Retry-After: 1");
        lineWith(reader, "\"code\":\"bodies_full\"");
      }
      // Small ones have a part of the room for themselves.
      tokenize().expectStatus().isOk();
    } finally {
      for (Socket socket : sockets) {
        socket.close();
      }
    }
    Awaitility.await().until(() -> metrics().contains("kvdrive_bodies_bytes 0.0"));
    tokenize().expectStatus().isOk();
    // A client that leaves is nothing to look into.
    assertThat(log).doesNotContain("failed unexpectedly");
  }

  @Test
  void bodiesThatStallTakeNeitherSeatsNorPlacesInTheQueue() throws Exception {
    List<Socket> sockets = new ArrayList<>();
    try {
      for (int i = 0; i < 44; i++) {
        sockets.add(unfinished(100));
      }
      Awaitility.await().until(() -> metrics().contains("kvdrive_requests_reading 44.0"));
      tokenize().expectStatus().isOk();
      try (Socket socket = post("/v1/chat/completions", chat("hello", ""))) {
        runtime.engine.next().finish(FinishReason.STOP, "served");
        assertThat(reader(socket).readLine()).contains("200 OK");
      }
    } finally {
      for (Socket socket : sockets) {
        socket.close();
      }
    }
  }
}
