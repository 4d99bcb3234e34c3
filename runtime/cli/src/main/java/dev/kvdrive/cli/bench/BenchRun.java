package dev.kvdrive.cli.bench;

import dev.kvdrive.bench.engine.LocalModel;
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
import dev.kvdrive.plan.Budget;
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
   * @param processor of this project's engine; every engine has as many threads
   * @param tiers how this project's engine spreads the KV cache; in the folder of the NVMe tier
   *     each has one of its own
   * @param warmUp runs that do not count
   * @param runs that count
   * @param stages whether the time of each verb is measured
   */
  record Conditions(
      int tokens,
      int sequences,
      ProbeSettings.Processor processor,
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
   * This engine with each policy, budget and pair of formats, and in turn with it another one.
   *
   * @param parts by what is off: first everything that is to be on, under an empty name
   * @param other engine, or null
   */
  void measure(
      String name,
      LocalModel model,
      int prompt,
      List<PolicyShape> policies,
      List<Budget> budgets,
      DoubleFunction<List<Formats>> formats,
      Map<String, ProbeSettings.Parts> parts,
      @Nullable OtherEngine other)
      throws InterruptedException {
    List<Entry> entries = new ArrayList<>();
    try {
      if (other != null) {
        terminal.line("Starting %s on %s".formatted(other.words(), name));
        Probe probe =
            other.start(
                new OtherEngine.Asked(
                    name,
                    model.file(),
                    prompt,
                    conditions.tokens(),
                    conditions.processor().threads(),
                    log),
                terminal);
        entries.add(
            new Entry(
                probe,
                other.words() + ", " + other.weights(name(name), model.file()),
                PolicyShape.FULL,
                Budget.of(1),
                null));
      }
      for (PolicyShape policy : policies) {
        for (Budget budget : PolicyOptions.budgets(Method.of(policy), budgets)) {
          for (Formats chunks : formats.apply(budget.share())) {
            String of = (other == null ? "" : "KVDrive, ") + name(name);
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
              Probe probe = start(model, prompt, policy, budget, chunks, on.getValue());
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

  private Probe start(
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
        List.of(
            new ProbeSettings(
                    model,
                    new ProbeSettings.Work(prompt, conditions.tokens(), conditions.sequences()),
                    new ProbeSettings.Attention(budget, policy.name(), formats),
                    conditions.processor(),
                    tiers(),
                    parts,
                    conditions.stages())
                .argument()));
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
    List<SpeedRun> others = entries.getFirst().ours() ? List.of() : results.getFirst();
    try (Model model = ModelLoader.open(file, 0, ModelLoader.Verification.NONE)) {
      for (int i = 0; i < entries.size(); i++) {
        Entry entry = entries.get(i);
        if (entry.ours()) {
          table.on(entry.probe().description());
        } else {
          table.beside(entry.probe().description());
        }
        List<SpeedRun> runs = results.get(i);
        StepBytes bytes =
            entry.formats() != null
                ? StepBytes.of(
                    model,
                    conditions.processor().device(),
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
                bytes == null ? 0 : bytes.perToken(conditions.sequences()),
                entry.ours() ? others : List.of()));
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
