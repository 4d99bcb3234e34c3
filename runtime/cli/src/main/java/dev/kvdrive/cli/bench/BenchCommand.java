package dev.kvdrive.cli.bench;

import dev.kvdrive.bench.engine.LocalModel;
import dev.kvdrive.bench.model.RandomModel;
import dev.kvdrive.bench.speed.MemoryBandwidth;
import dev.kvdrive.bench.speed.Part;
import dev.kvdrive.bench.speed.ProbeSettings;
import dev.kvdrive.bench.speed.SpeedTable;
import dev.kvdrive.bench.speed.Spread;
import dev.kvdrive.bench.speed.StageTable;
import dev.kvdrive.cli.option.Bounded;
import dev.kvdrive.cli.option.BudgetList;
import dev.kvdrive.cli.option.Method;
import dev.kvdrive.cli.option.OutputFileConverter;
import dev.kvdrive.cli.option.PolicyOptions;
import dev.kvdrive.cli.option.ProcessorOptions;
import dev.kvdrive.cli.option.RopeOptions;
import dev.kvdrive.cli.option.ShareConverter;
import dev.kvdrive.cli.option.WindowSwitches;
import dev.kvdrive.cli.serve.LocalRuntime;
import dev.kvdrive.cli.terminal.Terminal;
import dev.kvdrive.model.ModelLoader;
import dev.kvdrive.model.source.HubSettings;
import dev.kvdrive.model.source.ModelSource;
import dev.kvdrive.plan.Budget;
import dev.kvdrive.plan.ChunkFormat;
import dev.kvdrive.plan.DeviceKind;
import dev.kvdrive.plan.Formats;
import dev.kvdrive.plan.KvType;
import dev.kvdrive.plan.ModelGeometry;
import dev.kvdrive.plan.PolicyShape;
import dev.kvdrive.plan.RopeScaling;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;
import tools.jackson.databind.SerializationFeature;
import tools.jackson.databind.json.JsonMapper;

/** {@code ./kvdrive bench}: tokens per second, beside what the machine's memory would allow. */
@Command(
    name = "bench",
    description =
        "Speed of prefill and decode: median (smallest..largest) of several"
            + " runs, on the CPU beside the roofline of the memory bandwidth measured just before. The"
            + " table is Markdown on standard output.",
    subcommands = {
      MatrixCommand.class,
      MatrixReportCommand.class,
      UsersCommand.class,
      WidenCommand.class
    },
    mixinStandardHelpOptions = true)
public final class BenchCommand implements Callable<Integer> {
  private static final long BANDWIDTH_BYTES = 1L << 30;
  private static final int BANDWIDTH_PASSES = 11;

  @Spec private CommandSpec spec;

  @Option(
      names = "--model",
      paramLabel = "URI",
      split = ",",
      defaultValue = ModelSource.BUILTIN,
      description =
          "As for serve, or random:llama-3.2-1b:bf16 or :q8_0 for random weights of that shape;"
              + " several with commas (default: ${DEFAULT-VALUE}).")
  private List<String> models;

  @Mixin private RopeOptions rope = new RopeOptions();

  @Option(
      names = "--context",
      paramLabel = "TOKENS",
      converter = Bounded.Positive.class,
      split = ",",
      defaultValue = "512",
      description = "Tokens of the prompt (default: ${DEFAULT-VALUE}).")
  private List<Integer> contexts;

  @Option(
      names = "--tokens",
      paramLabel = "N",
      defaultValue = "64",
      description = "Tokens to write (default: ${DEFAULT-VALUE}).")
  private int tokens;

  @Mixin private BudgetList budgets = new BudgetList();

  @Option(
      names = "--backing",
      paramLabel = "FORMAT",
      split = ",",
      description =
          "Chunks in DRAM and on NVMe, for instance bf16,int8 to measure both (default: as serve).")
  private List<ChunkFormat> backing = List.of();

  @Option(
      names = "--resident",
      paramLabel = "FORMAT",
      split = ",",
      description =
          "Chunks in the window, with each --backing that they can come from (default: as serve).")
  private List<ChunkFormat> resident = List.of();

  @Mixin private PolicyOptions policy = new PolicyOptions();

  @Option(
      names = "--sequences",
      paramLabel = "N",
      converter = Bounded.Positive.class,
      defaultValue = "1",
      description =
          "Sequences that decode together, after one prompt of them all (default: ${DEFAULT-VALUE}).")
  private int sequences;

  @Mixin private SplitOptions split = new SplitOptions();

  @Option(
      names = "--dram-share",
      paramLabel = "SHARE",
      converter = ShareConverter.class,
      defaultValue = "1",
      description =
          "Share of the KV cache that has room in DRAM; the rest is on NVMe (default: ${DEFAULT-VALUE}).")
  private double dramShare;

