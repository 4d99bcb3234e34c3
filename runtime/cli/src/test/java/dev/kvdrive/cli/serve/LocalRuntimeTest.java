package dev.kvdrive.cli.serve;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.kvdrive.cli.option.RuntimeOptions;
import dev.kvdrive.server.serving.Serving;
import java.io.IOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.Map;
import org.awaitility.Awaitility;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class LocalRuntimeTest {
  @TempDir private Path folder;

  private Map<String, String> settings() {
    Map<String, String> settings = new LinkedHashMap<>();
    settings.put("kvdrive.model.cache-dir", folder.toString());
    settings.put("kvdrive.context-length", "4096");
    settings.put("kvdrive.tiers.gpu-bytes", "48Mi");
    settings.put("kvdrive.tiers.dram-bytes", "10Mi");
    settings.put("kvdrive.tiers.nvme-bytes", "64Mi");
    settings.put("server.address", "127.0.0.1");
    settings.put("server.port", "0");
    return settings;
  }

  private static String get(URI uri) throws IOException, InterruptedException {
    try (HttpClient client = HttpClient.newHttpClient()) {
      return client.send(HttpRequest.newBuilder(uri).build(), BodyHandlers.ofString()).body();
    }
  }

  @Test
  void answersUntilItIsClosedAndLeavesNothingBehind() throws Exception {
    ScratchFolder nvme = ScratchFolder.below(folder.resolve("nvme"), "test-");
    URI models;
    try (LocalRuntime runtime =
        LocalRuntime.start(
            settings(), Map.of(), nvme, LocalRuntime.Log.ERRORS, new ReferenceDevices())) {
      Awaitility.await()
          .atMost(Duration.ofMinutes(2))
          .until(() -> runtime.serving().state() instanceof Serving.State.Ready);
      models = runtime.address().resolve("/v1/models");
      assertThat(get(models)).contains("KVDrive Tiny 32k");
      assertThat(nvme.path()).isNotEmptyDirectory();
    }
    assertThatThrownBy(() -> get(models)).isInstanceOf(IOException.class);
    assertThat(Files.exists(nvme.path())).isFalse();
  }

  @Test
  void saysInOneSentenceWhichSettingIsWrong() {
    Map<String, String> settings = settings();
    settings.put("kvdrive.context-length", "3");
    assertThatThrownBy(
            () ->
                LocalRuntime.start(
                    settings,
                    RuntimeOptions.FLAGS,
                    null,
                    LocalRuntime.Log.ERRORS,
                    new ReferenceDevices()))
        .hasMessageContaining("--context must be at least 128 tokens, got 3")
        .message()
        .hasLineCount(1);
  }

  @Test
  void saysThatThePortIsTaken() throws Exception {
    ScratchFolder nvme = ScratchFolder.below(folder, "test-");
    try (ServerSocket other = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
      Map<String, String> settings = settings();
      settings.put("server.port", Integer.toString(other.getLocalPort()));
      assertThatThrownBy(
              () ->
                  LocalRuntime.start(
                      settings,
                      RuntimeOptions.FLAGS,
                      nvme,
                      LocalRuntime.Log.ERRORS,
                      new ReferenceDevices()))
          .hasMessage(
              "port %d is in use by another program; choose one with --port", other.getLocalPort());
    }
    assertThat(Files.exists(nvme.path())).isFalse();
  }

  @Test
  void saysThatTheKeyFileCannotBeRead() {
    Map<String, String> settings = settings();
    settings.put("kvdrive.api-keys-file", folder.resolve("none").toString());
    assertThatThrownBy(
            () ->
                LocalRuntime.start(
                    settings,
                    RuntimeOptions.FLAGS,
                    null,
                    LocalRuntime.Log.ERRORS,
                    new ReferenceDevices()))
        .hasMessageContaining("API key file")
        .message()
        .hasLineCount(1);
  }

  @Test
  void saysWhichOptionOfTlsIsMissingOrWrong() throws Exception {
    Map<String, String> settings = settings();
    settings.put("kvdrive.tls.certificate", folder.resolve("none").toString());
    assertThatThrownBy(() -> start(settings))
        .hasMessageContaining("--tls-key must be set, too: TLS needs --tls-certificate and");
    settings.put("kvdrive.tls.key", folder.resolve("none").toString());
    assertThatThrownBy(() -> start(settings))
        .hasMessageContaining("--tls-certificate cannot be read: ")
        .message()
        .hasLineCount(1);
  }

  private static void start(Map<String, String> settings) {
    LocalRuntime.start(
        settings, RuntimeOptions.FLAGS, null, LocalRuntime.Log.ERRORS, new ReferenceDevices());
  }
}
