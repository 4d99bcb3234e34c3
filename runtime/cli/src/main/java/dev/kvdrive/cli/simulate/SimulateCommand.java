package dev.kvdrive.cli.simulate;

import dev.kvdrive.bench.simulate.Recording;
import dev.kvdrive.bench.simulate.Simulation.Counts;
import dev.kvdrive.bench.simulate.SimulationTable;
import dev.kvdrive.cli.option.OutputFileConverter;
import dev.kvdrive.cli.option.ShareConverter;
import dev.kvdrive.cli.terminal.Quantities;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;
import tools.jackson.databind.SerializationFeature;
import tools.jackson.databind.json.JsonMapper;

/** {@code ./kvdrive simulate}: hits of recorded selections in windows of any kind. */
@Command(
    name = "simulate",
    description =
        "Replays selections that ./kvdrive eval --record has written: hits, misses and bytes of every"
            + " rule of eviction, division of slots and way to fill windows, in seconds.",
    mixinStandardHelpOptions = true)
public final class SimulateCommand implements Callable<Integer> {
  @Spec private CommandSpec spec;

  @Parameters(paramLabel = "FILE", arity = "1..*", description = "Recordings of one model.")
  private List<Path> files = new ArrayList<>();

  @Option(
      names = "--sizes",
      paramLabel = "N",
      split = ",",
      defaultValue = "1,1.5,2,3,4,8",
      description = "Slots of a window, in selections (default: ${DEFAULT-VALUE}).")
  private List<Double> sizes = new ArrayList<>();

  @Option(
      names = "--budget",
      paramLabel = "SHARE",
      converter = ShareConverter.class,
      description =
          "Only sequences that were answered with this budget (default: a table of each budget but exact).")
  private @Nullable Double budget;

  @Option(
      names = "--dram",
      paramLabel = "SHARE",
      converter = ShareConverter.class,
      description =
          "Also say what is read from NVMe if DRAM holds this share of the chunks and the windows have"
              + " the first of the sizes.")
  private @Nullable Double dram;

  @Option(
      names = "--extents",
      paramLabel = "CHUNKS",
      split = ",",
      defaultValue = "1,2,4,8,16,32",
      description = "Chunks of an extent that --dram looks at (default: ${DEFAULT-VALUE}).")
  private List<Integer> extents = new ArrayList<>();

  @Option(
      names = "--json",
      paramLabel = "FILE",
      converter = OutputFileConverter.class,
      description = "Write the counts as JSON.")
  private @Nullable Path json;

  @Override
  public Integer call() throws IOException {
    if (sizes.stream().anyMatch(size -> !(size >= 1))) {
      throw new ParameterException(
          spec.commandLine(), "--sizes: a window holds a selection at least, got " + sizes);
    }
    if (extents.stream().anyMatch(chunks -> chunks < 1)) {
      throw new ParameterException(
          spec.commandLine(), "--extents: an extent has a chunk at least, got " + extents);
    }
    List<Recording> recordings = new ArrayList<>();
    for (Path file : files) {
      Recording recording = Recording.read(file);
      if (!recording.whole()) {
        spec.commandLine()
            .getErr()
            .println(
                "kvdrive: %s was interrupted; it is replayed as far as it goes".formatted(file));
      }
      recordings.add(recording);
    }
    String model = recordings.getFirst().header().model();
    for (Recording recording : recordings) {
      if (!recording.header().model().equals(model)) {
        throw new ParameterException(
            spec.commandLine(),
            "recordings of one model, got %s and %s".formatted(model, recording.header().model()));
      }
    }
    List<Double> there = recordedBudgets(recordings);
    List<Double> budgets = budgets(there);
    Counts recorded = new SimulationTable(recordings, sizes, null).asRecorded();
    spec.commandLine()
        .getOut()
        .printf(
            Locale.ROOT,
            "%s, %,d steps; as recorded%s %,d hits, %,d misses (%.1f %% hits)%n%n",
            model,
            recorded.steps(),
            there.size() > 1 ? ", all budgets together," : "",
            recorded.hits(),
            recorded.misses(),
            100 * recorded.hitRate());
    List<Object> trees = new ArrayList<>();
    for (Double one : budgets) {
      // A recording of one budget is replayed in the seats that it had.
      SimulationTable table =
          new SimulationTable(recordings, sizes, there.size() > 1 ? one : budget);
      table.run();
      if (dram != null) {
        table.tiers(dram, extents);
      }
      if (there.size() > 1) {
        spec.commandLine()
            .getOut()
            .printf("%sBudget %s%n%n", trees.isEmpty() ? "" : "\n", Quantities.share(one));
      }
      spec.commandLine().getOut().print(table.markdown());
      spec.commandLine().getOut().flush();
      Map<String, Object> tree = new LinkedHashMap<>();
      tree.put("budget", one);
      tree.putAll(table.tree());
      trees.add(tree);
    }
    if (json != null) {
      Files.writeString(
          json,
          JsonMapper.builder()
              .enable(SerializationFeature.INDENT_OUTPUT)
              .build()
              .writeValueAsString(trees.size() == 1 ? trees.getFirst() : trees));
    }
    return 0;
  }

  private static List<Double> recordedBudgets(List<Recording> recordings) {
    return recordings.stream()
        .flatMap(recording -> recording.budgets().stream())
        .distinct()
        .sorted(Comparator.reverseOrder())
        .toList();
  }

  /**
   * Those that are looked at, each by itself, since windows have the sizes of one.
   *
   * @throws ParameterException for exact mode, which chooses nothing
   */
  private List<Double> budgets(List<Double> there) {
    if (budget == null) {
      List<Double> choosing = there.stream().filter(one -> one < 1).toList();
      if (choosing.isEmpty()) {
        throw nothingChosen("nothing was recorded but with --budget exact", choosing);
      }
      return choosing;
    }
    if (there.stream().noneMatch(one -> Math.abs(one - budget) < Recording.SAME_BUDGET)) {
      throw new ParameterException(
          spec.commandLine(),
          "--budget %s: nothing was recorded with it; there are %s"
              .formatted(
                  Quantities.share(budget),
                  String.join(", ", there.stream().map(Quantities::share).toList())));
    }
    if (budget >= 1) {
      throw nothingChosen("--budget exact", there.stream().filter(one -> one < 1).toList());
    }
    return List.of(budget);
  }

  private ParameterException nothingChosen(String what, List<Double> choosing) {
    return new ParameterException(
        spec.commandLine(),
        "%s: exact decoding attends everything and selects nothing, so there are no hits to replay; %s"
            .formatted(
                what,
                choosing.isEmpty()
                    ? "record a smaller budget, for instance with ./kvdrive eval --budget 6.25% --record FILE"
                    : "take one of "
                        + String.join(", ", choosing.stream().map(Quantities::share).toList())));
  }
}
