package dev.kvdrive.cli;

import dev.kvdrive.cli.bench.BenchCommand;
import dev.kvdrive.cli.calibrate.CalibrateCommand;
import dev.kvdrive.cli.demo.DemoCommand;
import dev.kvdrive.cli.eval.EvalCommand;
import dev.kvdrive.cli.plan.PlanCommand;
import dev.kvdrive.cli.serve.ServeCommand;
import dev.kvdrive.cli.simulate.SimulateCommand;
import dev.kvdrive.model.file.FileFault;
import dev.kvdrive.model.file.Printable;
import dev.kvdrive.plan.InfeasiblePlanException;
import java.io.PrintWriter;
import picocli.CommandLine;
import picocli.CommandLine.Command;

/** Entry point of {@code ./kvdrive}. Errors are one line on standard error. */
@Command(
    name = "kvdrive",
    description = "Long-context inference with the KV cache over GPU memory, DRAM and NVMe.",
    mixinStandardHelpOptions = true,
    exitCodeListHeading = "%nExit status of every command:%n",
    exitCodeList = {
      "0:done",
      "1:failed, a server cannot start, or the answer of the demo is wrong",
      "2:wrong usage: an option, its value, or what it does not go with",
      "3:a plan does not fit"
    },
    subcommands = {
      DemoCommand.class,
      ServeCommand.class,
      PlanCommand.class,
      EvalCommand.class,
      BenchCommand.class,
      CalibrateCommand.class,
      SimulateCommand.class
    })
public final class KvDrive {
  private KvDrive() {}

  /** Runs one command and exits with its status: 0 done, 1 failed, 2 wrong usage, 3 infeasible. */
  public static void main(String[] args) {
    System.exit(commandLine().execute(args));
  }

  static CommandLine commandLine() {
    CommandLine line = new CommandLine(new KvDrive());
    line.setCaseInsensitiveEnumValuesAllowed(true);
    line.setParameterExceptionHandler(
        (failure, args) -> {
          PrintWriter err = failure.getCommandLine().getErr();
          String command = failure.getCommandLine().getCommandSpec().qualifiedName();
          err.println(Printable.of("kvdrive: " + failure.getMessage()));
          err.println("See './%s --help'.".formatted(command));
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
