package dev.kvdrive.cli.demo;

import dev.kvdrive.bench.document.TaskFamily;
import dev.kvdrive.bench.document.TaskMaker;
import dev.kvdrive.bench.engine.ComfortableTiers;
import dev.kvdrive.bench.eval.EvalTask;
import dev.kvdrive.bench.users.ChatStream;
import dev.kvdrive.cli.option.BudgetOptions;
import dev.kvdrive.cli.option.ModelName;
import dev.kvdrive.cli.serve.CurlCall;
import dev.kvdrive.cli.serve.LocalRuntime;
import dev.kvdrive.cli.serve.ScratchFolder;
import dev.kvdrive.cli.terminal.ProgressBar;
import dev.kvdrive.cli.terminal.Quantities;
import dev.kvdrive.cli.terminal.Terminal;
import dev.kvdrive.device.DeviceFactory;
import dev.kvdrive.model.source.HubSettings;
import dev.kvdrive.model.source.ModelSource;
import dev.kvdrive.plan.Budget;
import dev.kvdrive.plan.ByteSize;
import dev.kvdrive.plan.DeviceKind;
import dev.kvdrive.plan.KvType;
import dev.kvdrive.plan.Load;
import dev.kvdrive.plan.ModelGeometry;
import dev.kvdrive.plan.PlanRequest;
import dev.kvdrive.plan.RopeScaling;
import dev.kvdrive.plan.TierBudgets;
import dev.kvdrive.plan.WindowOptions;
import dev.kvdrive.schedule.EngineStatus;
import dev.kvdrive.schedule.InferenceEngine;
import dev.kvdrive.server.serving.ServedModel;
import dev.kvdrive.server.serving.Serving;
import java.io.IOException;
import java.net.http.HttpClient;
import java.nio.file.Path;
import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import tools.jackson.databind.JsonNode;

/**
 * The demo: starts a runtime whose tiers are too small for comfort, asks it over HTTP for a fact in
 * a long document, and checks the answer.
 */
final class Demo {
  private static final long POLL_MILLIS = 100;

  static final TaskFamily FAMILY = TaskFamily.FACT_QA;

  /** Where the fact is. */
  private static final double DEPTH = 0.37;

  /** The window in selections, and in exact mode as a share of everything. */
  private static final double WINDOWS = 2;

  private static final double EXACT_WINDOW = 0.25;
  private static final double DRAM_SHARE = 0.4;

  /** More than a server takes, so that so short an answer is measured at all. */
  private static final String METER = "0.1";

  private final Terminal terminal;
  private final int tokens;
  private final Budget budget;

  private final long seed;
  private final DeviceKind device;
  private final int threads;
  private final ModelChange change;

  /**
   * What is to be different from the model's file.
   *
   * @param scaling extends its context; null leaves it as it is
   * @param settings of the runtime that make it so
   * @param flags what settings are called on the command line
   */
  record ModelChange(
      @Nullable RopeScaling scaling, Map<String, String> settings, Map<String, String> flags) {
    static final ModelChange NONE = new ModelChange(null, Map.of(), Map.of());
  }

  /**
   * @param tokens of the prompt, nearly; the answer's come on top
   * @param budget how much of the context is attended per step
   * @param seed of the document
   * @param device what to compute on
   * @param threads of the CPU device; 0 for the processors there are
   * @param change of the model
   */
  Demo(
      Terminal terminal,
      int tokens,
      Budget budget,
      long seed,
      DeviceKind device,
      int threads,
      ModelChange change) {
    this.terminal = terminal;
    this.tokens = tokens;
    this.budget = budget;
    this.seed = seed;
    this.device = device;
    this.threads = threads;
    this.change = change;
  }

  private int contextLength() {
    return tokens + FAMILY.maxNewTokens();
  }

