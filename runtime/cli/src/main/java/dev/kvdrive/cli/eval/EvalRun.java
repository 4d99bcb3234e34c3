package dev.kvdrive.cli.eval;

import dev.kvdrive.bench.engine.LocalEngine;
import dev.kvdrive.bench.engine.LocalModel;
import dev.kvdrive.bench.eval.EvalColumn;
import dev.kvdrive.bench.eval.EvalListener;
import dev.kvdrive.bench.eval.EvalLog;
import dev.kvdrive.bench.eval.EvalReport;
import dev.kvdrive.bench.eval.EvalResult;
import dev.kvdrive.bench.eval.EvalSample;
import dev.kvdrive.bench.eval.EvalSettings;
import dev.kvdrive.bench.eval.EvalTask;
import dev.kvdrive.bench.eval.Evaluation;
import dev.kvdrive.cli.option.Method;
import dev.kvdrive.cli.option.PolicyOptions;
import dev.kvdrive.cli.option.TierOptions;
import dev.kvdrive.cli.terminal.ProgressBar;
import dev.kvdrive.cli.terminal.Quantities;
import dev.kvdrive.cli.terminal.Terminal;
import dev.kvdrive.model.Model;
import dev.kvdrive.model.ModelLoader;
import dev.kvdrive.model.WeightFingerprint;
import dev.kvdrive.plan.AttentionOptions;
import dev.kvdrive.plan.Budget;
import dev.kvdrive.plan.ByteSize;
import dev.kvdrive.plan.DeviceKind;
import dev.kvdrive.plan.Formats;
import dev.kvdrive.plan.KvType;
import dev.kvdrive.plan.Load;
import dev.kvdrive.plan.ModelGeometry;
import dev.kvdrive.plan.PlanRequest;
import dev.kvdrive.plan.Planner;
import dev.kvdrive.plan.PolicyShape;
import dev.kvdrive.plan.TierBudgets;
import dev.kvdrive.plan.WindowOptions;
import dev.kvdrive.text.ChatTemplate;
import dev.kvdrive.text.Tokenizer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.function.DoubleFunction;
import org.jspecify.annotations.Nullable;

/**
 * Runs all samples on an engine for each policy, every sample with all budgets after one prefill.
 */
final class EvalRun {
  private final LocalModel source;
  private final Conditions conditions;
  private final WindowOptions windows;
  private final @Nullable Path record;
  private final TierOptions tiers;
  private final @Nullable Path nvme;
  private final EvalLog log;
  private final Terminal terminal;
  private final Map<String, Object> facts = new LinkedHashMap<>();
  private @Nullable String device;

  /**
   * What all columns have in common.
   *
   * @param kvType type of cached keys and values
   * @param formats of closed chunks, by the largest of the budgets that share a prefill
   * @param denseBelow tokens up to which a sequence attends everything
   * @param samples at once
   * @param device what to compute on
   * @param threads of the CPU device; 0 for the processors there are
   * @param meter share of the time for measuring what attention leaves out
   */
  record Conditions(
      KvType kvType,
      DoubleFunction<Formats> formats,
      int denseBelow,
      int samples,
      DeviceKind device,
      int threads,
      double meter) {
    Formats formats(List<Budget> budgets) {
      return formats.apply(largest(budgets));
    }
  }

  EvalRun(
      LocalModel source,
      Conditions conditions,
      WindowOptions windows,
      @Nullable Path record,
      TierOptions tiers,
      @Nullable Path nvme,
      EvalLog log,
      Terminal terminal) {
    this.source = source;
    this.conditions = conditions;
    this.windows = windows;
    this.record = record;
    this.tiers = tiers;
    this.nvme = nvme;
    this.log = log;
    this.terminal = terminal;
  }

  /** What the engine computed on; null if every answer was in the log. */
  @Nullable String device() {
    return device;
  }

