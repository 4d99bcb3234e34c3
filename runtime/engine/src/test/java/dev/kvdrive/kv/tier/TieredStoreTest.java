package dev.kvdrive.kv.tier;

import static dev.kvdrive.kv.tier.StoreHarness.ALL;
import static org.assertj.core.api.Assertions.assertThat;

import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** What lives where, what moves, and what happens when it cannot. */
@Timeout(120)
class TieredStoreTest {
  @TempDir Path directory;

  @Test
  void deliversWhatWasDemoted() {
    // 2 layers x 2 heads x 16 extents = 64 extents in 16 frames.
    try (StoreHarness harness = StoreHarness.of(2, 2, 1, 16, 16, 64, directory)) {
      harness.start(0, 120);
      assertThat(harness.store.status().demotions()).isGreaterThan(30);
      assertThat(harness.step(ALL, 0)).isEmpty();
      assertThat(harness.delivered).isGreaterThan(100);
      harness.checkCaps();
      harness.checkNothingLeft();
    }
  }
}
