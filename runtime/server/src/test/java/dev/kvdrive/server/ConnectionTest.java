package dev.kvdrive.server;

import static org.assertj.core.api.Assertions.assertThat;

import dev.kvdrive.schedule.FinishReason;
import dev.kvdrive.server.transport.Connections;
import java.io.IOException;
import java.net.Socket;
import java.net.SocketTimeoutException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import org.awaitility.Awaitility;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.springframework.beans.factory.annotation.Autowired;
import org.springframework.boot.test.system.CapturedOutput;
import org.springframework.boot.test.system.OutputCaptureExtension;

/** What happens below the handlers: framing, turns, deadlines, and errors of HTTP itself. */
class ConnectionTest extends ScriptedServer {
  private static final String LIVE = "GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n";

  @Autowired Connections connections;

  private static String post(String path, String headers, String body) {
    return "POST %s HTTP/1.1\r\nHost: localhost\r\n%sContent-Length: %d\r\n\r\n%s"
        .formatted(path, headers, body.length(), body);
  }

  private static String json(String path, String body) {
    return post(path, "Content-Type: application/json\r\n", body);
  }

  private Socket send(String bytes) throws IOException {
    Socket socket = new Socket("localhost", port);
    socket.setSoTimeout(20_000);
    socket.getOutputStream().write(bytes.getBytes(StandardCharsets.ISO_8859_1));
    socket.getOutputStream().flush();
    return socket;
  }

  /** One answer with a Content-Length. */
  private static String answer(Socket socket) throws IOException {
    StringBuilder text = new StringBuilder();
    int next;
    while (!text.toString().endsWith("\r\n\r\n") && (next = socket.getInputStream().read()) >= 0) {
      text.append((char) next);
    }
    String head = text.toString();
    int length =
        head.lines()
            .filter(line -> line.toLowerCase(java.util.Locale.ROOT).startsWith("content-length:"))
            .mapToInt(line -> Integer.parseInt(line.substring(15).strip()))
            .findFirst()
            .orElse(0);
    byte[] body = socket.getInputStream().readNBytes(length);
    return head + new String(body, StandardCharsets.UTF_8);
  }

  private static boolean closed(Socket socket) throws IOException {
    try {
      return socket.getInputStream().read() < 0;
    } catch (SocketTimeoutException e) {
      return false;
    }
  }

