package dev.kvdrive.cli.bench;

import dev.kvdrive.bench.engine.LocalModel;
import dev.kvdrive.bench.matrix.Cell;
import dev.kvdrive.bench.matrix.MatrixFile;
import dev.kvdrive.bench.matrix.MatrixPlot;
import dev.kvdrive.bench.matrix.MatrixReport;
import dev.kvdrive.bench.matrix.MatrixRun;
import dev.kvdrive.bench.matrix.SpeedMatrix;
import dev.kvdrive.bench.matrix.SpeedMatrix.CellFigures;
import dev.kvdrive.bench.matrix.Tiering;
import dev.kvdrive.bench.matrix.Variation;
import dev.kvdrive.bench.speed.ProbeSettings;
import dev.kvdrive.cli.option.Bounded;
import dev.kvdrive.cli.option.IndexConverter;
import dev.kvdrive.cli.option.LengthConverter;
import dev.kvdrive.cli.option.ModelName;
import dev.kvdrive.cli.option.OutputFileConverter;
import dev.kvdrive.cli.option.ProcessorOptions;
import dev.kvdrive.cli.option.ShareConverter;
import dev.kvdrive.cli.option.TimeConverter;
import dev.kvdrive.cli.terminal.Terminal;
import dev.kvdrive.decode.DecodeOptions;
import dev.kvdrive.model.source.ModelSource;
import dev.kvdrive.plan.Budget;
import dev.kvdrive.plan.Formats;
import dev.kvdrive.plan.IndexShape;
import dev.kvdrive.plan.ModelGeometry;
import dev.kvdrive.plan.PolicyShape;
import dev.kvdrive.plan.WindowOptions;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** {@code ./kvdrive bench matrix}: the method, each part of it switched, and other methods. */
@Command(
    name = "matrix",
    description =
        "Speed of decoding and of whole answers with each part of the method switched in turn, and of"
            + " other methods with the same bytes: for every length, batch and tiering all of them"
            + " read one prompt and then decode round by round. Ratios are of one round.",
    mixinStandardHelpOptions = true)
public final class MatrixCommand implements Callable<Integer> {
  @Spec private CommandSpec spec;

  @Option(
      names = "--model",
      paramLabel = "URI",
      defaultValue = ModelSource.BUILTIN,
      description = "As for bench (default: ${DEFAULT-VALUE}).")
  private String model;

  @Option(
      names = "--lengths",
      paramLabel = "TOKENS",
      split = ",",
      converter = LengthConverter.class,
      defaultValue = "8k,16k,32k",
      description = "Tokens of the prompt; 8k is 8000 (default: ${DEFAULT-VALUE}).")
  private List<Integer> lengths;

  @Option(
      names = "--batch",
      paramLabel = "N",
      split = ",",
      converter = Bounded.Positive.class,
      defaultValue = "1,4",
      description = "Sequences that decode together (default: ${DEFAULT-VALUE}).")
  private List<Integer> batches;

  @Option(
      names = "--tiers",
      paramLabel = "TIERS",
      split = ",",
      defaultValue = "dram,half",
      description =
          "dram: the KV cache has room in DRAM; half: half of it has, the rest on NVMe"
              + " (default: ${DEFAULT-VALUE}).")
  private List<Tiering> tiers;

  @Option(
      names = "--only",
      paramLabel = "NAME",
      split = ",",
      converter = VariationsConverter.class,
      completionCandidates = VariationsConverter.Words.class,
      description =
          "What is measured beside kvdrive as serve runs it: parts, baselines, nothing, or any of"
              + " ${COMPLETION-CANDIDATES} (default: all of them).")
  private @Nullable List<Variation> only;

  @Option(
      names = "--budget",
      paramLabel = "SHARE",
      converter = ShareConverter.class,
      defaultValue = "1.56%",
      description = "Share of the context attended per step (default: ${DEFAULT-VALUE}).")
  private double budget;

  @Option(
      names = "--index",
      paramLabel = "INDEX",
      converter = IndexConverter.class,
      description = "What kvdrive chooses by (default: the index that the model gets).")
  private @Nullable IndexShape index;

  @Mixin private SplitOptions split = new SplitOptions();

  @Option(
      names = "--tokens",
      paramLabel = "N",
      converter = Bounded.Positive.class,
      defaultValue = "64",
      description =
          "Tokens of a sequence in a round; fewer where they would take longer than a second"
              + " (default: ${DEFAULT-VALUE}).")
  private int tokens;

  @Option(
      names = "--rounds",
      paramLabel = "N",
      converter = Bounded.Positive.class,
      defaultValue = "8",
      description = "Rounds that count, if there is time (default: ${DEFAULT-VALUE}).")
  private int rounds;

