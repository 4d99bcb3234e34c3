package dev.kvdrive.cli.option;

import dev.kvdrive.model.source.ModelSource;
import dev.kvdrive.plan.AttentionOptions;
import dev.kvdrive.plan.Budget;
import dev.kvdrive.plan.Formats;
import dev.kvdrive.plan.IndexShape;
import dev.kvdrive.plan.KvType;
import dev.kvdrive.plan.Load;
import dev.kvdrive.plan.ModelGeometry;
import dev.kvdrive.plan.NvmeEncryption;
import dev.kvdrive.plan.PlanRequest;
import dev.kvdrive.plan.PolicyShape;
import dev.kvdrive.plan.SummaryFormat;
import dev.kvdrive.plan.TierBudgets;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;

/** What a plan is made of, whether it is only shown or served by. */
public final class DeploymentOptions {
  /** Each setting of the runtime that an option stands for, and the option. */
  static final Map<String, String> FLAGS =
      Map.ofEntries(
          Map.entry("kvdrive.model.uri", "--model"),
          Map.entry("kvdrive.context-length", "--context"),
          Map.entry("kvdrive.concurrency", "--concurrency"),
          Map.entry("kvdrive.budget", "--budget"),
          Map.entry("kvdrive.quality", "--quality"),
          Map.entry("kvdrive.budget-bound", "--budget-bound"),
          Map.entry("kvdrive.dense-below", "--dense-below"),
          Map.entry("kvdrive.policy", "--policy"),
          Map.entry("kvdrive.index", "--index"),
          Map.entry("kvdrive.kv-type", "--kv-type"),
          Map.entry("kvdrive.resident", "--resident"),
          Map.entry("kvdrive.backing", "--backing"),
          Map.entry("kvdrive.windows.division", "--windows"),
          Map.entry("kvdrive.windows.warm-up", "--window-warm-up"),
          Map.entry("kvdrive.windows.prefetch", "--prefetch"),
          Map.entry("kvdrive.tiers.gpu-bytes", "--gpu"),
          Map.entry("kvdrive.tiers.dram-bytes", "--dram"),
          Map.entry("kvdrive.tiers.nvme-bytes", "--nvme"),
          Map.entry("kvdrive.tiers.nvme-writes-per-day", "--nvme-writes-per-day"),
          Map.entry("kvdrive.tiers.nvme-encryption", "--nvme-encryption"),
          Map.entry("kvdrive.device", "--device"));

  @Option(
      names = "--model",
      paramLabel = "URI",
      description =
          "GGUF file, Hugging Face folder, hf://OWNER/NAME[@REVISION], or"
              + " builtin:kvdrive-tiny-32k (what serve takes by default). For a plan a config.json"
              + " alone is enough, and of hf:// only headers are downloaded.")
  private @Nullable String model;

  @Mixin private RopeOptions rope = new RopeOptions();

  @Option(
      names = "--context",
      paramLabel = "TOKENS",
      converter = Bounded.Context.class,
      description = "Tokens of prompt and answer together (serve: 32768 by default).")
  private @Nullable Integer context;

  @Option(
      names = "--concurrency",
      paramLabel = "N",
      converter = Bounded.Concurrency.class,
      description = "Requests at once (default: 1).")
  private @Nullable Integer concurrency;

  @Mixin private BudgetOptions budget = new BudgetOptions();

  @Option(
      names = "--dense-below",
      paramLabel = "TOKENS",
      converter = Bounded.Count.class,
      description =
          "Sequences of up to so many tokens attend everything, 0 for none (default: where that is"
              + " faster on the device, as far as there is room).")
  private @Nullable Integer denseBelow;

  @Option(
      names = "--policy",
      paramLabel = "NAME",
      converter = ServedPolicyConverter.class,
      description =
          "What is attended and what stays in GPU memory: kvdrive, or one of those it is measured"
              + " against, kvdrive-recent, kvdrive-paper, kvdrive-paper-flat, quest, shadowkv, retroinfer, full,"
              + " full-offload (default: kvdrive). full and full-offload leave nothing out: they take"
              + " no budget but 'exact'.")
  private @Nullable PolicyShape policy;

  @Option(
      names = "--index",
      paramLabel = "FORMAT",
      converter = IndexConverter.class,
      description =
          "What chunks are chosen by: two-bit, or planes-64, planes-96, planes-128 and so on for keys"
              + " of as many bits in a space that ./kvdrive calibrate has fitted; with +clusters-64"
              + " the rest is estimated by clusters of similar tokens (default: bit planes"
              + " with clusters where such a calibration comes with the model, else two-bit).")
  private @Nullable IndexShape index;

  @Option(
      names = "--kv-type",
      paramLabel = "TYPE",
      description = "Type of cached keys and values: ${COMPLETION-CANDIDATES} (default: BF16).")
  private @Nullable KvType kvType;

  @Mixin private FormatOptions formats = new FormatOptions();

  @Mixin private WindowSwitches windows = new WindowSwitches();

  @Option(
      names = "--gpu",
      paramLabel = "SIZE",
      converter = ByteSizeConverter.class,
      description =
          "GPU memory, for instance 24Gi; an arena in host memory on the CPU device (serve: 256Mi"
              + " by default).")
  private @Nullable Long gpu;

  @Option(
      names = "--dram",
      paramLabel = "SIZE",
      converter = ByteSizeConverter.class,
      description = "DRAM (serve: 256Mi by default).")
  private @Nullable Long dram;

