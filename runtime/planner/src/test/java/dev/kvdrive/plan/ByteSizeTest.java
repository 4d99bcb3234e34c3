package dev.kvdrive.plan;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.math.BigDecimal;
import java.util.List;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.LongRange;
import org.junit.jupiter.api.Test;
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
    "1.1Gi,1181116007",
    "1500000m,1500",
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
  @CsvSource({
    "8Ei, is not below 8Ei",
    "9223372036854775808, is not below 8Ei",
    "1e19, is not below 8Ei",
    "1e999, is not below 8Ei",
    "-5Gi, is negative",
    "-1m, is negative"
  })
  void hasTheBoundsOfKubernetes(String text, String bound) {
    String message =
        bound.equals("is negative")
            ? "size: '%s' is negative; write a size without a sign, for instance 512Mi or 24Gi"
                .formatted(text)
            : "size: '%s' is not below 8Ei, the most that can be counted; write a smaller size, for instance 24Gi"
                .formatted(text);
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
  @ValueSource(strings = {"1.5", "0.5", "1m", "1500m", "1u", "1n", "15e-1", "1.5B"})
  void refusesFractionsOfBytesAndSaysWhatToWrite(String text) {
    assertThatThrownBy(() -> ByteSize.parse("tiers.dram", text))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageStartingWith("tiers.dram: '%s' is a fraction of bytes".formatted(text))
        .hasMessageContaining("for instance 512Mi or 1.5Gi");
  }

  @Test
  void saysThatASmallMIsAThousandth() {
    assertThatThrownBy(() -> ByteSize.quantity("tiers.dram", "1m"))
        .hasMessageContaining("m is a thousandth")
        .hasMessageContaining("a million is M");
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = ';',
      value = {
        "0; 50331649; 0 B; 48.1 MiB; 48.1 MiB",
        "50331648; 52428; 49,152.0 KiB; 51.2 KiB; 49,203.2 KiB",
        "25769803776; 1; 25,769,803,776 B; 1 B; 25,769,803,777 B",
        "16106127360; 1610612736; 15.00 GiB; 1.50 GiB; 16.50 GiB",
        "0; 0; 0 B; 0 B; 0 B",
      })
  void writesSumsThatAddUp(long a, long b, String first, String second, String sum) {
    assertThat(ByteSize.adding(a, b)).containsExactly(first, second, sum);
  }

  @Property
  void whatIsWrittenOfASumAddsUpAndIsNeverTooLittle(
      @ForAll @LongRange(min = 0, max = 1L << 50) long a,
      @ForAll @LongRange(min = 0, max = 1L << 50) long b) {
    List<BigDecimal> written =
        ByteSize.adding(a, b).stream()
            .map(text -> new BigDecimal(text.replaceAll("[^0-9.]", "")))
            .toList();
    assertThat(written.get(0).add(written.get(1))).isEqualByComparingTo(written.get(2));
    List<String> texts = ByteSize.adding(a, b);
    assertThat(ByteSize.parse("a", texts.get(0).replace(",", ""))).isGreaterThanOrEqualTo(a);
    assertThat(ByteSize.parse("b", texts.get(1).replace(",", ""))).isGreaterThanOrEqualTo(b);
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
