package dev.kvdrive.e2e;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;

class SentTest {
  @Test
  void readsWholeLinesAndNothingElse() {
    assertThat(
            Sent.readLog(
                """
                Picked up something
                0 1 5 90 whole The number is: 7.
                1 1 6 91 failed: status 503 {}
                0 2 92 130 whole The num\
                """))
        .containsExactly(
            new Sent(0, 1, 5, 90, true, "The number is: 7."),
            new Sent(1, 1, 6, 91, false, "status 503 {}"));
  }
}
