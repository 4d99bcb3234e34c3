package dev.kvdrive.server;

import dev.kvdrive.device.DeviceFactory;
import dev.kvdrive.server.serving.Serving;
import dev.kvdrive.server.settings.RuntimeSettings;
import java.time.Duration;
import org.junit.jupiter.api.BeforeEach;
import org.springframework.beans.factory.annotation.Autowired;
import org.springframework.boot.test.context.SpringBootTest;
import org.springframework.boot.test.context.TestConfiguration;
import org.springframework.boot.test.web.server.LocalServerPort;
import org.springframework.context.annotation.Bean;
import org.springframework.context.annotation.Import;
import org.springframework.test.context.DynamicPropertyRegistry;
import org.springframework.test.context.DynamicPropertySource;
import org.springframework.test.web.reactive.server.WebTestClient;

/**
 * The whole server with the real engine, the bundled model, keys, and tiers so small that all three
 * are in use. One context for all tests.
 */
@SpringBootTest(
    webEnvironment = SpringBootTest.WebEnvironment.RANDOM_PORT,
    properties = {
      "kvdrive.served-model-name=" + RealServer.MODEL,
      "kvdrive.dense-below=0",
      "kvdrive.context-length=2048",
      "kvdrive.concurrency=2",
      "kvdrive.queue-limit=8",
      "kvdrive.tiers.gpu-bytes=48Mi",
      "kvdrive.tiers.dram-bytes=7Mi",
      "kvdrive.tiers.nvme-bytes=64Mi"
    })
@Import(RealServer.Devices.class)
abstract class RealServer {
  static final String MODEL = "acme/tiny";
  static final String KEY = "sk-0123456789abcdef";

  @TestConfiguration(proxyBeanMethods = false)
  static class Devices {
    @Bean
    DeviceFactory devices() {
      return new ReferenceDevices();
    }
  }

  @DynamicPropertySource
  static void folders(DynamicPropertyRegistry properties) {
    properties.add("kvdrive.tiers.nvme-dir", () -> TestFolder.PATH.resolve("nvme"));
    properties.add("kvdrive.model.cache-dir", () -> TestFolder.PATH.resolve("models"));
    properties.add("kvdrive.api-keys-file", () -> TestFolder.withKey(KEY));
  }

  @Autowired Serving serving;
  @Autowired RuntimeSettings settings;
  @LocalServerPort int port;

  @BeforeEach
  void waitUntilReady() {
    OwnRuntime.awaitReady(serving);
  }

  String url() {
    return "http://localhost:" + port;
  }

  WebTestClient client() {
    return WebTestClient.bindToServer()
        .baseUrl(url())
        .defaultHeader("Authorization", "Bearer " + KEY)
        .responseTimeout(Duration.ofMinutes(1))
        .build();
  }
}
