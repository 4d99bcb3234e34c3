package dev.kvdrive.cli.terminal;

import static org.assertj.core.api.Assertions.assertThat;

import java.time.Duration;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class QuantitiesTest {
  @ParameterizedTest
  @CsvSource({
    "40, 0.0 s",
    "4_240, 4.2 s",
    "9_960, 10 s",
    "59_600, 1 min 00 s",
    "65_000, 1 min 05 s",
    "7_630_000, 2 h 07 min",
  })
  void durationsHaveTheUnitOfTheirSize(String millis, String text) {
    Duration duration = Duration.ofMillis(Long.parseLong(millis.replace("_", "")));
    assertThat(Quantities.duration(duration)).isEqualTo(text);
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {"0.5|0.50", "9.994|9.99", "9.996|10.0", "99.94|99.9", "99.96|100", "12345.6|12,346"})
  void ratesHaveThreeSignificantDigits(double rate, String text) {
    assertThat(Quantities.rate(rate)).isEqualTo(text);
  }

  @ParameterizedTest
  @CsvSource({"0.0625, 6.25 %", "0.0156, 1.56 %", "0.5, 50 %", "1, 100 %"})
  void sharesHaveTheDigitsTheyNeed(double share, String text) {
    assertThat(Quantities.share(share)).isEqualTo(text);
  }
}
