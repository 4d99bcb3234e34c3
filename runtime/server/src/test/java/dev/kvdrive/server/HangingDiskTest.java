package dev.kvdrive.server;

import static org.assertj.core.api.Assertions.assertThat;

import dev.kvdrive.kv.tier.FaultyFiles;
import java.net.http.HttpResponse;
import java.nio.file.Path;
import java.util.concurrent.CompletableFuture;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.json.JsonMapper;

/** The whole server on a disk that does not answer: nobody waits for it who does not need it. */
class HangingDiskTest {
  private static final int EXTENT_BYTES = 64 << 10;
  private static final String SHORT = "A short prompt";
  private static final String LONG = "The kernel reads a page of a file. ".repeat(170);

  @TempDir Path folder;

  private static String completion(OwnRuntime runtime, String prompt, int tokens) throws Exception {
    HttpResponse<String> response =
        runtime.post(
            "/v1/completions",
            "{\"prompt\": \"%s\", \"max_tokens\": %d, \"temperature\": 0}"
                .formatted(prompt, tokens));
    assertThat(response.statusCode()).as(response.body()).isEqualTo(200);
    return JsonMapper.shared().readTree(response.body()).at("/choices/0/text").stringValue();
  }

  private static CompletableFuture<String> later(OwnRuntime runtime, String prompt, int tokens) {
    return CompletableFuture.supplyAsync(
        () -> {
          try {
            return completion(runtime, prompt, tokens);
          } catch (Exception e) {
            throw new IllegalStateException(e);
          }
        });
  }

  @Test
  void whoNeedsNoDiskIsAnsweredAtOnceAndWhoDoesOnceTheDiskAnswers() throws Exception {
    FaultyFiles files = new FaultyFiles(1, EXTENT_BYTES);
    try (OwnRuntime runtime =
        OwnRuntime.start(
                files,
                "--kvdrive.model.cache-dir=" + folder,
                "--kvdrive.context-length=2048",
                "--kvdrive.concurrency=2",
                "--kvdrive.budget=1",
                "--kvdrive.threads=2",
                "--kvdrive.tiers.gpu-bytes=48Mi",
                "--kvdrive.tiers.dram-bytes=9Mi",
                "--kvdrive.tiers.nvme-bytes=64Mi",
                "--kvdrive.tiers.nvme-dir=" + folder.resolve("nvme"))
            .ready()) {
      String said = completion(runtime, SHORT, 8);
      String saidAtLength = completion(runtime, LONG, 8);
      assertThat(runtime.get("/metrics").body()).containsPattern("kvdrive_demotions_total [1-9]");

      files.hold();
      CompletableFuture<String> needs = later(runtime, LONG, 8);
      for (int i = 0; i < 3; i++) {
        assertThat(completion(runtime, SHORT, 8)).isEqualTo(said);
        assertThat(runtime.get("/health/live").statusCode()).isEqualTo(200);
      }
      files.release();
      assertThat(needs.get()).isEqualTo(saidAtLength);
    } finally {
      files.release();
    }
  }
}
