package dev.kvdrive.cli.logs;

import dev.kvdrive.cli.cluster.Cluster;
import dev.kvdrive.cli.cluster.PlaceOptions;
import dev.kvdrive.cli.option.Bounded;
import dev.kvdrive.cli.option.TimeConverter;
import java.time.Duration;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** {@code ./kvdrive logs}: what the pods of a deployment write. */
@Command(
    name = "logs",
    description =
        "Shows what the runtimes of a deployment write, of all of its pods, each line with its pod where there are"
            + " several.",
    mixinStandardHelpOptions = true,
    exitCodeListHeading = "%nExit status:%n",
    exitCodeList = {
      "0:the log of at least one pod was shown",
      "1:failed: no cluster, no such deployment, no pod with a log, or no right to read it",
      "2:wrong usage"
    })
public final class LogsCommand implements Callable<Integer> {
  @Spec private CommandSpec spec;

  @Parameters(paramLabel = "NAME", description = "The deployment.")
  private String name;

  @Mixin private PlaceOptions place = new PlaceOptions();

  @Option(
      names = {"-f", "--follow"},
      description =
          "Go on with what is written from now on, also by pods that take the place of others, until Ctrl-C.")
  private boolean follow;

  @Option(
      names = "--tail",
      paramLabel = "N",
      converter = Bounded.Count.class,
      description = "Only the last N lines of each pod (default: all).")
  private @Nullable Integer tail;

  @Option(
      names = "--since",
      paramLabel = "TIME",
      converter = TimeConverter.class,
      description = "Only what was written in the last 90s, 9m or 2h.")
  private @Nullable Duration since;

  @Option(
      names = {"-p", "--previous"},
      description = "What the containers wrote that ran before the last restart.")
  private boolean previous;

  @Override
  public Integer call() throws InterruptedException {
    if (previous && follow) {
      throw new ParameterException(
          spec.commandLine(),
          "--previous and --follow exclude each other: what has ended writes no more");
    }
    try (Cluster opened = place.open(spec)) {
      opened.deployment(name);
      PodLogs logs =
          new PodLogs(
              opened,
              name,
              new PodLogs.Part(tail, since, previous),
              new Lines(spec.commandLine().getOut(), spec.commandLine().getErr()));
      return follow ? logs.follow() : logs.show();
    }
  }
}