  @ParameterizedTest(name = "{0}")
  @CsvSource(
      delimiter = '|',
      textBlock =
          """
          no request line        | FOO~~                                                        | 400 | bad_request
          a line that is too long | GET /LONG HTTP/1.1~~                                        | 414 | uri_too_long
          headers too large      | GET / HTTP/1.1~X: LONG~~                                     | 431 | headers_too_large
          no host                | GET /health/live HTTP/1.1~~                                  | 400 | bad_request
          two hosts              | GET /health/live HTTP/1.1~Host: a~Host: b~~                  | 400 | bad_request
          two hosts, as of old   | GET /health/live HTTP/1.0~Host: a~Host: b~~                  | 400 | bad_request
          a version of no HTTP   | GET /health/live HTTP/9.9~Host: a~~                          | 505 | http_version_not_supported
          a version of the past  | GET /health/live HTTP/0.9~~                                  | 505 | http_version_not_supported
          a coding beside chunks | POST /tokenize HTTP/1.1~Host: a~Transfer-Encoding: gzip, chunked~~0~~ | 501 | transfer_encoding_not_supported
          a coding in a line of its own | POST /tokenize HTTP/1.1~Host: a~Transfer-Encoding: gzip~Transfer-Encoding: chunked~~0~~ | 501 | transfer_encoding_not_supported
          a coding and no chunks | POST /tokenize HTTP/1.1~Host: a~Transfer-Encoding: gzip~~    | 400 | bad_request
          chunks twice           | POST /tokenize HTTP/1.1~Host: a~Transfer-Encoding: chunked, chunked~~0~~ | 400 | bad_request
          chunks before their time | POST /tokenize HTTP/1.0~Host: a~Transfer-Encoding: chunked~~0~~ | 400 | bad_request
          a length and chunks    | POST /tokenize HTTP/1.1~Host: a~Content-Length: 5~Transfer-Encoding: chunked~~0~~ | 400 | bad_request
          chunks and a length    | POST /tokenize HTTP/1.1~Host: a~Transfer-Encoding: chunked~Content-Length: 5~~0~~ | 400 | bad_request
          two lengths            | POST /tokenize HTTP/1.1~Host: a~Content-Length: 2~Content-Length: 3~~{} | 400 | bad_request
          a coded body           | POST /tokenize HTTP/1.1~Host: a~Content-Encoding: gzip~Content-Length: 2~~{} | 415 | unsupported_content_encoding
          a body coded twice     | POST /detokenize HTTP/1.1~Host: a~Content-Encoding: identity~Content-Encoding: br~Content-Length: 2~~{} | 415 | unsupported_content_encoding
          a length that is none  | POST /tokenize HTTP/1.1~Host: a~Content-Length: x~~          | 400 | bad_request
          a chunk that is none   | POST /tokenize HTTP/1.1~Host: a~Content-Type: application/json~Transfer-Encoding: chunked~~zz~ | 400 | bad_request
          a path that is none    | GET /%zz HTTP/1.1~Host: a~~                                  | 400 | bad_request
          a host that is none    | GET / HTTP/1.1~Host: a b:c~~                                 | 400 | bad_request
          another protocol       | PRI * HTTP/2.0~~SM~~                                         | 505 | http_version_not_supported
          a path above the root  | GET /v1/../../etc/passwd HTTP/1.1~Host: a~~                  | 404 | unknown_url
          an unknown path        | GET /nothing HTTP/1.1~Host: a~~                              | 404 | unknown_url
          a length beyond 64 bits | POST /tokenize HTTP/1.1~Host: a~Content-Length: 99999999999999999999~~ | 400 | bad_request
          another method         | PUT /tokenize HTTP/1.1~Host: a~Content-Length: 0~~           | 405 | method_not_supported
          a body too large       | POST /tokenize HTTP/1.1~Host: a~Content-Length: 9000000~~    | 413 | request_too_large
          """)
  void everyErrorHasTheShapeOfErrors(String what, String bytes, int status, String code)
      throws IOException {
    String request = bytes.replace("~", "\r\n").replace("LONG", "a".repeat(40_000));
    try (Socket socket = send(request)) {
      assertThat(answer(socket))
          .startsWith("HTTP/1.1 ")
          .contains(" " + status + " ")
          .containsIgnoringCase("content-type: application/json")
          .contains("{\"error\":{\"message\":\"", "\"code\":\"" + code + "\"");
    }
    assertThat(
            metric(
                "kvdrive_requests_refused_total{reason=\"%s\",status=\"%d\"}"
                    .formatted(code, status)))
        .isPositive();
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "GET /health/live HTTP/1.0\r\n\r\n",
        "GET /health/live HTTP/1.2\r\nHost: a\r\n\r\n",
        "GET /health/live HTTP/1.1\r\nHost:\r\n\r\n",
        "POST /tokenize HTTP/1.1\r\nHost: a\r\nContent-Encoding: identity\r\nContent-Length: 14\r\n\r\n{\"prompt\":\"a\"}",
        "POST /tokenize HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\ne\r\n{\"prompt\":\"a\"}\r\n0\r\n\r\n"
      })
  void whatHttpAllowsIsAnswered(String request) throws IOException {
    try (Socket socket = send(request)) {
      assertThat(answer(socket)).startsWith("HTTP/1.1 200 ");
    }
  }

  @ParameterizedTest(name = "{0}")
  @ValueSource(strings = {"", "Connection: close\r\n", "Connection: keep-alive\r\n"})
  void aStreamToAClientOfHttp10IsPlainBytesUntilTheConnectionCloses(String headers)
      throws Exception {
    String body = chat("hello", "\"stream\":true");
    String request =
        "POST /v1/chat/completions HTTP/1.0\r\n%sContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
            .formatted(headers, body.length(), body);
    try (Socket socket = send(request)) {
      runtime.engine.next().finish(FinishReason.STOP, "the answer");
      String all = new String(socket.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
      int end = all.indexOf("\r\n\r\n");
      assertThat(all.substring(0, end))
          .startsWith("HTTP/1.1 200 ")
          .containsIgnoringCase("\r\nconnection: close")
          .doesNotContainIgnoringCase("transfer-encoding")
          .doesNotContainIgnoringCase("content-length");
      assertThat(all.substring(end + 4))
          .matches("(?s)(: |data: ).*")
          .contains("the answer")
          .endsWith("data: [DONE]\n\n");
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"GET /health/live", "GET /metrics", "GET /nothing", "GET /%zz"})
  void theConnectionOfAClientOfHttp10ClosesBehindItsAnswer(String what) throws Exception {
    try (Socket socket = send(what + " HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")) {
      assertThat(new String(socket.getInputStream().readAllBytes(), StandardCharsets.UTF_8))
          .startsWith("HTTP/1.1 ")
          .containsIgnoringCase("\r\nconnection: close\r\n")
          .doesNotContainIgnoringCase("keep-alive")
          .doesNotContainIgnoringCase("transfer-encoding");
    }
  }

  private double metric(String name) {
    String text =
        Objects.requireNonNull(
            client()
                .get()
                .uri("/metrics")
                .exchange()
                .expectBody(String.class)
                .returnResult()
                .getResponseBody());
    return text.lines()
        .filter(line -> line.startsWith(name + " ") || line.startsWith(name + "{"))
        .mapToDouble(line -> Double.parseDouble(line.substring(line.lastIndexOf(' ') + 1)))
        .sum();
  }

  @Test
  void aGetThatIsSentRightBehindAPostIsAnsweredAfterIt() throws Exception {
    String body = chat("hello", "");
    try (Socket socket = send(json("/v1/chat/completions", body) + LIVE + LIVE)) {
      runtime.engine.next().finish(FinishReason.STOP, "the answer");
      assertThat(answer(socket)).contains("200 OK").contains("the answer");
      assertThat(answer(socket)).contains("200 OK").contains("\"status\":\"ready\"");
      assertThat(answer(socket)).contains("200 OK").contains("\"status\":\"ready\"");
    }
  }

  @Test
  void whatIsSentBehindARequestIsNotReadBeforeTheAnswer() throws Exception {
    try (Socket socket = send(json("/v1/chat/completions", chat("hello", "")))) {
      ScriptedEngine.Played generation = runtime.engine.next();
      byte[] more =
          json("/tokenize", "{\"prompt\":\"%s\"}".formatted("a ".repeat(200)))
              .repeat(500)
              .getBytes(StandardCharsets.US_ASCII);
      Thread sender =
          Thread.ofPlatform()
              .start(
                  () -> {
                    try {
                      socket.getOutputStream().write(more);
                    } catch (IOException e) {
                      throw new java.io.UncheckedIOException(e);
                    }
                  });
      generation.finish(FinishReason.STOP, "first");
      assertThat(answer(socket)).contains("first");
      for (int i = 0; i < 500; i++) {
        assertThat(answer(socket)).contains("\"count\":");
      }
      sender.join();
    }
  }

  @Test
  void aClientReadsItsRefusalAlthoughItGoesOnSending() throws Exception {
    String head =
        "POST /tokenize HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 9000000\r\n\r\n";
    try (Socket socket = send(head)) {
      socket.getOutputStream().write(new byte[3_000_000]);
      assertThat(answer(socket)).contains("413").containsIgnoringCase("connection: close");
      assertThat(closed(socket)).isTrue();
    }
  }

  @ParameterizedTest(name = "{0}")
  @ValueSource(
      strings = {
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "GET /v1/../../etc/passwd HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /static/..%2f..%2fetc/passwd HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /WEB-INF/web.xml HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a b:c\r\n\r\n",
        "GET http://[ HTTP/1.1\r\nHost: a\r\n\r\n",
        "\u0016\u0003\u0001\u0002\u0000\u0001\u0000\r\n\r\n",
        "POST /tokenize HTTP/1.1\r\nHost: a\r\nContent-Type: a;b;;\r\nContent-Length: 2\r\n\r\n{}"
      })
  @ExtendWith(OutputCaptureExtension.class)
  void whateverAClientSendsIsNoLineInTheLogButIsCounted(String request, CapturedOutput log)
      throws IOException {
    double before = metric("kvdrive_requests_refused_total");
    try (Socket socket = send(request)) {
      assertThat(answer(socket)).startsWith("HTTP/1.1 ");
    }
    Awaitility.await().until(() -> metric("kvdrive_requests_refused_total") > before);
    assertThat(log.getAll()).doesNotContain("WARN", "ERROR", "\tat ");
  }

  @Test
  @ExtendWith(OutputCaptureExtension.class)
  void aClientThatResetsItsConnectionIsNoLineInTheLog(CapturedOutput log) throws Exception {
    List<String> heads =
        List.of(
            "",
            "GET /health/live HTTP/1.1\r\nHost:",
            "FOO\r\n\r\n",
            LIVE,
            "POST /tokenize HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n{",
            "POST /tokenize HTTP/1.1\r\nHost: a\r\nContent-Length: 9000000\r\n\r\n{");
    for (String head : heads) {
      for (boolean answered : List.of(false, true)) {
        try (Socket socket = send(head)) {
          if (answered) {
            answer(socket);
          }
          // Closing resets the connection.
          socket.setSoLinger(true, 0);
        }
      }
    }
    try (Socket socket = send(json("/v1/chat/completions", chat("hello", "\"stream\":true")))) {
      runtime.engine.next();
      assertThat(answer(socket)).contains("200");
      socket.setSoLinger(true, 0);
    }
    Awaitility.await().until(() -> connections.open() < 2);
    assertThat(log.getAll()).doesNotContain("WARN", "ERROR", "\tat ");
  }

  @Test
  void aConnectionIsUsedAgainAfterABodyThatNobodyRead() throws Exception {
    try (Socket socket = send(json("/nothing", "x".repeat(500_000)) + LIVE)) {
      assertThat(answer(socket)).contains("404");
      assertThat(answer(socket)).contains("200");
    }
  }

  @Test
  void aHeadThatNeverEndsIsNotWaitedForLong() throws Exception {
    try (Socket socket = send("GET /health/live HTTP/1.1\r\nHost:")) {
      assertThat(answer(socket)).contains("408", "request_timeout", "did not arrive within 2 s");
      assertThat(closed(socket)).isTrue();
    }
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "GET /health/live HTTP/1.1\r\nHost:",
        "POST /tokenize HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            + "Content-Length: 100\r\n\r\n{"
      })
  void whatIsNotYetARequestMakesRoomForANewOne(String stalls) throws Exception {
    List<Socket> stalled = new ArrayList<>();
    try {
      for (int i = 0; i < connections.limit() + 20; i++) {
        stalled.add(send(stalls));
      }
      try (Socket socket = send(LIVE)) {
        assertThat(answer(socket)).contains("200");
      }
      assertThat(connections.open()).isLessThanOrEqualTo(connections.limit());
    } finally {
      for (Socket socket : stalled) {
        socket.close();
      }
    }
    Awaitility.await().until(() -> connections.open() < 20);
  }

  @ParameterizedTest
  @CsvSource({"nonsense", "application/;;=", "text/plain", "'a b/c'"})
  void aContentTypeOtherThanJsonIsRefused(String type) throws IOException {
    try (Socket socket = send(post("/tokenize", "Content-Type: " + type + "\r\n", "{}"))) {
      assertThat(answer(socket)).contains("415", "unsupported_media_type");
    }
  }

  @Test
  void aPageCannotSendABodyWithoutSayingWhatItIs() throws IOException {
    String body = "{\"prompt\":\"a\"}";
    try (Socket socket = send(post("/tokenize", "Origin: https://evil.example\r\n", body))) {
      assertThat(answer(socket)).contains("415", "unsupported_media_type");
    }
    try (Socket socket = send(post("/tokenize", "", body))) {
      assertThat(answer(socket)).contains("200");
    }
  }
}
