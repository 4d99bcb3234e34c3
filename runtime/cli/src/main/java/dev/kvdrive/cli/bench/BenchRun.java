package dev.kvdrive.cli.bench;

import dev.kvdrive.bench.engine.LocalModel;
import dev.kvdrive.bench.model.HuggingFaceFolder;
import dev.kvdrive.bench.model.RandomModel;
import dev.kvdrive.bench.speed.EngineProbeMain;
import dev.kvdrive.bench.speed.ForkedProbe;
import dev.kvdrive.bench.speed.Probe;
import dev.kvdrive.bench.speed.ProbeSettings;
import dev.kvdrive.bench.speed.SpeedRun;
import dev.kvdrive.bench.speed.SpeedTable;
import dev.kvdrive.bench.speed.StageTable;
import dev.kvdrive.bench.speed.StepBytes;
import dev.kvdrive.cli.option.Method;
import dev.kvdrive.cli.option.ModelName;
import dev.kvdrive.cli.option.PolicyOptions;
import dev.kvdrive.cli.serve.LocalRuntime;
import dev.kvdrive.cli.serve.ScratchFolder;
import dev.kvdrive.cli.terminal.Terminal;
import dev.kvdrive.model.Model;
import dev.kvdrive.model.ModelLoader;
import dev.kvdrive.model.tensor.TensorType;
import dev.kvdrive.plan.Budget;
import dev.kvdrive.plan.DeviceKind;
import dev.kvdrive.plan.Formats;
import dev.kvdrive.plan.KvType;
import dev.kvdrive.plan.Planner;
import dev.kvdrive.plan.PolicyShape;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.function.DoubleFunction;
import org.jspecify.annotations.Nullable;

/**
 * Measures probes in turn, so that what changes on the machine changes for all of them. Every probe
 * is a JVM of its own.
 */
final class BenchRun {
  static final long HEAP_BYTES = 2L << 30;
  private static final String JLAMA_MAIN = "dev.kvdrive.bench.jlama.JlamaProbe";

  /** Set by the entry script when the other engine was built. */
  private static final String JLAMA_CLASS_PATH = "kvdrive.jlama.classpath";

  private final Conditions conditions;
  private final SpeedTable table;
  private final StageTable stages;
  private final Terminal terminal;

  /** Of the NVMe tiers, which are for one engine each. */
  private final List<ScratchFolder> drives = new ArrayList<>();

  private final Path log;

  /**
   * What all rows have in common.
   *
   * @param tokens to write
   * @param sequences that decode together in this project's engine
   * @param device of this project's engine
   * @param threads of every engine
   * @param tiers how this project's engine spreads the KV cache; in the folder of the NVMe tier
   *     each has one of its own
   * @param warmUp runs that do not count
   * @param runs that count
   * @param stages whether the time of each verb is measured
   */
  record Conditions(
      int tokens,
      int sequences,
      DeviceKind device,
      int threads,
      ProbeSettings.Tiers tiers,
      int warmUp,
      int runs,
      boolean stages) {}

  /**
   * @param stages filled where stages are measured
   */
  BenchRun(Conditions conditions, SpeedTable table, StageTable stages, Terminal terminal)
      throws java.io.IOException {
    this.conditions = conditions;
    this.table = table;
    this.stages = stages;
    this.terminal = terminal;
    Files.createDirectories(LocalRuntime.cacheFolder());
    this.log = LocalRuntime.cacheFolder().resolve("bench.log");
    Files.deleteIfExists(log);
  }

  /** An engine that is measured, and how it is shown. */
  private record Entry(
      Probe probe, String name, PolicyShape policy, Budget budget, @Nullable Formats formats) {
    boolean ours() {
      return formats != null;
    }
  }

  private static final Formats PLAIN = Formats.of(KvType.BF16);

  /**
   * This engine with each policy, budget and pair of formats.
   *
   * @param parts by what is off: first everything that is to be on, under an empty name
   */
  void alone(
      String name,
      LocalModel model,
      int prompt,
      List<PolicyShape> policies,
      List<Budget> budgets,
      DoubleFunction<List<Formats>> formats,
      Map<String, ProbeSettings.Parts> parts)
      throws InterruptedException {
    List<Entry> entries = new ArrayList<>();
    try {
      for (PolicyShape policy : policies) {
        for (Budget budget : PolicyOptions.budgets(Method.of(policy), budgets)) {
          for (Formats chunks : formats.apply(budget.share())) {
            String of = name(name);
            if (!policy.equals(PolicyShape.KVDRIVE)) {
              of += ", " + policy.name();
            }
            if (!chunks.equals(PLAIN)) {
              of += ", %s from %s".formatted(chunks.resident().word(), chunks.backing().word());
            }
            if (conditions.sequences() > 1) {
              of += ", %d sequences".formatted(conditions.sequences());
            }
            for (Map.Entry<String, ProbeSettings.Parts> on : parts.entrySet()) {
              Probe probe = own(model, prompt, policy, budget, chunks, on.getValue());
              String less = on.getKey().isEmpty() ? of : of + ", without " + on.getKey();
              entries.add(new Entry(probe, less, policy, budget, chunks));
            }
          }
        }
      }
      measure(model.file(), prompt, entries);
    } finally {
      close(entries);
    }
  }

