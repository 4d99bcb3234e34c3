package dev.kvdrive.server.openai;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.charset.StandardCharsets;
import java.util.List;
import org.junit.jupiter.api.Test;

class UsageTest {
  /** Neither all of nothing nor none of it. */
  @Test
  void whereNothingWasSelectedThereIsNoHitRate() {
    Usage usage = Usage.of(7, List.of());
    assertThat(new String(new Json(1 << 10).write(usage), StandardCharsets.UTF_8))
        .contains("\"window_hits\":0")
        .doesNotContain("window_hit_rate");
  }
}
