package dev.kvdrive.cli.option;

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
  /** Each setting of the runtime that an option stands for, and the option. */
  public static final Map<String, String> FLAGS = flags();

  @Mixin private DeploymentOptions deployment = new DeploymentOptions();

  @Mixin private ChatTemplateOption chatTemplate = new ChatTemplateOption();

  @Option(
      names = "--nvme-dir",
      paramLabel = "DIR",
      description =
          "Folder on that drive (default: one of its own below the cache folder, removed at the"
              + " end).")
  private @Nullable Path nvmeDir;

  @Option(
      names = "--threads",
      paramLabel = "N",
      converter = Bounded.Count.class,
      description = "Threads of the CPU device (default: as many as processors).")
  private @Nullable Integer threads;

  @Option(
      names = "--meter",
      paramLabel = "SHARE",
      converter = MeterConverter.class,
      description =
          "Share of the time of all steps that measuring may take what their attention leaves out,"
              + " 'off' for never; no answer depends on it (default: 1%%).")
  private @Nullable Double meter;

  /**
   * Checks that the device that was named can be used here.
   *
   * @throws picocli.CommandLine.ParameterException of the command if not
   */
  public void requireDevice(CommandSpec spec) {
    UsableDevice.require(deployment.device(), spec);
  }

  /** Address of the model. */
  public String model() {
    return deployment.model();
  }

  /** Whether extents go to NVMe, but nothing says where. */
  public boolean needsNvmeFolder() {
    return deployment.onNvme() && nvmeDir == null;
  }

  /**
   * The settings of the runtime that were given, by their names in its configuration.
   *
   * @throws picocli.CommandLine.ParameterException of the command if some contradict each other
   */
  public Map<String, String> settings(CommandSpec spec) {
    Map<String, String> settings = new LinkedHashMap<>(deployment.settings(spec));
    settings.putAll(chatTemplate.settings());
    if (nvmeDir != null) {
      settings.put("kvdrive.tiers.nvme-dir", nvmeDir.toString());
    }
    if (meter != null) {
      settings.put("kvdrive.meter", meter.toString());
    }
    if (threads != null) {
      settings.put("kvdrive.threads", threads.toString());
    }
    return settings;
  }

  /** Those of {@link #FLAGS} that a command has. */
  public static Map<String, String> flagsOf(CommandSpec spec) {
    Map<String, String> flags = new LinkedHashMap<>(FLAGS);
    flags.values().removeIf(name -> spec.findOption(name) == null);
    return flags;
  }

  private static Map<String, String> flags() {
    Map<String, String> flags = new LinkedHashMap<>(DeploymentOptions.FLAGS);
    flags.putAll(RopeOptions.FLAGS);
    flags.putAll(ChatTemplateOption.FLAGS);
    flags.putAll(
        Map.ofEntries(
            Map.entry("kvdrive.tiers.nvme-dir", "--nvme-dir"),
            Map.entry("kvdrive.threads", "--threads"),
            Map.entry("kvdrive.keep-prompts", "--forget-prompts"),
            Map.entry("kvdrive.meter", "--meter"),
            Map.entry("kvdrive.served-model-name", "--name"),
            Map.entry("kvdrive.api-keys-file", "--api-keys"),
            Map.entry("kvdrive.tls.certificate", "--tls-certificate"),
            Map.entry("kvdrive.tls.key", "--tls-key"),
            Map.entry("kvdrive.tls.client-ca", "--client-ca"),
            Map.entry("kvdrive.tls.health-port", "--health-port"),
            Map.entry("kvdrive.http.cors-origins", "--cors-origin"),
            Map.entry("kvdrive.http.access-log", "--access-log"),
            Map.entry("server.address", "--host"),
            Map.entry("server.port", "--port")));
    flags.put("kvdrive.http.ui", "--no-ui");
    flags.put("management.opentelemetry.tracing.export.otlp.endpoint", "--otlp-endpoint");
    flags.put("management.tracing.sampling.probability", "--trace-sampling");
    return Map.copyOf(flags);
  }
}
