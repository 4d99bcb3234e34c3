package dev.kvdrive.cli;

import picocli.CommandLine;
import picocli.CommandLine.Command;

/** Entry point of {@code ./kvdrive}. Errors are one line on standard error and exit status 1. */
@Command(
    name = "kvdrive",
    description = "Long-context inference with the KV cache over GPU memory, DRAM and NVMe.",
    mixinStandardHelpOptions = true,
    subcommands = {PlanCommand.class})
public final class KvDrive {
  private KvDrive() {}

  /** Runs one command and exits with its status: 0 done, 1 failed, 2 wrong usage, 3 infeasible. */
  public static void main(String[] args) {
    System.exit(commandLine().execute(args));
  }

  static CommandLine commandLine() {
    CommandLine line = new CommandLine(new KvDrive());
    line.setCaseInsensitiveEnumValuesAllowed(true);
    line.setExecutionExceptionHandler(
        (failure, cmd, parsed) -> {
          if (System.getenv("KVDRIVE_DEBUG") != null) {
            failure.printStackTrace(cmd.getErr());
          }
          String message = failure.getMessage();
          cmd.getErr().println("kvdrive: " + (message == null ? failure.toString() : message));
          return 1;
        });
    return line;
  }
}