  /**
   * Starts the runtime and waits until it answers.
   *
   * @param cache where models and scratch folders go
   * @param own opens the device instead of the backend; null for the backend
   * @throws IllegalArgumentException if the document is longer than the model can read
   */
  LocalRuntime start(Path cache, @Nullable DeviceFactory own) throws InterruptedException {
    terminal.line(terminal.bold("KVDrive demo") + " on device " + device.word());
    TierBudgets tiers =
        tiers(
            new ModelSource(cache, HubSettings.from(System.getenv()))
                .geometry(ModelSource.BUILTIN)
                .extended(change.scaling()));
    terminal.line(
        "A document of %s tokens, %s of %s, %s of DRAM, %s of NVMe, budget %s."
            .formatted(
                Quantities.count(tokens),
                ByteSize.human(tiers.gpu()),
                DemoReport.gpuTier(device),
                ByteSize.human(tiers.dram()),
                ByteSize.human(tiers.nvme()),
                budget.words()));
    Map<String, String> settings = new LinkedHashMap<>(change.settings());
    settings.put("kvdrive.model.cache-dir", cache.toString());
    settings.put("kvdrive.served-model-name", ModelName.of(ModelSource.BUILTIN));
    settings.put("kvdrive.context-length", Integer.toString(contextLength()));
    settings.put("kvdrive.concurrency", "1");
    settings.putAll(BudgetOptions.settings(budget));
    settings.put("kvdrive.dense-below", "0");
    // Slower on a processor, and off by default; here it is to be seen.
    settings.put("kvdrive.windows.prefetch", "true");
    settings.put("kvdrive.meter", METER);
    settings.put("kvdrive.device", device.name());
    settings.put("kvdrive.threads", Integer.toString(threads));
    settings.put("kvdrive.tiers.gpu-bytes", Long.toString(tiers.gpu()));
    settings.put("kvdrive.tiers.dram-bytes", Long.toString(tiers.dram()));
    settings.put("kvdrive.tiers.nvme-bytes", Long.toString(tiers.nvme()));
    // Whoever ends the demo wants it to end.
    settings.put("kvdrive.drain-timeout", "0s");
    settings.put("server.address", "127.0.0.1");
    settings.put("server.port", "0");
    settings.put("kvdrive.http.ui", "true");
    LocalRuntime runtime =
        LocalRuntime.start(
            settings,
            change.flags(),
            ScratchFolder.below(cache.resolve("nvme"), "demo-"),
            LocalRuntime.Log.ERRORS,
            own);
    String last = "";
    while (runtime.serving().state() instanceof Serving.State.Starting starting) {
      if (!starting.detail().equals(last)) {
        last = starting.detail();
        terminal.passing(terminal.faint(last));
      }
      Thread.sleep(POLL_MILLIS);
    }
    return runtime;
  }

  /**
   * Budgets so small that the document needs all three tiers: DRAM has room for less than half of
   * its KV cache.
   */
  TierBudgets tiers(ModelGeometry model) {
    return new ComfortableTiers(budget.share() >= 1 ? EXACT_WINDOW : WINDOWS, DRAM_SHARE)
        .of(
            PlanRequest.of(
                    model,
                    new Load(contextLength(), 1),
                    1,
                    KvType.BF16,
                    new TierBudgets(0, 0, 0),
                    device)
                .attending(
                    a ->
                        a.withDenseBelow(0)
                            .withWindows(WindowOptions.DEFAULT.withPrefetch(true))
                            .withBudget(budget)));
  }

  /**
   * Asks and prints, up to the report.
   *
   * @return whether the answer is right
   * @throws IOException if the server gave up; with its words
   */
  boolean ask(LocalRuntime runtime) throws IOException, InterruptedException {
    if (!(runtime.serving().state() instanceof Serving.State.Ready ready)) {
      throw new IOException("the runtime ended: " + runtime.serving().state().detail());
    }
    ServedModel model = ready.model();
    terminal.line("Watch it at " + runtime.address() + "/ui");
    EvalTask task = task(model);
    String prompt = String.valueOf(task.messages().getFirst().fields().get("content"));
    terminal.line("");
    terminal.line(terminal.faint("  " + prompt.lines().skip(1).findFirst().orElse("")));
    terminal.line(terminal.faint("  ..."));
    terminal.line("");
    terminal.line(terminal.bold("Question  ") + prompt.substring(prompt.lastIndexOf('\n') + 1));
    terminal.line("");
    Answer answer = new Answer(model.engine());
    try (HttpClient client = ChatStream.client()) {
      new ChatStream(runtime.address(), model.name(), prompt, task.maxNewTokens(), 0, null)
          .ask(client, answer::accept);
    } catch (IOException e) {
      if (runtime.ending()) {
        throw new InterruptedException("the demo was ended");
      }
      throw e;
    }
    terminal.line("");
    terminal.line("");
    boolean right = check(task, answer.text.toString());
    terminal.line("");
    JsonNode usage = answer.usage;
    EngineStatus fullest = answer.fullest;
    if (usage == null || fullest == null) {
      throw new IOException("the server did not say what the answer took");
    }
    DemoReport.lines(terminal, device, model.engine().sizes().policy().clusters(), fullest, usage)
        .forEach(terminal::line);
    return right;
  }

