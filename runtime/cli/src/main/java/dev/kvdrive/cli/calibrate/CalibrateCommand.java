package dev.kvdrive.cli.calibrate;

import dev.kvdrive.bench.calibrate.CalibrationPrompts;
import dev.kvdrive.bench.calibrate.Calibrator;
import dev.kvdrive.bench.engine.ComfortableTiers;
import dev.kvdrive.bench.engine.LocalEngine;
import dev.kvdrive.bench.engine.LocalModel;
import dev.kvdrive.calibration.CalibrationFile;
import dev.kvdrive.cli.option.Bounded;
import dev.kvdrive.cli.option.OutputFileConverter;
import dev.kvdrive.cli.option.ProcessorOptions;
import dev.kvdrive.cli.serve.LocalRuntime;
import dev.kvdrive.cli.terminal.ProgressBar;
import dev.kvdrive.cli.terminal.Quantities;
import dev.kvdrive.cli.terminal.Terminal;
import dev.kvdrive.device.Device;
import dev.kvdrive.device.DeviceFactory;
import dev.kvdrive.kv.index.IndexCalibration;
import dev.kvdrive.model.IndexSidecar;
import dev.kvdrive.model.Model;
import dev.kvdrive.model.ModelLoader;
import dev.kvdrive.model.file.FileFault;
import dev.kvdrive.model.source.HubSettings;
import dev.kvdrive.model.source.ModelSource;
import dev.kvdrive.plan.ByteSize;
import dev.kvdrive.plan.KvType;
import dev.kvdrive.plan.Load;
import dev.kvdrive.plan.PlanRequest;
import dev.kvdrive.plan.Planner;
import dev.kvdrive.plan.TierBudgets;
import dev.kvdrive.text.Tokenizer;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.CharacterCodingException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** {@code ./kvdrive calibrate}: fits the index of a model to its keys and queries. */
@Command(
    name = "calibrate",
    description =
        "Fits the index of a model to its keys and queries, and writes what it found beside the"
            + " weights, where 'eval --index planes-128' looks for it.",
    mixinStandardHelpOptions = true)
public final class CalibrateCommand implements Callable<Integer> {
  @Spec private CommandSpec spec;

  @Option(
      names = "--model",
      paramLabel = "URI",
      defaultValue = ModelSource.BUILTIN,
      description = "As for serve (default: ${DEFAULT-VALUE}).")
  private String model;

  @Option(
      names = "--length",
      paramLabel = "TOKENS",
      converter = Bounded.Positive.class,
      defaultValue = "8192",
      description = "Length of the documents it reads (default: ${DEFAULT-VALUE}).")
  private int length;

  @Option(
      names = "--text",
      paramLabel = "FILE",
      description =
          "Text to read besides, in UTF-8; may be given several times. Documents with questions and"
              + " answers that come with the program are read in any case.")
  private List<Path> texts = new ArrayList<>();

  @Option(
      names = "--out",
      paramLabel = "FILE",
      converter = OutputFileConverter.class,
      description = "Where to write it (default: beside the weights).")
  private @Nullable Path out;

  @Mixin private ProcessorOptions processor = new ProcessorOptions();

  @Override
  public Integer call() throws IOException {
    processor.require(spec);
    Path file =
        new ModelSource(LocalRuntime.cacheFolder(), HubSettings.from(System.getenv()))
            .resolve(model);
    Path target = out == null ? IndexSidecar.of(file) : out;
    Terminal terminal = Terminal.of(spec.commandLine().getErr());
    try (Model opened = ModelLoader.open(file, 0, ModelLoader.Verification.SAMPLE)) {
      int most = opened.geometry().maxContext();
      if (length > most) {
        throw new ParameterException(
            spec.commandLine(),
            "--length must be at most %,d, the context of %s, got %,d"
                .formatted(most, opened.geometry().name(), length));
      }
      List<int[]> prompts = prompts(file, opened);
      PlanRequest request =
          PlanRequest.of(
              // One that is there already is not asked: a new one is made.
              opened.geometry().calibrated(false),
              new Load(length, 1, 1),
              1.0,
              KvType.BF16,
              new TierBudgets(0, 0, 0),
              processor.device());
      TierBudgets tiers = new ComfortableTiers(1, 1).of(request);
      IndexCalibration fitted;
      try (Device on =
              DeviceFactory.require(processor.device())
                  .open(
                      tiers.gpu(),
                      tiers.dram() + Calibrator.hostBytes(request),
                      processor.threads());
          Calibrator calibrator =
              new Calibrator(opened, on, Planner.plan(request.withTiers(tiers)).requireSizes())) {
        terminal.line("reading %d documents on %s".formatted(prompts.size(), on.description()));
        fitted = read(prompts, calibrator, terminal);
      }
      CalibrationFile.write(target, fitted);
    }
    spec.commandLine()
        .getOut()
        .printf("The calibration is in %s (%s).%n", target, ByteSize.human(Files.size(target)));
    return 0;
  }

  private List<int[]> prompts(Path file, Model opened) throws IOException {
    Tokenizer tokenizer = LocalEngine.tokenizer(opened.tokenizer());
    List<int[]> prompts;
    try {
      prompts =
          new ArrayList<>(
              CalibrationPrompts.ofTasks(
                  length, tokenizer, LocalModel.of(file).template(opened.tokenizer())));
    } catch (IllegalArgumentException e) {
      throw new ParameterException(spec.commandLine(), "--length: " + e.getMessage(), e);
    }
    for (Path text : texts) {
      prompts.addAll(CalibrationPrompts.ofText(content(text), length, tokenizer));
    }
    return prompts;
  }

  private static String content(Path text) {
    try {
      return Files.readString(text);
    } catch (CharacterCodingException e) {
      throw new IllegalArgumentException(
          "--text %s is no text in UTF-8; save it as that".formatted(text), e);
    } catch (IOException e) {
      throw new UncheckedIOException("--text " + FileFault.words(text, e), e);
    }
  }

  private static IndexCalibration read(
      List<int[]> prompts, Calibrator calibrator, Terminal terminal) {
    ProgressBar bar = new ProgressBar(terminal, "calibrate");
    long start = System.nanoTime();
    for (int i = 0; i < prompts.size(); i++) {
      calibrator.read(prompts.get(i));
      double seconds = (System.nanoTime() - start) / 1e9;
      long left = Math.round(1000 * seconds * (prompts.size() - i - 1) / (i + 1));
      bar.update(
          (i + 1.0) / prompts.size(), Quantities.duration(Duration.ofMillis(left)) + " left");
    }
    return calibrator.fit();
  }
}
