package dev.kvdrive.bench.engine;

import dev.kvdrive.bench.simulate.RecordingHeader;
import dev.kvdrive.bench.simulate.SelectionRecorder;
import dev.kvdrive.bench.token.TokenDevice;
import dev.kvdrive.bench.token.TokenMethod;
import dev.kvdrive.calibration.CalibrationFile;
import dev.kvdrive.decode.DecodeOptions;
import dev.kvdrive.device.Device;
import dev.kvdrive.device.DeviceFactory;
import dev.kvdrive.model.Model;
import dev.kvdrive.model.ModelLoader;
import dev.kvdrive.model.TokenizerSource;
import dev.kvdrive.plan.EngineSizes;
import dev.kvdrive.plan.Plan;
import dev.kvdrive.plan.PlanRequest;
import dev.kvdrive.plan.Planner;
import dev.kvdrive.plan.Workspace;
import dev.kvdrive.schedule.EngineSettings;
import dev.kvdrive.schedule.InferenceEngine;
import dev.kvdrive.schedule.KvDriveEngine;
import dev.kvdrive.text.ChatTemplate;
import dev.kvdrive.text.Tokenizer;
import dev.kvdrive.text.Tokenizers;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Path;
import java.util.Optional;
import java.util.function.UnaryOperator;
import org.jspecify.annotations.Nullable;

/**
 * A model and its engine on a device, without a server. Owns model, device and engine.
 *
 * @param plan what was planned
 * @param tokenizer of the model
 * @param template of the model, if there is one
 * @param device what it computes on
 * @param engine ready
 * @param model open
 * @param recorder of what it selects, or null
 */
public record LocalEngine(
    Plan plan,
    Tokenizer tokenizer,
    Optional<ChatTemplate> template,
    Device device,
    InferenceEngine engine,
    Model model,
    @Nullable SelectionRecorder recorder)
    implements AutoCloseable {

  /**
   * What an engine is to be started with.
   *
   * @param local the model
   * @param request for exactly this model, with budgets and the device to compute on
   * @param threads of a CPU device; 0 for the processors there are
   * @param nvme folder of the NVMe tier; not used if the budget has none
   */
  public static Setup of(LocalModel local, PlanRequest request, int threads, Path nvme) {
    return new Setup(local, request, threads, nvme);
  }

  /** An engine that is to be started. */
  public static final class Setup {
    private final LocalModel local;
    private final PlanRequest request;
    private final int threads;
    private final Path nvme;
    private UnaryOperator<DecodeOptions> decode = UnaryOperator.identity();
    private UnaryOperator<Device> watch = UnaryOperator.identity();
    private @Nullable Path record;
    private @Nullable TokenMethod method;

    private Setup(LocalModel local, PlanRequest request, int threads, Path nvme) {
      this.local = local;
      this.request = request;
      this.threads = threads;
      this.nvme = nvme;
    }

    /** Makes the steps' options of the usual ones. */
    public Setup decoding(UnaryOperator<DecodeOptions> options) {
      decode = options;
      return this;
    }

    /** Computes on what is made of the device. */
    public Setup on(UnaryOperator<Device> watched) {
      watch = watched;
      return this;
    }

    /** Writes what is selected to a file; null for none. */
    public Setup recording(@Nullable Path file) {
      record = file;
      return this;
    }

    /**
     * Has single tokens attended in place of the engine's attention; null for the request's own
     * policy.
     */
    public Setup attending(@Nullable TokenMethod tokens) {
      method = tokens;
      return this;
    }

    /**
     * Starts the engine and waits until it is warm.
     *
     * @throws dev.kvdrive.plan.InfeasiblePlanException if it does not fit, with what would
     * @throws dev.kvdrive.device.DeviceException if the device cannot be used
     */
    public LocalEngine start() {
      TokenMethod tokens = method;
      Plan plan =
          Planner.plan(
              tokens == null
                  ? request
                  : request.attending(a -> a.withWindows(tokens.windows(a.windows()))));
      EngineSizes sizes = plan.requireSizes();
      DeviceFactory devices = DeviceFactory.require(request.device());
      Model model = local.open(request.load().contextLength(), ModelLoader.Verification.SAMPLE);
      Device device = null;
      KvDriveEngine engine = null;
      SelectionRecorder recorder = null;
      try {
        Tokenizer tokenizer = tokenizer(model.tokenizer());
        long watched = record == null ? 0 : Workspace.observerBytes(sizes) + Device.HOST_PAGE;
        long host = method == null ? 0 : TokenDevice.HOST_BYTES;
        device =
            watch.apply(
                devices.open(
                    request.tiers().gpu(), request.tiers().dram() + watched + host, threads));
        if (method != null) {
          device = new TokenDevice(device, method);
        }
        Optional<ChatTemplate> template = local.template(model.tokenizer());
        EngineSettings settings =
            EngineSettings.of(sizes, device, nvme)
                .withCalibration(
                    CalibrationFile.neededBy(request.attention().policy().summary(), local.file()));
        settings = settings.withDecode(decode);
        if (method != null) {
          // Its attention is not that of the selection which the meter reads, and a prediction
          // that it asks for is to be made in every step.
          settings = settings.withDecode(d -> d.withMeterShare(0).withElasticPrefetch(false));
        }
        if (record != null) {
          recorder = new SelectionRecorder(record, RecordingHeader.of(sizes));
          // What is recorded is what was asked, and nothing before it.
          settings = settings.withObserver(recorder).withScheduling(s -> s.withWarmUpTokens(0));
        }
        engine = KvDriveEngine.begin(model, tokenizer, device, settings);
        engine.awaitReady();
        return new LocalEngine(plan, tokenizer, template, device, engine, model, recorder);
      } catch (RuntimeException e) {
        close(engine, device, model, recorder);
        throw e;
      } catch (IOException e) {
        close(engine, device, model, recorder);
        throw new UncheckedIOException("cannot write the recording " + record, e);
      }
    }
  }

  /** The tokenizer that comes with a model. */
  public static Tokenizer tokenizer(TokenizerSource source) {
    return switch (source) {
      case TokenizerSource.Folder folder -> Tokenizers.fromTokenizerJson(folder.folder());
      case TokenizerSource.Gguf gguf -> Tokenizers.fromGguf(gguf.metadata());
    };
  }

  @Override
  public void close() {
    close(engine, device, model, recorder);
  }

  private static void close(
      @Nullable InferenceEngine engine,
      @Nullable Device device,
      Model model,
      @Nullable SelectionRecorder recorder) {
    if (engine != null) {
      engine.close();
      close(recorder);
      if (!engine.released()) {
        return; // what it works on goes with the process
      }
    }
    close(recorder);
    if (device != null) {
      device.close();
    }
    model.close();
  }

  private static void close(@Nullable SelectionRecorder recorder) {
    if (recorder != null) {
      try {
        recorder.close();
      } catch (IOException e) {
        throw new UncheckedIOException("cannot write the recording", e);
      }
    }
  }
}
