package dev.kvdrive.cli.terminal;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.PrintWriter;
import java.io.StringWriter;
import java.util.Map;
import org.junit.jupiter.api.Test;

class TerminalTest {
  private final StringWriter out = new StringWriter();

  private Terminal terminal(boolean live, boolean colour) {
    return new Terminal(new PrintWriter(out), live, colour, true);
  }

  @Test
  void aFileGetsNoControlCharactersAndALineForEveryTenth() {
    Terminal terminal = terminal(false, false);
    ProgressBar bar = new ProgressBar(terminal, "Reading");
    for (int percent = 0; percent <= 100; percent++) {
      bar.update(percent / 100.0, "");
    }
    terminal.passing("not for files");
    terminal.line(terminal.bold("done"));
    assertThat(out.toString()).doesNotContain("\u001b", "\r", "not for files").contains("done");
    assertThat(out.toString().lines().filter(line -> line.startsWith("Reading"))).hasSize(11);
  }

  @Test
  void aLiveLineIsErasedBeforeTheNextOne() {
    Terminal terminal = terminal(true, false);
    new ProgressBar(terminal, "Reading").update(0.5, "soon");
    terminal.line("done");
    assertThat(out.toString())
        .contains("█".repeat(16) + "░".repeat(16) + "  50 %  soon\r\u001b[2Kdone");
  }

  @Test
  void coloursAreOnlyForTerminalsThatShowThemAndPeopleWhoWantThem() {
    assertThat(Terminal.wantsColour(Map.of("TERM", "xterm"))).isTrue();
    assertThat(Terminal.wantsColour(Map.of("TERM", "xterm", "NO_COLOR", ""))).isTrue();
    assertThat(Terminal.wantsColour(Map.of("TERM", "xterm", "NO_COLOR", "1"))).isFalse();
    assertThat(Terminal.wantsColour(Map.of("TERM", "dumb"))).isFalse();
    assertThat(Terminal.wantsColour(Map.of())).isFalse();
    assertThat(terminal(true, true).good("yes")).isEqualTo("\u001b[32myes\u001b[0m");
  }
}
