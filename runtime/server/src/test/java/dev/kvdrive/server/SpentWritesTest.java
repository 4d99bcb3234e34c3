package dev.kvdrive.server;

import static org.assertj.core.api.Assertions.assertThat;

import dev.kvdrive.kv.tier.ExtentFile;
import java.net.http.HttpResponse;
import java.nio.file.Path;
import java.util.HashSet;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/** The whole server when what may be written to NVMe in a day is spent. */
class SpentWritesTest {
  private static final String SHORT = "A short prompt";
  private static final String LONG = "The kernel reads a page of a file. ".repeat(170);

  /** More than one of the longest sequences takes, and less than a few do. */
  private static final String LIMIT = "8Mi";

  @TempDir Path folder;

  private OwnRuntime start() {
    return OwnRuntime.start(
            ExtentFile.Opener.FILES,
            "--kvdrive.model.cache-dir=" + folder,
            "--kvdrive.context-length=2048",
            "--kvdrive.concurrency=2",
            "--kvdrive.budget=1",
            "--kvdrive.threads=2",
            "--kvdrive.tiers.gpu-bytes=48Mi",
            "--kvdrive.tiers.dram-bytes=9Mi",
            "--kvdrive.tiers.nvme-bytes=64Mi",
            "--kvdrive.tiers.nvme-dir=" + folder.resolve("nvme"),
            "--kvdrive.tiers.nvme-writes-per-day=" + LIMIT)
        .ready();
  }

  private static HttpResponse<String> ask(OwnRuntime runtime, String prompt) throws Exception {
    return runtime.post(
        "/v1/completions",
        "{\"prompt\": \"%s\", \"max_tokens\": 8, \"temperature\": 0}".formatted(prompt));
  }

  private static JsonNode json(HttpResponse<String> response) {
    return JsonMapper.shared().readTree(response.body());
  }

  private static double metric(OwnRuntime runtime, String name) throws Exception {
    return runtime
        .get("/metrics")
        .body()
        .lines()
        .filter(line -> line.startsWith(name + " "))
        .mapToDouble(line -> Double.parseDouble(line.substring(name.length() + 1)))
        .findFirst()
        .orElseThrow();
  }

  @Test
  void whatNeedsNvmeIsTold429AndWhenToComeBackAndTheRestIsAnswered() throws Exception {
    double written;
    long ofRequests = 0;
    try (OwnRuntime runtime = start()) {
      Set<String> said = new HashSet<>();
      HttpResponse<String> response = ask(runtime, LONG);
      for (int i = 0; i < 20 && response.statusCode() == 200; i++) {
        said.add(json(response).at("/choices/0/text").stringValue());
        ofRequests += json(response).at("/usage/kvdrive/nvme_written_bytes").longValue();
        response = ask(runtime, LONG);
      }
      assertThat(said).as("the same answer each time").hasSize(1);
      assertThat(response.statusCode()).as(response.body()).isEqualTo(429);
      assertThat(json(response).at("/error/message").stringValue())
          .contains(
              "of 8.00 MiB are left of what may be written in 24 hours", "give DRAM more room");
      assertThat(response.headers().firstValueAsLong("Retry-After").orElseThrow())
          .isBetween(24 * 3600L, 25 * 3600L);
      assertThat(ask(runtime, SHORT).statusCode()).isEqualTo(200);
      HttpResponse<String> health = runtime.get("/health/ready");
      assertThat(health.statusCode()).isEqualTo(200);
      String refusal = json(response).at("/error/message").stringValue();
      String spent = refusal.substring(refusal.indexOf(" may have to be written"));
      assertThat(json(health).at("/shortage").stringValue()).endsWith(spent);
      assertThat(metric(runtime, "kvdrive_nvme_writes_spent")).isOne();

      written = metric(runtime, "kvdrive_nvme_written_day_bytes");
      assertThat(written).isPositive().isLessThanOrEqualTo(8 << 20);
      assertThat(metric(runtime, "kvdrive_nvme_written_bytes_total")).isEqualTo(written);
      assertThat(ofRequests).isPositive().isLessThanOrEqualTo((long) written);
      assertThat(metric(runtime, "kvdrive_nvme_writes_per_day_bytes")).isEqualTo(8 << 20);
    }
    try (OwnRuntime again = start()) {
      assertThat(metric(again, "kvdrive_nvme_written_day_bytes")).isGreaterThanOrEqualTo(written);
      assertThat(ask(again, LONG).statusCode()).isEqualTo(429);
      assertThat(ask(again, SHORT).statusCode()).isEqualTo(200);
    }
  }
}
