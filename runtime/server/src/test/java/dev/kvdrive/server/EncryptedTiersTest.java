package dev.kvdrive.server;

import static org.assertj.core.api.Assertions.assertThat;

import dev.kvdrive.kv.tier.ExtentFile;
import java.net.http.HttpResponse;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.json.JsonMapper;

/** The whole server with an NVMe tier whose extents are encrypted, beside one whose are not. */
class EncryptedTiersTest {
  private static final String LONG = "The kernel reads a page of a file. ".repeat(170);

  @TempDir Path folder;

  private OwnRuntime start(String form) {
    return OwnRuntime.start(
            ExtentFile.Opener.FILES,
            "--kvdrive.model.cache-dir=" + folder,
            "--kvdrive.context-length=2048",
            "--kvdrive.budget=1",
            "--kvdrive.threads=2",
            "--kvdrive.tiers.gpu-bytes=48Mi",
            "--kvdrive.tiers.dram-bytes=8Mi",
            "--kvdrive.tiers.nvme-bytes=64Mi",
            "--kvdrive.tiers.nvme-dir=" + folder.resolve(form),
            "--kvdrive.tiers.nvme-encryption=" + form)
        .ready();
  }

  private static String answer(OwnRuntime runtime) throws Exception {
    HttpResponse<String> response =
        runtime.post(
            "/v1/completions",
            "{\"prompt\": \"%s\", \"max_tokens\": 24, \"temperature\": 0}".formatted(LONG));
    assertThat(response.statusCode()).as(response.body()).isEqualTo(200);
    var json = JsonMapper.shared().readTree(response.body());
    assertThat(json.at("/usage/kvdrive/nvme_written_bytes").longValue()).isPositive();
    return json.at("/choices/0/text").stringValue();
  }

  @Test
  void anAnswerIsTheSameAndTheMetricSaysThatItsBytesOnNvmeAreEncrypted() throws Exception {
    String plain;
    try (OwnRuntime runtime = start("none")) {
      plain = answer(runtime);
      assertThat(runtime.get("/metrics").body()).contains("kvdrive_nvme_encrypted 0");
    }
    try (OwnRuntime runtime = start("aes-gcm")) {
      assertThat(answer(runtime)).isEqualTo(plain);
      assertThat(runtime.get("/metrics").body()).contains("kvdrive_nvme_encrypted 1");
    }
  }
}
