package dev.kvdrive.cli.logs;

import dev.kvdrive.model.file.Printable;
import java.io.PrintWriter;
import java.util.HashSet;
import java.util.Set;

/**
 * Lines of several pods, one after the other. Once there are two pods every line names its own.
 * What a pod writes controls no terminal. For any number of threads.
 */
final class Lines {
  private final PrintWriter out;
  private final PrintWriter err;
  private final Set<String> pods = new HashSet<>();

  Lines(PrintWriter out, PrintWriter err) {
    this.out = out;
    this.err = err;
  }

  /** There will be lines of this pod. */
  synchronized void expect(String pod) {
    pods.add(pod);
  }

  synchronized void line(String pod, String text) {
    out.println(
        pods.size() > 1 ? "[%s] %s".formatted(pod, Printable.of(text)) : Printable.of(text));
    out.flush();
  }

  /** What is not of a log goes beside it. */
  synchronized void remark(String text) {
    err.println(Printable.of("kvdrive: " + text));
    err.flush();
  }
}