  /** This engine in exact mode and Jlama. */
  void besideJlama(String model, Path file, int prompt, ProbeSettings.Parts parts)
      throws InterruptedException {
    String classPath = System.getProperty(JLAMA_CLASS_PATH);
    if (classPath == null) {
      throw new IllegalStateException(
          "Jlama is not built; use ./kvdrive bench --beside jlama, which builds it");
    }
    Path folder = folder(model, file);
    List<Entry> entries = new ArrayList<>();
    try {
      entries.add(
          new Entry(
              own(LocalModel.of(file), prompt, PolicyShape.KVDRIVE, Budget.of(1), PLAIN, parts),
              "KVDrive, " + name(model),
              PolicyShape.KVDRIVE,
              Budget.of(1),
              PLAIN));
      terminal.line("Starting Jlama on " + folder);
      entries.add(
          new Entry(
              ForkedProbe.start(
                  classPath,
                  2 * HEAP_BYTES,
                  JLAMA_MAIN,
                  log,
                  List.of(
                      folder.toString(),
                      Integer.toString(prompt),
                      Integer.toString(conditions.tokens()),
                      Integer.toString(conditions.threads()))),
              folder.equals(file)
                  ? "Jlama, " + name(model)
                  : "Jlama, " + name(model) + " converted to BF16",
              PolicyShape.FULL,
              Budget.of(1),
              null));
      measure(file, prompt, entries);
    } finally {
      close(entries);
    }
  }

  /** The model as a Hugging Face folder in BF16. */
  private Path folder(String uri, Path file) {
    if (Files.isDirectory(file)) {
      return file;
    }
    if (RandomModel.is(uri)) {
      return new RandomModel(RandomModel.parse(uri).shape(), TensorType.BF16)
          .in(LocalRuntime.cacheFolder());
    }
    try (Model model = ModelLoader.open(file, 0, ModelLoader.Verification.NONE)) {
      Path folder =
          LocalRuntime.cacheFolder()
              .resolve("converted")
              .resolve(ModelName.of(file.toString()) + "-" + model.geometry().weightBytes());
      terminal.line("Converting %s to BF16 in %s if it is not there ...".formatted(file, folder));
      HuggingFaceFolder.convert(model, folder);
      return folder;
    }
  }

  private Probe own(
      LocalModel model,
      int prompt,
      PolicyShape policy,
      Budget budget,
      Formats formats,
      ProbeSettings.Parts parts) {
    terminal.line(
        "Starting KVDrive on %s, policy %s, %d tokens, %s"
            .formatted(model.file(), policy.name(), prompt, budget.words()));
    return ForkedProbe.start(
        System.getProperty("java.class.path"),
        HEAP_BYTES,
        EngineProbeMain.class.getName(),
        log,
        new ProbeSettings(
                model,
                prompt,
                conditions.tokens(),
                conditions.sequences(),
                conditions.sequences(),
                budget,
                policy.name(),
                null,
                0,
                formats,
                conditions.device(),
                conditions.threads(),
                tiers(),
                parts,
                conditions.stages())
            .arguments());
  }

  /** The tiers of one more engine. */
  private ProbeSettings.Tiers tiers() {
    ProbeSettings.Tiers tiers = conditions.tiers();
    if (tiers.dramShare() >= 1) {
      return tiers;
    }
    ScratchFolder drive = ScratchFolder.below(tiers.nvme(), "bench-");
    drives.add(drive);
    return tiers.on(drive.path());
  }

  private void close(List<Entry> entries) {
    entries.forEach(entry -> entry.probe().close());
    drives.forEach(ScratchFolder::close);
    drives.clear();
  }

  private void measure(Path file, int prompt, List<Entry> entries) throws InterruptedException {
    List<List<SpeedRun>> results = new ArrayList<>();
    entries.forEach(entry -> results.add(new ArrayList<>()));
    for (int run = -conditions.warmUp(); run < conditions.runs(); run++) {
      for (int i = 0; i < entries.size(); i++) {
        SpeedRun measured = entries.get(i).probe().run();
        terminal.line(
            String.format(
                Locale.ROOT,
                "%-8s %-40s %6d %-7s  prefill %8.1f  decode %7.1f tok/s",
                run < 0 ? "warm-up" : "run " + (run + 1),
                entries.get(i).name(),
                prompt,
                entries.get(i).budget().words(),
                measured.prefillRate(),
                measured.decodeRate()));
        if (run >= 0) {
          results.get(i).add(measured);
        }
      }
    }
    try (Model model = ModelLoader.open(file, 0, ModelLoader.Verification.NONE)) {
      for (int i = 0; i < entries.size(); i++) {
        Entry entry = entries.get(i);
        if (entry.ours()) {
          table.on(entry.probe().description());
        }
        List<SpeedRun> runs = results.get(i);
        StepBytes bytes =
            entry.formats() != null
                ? StepBytes.of(
                    model,
                    conditions.device(),
                    Planner.layout(model.geometry(), KvType.BF16, entry.formats()),
                    runs.getLast().attendedTokens(),
                    prompt + conditions.tokens() / 2,
                    entry.budget().exact()
                        ? null
                        : PolicyShape.named(entry.policy().name(), model.geometry()))
                : null;
        table.add(
            SpeedTable.Row.of(
                entry.name(),
                entry.budget().words(),
                runs,
                bytes == null ? 0 : bytes.perToken(conditions.sequences())));
        if (conditions.stages() && bytes != null) {
          stages.add(
              "%s, %d, %s".formatted(entry.name(), prompt, entry.budget().words()),
              runs,
              bytes,
              conditions.sequences());
        }
      }
    }
  }

  private static String name(String uri) {
    return RandomModel.is(uri) ? uri : ModelName.of(uri);
  }
}
