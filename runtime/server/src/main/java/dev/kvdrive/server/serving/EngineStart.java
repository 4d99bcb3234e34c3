package dev.kvdrive.server.serving;

import dev.kvdrive.calibration.CalibrationFile;
import dev.kvdrive.device.Device;
import dev.kvdrive.device.DeviceException;
import dev.kvdrive.device.DeviceFactory;
import dev.kvdrive.kv.index.IndexCalibration;
import dev.kvdrive.kv.tier.ExtentFile;
import dev.kvdrive.model.Model;
import dev.kvdrive.model.ModelLoader;
import dev.kvdrive.model.TokenizerSource;
import dev.kvdrive.model.file.Printable;
import dev.kvdrive.model.source.DownloadProgress;
import dev.kvdrive.model.source.HubSettings;
import dev.kvdrive.model.source.ModelSource;
import dev.kvdrive.plan.ByteSize;
import dev.kvdrive.plan.DeviceKind;
import dev.kvdrive.plan.EngineSizes;
import dev.kvdrive.plan.ModelGeometry;
import dev.kvdrive.plan.Plan;
import dev.kvdrive.plan.Planner;
import dev.kvdrive.schedule.EngineSettings;
import dev.kvdrive.schedule.KvDriveEngine;
import dev.kvdrive.server.settings.PlannedSizes;
import dev.kvdrive.server.settings.RuntimeSettings;
import dev.kvdrive.server.settings.SettingNames;
import dev.kvdrive.text.ChatTemplate;
import dev.kvdrive.text.ChatTemplateException;
import dev.kvdrive.text.Tokenizer;
import dev.kvdrive.text.Tokenizers;
import java.nio.file.Path;
import java.time.Clock;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The start of a real engine: download, open, plan, check, load, warm up. The plan is made anew
 * from the model file itself, so that what runs is what fits, whatever was promised before.
 */
public final class EngineStart implements ModelStart {
  private static final Logger log = LoggerFactory.getLogger(EngineStart.class);

  private final RuntimeSettings settings;
  private final DeviceFactory devices;
  private final ExtentFile.Opener files;
  private final MachineCheck machine;
  private final Map<String, String> environment;
  private final SettingNames names;
  private final Clock clock;

  /** What was opened, the last first; also the lock of this object's state. */
  private final Deque<Opened> opened = new ArrayDeque<>();

  private boolean closed;

  private interface Opened {
    /** Returns whether it is closed, so that what it was made on can be closed too. */
    boolean close();
  }

  /**
   * @param files makes the files of the NVMe tier
   * @param environment for the hub, see {@link HubSettings#from}
   * @param names what settings are called in the log
   */
  public EngineStart(
      RuntimeSettings settings,
      DeviceFactory devices,
      ExtentFile.Opener files,
      MachineCheck machine,
      Map<String, String> environment,
      SettingNames names,
      Clock clock) {
    this.settings = settings;
    this.devices = devices;
    this.files = files;
    this.machine = machine;
    this.environment = Map.copyOf(environment);
    this.names = names;
    this.clock = clock;
  }

  @Override
  public ServedModel start(Consumer<String> progress) {
    // First, so that a setting that is wrong is told before anything is downloaded.
    Path templateFile = settings.model().chatTemplate();
    String instead = templateFile == null ? null : templateSource(templateFile);
    String uri = settings.model().uri();
    progress.accept("finding model " + uri);
    Path file =
        new ModelSource(settings.model().cacheDir(), HubSettings.from(environment))
            .resolve(uri, new DownloadSteps(progress));
    progress.accept("opening " + file);
    Model model =
        ModelLoader.open(
            file,
            settings.contextLength(),
            settings.model().scaling(),
            ModelLoader.Verification.SAMPLE);
    opened(closing(model::close));
    requireAsPlanned(uri, model.geometry());
    Tokenizer tokenizer = tokenizer(model.tokenizer());
    Optional<ChatTemplate> template = template(model.tokenizer(), instead);
    template.ifPresent(
        chat ->
            tell(
                chat,
                templateFile == null ? "model's chat template" : "chat template " + templateFile));
    Plan plan = Planner.plan(settings.planRequest(model.geometry(), devices.kind()));
    plan.requireSizes();
    progress.accept(plan.verdict());
    plan.warnings().forEach(progress);
    machine.require(plan, settings.tiers().nvmeDir());
    IndexCalibration calibration =
        CalibrationFile.neededBy(plan.request().attention().policy().summary(), file);
    Device device = openDevice();
    opened(closing(device::close));
    progress.accept("loading and warming up on " + device.description());
    KvDriveEngine engine = begin(model, tokenizer, device, plan.requireSizes(), calibration);
    engine.awaitReady();
    String served = settings.servedModelName();
    return ServedModel.of(
        served != null ? served : model.geometry().name(),
        clock.instant(),
        tokenizer,
        template,
        engine,
        plan.demands());
  }

  private Device openDevice() {
    try {
      return devices.open(
          settings.tiers().gpu().bytes(), settings.tiers().dram().bytes(), settings.threads());
    } catch (DeviceException e) {
      throw StartFailure.ofDevice(devices.kind(), e);
    }
  }

