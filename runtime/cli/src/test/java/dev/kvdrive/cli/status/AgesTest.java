package dev.kvdrive.cli.status;

import static org.assertj.core.api.Assertions.assertThat;

import java.time.Instant;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class AgesTest {
  private static final Instant NOW = Instant.parse("2026-11-30T12:00:00Z");

  @ParameterizedTest
  @CsvSource({
    "2026-11-30T11:59:18Z,42 s",
    "2026-11-30T13:00:00+02:00,1 h 00 min",
    "2026-11-29T12:00:00Z,24 h 00 min",
    "2026-11-20T12:00:00.123456Z,9 d",
    "2026-11-30T12:00:05Z,0 s",
    "yesterday,-",
    ",-",
  })
  void anAgeIsCountedFromWhatKubernetesWrites(String time, String age) {
    assertThat(Ages.of(time, NOW)).isEqualTo(age);
  }
}
