package dev.kvdrive.cli.bench;

import dev.kvdrive.bench.matrix.MatrixFile;
import dev.kvdrive.bench.matrix.MatrixPlot;
import dev.kvdrive.bench.matrix.MatrixReport;
import dev.kvdrive.bench.matrix.SpeedMatrix;
import dev.kvdrive.cli.option.OutputFileConverter;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** {@code ./kvdrive bench report}: tables and one drawing of several matrices. */
@Command(
    name = "report",
    description = "Tells what several runs of ./kvdrive bench matrix --json have measured as one.",
    mixinStandardHelpOptions = true)
public final class MatrixReportCommand implements Callable<Integer> {
  @Spec private CommandSpec spec;

  @Parameters(
      paramLabel = "FILE",
      arity = "1..*",
      description = "JSON of ./kvdrive bench matrix --json, .json or .json.gz.")
  private List<Path> files = new ArrayList<>();

  @Option(
      names = "--plot",
      paramLabel = "FILE",
      converter = OutputFileConverter.class,
      description = "Draw the ratios as SVG.")
  private @Nullable Path plot;

  @Option(
      names = "--json",
      paramLabel = "FILE",
      converter = OutputFileConverter.class,
      description = "Write all of it as one JSON file, compressed if its name ends in .gz.")
  private @Nullable Path json;

  @Override
  public Integer call() throws IOException {
    SpeedMatrix matrix;
    try {
      matrix = SpeedMatrix.merged(files.stream().map(MatrixFile::read).toList());
    } catch (IllegalArgumentException e) {
      throw new ParameterException(spec.commandLine(), String.valueOf(e.getMessage()), e);
    }
    spec.commandLine().getOut().print(MatrixReport.markdown(matrix));
    spec.commandLine().getOut().flush();
    if (json != null) {
      MatrixFile.write(json, matrix);
    }
    if (plot != null) {
      Files.writeString(plot, MatrixPlot.svg(matrix));
    }
    return 0;
  }
}
