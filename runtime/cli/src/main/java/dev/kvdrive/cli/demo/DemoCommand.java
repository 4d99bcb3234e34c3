package dev.kvdrive.cli.demo;

import dev.kvdrive.bench.document.TooShortException;
import dev.kvdrive.cli.option.Bounded;
import dev.kvdrive.cli.option.BudgetOptions;
import dev.kvdrive.cli.option.ChatTemplateOption;
import dev.kvdrive.cli.option.DeviceOption;
import dev.kvdrive.cli.option.RopeOptions;
import dev.kvdrive.cli.option.RuntimeOptions;
import dev.kvdrive.cli.option.UsableDevice;
import dev.kvdrive.cli.serve.LocalRuntime;
import dev.kvdrive.cli.terminal.Terminal;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** {@code ./kvdrive demo}. */
@Command(
    name = "demo",
    description =
        "Asks the bundled model about a long document whose KV cache is spread over a small GPU"
            + " tier, DRAM and NVMe, checks the answer and says where the bytes were.",
    mixinStandardHelpOptions = true,
    exitCodeListHeading = "%nExit status:%n",
    exitCodeList = {"0:the answer is right", "1:it is wrong, or something failed", "2:wrong usage"})
public final class DemoCommand implements Callable<Integer> {
  @Spec private CommandSpec spec;

  @Option(
      names = "--tokens",
      converter = Bounded.Positive.class,
      defaultValue = "24576",
      description = "Tokens of the document (default: ${DEFAULT-VALUE}).")
  private int tokens;

  @Mixin private BudgetOptions budget = new BudgetOptions();

  @Option(
      names = "--seed",
      defaultValue = "2",
      description = "Of the document and its facts (default: ${DEFAULT-VALUE}).")
  private long seed;

  @Mixin private ChatTemplateOption chatTemplate = new ChatTemplateOption();

  @Mixin private RopeOptions rope = new RopeOptions();

  @Mixin private DeviceOption device = new DeviceOption();

  @Option(
      names = "--threads",
      converter = Bounded.Count.class,
      defaultValue = "0",
      paramLabel = "N",
      description = "Threads of the CPU device (default: as many as processors).")
  private int threads;

  @Option(names = "--keep", description = "Go on serving after the answer, until Ctrl-C.")
  private boolean keep;

  @Override
  public Integer call() throws Exception {
    Map<String, String> changes = new LinkedHashMap<>(rope.settings(spec));
    chatTemplate.source(spec);
    changes.putAll(chatTemplate.settings());
    UsableDevice.require(device, spec);
    Demo demo =
        new Demo(
            Terminal.of(spec.commandLine().getOut()),
            tokens,
            budget.budget(spec),
            seed,
            device.kind(),
            threads,
            new Demo.ModelChange(rope.scaling(spec), changes, RuntimeOptions.flagsOf(spec)));
    try (LocalRuntime runtime = demo.start(LocalRuntime.cacheFolder(), null)) {
      boolean right = demo.ask(runtime);
      demo.invite(runtime, keep);
      if (keep) {
        runtime.awaitEnd();
      }
      return right ? 0 : 1;
    } catch (TooShortException e) {
      throw new ParameterException(
          spec.commandLine(),
          "--tokens must be at least %,d, got %,d"
              .formatted(e.needed() - Demo.FAMILY.maxNewTokens(), tokens),
          e);
    }
  }
}