  private EvalTask task(ServedModel model) {
    return new TaskMaker(seed, text -> model.tokenizer().encode(text, false).length)
        .make(FAMILY, contextLength(), DEPTH);
  }

  private boolean check(EvalTask task, String text) {
    boolean right = true;
    StringBuilder line = new StringBuilder(terminal.bold("Check     "));
    for (String expected : task.answers()) {
      boolean found = text.contains(expected);
      right &= found;
      line.append(found ? terminal.good(expected + " right") : terminal.bad(expected + " MISSING"))
          .append("   ");
    }
    terminal.line(line.toString().stripTrailing());
    if (!right) {
      terminal.line(
          terminal.bad(
              "The answer is wrong: it must contain what is missing above. This is a defect; please"
                  + " report it with this output."));
    }
    return right;
  }

  /** What comes over the wire, and the engine beside it. */
  private final class Answer {
    private final InferenceEngine engine;
    private final ProgressBar bar = new ProgressBar(terminal, "Reading  ");
    private final long start = System.nanoTime();
    private final StringBuilder text = new StringBuilder();
    private @Nullable JsonNode usage;
    private @Nullable EngineStatus fullest;

    Answer(InferenceEngine engine) {
      this.engine = engine;
    }

    void accept(ChatStream.Event event) {
      switch (event) {
        case ChatStream.Event.Prefill prefill -> bar.update(prefill.share(), left(prefill.share()));
        case ChatStream.Event.Text more -> {
          if (text.isEmpty()) {
            terminal.part(terminal.bold("Answer    "));
          }
          text.append(more.text());
          terminal.part(more.text());
          observe();
        }
        case ChatStream.Event.Usage took -> usage = took.usage();
      }
    }

    private String left(double share) {
      if (share <= 0) {
        return "";
      }
      double seconds = (System.nanoTime() - start) / 1e9;
      return String.format(
          Locale.ROOT,
          "%s tokens/s, %s left",
          Quantities.rate(share * tokens / seconds),
          Quantities.duration(Duration.ofMillis((long) (1000 * seconds * (1 - share) / share))));
    }

    private void observe() {
      EngineStatus now = engine.status();
      if (fullest == null || kvBytes(now) >= kvBytes(fullest)) {
        fullest = now;
      }
    }

    private static long kvBytes(EngineStatus status) {
      return status.tiers().stream().mapToLong(EngineStatus.Tier::kvBytes).sum();
    }
  }

  /** How to go on. */
  void invite(LocalRuntime runtime, boolean serving) {
    terminal.line("");
    if (serving) {
      terminal.line(terminal.bold("Ask it yourself") + ", until Ctrl-C:");
    } else {
      terminal.line(terminal.bold("Ask it yourself") + ": start a server,");
      terminal.line("");
      terminal.line(
          "  ./kvdrive serve --nvme 1Gi"
              + (device == DeviceKind.CPU ? "" : " --device " + device.word()));
      terminal.line("");
      terminal.line("and in another shell");
    }
    terminal.line("");
    terminal.line(
        CurlCall.chat(
                serving ? runtime.address() : java.net.URI.create("http://127.0.0.1:8080"),
                "",
                ModelName.of(ModelSource.BUILTIN),
                false,
                "Hello")
            .indent(2)
            .stripTrailing());
  }
}