  @Option(
      names = "--nvme",
      paramLabel = "SIZE",
      converter = ByteSizeConverter.class,
      description = "Space on an NVMe drive (default: none).")
  private @Nullable Long nvme;

  @Option(
      names = "--nvme-writes-per-day",
      paramLabel = "SIZE",
      converter = ByteSizeConverter.class,
      description =
          "Bytes that may be written to that drive in any 24 hours, for instance 500Gi: then"
              + " requests that need it are refused until fewer were (default: no limit). A folder that"
              + " is named remembers it.")
  private @Nullable Long writesPerDay;

  @Option(
      names = "--nvme-encryption",
      paramLabel = "CIPHER",
      converter = EncryptionConverter.class,
      description =
          "How what is written to that drive is encrypted: aes-gcm, with keys that are in memory"
              + " alone, or none (default: none).")
  private @Nullable NvmeEncryption encryption;

  @Mixin private DeviceOption device = new DeviceOption();

  /** Address of the model; the bundled one if none was given. */
  String model() {
    return model == null ? ModelSource.BUILTIN : model;
  }

  /** What to compute on. */
  DeviceOption device() {
    return device;
  }

  /** Whether NVMe is used. */
  boolean onNvme() {
    return nvme != null && nvme > 0;
  }

  /**
   * The plan that is asked for. Options that were not given have the defaults of the planner; what
   * there is none for must be given.
   *
   * @param sizes finds the sizes of a model
   * @throws ParameterException of the command if something is missing, or does not go with the
   *     model
   */
  public PlanRequest request(CommandSpec spec, Function<String, ModelGeometry> sizes) {
    if (model == null || context == null || gpu == null || dram == null) {
      List<String> missing = new ArrayList<>();
      named(missing, "--model", model);
      named(missing, "--context", context);
      named(missing, "--gpu", gpu);
      named(missing, "--dram", dram);
      throw new ParameterException(
          spec.commandLine(),
          "missing %s; describe the deployment by options, or by -f MANIFEST"
              .formatted(String.join(", ", missing)));
    }
    int seats = concurrency == null ? 1 : concurrency;
    rope.scaling(spec); // what is wrong in itself is told before anything is downloaded
    ModelGeometry geometry = rope.extended(spec, sizes.apply(model));
    Budget attended = budget.budget(spec);
    KvType type = kvType == null ? KvType.BF16 : kvType;
    Formats chunks = formats.formats(spec, type, attended.share(), device.kind());
    if (writesPerDay != null && writesPerDay == 0) {
      throw new ParameterException(
          spec.commandLine(),
          "--nvme-writes-per-day 0 would let nothing be written; leave it out for no limit, or leave"
              + " out --nvme");
    }
    if (index != null
        && index.summary() instanceof SummaryFormat.BitPlanes
        && !geometry.calibrated()) {
      throw new ParameterException(
          spec.commandLine(),
          "index %s needs a calibration of the model, and none comes with %s: run ./kvdrive calibrate, or take the index two-bit"
              .formatted(index.summary().word(), geometry.name()));
    }
    try {
      return new PlanRequest(
          geometry,
          new Load(context, seats),
          new AttentionOptions(
              PolicyShape.of(policy == null ? null : policy.name(), index, geometry),
              attended,
              type,
              chunks,
              denseBelow,
              windows.options()),
          new TierBudgets(
              gpu,
              dram,
              orNone(nvme),
              orNone(writesPerDay),
              encryption == null ? NvmeEncryption.NONE : encryption),
          device.kind());
    } catch (IllegalArgumentException e) {
      // The model is one; what does not go with it was asked for here.
      throw new ParameterException(spec.commandLine(), String.valueOf(e.getMessage()), e);
    }
  }

  private static long orNone(@Nullable Long bytes) {
    return bytes == null ? 0 : bytes;
  }

  private static void named(List<String> missing, String option, @Nullable Object value) {
    if (value == null) {
      missing.add(option);
    }
  }

  /**
   * The settings of the runtime that were given, by their names in its configuration.
   *
   * @throws ParameterException of the command if some contradict each other
   */
  Map<String, String> settings(CommandSpec spec) {
    Map<String, String> settings = new LinkedHashMap<>(rope.settings(spec));
    put(settings, "kvdrive.model.uri", model);
    put(settings, "kvdrive.context-length", context);
    put(settings, "kvdrive.concurrency", concurrency);
    budget.settings(spec).forEach((name, value) -> put(settings, name, value));
    put(settings, "kvdrive.dense-below", denseBelow);
    put(settings, "kvdrive.policy", policy == null ? null : policy.name());
    put(settings, "kvdrive.index", index == null ? null : index.word());
    put(settings, "kvdrive.kv-type", kvType);
    formats.settings().forEach((name, format) -> put(settings, name, format));
    windows.settings().forEach((name, value) -> put(settings, name, value));
    put(settings, "kvdrive.tiers.gpu-bytes", gpu);
    put(settings, "kvdrive.tiers.dram-bytes", dram);
    put(settings, "kvdrive.tiers.nvme-bytes", nvme);
    put(settings, "kvdrive.tiers.nvme-writes-per-day", writesPerDay);
    put(settings, "kvdrive.tiers.nvme-encryption", encryption == null ? null : encryption.word());
    put(settings, "kvdrive.device", device.named());
    return settings;
  }

  private static void put(Map<String, String> settings, String name, @Nullable Object value) {
    if (value != null) {
      settings.put(name, value.toString());
    }
  }
}
