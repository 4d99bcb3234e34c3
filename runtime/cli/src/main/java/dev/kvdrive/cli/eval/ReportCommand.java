package dev.kvdrive.cli.eval;

import dev.kvdrive.bench.eval.EvalColumn;
import dev.kvdrive.bench.eval.EvalFile;
import dev.kvdrive.bench.eval.EvalPlot;
import dev.kvdrive.bench.eval.EvalReport;
import dev.kvdrive.cli.option.OutputFileConverter;
import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** {@code ./kvdrive eval report}: one table and one drawing of several runs. */
@Command(
    name = "report",
    description =
        "Reads what ./kvdrive eval --json has written, of runs on one machine or several, and tells"
            + " it as one: a line for each model, context, policy and budget, with 95 %% intervals and"
            + " what it is above or below exact attention on the same samples.",
    mixinStandardHelpOptions = true)
public final class ReportCommand implements Callable<Integer> {
  @Spec private CommandSpec spec;

  @Parameters(
      paramLabel = "FILE",
      arity = "1..*",
      description = "JSON of ./kvdrive eval --json, .json or .json.gz.")
  private List<Path> files = new ArrayList<>();

  @Option(names = "--by-task", description = "Also a table of tasks for each model and context.")
  private boolean byTask;

  @Option(
      names = "--plot",
      paramLabel = "FILE",
      converter = OutputFileConverter.class,
      description = "Draw the differences from exact attention as SVG.")
  private @Nullable Path plot;

  @Option(
      names = "--json",
      paramLabel = "FILE",
      converter = OutputFileConverter.class,
      description = "Write all of it as one JSON file, compressed if its name ends in .gz.")
  private @Nullable Path json;

  @Override
  public Integer call() throws IOException {
    EvalReport report = new EvalReport();
    Map<List<Object>, EvalReport> parts = new LinkedHashMap<>();
    for (Path file : files) {
      int others = 0;
      for (EvalColumn column : EvalFile.read(file)) {
        others += report.add(column);
        parts
            .computeIfAbsent(
                List.of(
                    column.settings().model(),
                    column.settings().weights(),
                    column.settings().length()),
                key -> new EvalReport())
            .add(column);
      }
      if (others > 0) {
        spec.commandLine()
            .getErr()
            .printf(
                "%d samples of %s have another score in an earlier file, which counts.%n",
                others, file);
      }
    }
    PrintWriter out = spec.commandLine().getOut();
    out.print(report.summary());
    if (byTask) {
      for (EvalReport part : parts.values()) {
        var settings = part.columns().getFirst().settings();
        out.printf("%n%s, %,d tokens:%n%n%s", settings.model(), settings.length(), part.byTask());
        if (part.rows().stream().anyMatch(row -> row.against() != null)) {
          out.printf("%nPoints against exact attention:%n%n%s", part.againstByTask());
        }
      }
    }
    out.flush();
    if (json != null) {
      EvalFile.write(json, Map.of(), report);
    }
    if (plot != null) {
      Files.writeString(plot, EvalPlot.svg(report));
    }
    return 0;
  }
}
