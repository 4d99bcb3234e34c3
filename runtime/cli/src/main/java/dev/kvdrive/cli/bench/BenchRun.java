package dev.kvdrive.cli.bench;

import dev.kvdrive.bench.engine.LocalModel;
import dev.kvdrive.bench.model.RandomModel;
import dev.kvdrive.bench.speed.EngineProbeMain;
import dev.kvdrive.bench.speed.ForkedProbe;
import dev.kvdrive.bench.speed.Part;
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
   * @param parts of the method that are on
   * @param warmUp runs that do not count
   * @param runs that count
   * @param stages whether the time of each verb is measured
   */
  record Conditions(
      int tokens,
      int sequences,
      ProbeSettings.Processor processor,
      ProbeSettings.Tiers tiers,
      ProbeSettings.Parts parts,
      int warmUp,
      int runs,
      boolean stages) {
    /** What is measured of this engine, with everything that is to be on. */
    List<ProbeSettings> settings(
        LocalModel model,
        int prompt,
        List<PolicyShape> policies,
        List<Budget> budgets,
        DoubleFunction<List<Formats>> formats) {
      List<ProbeSettings> all = new ArrayList<>();
      for (PolicyShape policy : policies) {
        for (Budget budget : PolicyOptions.budgets(Method.of(policy), budgets)) {
          for (Formats chunks : formats.apply(budget.share())) {
            all.add(
                new ProbeSettings(
                    model,
                    new ProbeSettings.Work(prompt, tokens, sequences),
                    new ProbeSettings.Attention(budget, policy.name(), chunks),
                    processor,
                    tiers,
                    parts,
                    stages));
          }
        }
      }
      return all;
    }
  }

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
   * @param without what is off in turn, where it is on
   * @param other engine, or null
   */
  void measure(
      String name,
      LocalModel model,
      int prompt,
      List<PolicyShape> policies,
      List<Budget> budgets,
      DoubleFunction<List<Formats>> formats,
      List<Part> without,
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
      for (ProbeSettings all : conditions.settings(model, prompt, policies, budgets, formats)) {
        String of = (other == null ? "" : "KVDrive, ") + name(name) + words(all);
        entries.add(entry(of, all));
        for (Part part : without) {
          ProbeSettings less = part.off(all, model.geometry());
          if (!less.equals(all)) {
            entries.add(entry("%s, without %s".formatted(of, part), less));
          }
        }
      }
      measure(model.file(), prompt, entries);
    } finally {
      close(entries);
    }
  }

  /** What is not as usual. */
  private String words(ProbeSettings settings) {
    ProbeSettings.Attention attention = settings.attention();
    String words = "";
    if (!attention.policy().equals(PolicyShape.KVDRIVE.name())) {
      words += ", " + attention.policy();
    }
    if (!attention.formats().equals(PLAIN)) {
      Formats chunks = attention.formats();
      words += ", %s from %s".formatted(chunks.resident().word(), chunks.backing().word());
    }
    return conditions.sequences() > 1
        ? "%s, %d sequences".formatted(words, conditions.sequences())
        : words;
  }

  private Entry entry(String name, ProbeSettings settings) {
    ProbeSettings.Attention attention = settings.attention();
    terminal.line(
        "Starting KVDrive on %s, policy %s, %d tokens, %s"
            .formatted(
                settings.model().file(),
                attention.policy(),
                settings.work().promptTokens(),
                attention.budget().words()));
    Probe probe =
        ForkedProbe.start(
            System.getProperty("java.class.path"),
            HEAP_BYTES,
            EngineProbeMain.class.getName(),
            log,
            List.of(settings.with(tiers()).argument()));
    return new Entry(
        probe,
        name,
        PolicyShape.named(attention.policy()),
        attention.budget(),
        attention.formats());
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