  /** A column for each policy, length and budget. */
  EvalReport run(List<EvalTask> tasks, List<Method> policies, List<Budget> budgets)
      throws InterruptedException {
    Sizes sizes = measure(tasks);
    facts.put("model", sizes.geometry().name());
    facts.put("weightBytes", sizes.geometry().weightBytes());
    facts.put("weights", sizes.weights());
    facts.put("kvType", conditions.kvType().name());
    facts.put("denseBelow", conditions.denseBelow());
    facts.put("contextLength", sizes.context());
    if (source.scaling() != null) {
      facts.put("ropeScaling", source.scaling().toString());
    }
    if (source.template() != null) {
      facts.put("chatTemplate", digest(source.template()));
    }
    // Answers of another device, context or template are other answers; logs from before there was
    // a choice are those of the CPU and of the model as its files are.
    String run =
        "%s %d B, %s%s%s%s"
            .formatted(
                sizes.geometry().name(),
                sizes.geometry().weightBytes(),
                conditions.kvType(),
                conditions.device() == DeviceKind.CPU ? "" : ", " + conditions.device(),
                source.scaling() == null ? "" : ", rope " + source.scaling(),
                source.template() == null ? "" : ", template " + digest(source.template()));
    EvalReport report = new EvalReport();
    Map<String, Object> conditionsOf = new LinkedHashMap<>();
    for (Method policy : policies) {
      Map<String, Object> own = new LinkedHashMap<>();
      own.put("index", policy.index());
      List<Budget> shares = PolicyOptions.budgets(policy, budgets);
      Formats formats = formats(policy, shares);
      own.put("resident", formats.resident().name());
      own.put("backing", formats.backing().name());
      Set<EvalResult> results =
          results(tasks, policy, shares, sizes, run + suffix(policy, formats), own);
      columns(policy, formats, tasks, shares, results, sizes, own).forEach(report::add);
      conditionsOf.put(policy.name(), own);
      if (policies.size() == 1) {
        facts.putAll(own);
      }
    }
    if (policies.size() == 1) {
      facts.put("policy", policies.getFirst().name());
    } else {
      facts.put("policies", conditionsOf);
    }
    return report;
  }

  /** What attends single tokens has keys and values of its own, as they are cached. */
  private Formats formats(Method method, List<Budget> budgets) {
    return method.tokens() == null ? conditions.formats(budgets) : Formats.of(conditions.kvType());
  }

  /** What tells answers in a log from those of the default policy and of chunks as computed. */
  private String suffix(Method method, Formats formats) {
    PolicyShape policy = method.policy();
    String name = method.name().equals(PolicyShape.KVDRIVE.name()) ? "" : ", " + method.name();
    String index = policy.equals(PolicyShape.KVDRIVE) ? "" : ", " + policy.index().word();
    return name
        + index
        + (formats.equals(Formats.of(conditions.kvType()))
            ? ""
            : ", %s from %s".formatted(formats.resident(), formats.backing()))
        + (conditions.denseBelow() == 0 ? "" : ", dense below " + conditions.denseBelow());
  }

  private double indexBytes(Method method, ModelGeometry geometry) {
    return method.tokens() == null
        ? method.policy().index().bytesOfToken(Planner.layout(geometry, conditions.kvType()))
        : method.tokens().indexBytes(geometry.headDim());
  }

  private Set<EvalResult> results(
      List<EvalTask> tasks,
      Method policy,
      List<Budget> budgets,
      Sizes sizes,
      String run,
      Map<String, Object> conditionsOf)
      throws InterruptedException {
    Set<EvalResult> results = new LinkedHashSet<>();
    List<Evaluation.Question> open = new ArrayList<>();
    long known = 0;
    for (EvalTask task : tasks) {
      List<Budget> missing = new ArrayList<>();
      for (Budget budget : budgets) {
        log.result(run, task, budget).ifPresentOrElse(results::add, () -> missing.add(budget));
      }
      if (missing.isEmpty()) {
        known += sizes.promptTokens(task);
      } else {
        open.add(new Evaluation.Question(task, missing));
      }
    }
    if (!open.isEmpty()) {
      Progress progress = new Progress(policy, sizes.promptTokens(), known);
      results.addAll(ask(open, policy, budgets, sizes, run, progress, conditionsOf));
    }
    return results;
  }

