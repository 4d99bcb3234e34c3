package dev.kvdrive.operator.usage;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;
import static org.awaitility.Awaitility.await;

import com.sun.net.httpserver.HttpServer;
import dev.kvdrive.observed.usage.TierUsage;
import io.fabric8.kubernetes.api.model.Pod;
import io.fabric8.kubernetes.api.model.PodBuilder;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

class TierMeterTest {
  private static final String METRICS =
      """
      # HELP kvdrive_tier_used_bytes Bytes of a tier in use, in-flight ones counted.
      # TYPE kvdrive_tier_used_bytes gauge
      kvdrive_tier_used_bytes{tier="gpu"} 1048576.0
      kvdrive_tier_used_bytes{tier="dram"} 2.097152E6
      kvdrive_tier_used_bytes{other="a\\"b}",tier="nvme"} NaN
      kvdrive_window_hits_total 800.0
      kvdrive_window_misses_total{tier="dram"} 150.0 1700000000000
      kvdrive_window_misses_total{tier="nvme"} 50.0
      kvdrive_prefetched_chunks_total 200.0
      kvdrive_prefetched_hits_total 150.0
      kvdrive_accuracy_samples_total{kv_head="0",layer="0"} 3.0
      kvdrive_accuracy_samples_total{kv_head="1",layer="0"} 1.0
      kvdrive_mass_missed_total{kv_head="0",layer="0"} 0.25
      kvdrive_output_error_total{kv_head="1",layer="0"} 0.5
      kvdrive_attended_tokens_total 250.0
      kvdrive_context_tokens_total 1000.0
      something_else{tier="gpu"} 7
      not a sample at all {{{
      """;

  private HttpServer server;
  private String body = METRICS;
  private int status = 200;
  private int health = 503;
  private String readiness =
      "{\"status\":\"failing\",\"detail\":\"the NVMe tier cannot be read from: EIO; check the drive\"}";

  TierMeterTest() throws IOException {
    this.server = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
  }

  @BeforeEach
  void serve() {
    server.createContext(
        "/metrics",
        exchange -> {
          byte[] bytes = body.getBytes(StandardCharsets.UTF_8);
          exchange.sendResponseHeaders(status, bytes.length);
          exchange.getResponseBody().write(bytes);
          exchange.close();
        });
    server.createContext(
        "/health/ready",
        exchange -> {
          byte[] bytes = readiness.getBytes(StandardCharsets.UTF_8);
          exchange.sendResponseHeaders(health, bytes.length);
          exchange.getResponseBody().write(bytes);
          exchange.close();
        });
    server.start();
  }

  @AfterEach
  void stop() {
    server.stop(0);
  }

  @Test
  void addsUpTheTiersOfReadyPods() {
    TierUsage usage = meter().read(List.of(pod("True"), pod("True"), pod("False")));

    assertThat(usage.used("gpu")).hasValue(2 * 1048576L);
    assertThat(usage.used("dram")).hasValue(2 * 2097152L);
    assertThat(usage.used("nvme")).isEmpty();
    assertThat(usage.hitRate("gpu").orElseThrow()).isCloseTo(0.8, within(1e-9));
    assertThat(usage.hitRate("dram").orElseThrow()).isCloseTo(0.15, within(1e-9));
    assertThat(usage.hitRate("nvme").orElseThrow()).isCloseTo(0.05, within(1e-9));
    assertThat(usage.prefetchUse("gpu")).hasValue(0.75);
    assertThat(usage.prefetchUse("dram")).isEmpty();
    assertThat(usage.accuracy()).isEqualTo(new TierUsage.Accuracy(8, 0.5, 1));
    assertThat(usage.attendedShare()).hasValue(0.25);
  }

  @Test
  void knowsNothingBeforeTheFirstSelection() {
    body = "kvdrive_window_hits_total 0.0\n";

    assertThat(meter().read(List.of(pod("True"))).hitRate("gpu")).isEmpty();
    assertThat(meter().read(List.of(pod("True"))).prefetchUse("gpu")).isEmpty();
  }

  @Test
  void aPodThatRefusesCountsNothing() {
    status = 503;

    assertThat(meter().read(List.of(pod("True")))).isEqualTo(TierUsage.UNKNOWN);
  }

  @Test
  void aPodThatIsNotThereCountsNothing() {
    server.stop(0);

    assertThat(meter().read(List.of(pod("True")))).isEqualTo(TierUsage.UNKNOWN);
  }

  @Test
  void aPodThatIsNotReadyTellsOfItsDisk() {
    body = METRICS + "kvdrive_nvme_healthy 0.0\n";

    TierUsage usage = meter().read(List.of(pod("False")));

    assertThat(usage.failingNvme())
        .isEqualTo(Map.of("pod", "the NVMe tier cannot be read from: EIO; check the drive"));
    assertThat(usage.usedBytes()).isEmpty();
  }

  @Test
  void aDiskThatFailsIsToldWithoutWordsToo() {
    body = METRICS + "kvdrive_nvme_healthy 0.0\n";
    readiness = "<html>";

    assertThat(meter().read(List.of(pod("False"))).failingNvme())
        .isEqualTo(Map.of("pod", "its runtime reports kvdrive_nvme_healthy 0"));
  }

