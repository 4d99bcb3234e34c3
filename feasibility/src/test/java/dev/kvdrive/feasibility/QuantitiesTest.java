package dev.kvdrive.feasibility;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.fabric8.kubernetes.api.model.Quantity;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.LongRange;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class QuantitiesTest {
  @Property
  void bytesSurviveTheWayThroughAQuantity(@ForAll @LongRange(min = 0) long bytes) {
    assertThat(Quantities.bytes("field", Quantities.ofBytes(bytes))).isEqualTo(bytes);
  }

  @ParameterizedTest
  @CsvSource({"0, 0", "1, 1", "1024, 1Ki", "1536, 1536", "822083584, 784Mi", "1073741824, 1Gi"})
  void writesWhatTheApiServerWouldStore(long bytes, String text) {
    assertThat(Quantities.ofBytes(bytes)).hasToString(text);
  }

  @ParameterizedTest
  @CsvSource({
    "24Gi, 25769803776",
    "1.5Gi, 1610612736",
    "1e3, 1000",
    "1k, 1000",
    "500m, 0",
    "128974848000m, 128974848"
  })
  void readsWhatPeopleWrite(String text, long bytes) {
    assertThat(Quantities.bytes("field", new Quantity(text))).isEqualTo(bytes);
  }

  @ParameterizedTest
  @ValueSource(strings = {"lots", "-1Gi", "9000000Ei", "1Gb", "1GB", "1e-300000000"})
  void namesTheFieldOfWhatItCannotRead(String text) {
    assertThatThrownBy(() -> Quantities.bytes("spec.tiers.dram.size", new Quantity(text)))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("spec.tiers.dram.size");
  }
}