  private List<EvalResult> ask(
      List<Evaluation.Question> open,
      Method policy,
      List<Budget> budgets,
      Sizes sizes,
      String run,
      Progress progress,
      Map<String, Object> conditionsOf)
      throws InterruptedException {
    PlanRequest request =
        tiers.applyTo(
            new PlanRequest(
                sizes.geometry(),
                new Load(
                    sizes.context(),
                    conditions.samples() * budgets.size(),
                    conditions.samples() * budgets.size()),
                new AttentionOptions(
                    policy.policy(),
                    Budget.of(largest(budgets)),
                    conditions.kvType(),
                    formats(policy, budgets),
                    conditions.denseBelow(),
                    windows),
                new TierBudgets(0, 0, 0),
                conditions.device()),
            largestSparse(budgets));
    try (LocalEngine local =
        LocalEngine.of(source, request, conditions.threads(), nvme == null ? Path.of(".") : nvme)
            .recording(record)
            .attending(policy.tokens())
            .decoding(decode -> decode.withMeterShare(conditions.meter()))
            .start()) {
      note(local, request.tiers(), conditionsOf);
      return new Evaluation(local.engine(), local.tokenizer(), local.template().orElseThrow())
          .run(
              open,
              new EvalListener() {
                @Override
                public void finished(EvalResult result) {
                  log.add(run, result);
                  progress.finished(result);
                }

                @Override
                public void read(long tokens) {
                  progress.read(tokens);
                }
              });
    }
  }

  private static String digest(String template) {
    try {
      byte[] sha256 =
          MessageDigest.getInstance("SHA-256").digest(template.getBytes(StandardCharsets.UTF_8));
      return HexFormat.of().formatHex(sha256, 0, 8);
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException(e);
    }
  }

  /** The budget that the window is made for: exact mode goes through any window in passes. */
  private static double largestSparse(List<Budget> budgets) {
    return budgets.stream().mapToDouble(Budget::share).filter(share -> share < 1).max().orElse(1.0);
  }

  private static double largest(List<Budget> budgets) {
    return budgets.stream().mapToDouble(Budget::share).max().orElseThrow();
  }

  /** A column for each length and budget. */
  private List<EvalColumn> columns(
      Method method,
      Formats formats,
      List<EvalTask> tasks,
      List<Budget> budgets,
      Set<EvalResult> results,
      Sizes sizes,
      Map<String, Object> conditionsOf) {
    Map<String, Object> ranUnder = new LinkedHashMap<>();
    ranUnder.put("contextLength", sizes.context());
    if (device != null) {
      ranUnder.put("device", device);
    }
    ranUnder.put("windows", windows.toString());
    ranUnder.putAll(conditionsOf);
    Set<Integer> lengths = new TreeSet<>();
    tasks.forEach(task -> lengths.add(task.length()));
    List<EvalColumn> columns = new ArrayList<>();
    for (int length : lengths) {
      for (Budget budget : budgets) {
        columns.add(
            new EvalColumn(
                settings(method, formats, sizes, length, budget),
                indexBytes(method, sizes.geometry()),
                List.of(ranUnder),
                results.stream()
                    .filter(r -> r.task().length() == length && r.budget().equals(budget))
                    .map(EvalSample::of)
                    .toList()));
      }
    }
    return columns;
  }

  private EvalSettings settings(
      Method method, Formats formats, Sizes sizes, int length, Budget budget) {
    List<String> variant = new ArrayList<>();
    if (source.scaling() != null) {
      variant.add("rope " + source.scaling());
    }
    if (source.template() != null) {
      variant.add("template " + digest(source.template()));
    }
    return new EvalSettings(
        sizes.geometry().name(),
        sizes.weights(),
        method.name(),
        method.index(),
        budget.share(),
        budget.exact() ? 0 : conditions.denseBelow(),
        length,
        conditions.device().name(),
        conditions.kvType().name(),
        formats.resident().name(),
        formats.backing().name(),
        String.join(", ", variant),
        budget.quality());
  }