  @Option(
      names = "--settle",
      paramLabel = "N",
      converter = Bounded.Positive.class,
      defaultValue = "512",
      description =
          "Tokens of an answer by which the code of a configuration is compiled before"
              + " (default: ${DEFAULT-VALUE}).")
  private int settling;

  @Option(
      names = "--within",
      paramLabel = "TIME",
      converter = TimeConverter.class,
      defaultValue = "1h",
      description =
          "Time for everything, for instance 90s or 9m: what it is too short for is told as missing"
              + " (default: ${DEFAULT-VALUE}).")
  private Duration within;

  @Mixin private ProcessorOptions processor = new ProcessorOptions();

  @Option(
      names = "--json",
      paramLabel = "FILE",
      converter = OutputFileConverter.class,
      description = "Write all figures as JSON, compressed if its name ends in .gz.")
  private @Nullable Path json;

  @Option(
      names = "--plot",
      paramLabel = "FILE",
      converter = OutputFileConverter.class,
      description = "Draw the ratios as SVG.")
  private @Nullable Path plot;

  @Override
  public Integer call() throws Exception {
    processor.require(spec);
    split.require(spec, tiers.contains(Tiering.HALF), "--tiers half");
    if (budget >= 1) {
      throw new ParameterException(
          spec.commandLine(),
          "--budget: a matrix is of a budget below 100%%, got %s"
              .formatted(Budget.of(budget).words()));
    }
    Terminal terminal = Terminal.of(spec.commandLine().getErr());
    Path file = BenchCommand.file(model, null, terminal);
    LocalModel local = LocalModel.of(file);
    ModelGeometry geometry = local.geometry();
    MatrixRun.Extent extent =
        new MatrixRun.Extent(tokens, rounds, settling, Duration.ofSeconds(1), variations(), within);
    for (int length : lengths) {
      int most = length + extent.allTokens();
      if (most > geometry.maxContext()) {
        throw new ParameterException(
            spec.commandLine(),
            "--lengths: %,d tokens and %,d of answers are more than the %,d that the model serves; take fewer, or fewer --tokens or --rounds"
                .formatted(length, extent.allTokens(), geometry.maxContext()));
      }
    }
    int computing = processor.threads();
    List<CellFigures> figures;
    try (ProbeMachine machine =
        new ProbeMachine(Math.max(1, computing / 2), within, terminal, split::nvme)) {
      figures = new MatrixRun(usual(local), geometry, extent, machine).measure(cells());
      SpeedMatrix matrix = new SpeedMatrix(facts(machine.description(), computing), figures);
      spec.commandLine().getOut().print(MatrixReport.markdown(matrix));
      spec.commandLine().getOut().flush();
      if (json != null) {
        MatrixFile.write(json, matrix);
      }
      if (plot != null && MatrixPlot.draws(matrix)) {
        Files.writeString(plot, MatrixPlot.svg(matrix));
      }
    }
    return 0;
  }

  private Set<Variation> variations() {
    return only == null ? EnumSet.allOf(Variation.class) : Set.copyOf(only);
  }

  private List<Cell> cells() {
    List<Cell> cells = new ArrayList<>();
    for (int length : lengths) {
      for (int batch : batches) {
        for (Tiering tiering : tiers) {
          cells.add(new Cell(length, batch, tiering));
        }
      }
    }
    return cells;
  }

  /**
   * As {@code serve} runs, but that everything beyond the budget is left out of short prompts too.
   */
  private ProbeSettings usual(LocalModel local) {
    return new ProbeSettings(
        local,
        new ProbeSettings.Work(lengths.getFirst(), tokens, 1),
        new ProbeSettings.Attention(
            Budget.of(budget),
            PolicyShape.KVDRIVE.name(),
            index,
            0,
            Formats.usual(ProbeSettings.KV, budget, processor.device())),
        new ProbeSettings.Processor(processor.device(), processor.threads()),
        split.tiers(1),
        new ProbeSettings.Parts(WindowOptions.DEFAULT, true, DecodeOptions.ELASTIC),
        false);
  }

  private Map<String, String> facts(String on, int computing) {
    Map<String, String> facts = new TreeMap<>();
    facts.put("model", ModelName.of(model));
    facts.put("budget", Budget.of(budget).words());
    facts.put("device", on.isEmpty() ? processor.device().word() + " " + computing : on);
    facts.put("window", split.window() + " selections");
    if (index != null) {
      facts.put("index", index.word());
    }
    return facts;
  }
}
