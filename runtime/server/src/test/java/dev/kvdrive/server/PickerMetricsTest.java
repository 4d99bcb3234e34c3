package dev.kvdrive.server;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** What an endpoint picker in front of several runtimes goes by. */
class PickerMetricsTest {
  private static final ScriptedRuntime SCRIPTED = new ScriptedRuntime();
  private static OwnRuntime runtime;

  @BeforeAll
  static void start() {
    runtime = OwnRuntime.start(SCRIPTED).ready();
  }

  @AfterAll
  static void end() {
    runtime.close();
  }

  private static String scrape() throws IOException, InterruptedException {
    return runtime.get("/metrics").body();
  }

  private static String usage(String name, String value) {
    return "vllm:%s{model_name=\"%s\"} %s".formatted(name, ScriptedRuntime.NAME, value);
  }

  @Test
  void theCacheIsAsFullAsItsBytesWhileNobodyWaits() throws IOException, InterruptedException {
    SCRIPTED.engine.say(0, 0);
    // 60 and 340 bytes of keys and values in 200 of DRAM and 600 of NVMe.
    assertThat(scrape())
        .contains(usage("kv_cache_usage_perc", "0.5"))
        .contains(usage("gpu_cache_usage_perc", "0.5"))
        .contains("kvdrive_seats " + ScriptedRuntime.CONCURRENCY)
        .contains("kvdrive_requests_without_room 0");
  }

  @Test
  void theCacheIsFullWhileARequestWaitsForASeat() throws IOException, InterruptedException {
    SCRIPTED.engine.say(0, 1);
    assertThat(scrape())
        .contains(usage("num_requests_waiting", "1"))
        .contains(usage("kv_cache_usage_perc", "1"));
  }

  @Test
  void theCacheIsFullWhileARequestWaitsForRoomAlthoughASeatIsFree()
      throws IOException, InterruptedException {
    SCRIPTED.engine.say(1, 0);
    assertThat(scrape())
        .contains(usage("num_requests_waiting", "0"))
        .contains(usage("kv_cache_usage_perc", "1"))
        .contains(usage("gpu_cache_usage_perc", "1"))
        .contains("kvdrive_requests_without_room 1");
  }
}