  @Test
  void anEngineThatHasFailedIsToldInItsWords() {
    readiness = "{\"status\":\"failed\",\"detail\":\"GpuFailed: cuX: CUDA_ERROR_UNKNOWN (999)\"}";

    TierUsage usage = meter().read(List.of(pod("False")));

    assertThat(usage.failedEngines())
        .isEqualTo(Map.of("pod", "GpuFailed: cuX: CUDA_ERROR_UNKNOWN (999)"));
    assertThat(usage.failingNvme()).isEmpty();
  }

  @Test
  void onlyWhatFailsHasFailed() {
    readiness = "{\"status\":\"starting\",\"detail\":\"loading\"}";

    assertThat(meter().read(List.of(pod("False"))).failedEngines()).isEmpty();
  }

  @Test
  void aPodThatRefusesLongRequestsSaysSoInItsWords() {
    body = METRICS + "kvdrive_nvme_writes_spent 1.0\n";
    health = 200;
    readiness = "{\"status\":\"ready\",\"detail\":\"ready\",\"shortage\":\"2 of 8 MiB are left\"}";

    assertThat(meter().read(List.of(pod("True"))).spentWrites())
        .isEqualTo(Map.of("pod", "2 of 8 MiB are left"));

    body = METRICS + "kvdrive_nvme_writes_spent 0.0\n";
    assertThat(meter().read(List.of(pod("True"))).spentWrites()).isEmpty();
  }

  @Test
  void requestsThatRunOrWaitAreCountedOfWhoServes() {
    body = METRICS + "kvdrive_requests_running 2.0\nkvdrive_requests_waiting 3.0\n";

    assertThat(meter().read(List.of(pod("True"))).requests()).isEqualTo(Map.of("pod", 5L));
    assertThat(meter().read(List.of(pod("False"))).requests()).isEmpty();
  }

  @Test
  void whoDoesNotSayHowManyRequestsItHasIsNotIdle() {
    assertThat(meter().read(List.of(pod("True"))).requests()).isEmpty();
  }

  @Test
  void aDiskThatWorksIsNotTold() {
    body = METRICS + "kvdrive_nvme_healthy 1.0\n";

    assertThat(meter().read(List.of(pod("True"))).failingNvme()).isEmpty();
  }

  @Test
  void aPodThatSaysTooMuchCountsNothing() {
    body = METRICS + "kvdrive_window_hits_total 1.0\n".repeat(60_000);

    assertThat(meter().read(List.of(pod("True")))).isEqualTo(TierUsage.UNKNOWN);
  }

  /** It sends a head and the beginning of a body, and then nothing: the reader hangs up. */
  @Test
  void aPodThatAnswersSlowlyLeavesNoConnectionBehind() throws Exception {
    try (ServerSocket slow = new ServerSocket(0, 50, InetAddress.getLoopbackAddress())) {
      int readings = 3;
      CountDownLatch hungUp = new CountDownLatch(readings);
      Thread acceptor =
          Thread.ofVirtual()
              .start(
                  () -> {
                    for (int i = 0; i < readings; i++) {
                      try {
                        Socket connection = slow.accept();
                        Thread.ofVirtual().start(() -> answerSlowly(connection, hungUp));
                      } catch (IOException e) {
                        return;
                      }
                    }
                  });
      TierMeter meter = new TierMeter(slow.getLocalPort(), Duration.ofMillis(500));

      for (int i = 0; i < readings; i++) {
        assertThat(meter.read(List.of(pod("True")))).isEqualTo(TierUsage.UNKNOWN);
      }

      assertThat(hungUp.await(30, TimeUnit.SECONDS)).isTrue();
      acceptor.join();
      await()
          .atMost(Duration.ofSeconds(30))
          .until(
              () ->
                  Thread.getAllStackTraces().values().stream()
                      .noneMatch(stack -> isReadingABody(List.of(stack))));
    }
  }

  private static void answerSlowly(Socket connection, CountDownLatch hungUp) {
    try (connection) {
      connection.getInputStream().read(new byte[4096]);
      connection
          .getOutputStream()
          .write(
              ("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 1000000\r\n\r\n"
                      + METRICS)
                  .getBytes(StandardCharsets.UTF_8));
      connection.getOutputStream().flush();
      while (connection.getInputStream().read() >= 0) {
        // Nothing more comes but the end.
      }
      hungUp.countDown();
    } catch (IOException e) {
      hungUp.countDown(); // reset is an end, too
    }
  }

  private static boolean isReadingABody(List<StackTraceElement> stack) {
    return stack.stream().anyMatch(frame -> frame.getMethodName().equals("readNBytes"))
        && stack.stream().anyMatch(frame -> frame.getClassName().contains("net.http"));
  }

  private TierMeter meter() {
    return new TierMeter(server.getAddress().getPort());
  }

  private static Pod pod(String ready) {
    return new PodBuilder()
        .withNewMetadata()
        .withName("pod")
        .endMetadata()
        .withNewStatus()
        .withPhase("Running")
        .withPodIP("127.0.0.1")
        .addNewCondition()
        .withType("Ready")
        .withStatus(ready)
        .endCondition()
        .endStatus()
        .build();
  }
}
