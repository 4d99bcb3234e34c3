package dev.kvdrive.cli.eval;

import dev.kvdrive.bench.engine.LocalModel;
import dev.kvdrive.bench.eval.EvalFile;
import dev.kvdrive.bench.eval.EvalLog;
import dev.kvdrive.bench.eval.EvalReport;
import dev.kvdrive.bench.eval.EvalTask;
import dev.kvdrive.cli.option.Bounded;
import dev.kvdrive.cli.option.BudgetList;
import dev.kvdrive.cli.option.ChatTemplateOption;
import dev.kvdrive.cli.option.FormatOptions;
import dev.kvdrive.cli.option.IndexConverter;
import dev.kvdrive.cli.option.MeterConverter;
import dev.kvdrive.cli.option.Method;
import dev.kvdrive.cli.option.OutputFileConverter;
import dev.kvdrive.cli.option.PolicyOptions;
import dev.kvdrive.cli.option.ProcessorOptions;
import dev.kvdrive.cli.option.RopeOptions;
import dev.kvdrive.cli.option.TierOptions;
import dev.kvdrive.cli.option.WindowSwitches;
import dev.kvdrive.cli.serve.LocalRuntime;
import dev.kvdrive.cli.serve.ScratchFolder;
import dev.kvdrive.cli.terminal.Terminal;
import dev.kvdrive.model.ModelLoader;
import dev.kvdrive.model.source.HubSettings;
import dev.kvdrive.model.source.ModelSource;
import dev.kvdrive.plan.Budget;
import dev.kvdrive.plan.DeviceKind;
import dev.kvdrive.plan.IndexShape;
import dev.kvdrive.plan.KvType;
import dev.kvdrive.plan.ModelGeometry;
import dev.kvdrive.plan.PolicyShape;
import dev.kvdrive.plan.RopeScaling;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** {@code ./kvdrive eval}: scores of a model on tasks with known answers, for several budgets. */
@Command(
    name = "eval",
    description =
        "Accuracy of exact and sparse decoding on task files. The table is Markdown on standard"
            + " output; progress is on standard error.",
    mixinStandardHelpOptions = true,
    subcommands = {MakeTasksCommand.class, ReportCommand.class})
public final class EvalCommand implements Callable<Integer> {
  @Spec private CommandSpec spec;

  @Option(
      names = "--model",
      paramLabel = "URI",
      defaultValue = ModelSource.BUILTIN,
      description = "As for serve (default: ${DEFAULT-VALUE}).")
  private String model;

  @Mixin private ChatTemplateOption chatTemplate = new ChatTemplateOption();

  @Mixin private RopeOptions rope = new RopeOptions();

  @Option(
      names = "--tasks",
      paramLabel = "FILE",
      description =
          "Task file, .jsonl or .jsonl.gz; may be given several times (default: a few tasks of 2k"
              + " and 4k tokens that come with the program).")
  private List<Path> files = new ArrayList<>();

  @Mixin private BudgetList budgets = new BudgetList();

  @Option(
      names = "--meter",
      paramLabel = "SHARE",
      defaultValue = "off",
      converter = MeterConverter.class,
      description =
          "Share of the time of all steps that measuring may take what their attention leaves out;"
              + " 100%% for every step, 'off' for never (default: ${DEFAULT-VALUE}).")
  private double meter;

  @Option(
      names = "--dense-below",
      paramLabel = "TOKENS",
      defaultValue = "0",
      converter = Bounded.Count.class,
      description =
          "Sequences of up to so many tokens attend everything (default: ${DEFAULT-VALUE}: the"
              + " budget is measured whatever the length, which serve does not do).")
  private int denseBelow;

  @Option(
      names = "--tasks-only",
      paramLabel = "NAME",
      split = ",",
      description = "Only these tasks, for instance niah_single,passkey.")
  private Set<String> only = new TreeSet<>();

  @Option(
      names = "--limit",
      paramLabel = "N",
      converter = Bounded.Positive.class,
      description = "Samples of each task and length at most.")
  private @Nullable Integer limit;

  @Option(
      names = "--samples-at-once",
      paramLabel = "N",
      converter = Bounded.Positive.class,
      defaultValue = "1",
      description =
          "Samples at once, each with all budgets; the answers of one are decoded while the next is"
              + " read (default: ${DEFAULT-VALUE}).")
  private int samples;

  @Option(
      names = "--kv-type",
      paramLabel = "TYPE",
      defaultValue = "BF16",
      description = "Type of cached keys and values: ${COMPLETION-CANDIDATES} (default: BF16).")
  private KvType kvType;

  @Mixin private FormatOptions formats = new FormatOptions();

  @Option(
      names = "--index",
      paramLabel = "FORMAT",
      converter = IndexConverter.class,
      description =
          "What policy kvdrive chooses chunks by: two-bit, or planes-64, planes-96, planes-128 and so"
              + " on for keys of as many bits in a space that ./kvdrive calibrate has fitted;"
              + " with +clusters-64 what is not attended is estimated by clusters of 64 tokens"
              + " (default: bit planes with clusters where such a calibration comes with the model, else"
              + " two-bit, as serve takes). The other policies have indexes of their own.")
  private @Nullable IndexShape index;

  @Mixin private PolicyOptions policy = new PolicyOptions();