  private record Sizes(
      ModelGeometry geometry, String weights, int context, Map<EvalTask, Integer> prompts) {
    int promptTokens(EvalTask task) {
      return prompts.getOrDefault(task, 0);
    }

    long promptTokens() {
      return prompts.values().stream().mapToLong(Integer::longValue).sum();
    }
  }

  /** What the samples need of the model, without starting it. */
  private Sizes measure(List<EvalTask> tasks) {
    try (Model model = source.open(0, ModelLoader.Verification.NONE)) {
      Tokenizer tokenizer = LocalEngine.tokenizer(model.tokenizer());
      ChatTemplate template =
          source
              .template(model.tokenizer())
              .orElseThrow(
                  () ->
                      new IllegalArgumentException(
                          "%s has no chat template, which the tasks need; give one with --chat-template"
                              .formatted(source.file())));
      template
          .problem()
          .ifPresent(
              why -> {
                throw new IllegalArgumentException(
                    "the chat template %s cannot be used: %s; give another with --chat-template"
                        .formatted(
                            source.template() == null ? "of " + source.file() : "that was given",
                            why));
              });
      int most = Load.MIN_CONTEXT;
      Map<EvalTask, Integer> prompts = new HashMap<>();
      for (int i = 0; i < tasks.size(); i++) {
        int prompt = Evaluation.prompt(tasks.get(i), tokenizer, template).length;
        int need = prompt + tasks.get(i).maxNewTokens();
        if (need > model.geometry().maxContext()) {
          throw new IllegalArgumentException(
              ("sample %d (%s) needs %,d tokens. %s Or leave it out with --tasks-only, or take a"
                      + " shorter task file.")
                  .formatted(i + 1, tasks.get(i).task(), need, model.geometry().tooShortFor(need)));
        }
        most = Math.max(most, need);
        prompts.put(tasks.get(i), prompt);
      }
      return new Sizes(model.geometry(), WeightFingerprint.of(model), most, prompts);
    }
  }

  private void note(LocalEngine local, TierBudgets bytes, Map<String, Object> conditionsOf) {
    device = local.device().description();
    facts.put("device", device);
    facts.put("windows", windows.toString());
    conditionsOf.put("gpuBytes", bytes.gpu());
    conditionsOf.put("dramBytes", bytes.dram());
    conditionsOf.put("nvmeBytes", bytes.nvme());
    conditionsOf.put("windowChunks", local.engine().sizes().windowSlots());
    terminal.line(
        "%s of GPU memory, %s of DRAM, %s of NVMe; window of %s chunks; %s"
            .formatted(
                ByteSize.human(bytes.gpu()),
                ByteSize.human(bytes.dram()),
                ByteSize.human(bytes.nvme()),
                Quantities.count(local.engine().sizes().windowSlots()),
                device));
  }

  /** The conditions under which the scores came about, for programs. */
  Map<String, Object> facts() {
    return facts;
  }

  /** Prompt tokens read of all that are to be read. */
  private final class Progress {
    private final long total;
    private final long known;
    private final Method policy;
    private final ProgressBar bar;
    private final long start = System.nanoTime();

    Progress(Method policy, long total, long known) {
      this.policy = policy;
      bar = new ProgressBar(terminal, "eval " + policy.name());
      this.total = total;
      this.known = known;
    }

    void finished(EvalResult result) {
      terminal.line(
          String.format(
              Locale.ROOT,
              "%-13s %-8s %-16s %6d  %5.1f  %s",
              policy.name(),
              result.budget().word(),
              result.task().task(),
              result.task().length(),
              100 * result.score(),
              result.text().replace('\n', ' ').strip()));
    }

    void read(long tokens) {
      double seconds = (System.nanoTime() - start) / 1e9;
      long open = total - known - tokens;
      String left =
          tokens == 0 || tokens < total / 200
              ? ""
              : Quantities.duration(Duration.ofMillis((long) (1000 * seconds * open / tokens)))
                  + " left";
      bar.update((double) (known + tokens) / total, left);
    }
  }
}
