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
    "100 MB,100000000",
    "64K,64000",
    " 5Gi ,5368709120"
  })
  void readsWhatPeopleWrite(String text, long bytes) {
    assertThat(ByteSize.parse("size", text)).isEqualTo(bytes);
  }

  @ParameterizedTest
  @CsvSource({
    "1.5Gi,1610612736",
    "1e9,1000000000",
    "1E9,1000000000",
    "5e+3,5000",
    "2500e-1,250",
    "500M,500000000",
    "129e6,129000000",
    "128974848000m,128974848",
    "128974848,128974848",
    "123Mi,128974848",
    ".5Gi,536870912",
    "1.,1",
    "+1Ki,1024",
    "500m,0",
    "3000000u,3",
    "7000000000n,7",
    "1E,1000000000000000000",
    "7Ei,8070450532247928832",
    "9223372036854775807,9223372036854775807",
    "-0,0"
  })
  void readsWhatKubernetesAcceptsEverywhere(String text, long bytes) {
    assertThat(ByteSize.quantity("size", text)).isEqualTo(bytes);
    assertThat(ByteSize.parse("size", text)).isEqualTo(bytes);
  }

  @ParameterizedTest
  @ValueSource(strings = {"512MB", "64K", " 1Gi", "1 Gi", "1ki"})
  void readsAsAQuantityOnlyWhatKubernetesAccepts(String text) {
    assertThatThrownBy(() -> ByteSize.quantity("size", text))
        .hasMessage("size: '%s' is not a size; write for instance 512Mi or 24Gi".formatted(text));
  }

  @ParameterizedTest
  @ValueSource(strings = {"8Ei", "9223372036854775808", "-1Gi", "1e19", "1e999", "-1m"})
  void hasTheBoundsOfKubernetes(String text) {
    String message = "size: '%s' is outside of 0 to 8Ei".formatted(text);
    assertThatThrownBy(() -> ByteSize.quantity("size", text)).hasMessage(message);
    assertThatThrownBy(() -> ByteSize.parse("size", text)).hasMessage(message);
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "",
        "-1Gi",
        "1Xi",
        "Gi",
        "1e9Gi",
        "9999999P",
        "1 2Gi",
        "1e-300000000",
        "1e999999999",
        "."
      })
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
