package dev.kvdrive.cli.cluster;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.List;
import org.junit.jupiter.api.Test;

class NearestTest {
  @Test
  void theFewestLettersToChangeComeFirst() {
    assertThat(Nearest.of("contract", List.of("mail", "contracts", "contacts", "x", "y", "z")))
        .startsWith("contracts", "contacts")
        .hasSize(5);
  }

  @Test
  void lettersArePutInTakenOutAndChanged() {
    assertThat(Nearest.distance("", "abc")).isEqualTo(3);
    assertThat(Nearest.distance("kitten", "sitting")).isEqualTo(3);
    assertThat(Nearest.distance("same", "same")).isZero();
  }
}
