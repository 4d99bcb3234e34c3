package dev.kvdrive.plan;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class ByteSizeTest {
  @ParameterizedTest
  @CsvSource({
    "0,0",
    "512,512",
    "512Mi,536870912",
    "1.5Gi,1610612736",
    "2G,2000000000",
    "3MiB,3145728",
    "1k,1000",
    "1Ti,1099511627776",
    "100 MB,100000000"
  })
  void readsWhatPeopleWrite(String text, long bytes) {
    assertThat(ByteSize.parse("size", text)).isEqualTo(bytes);
  }

  @ParameterizedTest
  @ValueSource(strings = {"", "-1Gi", "1Xi", "Gi", "1e9Gi", "9999999P", "1 2Gi"})
  void refusesWhatIsNotASizeAndNamesTheField(String text) {
    assertThatThrownBy(() -> ByteSize.parse("tiers.gpu", text))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("tiers.gpu")
        .hasMessageContaining(text);
  }

  @ParameterizedTest
  @CsvSource({
    "0,0 B",
    "1023,1023 B",
    "1024,1.00 KiB",
    "131072,128 KiB",
    "1610612736,1.50 GiB",
    "62914560000,58.6 GiB",
    "1048575,1.00 MiB"
  })
  void writesThreeDigits(long bytes, String text) {
    assertThat(ByteSize.human(bytes)).isEqualTo(text);
  }
}
