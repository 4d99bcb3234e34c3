package dev.kvdrive.cli;

import java.io.PrintWriter;
import java.io.StringWriter;
import picocli.CommandLine;

/** How a command of a cluster ended. */
record Ended(int code, String out, String err) {
  /** Runs {@code kubectl kvdrive} with arguments. */
  static Ended of(String... args) {
    StringWriter out = new StringWriter();
    StringWriter err = new StringWriter();
    CommandLine line = KubectlKvDrive.commandLine();
    line.setOut(new PrintWriter(out, true));
    line.setErr(new PrintWriter(err, true));
    return new Ended(line.execute(args), out.toString(), err.toString());
  }
}
