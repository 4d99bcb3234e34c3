package dev.kvdrive.cli;

import dev.kvdrive.cli.plan.PlanCommand;
import dev.kvdrive.model.file.FileFault;
import dev.kvdrive.model.file.Printable;
import dev.kvdrive.plan.InfeasiblePlanException;
import java.io.PrintWriter;
import picocli.CommandLine;

/** What every way to start commands has in common: how errors are told, and with what they end. */
final class CommandLines {
  private CommandLines() {}

  /**
   * A command line whose errors are one line on standard error.
   *
   * @param root with the commands
   * @param called what the user types to start it, as help names it
   */
  static CommandLine of(Object root, String called) {
    CommandLine line = new CommandLine(root);
    line.setCaseInsensitiveEnumValuesAllowed(true);
    line.setParameterExceptionHandler(
        (failure, args) -> {
          PrintWriter err = failure.getCommandLine().getErr();
          String[] command =
              failure.getCommandLine().getCommandSpec().qualifiedName("\n").split("\n", 2);
          err.println(Printable.of("kvdrive: " + failure.getMessage()));
          err.println(
              "See '%s%s --help'."
                  .formatted(
                      called, command.length == 1 ? "" : " " + command[1].replace('\n', ' ')));
          return failure.getCommandLine().getCommandSpec().exitCodeOnInvalidInput();
        });
    line.setExecutionExceptionHandler(
        (failure, cmd, parsed) -> {
          if (System.getenv("KVDRIVE_DEBUG") != null) {
            failure.printStackTrace(cmd.getErr());
          }
          String message = FileFault.words(failure);
          if (message == null) {
            message = failure.getMessage();
          }
          cmd.getErr()
              .println(
                  Printable.of("kvdrive: " + (message == null ? failure.toString() : message)));
          return doesNotFit(failure) ? PlanCommand.INFEASIBLE : 1;
        });
    return line;
  }

  private static boolean doesNotFit(Throwable failure) {
    for (Throwable cause = failure; cause != null; cause = cause.getCause()) {
      if (cause instanceof InfeasiblePlanException) {
        return true;
      }
    }
    return false;
  }
}
