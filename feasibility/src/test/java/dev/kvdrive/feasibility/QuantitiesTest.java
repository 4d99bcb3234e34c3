package dev.kvdrive.feasibility;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.api.Assertions.assertTimeoutPreemptively;

import io.fabric8.kubernetes.api.model.Quantity;
import java.time.Duration;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.LongRange;
import org.junit.jupiter.api.Test;
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
    "1.1Gi, 1181116007",
    "128974848000m, 128974848"
  })
  void readsWhatPeopleWrite(String text, long bytes) {
    assertThat(Quantities.bytes("field", new Quantity(text))).isEqualTo(bytes);
  }

  /** Some of them would keep a processor busy for minutes, others end in ArithmeticException. */
  @ParameterizedTest
  @ValueSource(
      strings = {
        "1e-999999",
        "1e-300000000",
        "1e-999999999",
        "1e999999999",
        "1E99999999999999",
        "1e+400",
        "1e-400",
        "00000000000000000000000000000000000000000000000001Mi"
      })
  void anAbsurdQuantityIsRefusedWithoutBeingCalculated(String text) {
    assertTimeoutPreemptively(
        Duration.ofSeconds(20),
        () -> {
          assertThatThrownBy(() -> Quantities.bytes("spec.tiers.gpu.memory", new Quantity(text)))
              .isInstanceOf(IllegalArgumentException.class)
              .hasMessageContaining("spec.tiers.gpu.memory");
          assertThatThrownBy(() -> Quantities.processors("spec.runtime.cpu", new Quantity(text)))
              .isInstanceOf(IllegalArgumentException.class)
              .hasMessageContaining("spec.runtime.cpu");
        });
  }

  @ParameterizedTest
  @CsvSource({"100m, 1", "1, 1", "1500m, 2", "4, 4", "1e2, 100"})
  void readsProcessors(String text, int processors) {
    assertThat(Quantities.processors("field", new Quantity(text))).isEqualTo(processors);
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "0 | is not above 0; write a number of processors,",
        "-1 | is not above 0; write a number of processors,",
        "1.5Gi | has a unit of bytes; write a number of processors,",
        "4M | is more than 1000000; write a number of processors,",
        "many | is not a quantity; write"
      })
  void refusesWhatIsNoNumberOfProcessors(String text, String why) {
    assertThatThrownBy(() -> Quantities.processors("spec.runtime.cpu", new Quantity(text)))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageStartingWith("spec.runtime.cpu: '%s' %s for instance".formatted(text, why));
  }

  @Test
  void saysWhatIsWrongWithANegativeSize() {
    assertThatThrownBy(() -> Quantities.bytes("spec.tiers.dram.size", new Quantity("-5Gi")))
        .hasMessage(
            "spec.tiers.dram.size: '-5Gi' is negative; write a size without a sign, for instance 512Mi or 24Gi");
  }

  @ParameterizedTest
  @ValueSource(strings = {"lots", "500m", "1.5", "-1Gi", "9000000Ei", "1Gb", "1GB", "1e-300000000"})
  void namesTheFieldOfWhatItCannotRead(String text) {
    assertThatThrownBy(() -> Quantities.bytes("spec.tiers.dram.size", new Quantity(text)))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("spec.tiers.dram.size");
  }
}
