package dev.kvdrive.server;

import dev.kvdrive.server.serving.Serving;
import java.io.IOException;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import org.junit.jupiter.api.BeforeEach;
import org.springframework.beans.factory.annotation.Autowired;
import org.springframework.boot.test.context.SpringBootTest;
import org.springframework.boot.test.context.TestConfiguration;
import org.springframework.boot.test.web.server.LocalServerPort;
import org.springframework.context.annotation.Bean;
import org.springframework.context.annotation.Import;
import org.springframework.context.annotation.Primary;
import org.springframework.test.web.reactive.server.WebTestClient;

/** The whole server over a real socket, with an engine that the test plays. */
@SpringBootTest(
    webEnvironment = SpringBootTest.WebEnvironment.RANDOM_PORT,
    properties = {
      "kvdrive.body-timeout=2s",
      "kvdrive.http.head-timeout=2s",
      "kvdrive.stream-buffer=64",
      "kvdrive.drain-timeout=1s"
    })
@Import(ScriptedServer.Parts.class)
abstract class ScriptedServer {
  @TestConfiguration(proxyBeanMethods = false)
  static class Parts {
    /** The device of the engine that is not started here. */
    @Bean
    ReferenceDevices devices() {
      return new ReferenceDevices();
    }

    @Bean
    @Primary
    ScriptedRuntime scriptedRuntime() {
      return new ScriptedRuntime();
    }

    @Bean
    WritingThreads writingThreads() {
      return new WritingThreads();
    }
  }

  @Autowired ScriptedRuntime runtime;
  @Autowired Serving serving;
  @Autowired WritingThreads writingThreads;
  @LocalServerPort int port;

  @BeforeEach
  void waitUntilReady() {
    runtime.engine.reset();
    OwnRuntime.awaitReady(serving);
  }

  WebTestClient client() {
    return WebTestClient.bindToServer()
        .baseUrl("http://localhost:" + port)
        .responseTimeout(Duration.ofSeconds(30))
        .build();
  }

  /** Sends a request over a bare socket, which the test then may read slowly or drop. */
  Socket post(String path, String body) throws IOException {
    Socket socket = new Socket();
    // Small, so that a reader who does not read is noticed soon.
    socket.setReceiveBufferSize(4096);
    socket.connect(new java.net.InetSocketAddress("localhost", port));
    String head =
        "POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
            .formatted(path, body.getBytes(StandardCharsets.UTF_8).length);
    socket.getOutputStream().write((head + body).getBytes(StandardCharsets.UTF_8));
    socket.getOutputStream().flush();
    return socket;
  }

  static String chat(String content, String more) {
    return "{\"model\":\"%s\",\"messages\":[{\"role\":\"user\",\"content\":\"%s\"}]%s}"
        .formatted(ScriptedRuntime.NAME, content, more.isEmpty() ? "" : "," + more);
  }
}
