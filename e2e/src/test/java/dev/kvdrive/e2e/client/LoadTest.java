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
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

class LoadTest {
  private static final String WHOLE =
      """
      data: {"choices":[{"delta":{"content":"a \\"word"}}]}

      data: {"choices":[{"delta":{"content":"\\n"}}]}

      data: [DONE]

      """;

  private final Set<InetSocketAddress> connections = ConcurrentHashMap.newKeySet();
  private final AtomicInteger asked = new AtomicInteger();
  private HttpServer server;

  @BeforeEach
  void serve() throws IOException {
    server = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
    server.createContext("/whole", exchange -> answer(exchange, 200, WHOLE));
    server.createContext("/cut", exchange -> answer(exchange, 200, WHOLE.replace("[DONE]", "{}")));
    server.createContext("/refused", exchange -> answer(exchange, 503, "{\"error\":\"going\"}\n"));
    server.createContext("/broken", this::breakOff);
    server.start();
  }

  @AfterEach
  void stop() {
    server.stop(0);
  }

  @Test
  void eachUserAsksAgainAndAgainAndTellsWhatItWasTold() {
    assertThat(load("/whole", 2, 3))
        .hasSize(6)
        .allMatch(line -> line.matches("[01] [123] \\d+ \\d+ whole a \\\\\"word\\\\n"));
    assertThat(asked).hasValue(6);
  }

  @Test
  void theFirstUserKeepsItsConnectionAndTheSecondDoesNot() {
    load("/whole", 1, 3);
    assertThat(connections).hasSize(1);
    load("/whole", 2, 3);
    assertThat(connections).hasSize(1 + 1 + 3);
  }

  @Test
  void whatIsRefusedCutOrBrokenHasFailedAndIsNotTriedAgain() {
    assertThat(load("/refused", 1, 1))
        .singleElement()
        .asString()
        .matches("0 1 \\d+ \\d+ failed: status 503 .*going.*");
    assertThat(load("/cut", 1, 1))
        .singleElement()
        .asString()
        .matches("0 1 \\d+ \\d+ failed: cut after 3 lines");
    assertThat(load("/broken", 1, 1))
        .singleElement()
        .asString()
        .matches("0 1 \\d+ \\d+ failed: after \\d+ lines .*IOException.*");
    assertThat(asked).hasValue(3);
  }

  private List<String> load(String path, int users, long requests) {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    URI url = URI.create("http://127.0.0.1:" + server.getAddress().getPort() + path);
    List<String> bodies = List.of("one", "two").subList(0, users);
    Load.run(url, bodies, requests, new PrintStream(out, true, StandardCharsets.UTF_8));
    return out.toString(StandardCharsets.UTF_8).lines().toList();
  }

  private void answer(HttpExchange exchange, int status, String body) throws IOException {
    note(exchange);
    byte[] bytes = body.getBytes(StandardCharsets.UTF_8);
    exchange.sendResponseHeaders(status, bytes.length);
    try (var out = exchange.getResponseBody()) {
      out.write(bytes);
    }
  }

  /** Promises more than it sends. */
  private void breakOff(HttpExchange exchange) throws IOException {
    note(exchange);
    exchange.sendResponseHeaders(200, 1000);
    exchange.getResponseBody().write("data: {}\n".getBytes(StandardCharsets.UTF_8));
    exchange.getResponseBody().flush();
    exchange.close();
  }

  private void note(HttpExchange exchange) throws IOException {
    asked.incrementAndGet();
    connections.add(exchange.getRemoteAddress());
    exchange.getRequestBody().readAllBytes();
  }
}