  @Mixin private WindowSwitches windows = new WindowSwitches();

  @Option(
      names = "--micro-batches",
      paramLabel = "N",
      converter = MicroBatchesConverter.class,
      defaultValue = MicroBatchesConverter.AUTO,
      description =
          "Parts into which the rows of a step are cut, so that one part's misses are fetched while"
              + " the next one selects: auto, 1, 2 or 4 (default: ${DEFAULT-VALUE}).")
  private int microBatches;

  @Option(
      names = "--without",
      paramLabel = "PART",
      split = ",",
      converter = PartConverter.class,
      completionCandidates = PartConverter.Words.class,
      description =
          "Measure also without each of these, in turn with everything that is on:"
              + " ${COMPLETION-CANDIDATES}.")
  private List<Part> without = List.of();

  @Option(
      names = "--stages",
      description =
          "Measure also what each stage of a step takes, beside what its bytes would take at the"
              + " memory's bandwidth; costs a step some microseconds.")
  private boolean stages;

  @Mixin private ProcessorOptions processor = new ProcessorOptions();

  @Option(
      names = "--runs",
      paramLabel = "N",
      converter = Bounded.Positive.class,
      defaultValue = "5",
      description = "Runs that count (default: ${DEFAULT-VALUE}).")
  private int runs;

  @Option(
      names = "--warm-up",
      paramLabel = "N",
      converter = Bounded.Count.class,
      defaultValue = "5",
      description = "Runs before them (default: ${DEFAULT-VALUE}).")
  private int warmUp;

  @Option(
      names = "--beside",
      paramLabel = "ENGINE",
      converter = OtherEngineConverter.class,
      description =
          "Measure another engine on the same weights and threads, run by run in turn: llama.cpp, as it"
              + " is installed here, or jlama, which is built when it is asked for.")
  private @Nullable OtherEngine beside;

  @Option(
      names = "--json",
      paramLabel = "FILE",
      converter = OutputFileConverter.class,
      description = "Write the figures as JSON.")
  private @Nullable Path json;

  @Override
  public Integer call() throws Exception {
    atLeast("--tokens", tokens, 2);
    if (beside != null && processor.device() != DeviceKind.CPU) {
      throw new ParameterException(
          spec.commandLine(),
          "--beside %s computes on the CPU; leave --device %s out"
              .formatted(beside, processor.device().word()));
    }
    if (stages && (beside != null || processor.device() != DeviceKind.CPU)) {
      throw new ParameterException(
          spec.commandLine(),
          "--stages times the verbs of the CPU device, which runs them one by one; leave %s out"
              .formatted(beside != null ? "--beside" : "--device " + processor.device().word()));
    }
    RopeScaling scaling = rope.scaling(spec);
    if (beside != null && scaling != null) {
      throw new ParameterException(
          spec.commandLine(),
          "--beside %s reads models as their files are; leave rope scaling (%s) out"
              .formatted(beside, scaling));
    }
    List<Budget> attended = budgets.budgets(spec, Budget.of(1));
    List<Method> methods = policy.policies(spec, attended);
    for (Method method : methods) {
      if (method.tokens() != null) {
        throw new ParameterException(
            spec.commandLine(),
            "--policy %s is there for its accuracy only, see eval; take another"
                .formatted(method.name()));
      }
    }
    List<PolicyShape> policies = methods.stream().map(Method::policy).toList();
    if (beside != null && sequences > 1) {
      throw new ParameterException(
          spec.commandLine(),
          "--beside %s decodes one sequence; leave --sequences out".formatted(beside));
    }
    processor.require(spec);
    try {
      if (beside != null) {
        beside.require();
      }
    } catch (IllegalArgumentException e) {
      throw new ParameterException(
          spec.commandLine(), "--beside %s: %s".formatted(beside, e.getMessage()));
    }
    attended.forEach(budget -> formats(budget.share()));
    Terminal progress = Terminal.of(spec.commandLine().getErr());
    Map<String, Path> files = new LinkedHashMap<>();
    for (String model : models) {
      Path file = file(model, beside, progress);
      ModelGeometry geometry = rope.extended(spec, ModelLoader.geometry(file));
      for (int context : contexts) {
        requireRoom(model, geometry, context);
      }
      files.put(model, file);
    }
    split.require(spec, dramShare < 1, "--dram-share 50%");
    BenchRun.Conditions conditions =
        new BenchRun.Conditions(
            tokens,
            sequences,
            new ProbeSettings.Processor(processor.device(), processor.threads()),
            split.tiers(dramShare),
            new ProbeSettings.Parts(windows.options(), true, microBatches),
            warmUp,
            runs,
            stages);
    for (Path file : files.values()) {
      requireOn(conditions, new LocalModel(file, scaling, null), policies, attended);
    }
    int readers = processor.threads();
    Spread bandwidth = bandwidth(readers, progress);
    SpeedTable table = new SpeedTable(bandwidth);
    StageTable ofStages = new StageTable(bandwidth);
    BenchRun run = new BenchRun(conditions, table, ofStages, progress);
    for (String model : models) {
      Path file = Objects.requireNonNull(files.get(model));
      for (int context : contexts) {
        LocalModel local = new LocalModel(file, scaling, null);
        run.measure(model, local, context, policies, attended, this::formats, without, beside);
      }
    }
    spec.commandLine().getOut().print(table.markdown());
    if (stages) {
      spec.commandLine().getOut().print("\n" + ofStages.markdown());
    }
    spec.commandLine().getOut().flush();
    if (json != null) {
      Map<String, Object> tree = new LinkedHashMap<>();
      tree.put("threads", readers);
      tree.put("java", Runtime.version().toString());
      tree.put("tokens", tokens);
      tree.put("sequences", sequences);
      tree.put("windowSelections", split.window());
      tree.put("dramShare", dramShare);
      if (scaling != null) {
        tree.put("ropeScaling", scaling.toString());
      }
      tree.put("runs", runs);
      tree.put("warmUp", warmUp);
      tree.putAll(table.tree());
      if (stages) {
        tree.put("stages", ofStages.tree());
      }
      Files.writeString(
          json,
          JsonMapper.builder()
              .enable(SerializationFeature.INDENT_OUTPUT)
              .build()
              .writeValueAsString(tree));
    }
    return 0;
  }

