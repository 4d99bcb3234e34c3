package dev.kvdrive.cli;

import dev.kvdrive.cli.bench.BenchCommand;
import dev.kvdrive.cli.calibrate.CalibrateCommand;
import dev.kvdrive.cli.demo.DemoCommand;
import dev.kvdrive.cli.eval.EvalCommand;
import dev.kvdrive.cli.logs.LogsCommand;
import dev.kvdrive.cli.plan.PlanCommand;
import dev.kvdrive.cli.serve.ServeCommand;
import dev.kvdrive.cli.simulate.SimulateCommand;
import dev.kvdrive.cli.status.StatusCommand;
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
      SimulateCommand.class,
      StatusCommand.class,
      LogsCommand.class
    })
public final class KvDrive {
  private KvDrive() {}

  /** Runs one command and exits with its status: 0 done, 1 failed, 2 wrong usage, 3 infeasible. */
  public static void main(String[] args) {
    System.exit(commandLine().execute(args));
  }

  static CommandLine commandLine() {
    return CommandLines.of(new KvDrive(), "./kvdrive");
  }
}
