package dev.kvdrive.cli.demo;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.kvdrive.cli.serve.LocalRuntime;
import dev.kvdrive.cli.terminal.Terminal;
import dev.kvdrive.plan.Budget;
import dev.kvdrive.plan.DeviceKind;
import dev.kvdrive.plan.RopeScaling;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
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
    return run(TOKENS, budget, seed, Demo.ModelChange.NONE);
  }

  private boolean run(int tokens, double budget, long seed, Demo.ModelChange change)
      throws IOException, InterruptedException {
    Terminal terminal = new Terminal(new PrintWriter(out, true), false, false, false);
    Demo demo = new Demo(terminal, tokens, Budget.of(budget), seed, DeviceKind.CPU, 2, change);
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
  void saysWhatEstimateAndPrefetchDid() throws Exception {
    assertThat(run(0.25, 1)).as(out.toString()).isTrue();
    assertThat(out.toString())
        .containsPattern("estimated  the other [1-9][0-9,]*, by clusters of 16 tokens")
        .containsPattern("prefetched [1-9][0-9,]* chunks .* asked for [0-9.]+ %");
  }

  @Test
  void saysWhatIsMissingWhenTheBudgetIsTooSmallToFindIt() throws Exception {
    // One chunk of each head; with most other seeds even that is enough for the year.
    assertThat(run(0.002, 12)).as(out.toString()).isFalse();
    assertThat(out.toString()).contains("MISSING", "The answer is wrong");
  }

  /** A document beyond what the model was trained for, and a template that refuses it. */
  @Test
  void aChangeOfTheModelReachesPlanAndRuntime() throws Exception {
    Path template =
        Files.writeString(folder.resolve("chat.jinja"), "{{ raise_exception('no chats today') }}");
    Map<String, String> settings =
        Map.of(
            "kvdrive.model.rope-scaling.type", "yarn",
            "kvdrive.model.rope-scaling.factor", "2",
            "kvdrive.model.chat-template", template.toString());
    RopeScaling scaling = new RopeScaling(RopeScaling.Type.YARN, 2, null);
    int beyond = 34_000;
    assertThatThrownBy(() -> run(beyond, 0.0625, 1, Demo.ModelChange.NONE))
        .hasMessageContaining("trained for 32,768 tokens")
        .hasMessageContaining("Rope scaling can extend it");
    assertThatThrownBy(
            () -> run(beyond, 0.0625, 1, new Demo.ModelChange(scaling, settings, Map.of())))
        .isInstanceOf(IOException.class)
        .hasMessageContaining("no chats today");
  }
}
