package dev.kvdrive.model.file;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.file.Path;
import org.junit.jupiter.api.Test;

class PrintableTest {
  @Test
  void whatControlsATerminalIsShownAsItsCode() {
    assertThat(Printable.of("a\u001b[31mb\u0007\u0000\u007f\u0085"))
        .isEqualTo("a\\u001b[31mb\\u0007\\u0000\\u007f\\u0085");
  }

  @Test
  void whatTurnsALineAroundIsShownAsItsCode() {
    assertThat(Printable.of("safe\u202egnp.exe\u2028\ufeff"))
        .isEqualTo("safe\\u202egnp.exe\\u2028\\ufeff");
  }

  @Test
  void allOtherTextStaysWithItsLineBreaks() {
    String text = "größer\n\tمثال 例 \ud83d\ude80 \ud83d\udc69\u200d\ud83d\ude80";
    assertThat(Printable.of(text)).isSameAs(text);
  }

  @Test
  void aFaultOfAModelShowsWhatWasFoundOnOneLine() {
    assertThat(new ModelFormatException(Path.of("f"), "bad", "a\u001b\nb", "get another"))
        .hasMessage("f: bad (found: a\\u001b\\nb); get another");
  }
}
