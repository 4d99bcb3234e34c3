package dev.kvdrive.e2e.client;

import static org.assertj.core.api.Assertions.assertThat;

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.concurrent.CyclicBarrier;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

class PostTest {
  private final CyclicBarrier bothArrived = new CyclicBarrier(2);
  private final ExecutorService threads = Executors.newFixedThreadPool(2);
  private HttpServer server;

  @BeforeEach
  void serve() throws IOException {
    server = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
    server.setExecutor(threads);
    server.createContext("/together", this::answerWhenBothArrived);
    server.createContext("/refused", exchange -> answer(exchange, 429, "{\"error\":\"full\"}\n"));
    server.start();
  }

  @AfterEach
  void stop() {
    server.stop(0);
    threads.shutdownNow();
  }

  @Test
  void postsAllBodiesAtTheSameMomentAndPrintsEachAnswer() throws InterruptedException {
    ByteArrayOutputStream out = new ByteArrayOutputStream();

    boolean good = Post.all(url("/together"), List.of("first", "second"), print(out));

    assertThat(good).isTrue();
    assertThat(out.toString(StandardCharsets.UTF_8).lines())
        .satisfiesExactlyInAnyOrder(
            line -> assertThat(line).matches("0 \\d+ status 200"),
            line -> assertThat(line).matches("0 \\d+ data: first"),
            line -> assertThat(line).matches("0 \\d+ data: end"),
            line -> assertThat(line).matches("1 \\d+ status 200"),
            line -> assertThat(line).matches("1 \\d+ data: second"),
            line -> assertThat(line).matches("1 \\d+ data: end"));
  }

  @Test
  void aRefusalIsPrintedAndIsAFailure() throws InterruptedException {
    ByteArrayOutputStream out = new ByteArrayOutputStream();

    boolean good = Post.all(url("/refused"), List.of("{}"), print(out));

    assertThat(good).isFalse();
    assertThat(out.toString(StandardCharsets.UTF_8)).contains("status 429").contains("full");
  }

  @Test
  void anUnreachableServerIsAFailure() throws InterruptedException {
    URI gone = url("/together");
    server.stop(0);
    ByteArrayOutputStream out = new ByteArrayOutputStream();

    assertThat(Post.all(gone, List.of("{}"), print(out))).isFalse();
    assertThat(out.toString(StandardCharsets.UTF_8)).contains("ConnectException");
  }

  /** One request at a time would wait here for ever, and fail. */
  private void answerWhenBothArrived(HttpExchange exchange) throws IOException {
    String body = new String(exchange.getRequestBody().readAllBytes(), StandardCharsets.UTF_8);
    try {
      bothArrived.await(10, TimeUnit.SECONDS);
      answer(exchange, 200, "data: " + body + "\n\ndata: end\n");
    } catch (Exception e) {
      answer(exchange, 500, e.toString());
    }
  }

  private static void answer(HttpExchange exchange, int status, String text) throws IOException {
    byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
    exchange.sendResponseHeaders(status, bytes.length);
    exchange.getResponseBody().write(bytes);
    exchange.close();
  }

  private URI url(String path) {
    return URI.create("http://127.0.0.1:" + server.getAddress().getPort() + path);
  }

  private static PrintStream print(ByteArrayOutputStream out) {
    return new PrintStream(out, true, StandardCharsets.UTF_8);
  }
}
