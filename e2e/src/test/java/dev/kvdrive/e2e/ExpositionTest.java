package dev.kvdrive.e2e;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.Map;
import org.junit.jupiter.api.Test;

class ExpositionTest {
  private static final String TEXT =
      """
      # HELP used_bytes what is used
      # TYPE used_bytes gauge
      used_bytes{tier="gpu",pod="a b"} 1.5e3
      used_bytes{tier="dram",pod="a b"} 2.0 1700000000000
      limit +Inf
      """;

  @Test
  void sumsTheSamplesWhoseLabelsMatch() {
    Exposition exposition = Exposition.parse(TEXT);

    assertThat(exposition.sum("used_bytes", Map.of("tier", "gpu"))).hasValue(1500);
    assertThat(exposition.sum("used_bytes", Map.of())).hasValue(1502);
    assertThat(exposition.sum("limit", Map.of())).hasValue(Double.POSITIVE_INFINITY);
    assertThat(exposition.sum("used_bytes", Map.of("tier", "nvme"))).isEmpty();
  }

  @Test
  void refusesWhatIsNoExposition() {
    assertThatThrownBy(() -> Exposition.parse("<html>not found</html>"))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("<html>");
  }
}
