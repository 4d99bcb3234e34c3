package dev.kvdrive.cli.option;

import dev.kvdrive.model.source.ModelSource;
import dev.kvdrive.plan.KvType;
import dev.kvdrive.plan.RopeScaling;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;

/**
 * What a runtime is started with. An option that is not given leaves the runtime's own default in
 * force, so the defaults have one home: {@link dev.kvdrive.server.settings.RuntimeSettings}.
 */
public final class RuntimeOptions {
  @Option(
      names = "--model",
      paramLabel = "URI",
      description =
          "GGUF file, Hugging Face folder, hf://OWNER/NAME[@REVISION], or"
              + " builtin:kvdrive-tiny-32k (the default).")
  private @Nullable String model;

  @Option(
      names = "--chat-template",
      paramLabel = "FILE",
      description = "Chat template in Jinja, in place of the model's own.")
  private @Nullable Path chatTemplate;

  @Option(
      names = "--context",
      paramLabel = "TOKENS",
      converter = Bounded.Context.class,
      description = "Tokens of prompt and answer (default: 32768).")
  private @Nullable Integer context;

  @Option(
      names = "--concurrency",
      paramLabel = "N",
      converter = Bounded.Concurrency.class,
      description = "Requests at once (default: 1).")
  private @Nullable Integer concurrency;

  @Option(
      names = "--budget",
      paramLabel = "SHARE",
      converter = ShareConverter.class,
      description =
          "Share of the context attended per step, or 'exact' for all of it (default: 6.25%%).")
  private @Nullable Double budget;

  @Option(
      names = "--kv-type",
      paramLabel = "TYPE",
      description = "Type of cached keys and values: ${COMPLETION-CANDIDATES} (default: BF16).")
  private @Nullable KvType kvType;

  @Option(
      names = "--gpu",
      paramLabel = "SIZE",
      converter = ByteSizeConverter.class,
      description = "GPU memory; an arena in host memory on the CPU device (default: 256Mi).")
  private @Nullable Long gpu;

  @Option(
      names = "--dram",
      paramLabel = "SIZE",
      converter = ByteSizeConverter.class,
      description = "DRAM (default: 256Mi).")
  private @Nullable Long dram;

  @Option(
      names = "--nvme",
      paramLabel = "SIZE",
      converter = ByteSizeConverter.class,
      description = "Space on an NVMe drive (default: none).")
  private @Nullable Long nvme;

  @Option(
      names = "--nvme-dir",
      paramLabel = "DIR",
      description =
          "Folder on that drive (default: one of its own below the cache folder, removed at the"
              + " end).")
  private @Nullable Path nvmeDir;

  @Mixin private RopeOptions rope = new RopeOptions();

  @Mixin private DeviceOption device = new DeviceOption();

  @Option(
      names = "--threads",
      paramLabel = "N",
      converter = Bounded.Count.class,
      description = "Threads of the CPU device (default: as many as processors).")
  private @Nullable Integer threads;

  /**
   * Checks that the device that was named can be used here.
   *
   * @throws picocli.CommandLine.ParameterException of the command if not
   */
  public void requireDevice(CommandSpec spec) {
    device.require(spec);
  }

  /** Address of the model. */
  public String model() {
    return model == null ? ModelSource.BUILTIN : model;
  }

  /** Whether extents go to NVMe, but nothing says where. */
  public boolean needsNvmeFolder() {
    return nvme != null && nvme > 0 && nvmeDir == null;
  }

  /** Each setting of the runtime that an option stands for, and the option. */
  public static final Map<String, String> FLAGS =
      Map.ofEntries(
          Map.entry("kvdrive.model.uri", "--model"),
          Map.entry("kvdrive.model.chat-template", "--chat-template"),
          Map.entry("kvdrive.model.rope-scaling", "--rope-scaling"),
          Map.entry("kvdrive.model.rope-scaling.type", "--rope-scaling"),
          Map.entry("kvdrive.model.rope-scaling.factor", "--rope-factor"),
          Map.entry("kvdrive.model.rope-scaling.original-context", "--rope-original-context"),
          Map.entry("kvdrive.context-length", "--context"),
          Map.entry("kvdrive.concurrency", "--concurrency"),
          Map.entry("kvdrive.budget", "--budget"),
          Map.entry("kvdrive.kv-type", "--kv-type"),
          Map.entry("kvdrive.tiers.gpu-bytes", "--gpu"),
          Map.entry("kvdrive.tiers.dram-bytes", "--dram"),
          Map.entry("kvdrive.tiers.nvme-bytes", "--nvme"),
          Map.entry("kvdrive.tiers.nvme-dir", "--nvme-dir"),
          Map.entry("kvdrive.device", "--device"),
          Map.entry("kvdrive.threads", "--threads"),
          Map.entry("kvdrive.served-model-name", "--name"),
          Map.entry("kvdrive.api-keys-file", "--api-keys"),
          Map.entry("kvdrive.http.cors-origins", "--cors-origin"),
          Map.entry("kvdrive.http.access-log", "--access-log"),
          Map.entry("server.address", "--host"),
          Map.entry("server.port", "--port"));

  /**
   * The settings of the runtime that were given, by their names in its configuration.
   *
   * @throws picocli.CommandLine.ParameterException of the command if some contradict each other
   */
  public Map<String, String> settings(CommandSpec spec) {
    RopeScaling scaling = rope.scaling(spec);
    Map<String, String> settings = new LinkedHashMap<>();
    put(settings, "kvdrive.model.uri", model);
    put(settings, "kvdrive.model.chat-template", chatTemplate);
    if (scaling != null) {
      put(settings, "kvdrive.model.rope-scaling.type", scaling.type().word());
      put(settings, "kvdrive.model.rope-scaling.factor", scaling.factor());
      put(settings, "kvdrive.model.rope-scaling.original-context", scaling.originalContext());
    }
    put(settings, "kvdrive.context-length", context);
    put(settings, "kvdrive.concurrency", concurrency);
    put(settings, "kvdrive.budget", budget);
    put(settings, "kvdrive.kv-type", kvType);
    put(settings, "kvdrive.tiers.gpu-bytes", gpu);
    put(settings, "kvdrive.tiers.dram-bytes", dram);
    put(settings, "kvdrive.tiers.nvme-bytes", nvme);
    put(settings, "kvdrive.tiers.nvme-dir", nvmeDir);
    put(settings, "kvdrive.device", device.named());
    put(settings, "kvdrive.threads", threads);
    return settings;
  }

  private static void put(Map<String, String> settings, String name, @Nullable Object value) {
    if (value != null) {
      settings.put(name, value.toString());
    }
  }
}