  private void requireRoom(String model, ModelGeometry geometry, int context) {
    if (context + (long) tokens > geometry.maxContext()) {
      throw new ParameterException(
          spec.commandLine(),
          "--context %,d and --tokens %,d together are more than the %,d tokens that %s reads; write fewer, or extend it with --rope-scaling"
              .formatted(context, tokens, geometry.maxContext(), model));
    }
  }

  /** Checks that each part that is to be off is on in something that is measured. */
  private void requireOn(
      BenchRun.Conditions conditions,
      LocalModel model,
      List<PolicyShape> policies,
      List<Budget> attended) {
    List<ProbeSettings> all =
        conditions.settings(model, contexts.getFirst(), policies, attended, this::formats);
    for (Part part : without) {
      if (all.stream().allMatch(on -> part.off(on, model.geometry()).equals(on))) {
        throw new ParameterException(
            spec.commandLine(),
            "--without %s: it is off already; switch it on, or leave it out".formatted(part));
      }
    }
  }

  /** Of the memory that holds the weights; null for a GPU, whose memory nothing here measures. */
  private @Nullable Spread bandwidth(int readers, Terminal progress) throws InterruptedException {
    if (processor.device() != DeviceKind.CPU) {
      return null;
    }
    progress.line("Measuring the memory bandwidth with %d threads ...".formatted(readers));
    return MemoryBandwidth.measure(readers, BANDWIDTH_BYTES, BANDWIDTH_PASSES);
  }

  /**
   * The formats to measure: all pairs of those given that there can be, or what serves a budget.
   */
  private List<Formats> formats(double budget) {
    Set<Formats> all = new LinkedHashSet<>();
    IllegalArgumentException impossible = null;
    for (ChunkFormat below : orUnsaid(backing)) {
      for (ChunkFormat above : orUnsaid(resident)) {
        try {
          Formats formats = Formats.of(KvType.BF16, budget, processor.device(), above, below);
          formats.check(KvType.BF16);
          all.add(formats);
        } catch (IllegalArgumentException e) {
          impossible = e;
        }
      }
    }
    if (all.isEmpty()) {
      throw new ParameterException(
          spec.commandLine(), String.valueOf(Objects.requireNonNull(impossible).getMessage()));
    }
    return List.copyOf(all);
  }

  private static List<@Nullable ChunkFormat> orUnsaid(List<ChunkFormat> given) {
    return given.isEmpty() ? Collections.singletonList(null) : new ArrayList<>(given);
  }

  private void atLeast(String option, int value, int least) {
    if (value < least) {
      throw new ParameterException(
          spec.commandLine(), "%s must be at least %d, got %d".formatted(option, least, value));
    }
  }

  /**
   * A model's file or folder.
   *
   * @param other the engine that is to read it too, or null
   */
  static Path file(String uri, @Nullable OtherEngine other, Terminal progress) {
    if (RandomModel.is(uri)) {
      progress.line("Making %s if it is not there ...".formatted(uri));
      RandomModel model = RandomModel.parse(uri);
      Path cache = LocalRuntime.cacheFolder();
      return other == null ? model.in(cache) : other.file(model, cache);
    }
    return new ModelSource(LocalRuntime.cacheFolder(), HubSettings.from(System.getenv()))
        .resolve(uri);
  }
}
