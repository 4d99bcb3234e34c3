package dev.kvdrive.cli;

import dev.kvdrive.cli.logs.LogsCommand;
import dev.kvdrive.cli.plan.PlanCommand;
import dev.kvdrive.cli.status.StatusCommand;
import picocli.CommandLine;
import picocli.CommandLine.Command;

/**
 * Entry point of {@code kubectl kvdrive}: of the commands those that are of a cluster. It names no
 * other, so that the plugin is packed without an engine.
 */
@Command(
    name = "kubectl kvdrive",
    description = "Plans, looks at and follows InferenceDeployments.",
    mixinStandardHelpOptions = true,
    exitCodeListHeading = "%nExit status of every command:%n",
    exitCodeList = {
      "0:done",
      "1:failed",
      "2:wrong usage: an option, its value, or what it does not go with",
      "3:a plan does not fit"
    },
    subcommands = {PlanCommand.class, StatusCommand.class, LogsCommand.class})
public final class KubectlKvDrive {
  private KubectlKvDrive() {}

  /** Runs one command and exits with its status, as {@link KvDrive}. */
  public static void main(String[] args) {
    System.exit(commandLine().execute(args));
  }

  static CommandLine commandLine() {
    return CommandLines.of(new KubectlKvDrive(), "kubectl kvdrive");
  }
}
