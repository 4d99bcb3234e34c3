package dev.kvdrive.cli.demo;

import static org.assertj.core.api.Assertions.assertThat;

import dev.kvdrive.cli.serve.LocalRuntime;
import dev.kvdrive.cli.terminal.Terminal;
import dev.kvdrive.plan.DeviceKind;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The whole demo with the real engine, on a document of 1,600 tokens. */
class DemoTest {
  private static final int TOKENS = 1600;

  @TempDir private Path folder;
  private final StringWriter out = new StringWriter();

  private boolean run(double budget, long seed) throws IOException, InterruptedException {
    Terminal terminal = new Terminal(new PrintWriter(out, true), false, false, false);
    Demo demo = new Demo(terminal, TOKENS, budget, seed, DeviceKind.CPU, 2);
    try (LocalRuntime runtime = demo.start(folder, null)) {
      boolean right = demo.ask(runtime);
      demo.invite(runtime, false);
      return right;
    }
  }

  private boolean fetchedFrom(String tier) {
    return Pattern.compile("fetched .*[1-9][0-9.]* (B|KiB|MiB) from " + tier)
        .matcher(out.toString())
        .find();
  }

  @Test
  void findsTheFactFetchingFromDramAndFromNvmeAndLeavesNothing() throws Exception {
    assertThat(run(1, 1)).as(out.toString()).isTrue();
    assertThat(fetchedFrom("DRAM")).as(out.toString()).isTrue();
    assertThat(fetchedFrom("NVMe")).as(out.toString()).isTrue();
    assertThat(out.toString())
        .contains("Question", "Answer", "right", "GPU arena", "hit rate", "tokens/s", "curl")
        .contains("on device cpu", "device     CPU, 2 threads")
        .doesNotContain("MISSING", "\u001b");
    try (Stream<Path> left = Files.list(folder.resolve("nvme"))) {
      assertThat(left).isEmpty();
    }
  }

  @Test
  void saysWhatIsMissingWhenTheBudgetIsTooSmallToFindIt() throws Exception {
    // One chunk of each head; with other seeds even that is enough for the year.
    assertThat(run(0.002, 2)).as(out.toString()).isFalse();
    assertThat(out.toString()).contains("MISSING", "The answer is wrong");
  }
}
