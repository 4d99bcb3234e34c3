package dev.kvdrive.cli.status;

import dev.kvdrive.cli.cluster.Cluster;
import dev.kvdrive.cli.cluster.ClusterException;
import dev.kvdrive.cli.cluster.PlaceOptions;
import dev.kvdrive.cli.terminal.Terminal;
import dev.kvdrive.model.file.Printable;
import java.io.PrintWriter;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** {@code ./kvdrive status}: what became of deployments in a cluster. */
@Command(
    name = "status",
    description =
        "Says how the deployments of a cluster stand, a line each; with a name what the matter is with one and what"
            + " helps, its plan, its pods and what they do now. What may not be read is named and left out.",
    mixinStandardHelpOptions = true,
    exitCodeListHeading = "%nExit status:%n",
    exitCodeList = {
      "0:it was read, however the deployments stand",
      "1:failed: no cluster, no such deployment, or no right to read it",
      "2:wrong usage"
    })
public final class StatusCommand implements Callable<Integer> {
  private static final Duration BETWEEN_LOOKS = Duration.ofSeconds(2);
  private static final String CLEAR = "\u001b[H\u001b[2J\u001b[3J";

  @Spec private CommandSpec spec;

  @Parameters(
      arity = "0..1",
      paramLabel = "NAME",
      description = "The deployment to look at (default: all of the namespace).")
  private @Nullable String name;

  @Option(
      names = {"-A", "--all-namespaces"},
      description = "Look in all namespaces.")
  private boolean all;

  @Mixin private PlaceOptions place = new PlaceOptions();

  @Option(
      names = {"-w", "--watch"},
      description = "Say it again whenever it has changed, until Ctrl-C.")
  private boolean watch;

  @Override
  public Integer call() throws InterruptedException {
    if (all && (name != null || place.namespace() != null)) {
      throw new ParameterException(
          spec.commandLine(),
          "-A shows all deployments of all namespaces; leave out %s"
              .formatted(name != null ? "the name " + name : "-n " + place.namespace()));
    }
    PrintWriter out = spec.commandLine().getOut();
    Terminal terminal = Terminal.of(out);
    try (Cluster opened = place.open(spec)) {
      if (name != null) {
        show(new StatusReport(opened, name, terminal, watch), terminal);
      } else {
        StatusTable table = new StatusTable(opened, all);
        List<StatusTable.Row> first = show(table, terminal);
        if (first.isEmpty()) {
          spec.commandLine()
              .getErr()
              .println(
                  all
                      ? "There are no InferenceDeployments in this cluster."
                      : "There are no InferenceDeployments in namespace %s; -A shows those of all namespaces."
                          .formatted(opened.namespace()));
        }
      }
    }
    return 0;
  }

  /** Shows a view once, or from now on; what the first look brought. */
  private <T> T show(View<T> view, Terminal terminal) throws InterruptedException {
    T first = view.look();
    T seen = first;
    String shown = "";
    String fault = "";
    while (true) {
      String timeless = view.text(seen, Instant.EPOCH);
      if (!timeless.equals(shown)) {
        print(view.text(seen, Instant.now()), terminal, !shown.isEmpty());
        shown = timeless;
      }
      if (!watch) {
        return first;
      }
      Thread.sleep(BETWEEN_LOOKS);
      try {
        seen = view.look();
        fault = "";
      } catch (ClusterException e) {
        // A server that restarts must not end a watch; what is gone is told once.
        if (!String.valueOf(e.getMessage()).equals(fault)) {
          fault = String.valueOf(e.getMessage());
          spec.commandLine()
              .getErr()
              .println(Printable.of("kvdrive: %s; looking again".formatted(fault)));
        }
      }
    }
  }

  private void print(String text, Terminal terminal, boolean again) {
    PrintWriter out = spec.commandLine().getOut();
    if (watch && terminal.live()) {
      out.print(CLEAR);
    } else if (again) {
      out.println();
    }
    out.print(text);
    out.flush();
  }
}