  @Mixin private ProcessorOptions processor = new ProcessorOptions();

  @Mixin private TierOptions tiers = new TierOptions();

  @Mixin private WindowSwitches windows = new WindowSwitches();

  @Option(
      names = "--record",
      paramLabel = "FILE",
      converter = OutputFileConverter.class,
      description = "Write what every step selects to this file, for ./kvdrive simulate.")
  private @Nullable Path record;

  @Option(
      names = "--json",
      paramLabel = "FILE",
      converter = OutputFileConverter.class,
      description =
          "Write scores and every answer as JSON, for ./kvdrive eval report; compressed if the name"
              + " ends in .gz.")
  private @Nullable Path json;

  @Option(
      names = "--log",
      paramLabel = "FILE",
      converter = OutputFileConverter.class,
      description =
          "Append every answer to this file; what is in it already is not run again, so that an"
              + " interrupted run goes on.")
  private @Nullable Path log;

  @Override
  public Integer call() throws Exception {
    List<Budget> attended = budgets.budgets(spec, Budget.of(1), Budget.of(0.0625));
    List<Method> named = policies(attended);
    if (record != null && named.size() > 1) {
      throw new ParameterException(
          spec.commandLine(), "--record: a recording is of one policy, got " + named.size());
    }
    RopeScaling scaling = rope.scaling(spec);
    String template = chatTemplate.source(spec);
    processor.require(spec);
    tiers.require(spec);
    List<EvalTask> tasks = tasks();
    Path file =
        new ModelSource(LocalRuntime.cacheFolder(), HubSettings.from(System.getenv()))
            .resolve(model);
    ModelGeometry geometry = rope.extended(spec, ModelLoader.geometry(file));
    List<Method> policies = withDefaultIndex(named, geometry);
    Terminal progress = Terminal.of(spec.commandLine().getErr());
    try (ScratchFolder scratch = tiers.scratch(LocalRuntime.cacheFolder())) {
      EvalRun run =
          new EvalRun(
              new LocalModel(file, scaling, template),
              new EvalRun.Conditions(
                  kvType,
                  budget -> formats.formats(spec, kvType, budget, processor.device()),
                  denseBelow,
                  samples,
                  processor.device(),
                  processor.threads(),
                  meter),
              windows.options(),
              record,
              tiers,
              scratch == null ? tiers.nvmeDir() : scratch.path(),
              log == null ? EvalLog.none() : EvalLog.open(log),
              progress);
      EvalReport report = run.run(tasks, policies, attended);
      if (run.device() != null) {
        spec.commandLine().getOut().printf("Device: %s%n%n", run.device());
      }
      spec.commandLine().getOut().print(report.byTask());
      if (report.rows().stream().anyMatch(row -> row.against() != null)) {
        spec.commandLine()
            .getOut()
            .printf("%nPoints against exact attention:%n%n%s", report.againstByTask());
      }
      spec.commandLine().getOut().flush();
      if (json != null) {
        EvalFile.write(json, run.facts(), report);
      }
    }
    return 0;
  }

  private List<Method> policies(List<Budget> attended) {
    List<Method> policies = policy.policies(spec, attended);
    for (Method method : policies) {
      if (method.tokens() != null && processor.device() != DeviceKind.CPU) {
        throw new ParameterException(
            spec.commandLine(),
            "--policy %s is computed on the host, beside the CPU device; leave --device out"
                .formatted(method.name()));
      }
    }
    IndexShape format = index;
    if (format == null) {
      return policies;
    }
    Method kvdrive = Method.of(PolicyShape.KVDRIVE);
    if (!policies.contains(kvdrive)) {
      throw new ParameterException(
          spec.commandLine(),
          "--index is of policy kvdrive, policy %s has its own (%s); leave --index out, or add --policy kvdrive"
              .formatted(policies.getFirst().name(), policies.getFirst().index()));
    }
    return policies.stream()
        .map(m -> m.equals(kvdrive) ? Method.of(kvdrive.policy().withIndex(format)) : m)
        .toList();
  }

  /** Policy kvdrive with the index that the model has, where none was asked for. */
  private List<Method> withDefaultIndex(List<Method> named, ModelGeometry geometry) {
    if (index != null) {
      return named;
    }
    return named.stream()
        .map(m -> m.tokens() == null ? Method.of(PolicyShape.named(m.name(), geometry)) : m)
        .toList();
  }

  private List<EvalTask> tasks() {
    List<EvalTask> all = new ArrayList<>();
    if (files.isEmpty()) {
      all.addAll(EvalTask.builtin());
    }
    files.forEach(file -> all.addAll(EvalTask.read(file)));
    Set<String> names = new TreeSet<>();
    all.forEach(task -> names.add(task.task()));
    for (String name : only) {
      if (!names.contains(name)) {
        throw new ParameterException(
            spec.commandLine(),
            "--tasks-only: there is no task '%s'; there are %s"
                .formatted(name, String.join(", ", names)));
      }
    }
    Map<String, Integer> taken = new HashMap<>();
    return all.stream()
        .filter(task -> only.isEmpty() || only.contains(task.task()))
        .filter(
            task ->
                limit == null
                    || taken.merge(task.task() + " " + task.length(), 1, Integer::sum) <= limit)
        .toList();
  }
}