  /** What the plan says of this runtime, and the room it was given, hold for these sizes only. */
  private void requireAsPlanned(String uri, ModelGeometry file) {
    PlannedSizes planned = settings.model().planned();
    List<String> differences = planned == null ? List.of() : planned.differences(file);
    if (planned != null && !differences.isEmpty()) {
      throw new StartFailure(
          "ModelDiffers: the sizes of model %s are not those that were planned with: %s. Correct %s; the file says geometry: %s"
              .formatted(
                  uri,
                  String.join(", ", differences),
                  planned.statedIn() == null ? "kvdrive.model.planned" : planned.statedIn(),
                  PlannedSizes.statement(file)));
    }
  }

  /** Says now what requests would find out. */
  private void tell(ChatTemplate template, String name) {
    template
        .problem()
        .ifPresent(
            why ->
                log.warn(
                    "Chats are refused, raw prompts are answered: the {} cannot be used: {}. Supply one that can with {}",
                    name,
                    Printable.of(why),
                    names.in("kvdrive.model.chat-template")));
    if (!template.unknowns().isEmpty()) {
      log.warn(
          "Chats that lead there are refused, others are answered: the {} cannot be used in some branches: {}. Supply one that can with {}",
          name,
          Printable.of(String.join(", ", template.unknowns())),
          names.in("kvdrive.model.chat-template"));
    }
  }

  private static Tokenizer tokenizer(TokenizerSource source) {
    return switch (source) {
      case TokenizerSource.Folder folder -> Tokenizers.fromTokenizerJson(folder.folder());
      case TokenizerSource.Gguf gguf -> Tokenizers.fromGguf(gguf.metadata());
    };
  }

  private static String templateSource(Path file) {
    try {
      return Tokenizers.templateSource(file);
    } catch (ChatTemplateException e) {
      throw new StartFailure(
          "kvdrive.model.chat-template: in %s, %s"
              .formatted(file.toAbsolutePath().getParent(), e.getMessage()));
    }
  }

  private static Optional<ChatTemplate> template(TokenizerSource source, @Nullable String instead) {
    return switch (source) {
      case TokenizerSource.Folder folder -> Tokenizers.chatTemplate(folder.folder(), instead);
      case TokenizerSource.Gguf gguf -> Tokenizers.chatTemplate(gguf.metadata(), instead);
    };
  }

  /**
   * Begins the engine, and has it in the list before it is ready: whoever closes meanwhile ends the
   * engine before what it works on.
   */
  private KvDriveEngine begin(
      Model model,
      Tokenizer tokenizer,
      Device device,
      EngineSizes sizes,
      @Nullable IndexCalibration calibration) {
    synchronized (opened) {
      if (closed) {
        throw shuttingDown(); // device and model may be closed already
      }
      EngineSettings own =
          EngineSettings.of(sizes, device, settings.tiers().nvmeDir())
              .withNvme(
                  nvme ->
                      nvme.withWritesPerDay(
                              settings.tiers().nvmeWritesPerDay().bytes(), nvme.clock())
                          .withFiles(files))
              .withCalibration(calibration)
              .withScheduling(scheduling -> scheduling.withKeepsPrompts(settings.keepPrompts()));
      if (devices.kind() == DeviceKind.CPU) {
        own = own.withScheduling(scheduling -> scheduling.withWarmUpTime(settings.warmUpTime()));
      }
      Double meter = settings.meter();
      if (meter != null) {
        own = own.withDecode(decode -> decode.withMeterShare(meter));
      }
      KvDriveEngine engine = KvDriveEngine.begin(model, tokenizer, device, own);
      opened.push(
          () -> {
            engine.close();
            return engine.released();
          });
      return engine;
    }
  }

  private static StartFailure shuttingDown() {
    return new StartFailure("the runtime is shutting down");
  }

  private static Opened closing(Runnable close) {
    return () -> {
      close.run();
      return true;
    };
  }

  private void opened(Opened what) {
    synchronized (opened) {
      opened.push(what);
      if (!closed) {
        return;
      }
      closeAll();
    }
    throw shuttingDown();
  }

  @Override
  public void close() {
    synchronized (opened) {
      closed = true;
      // Under the lock, so that whoever calls second finds everything closed.
      closeAll();
    }
  }

  private void closeAll() {
    while (!opened.isEmpty()) {
      if (!opened.peek().close()) {
        // Still in use, and with it all that was opened before.
        return;
      }
      opened.pop();
    }
  }

  /** Tells of every tenth of a download, and of files without a known size once. */
  private static final class DownloadSteps implements DownloadProgress {
    private final Consumer<String> progress;
    private long lastTenth = -1;

    DownloadSteps(Consumer<String> progress) {
      this.progress = progress;
    }

    @Override
    public void update(String file, long doneBytes, long totalBytes) {
      long tenth = totalBytes <= 0 ? 0 : 10 * doneBytes / totalBytes;
      if (tenth != lastTenth) {
        lastTenth = tenth;
        progress.accept(
            "downloading: %s of %s"
                .formatted(ByteSize.human(doneBytes), ByteSize.human(totalBytes)));
      }
    }
  }
}
