package dev.kvdrive.bench.speed;

import dev.kvdrive.bench.engine.LocalModel;
import dev.kvdrive.plan.Budget;
import dev.kvdrive.plan.ChunkFormat;
import dev.kvdrive.plan.DeviceKind;
import dev.kvdrive.plan.Formats;
import dev.kvdrive.plan.RopeScaling;
import dev.kvdrive.plan.WindowOptions;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.NoSuchElementException;
import org.jspecify.annotations.Nullable;

/**
 * What a probe of this project's engine measures, as it is told to the process that does.
 *
 * @param model the model; its chat template is not used
 * @param promptTokens of each run
 * @param tokens to write in each run and sequence, the first included
 * @param sequences that decode together
 * @param budget how much of the context is attended
 * @param policy name of the policy
 * @param formats of chunks in the window and below it
 * @param device that computes
 * @param threads of a CPU device; 0 for the processors there are
 * @param tiers how the KV cache is spread
 * @param parts what is switched on
 * @param stages whether the time of each verb is measured
 */
public record ProbeSettings(
    LocalModel model,
    int promptTokens,
    int tokens,
    int sequences,
    Budget budget,
    String policy,
    Formats formats,
    DeviceKind device,
    int threads,
    Tiers tiers,
    Parts parts,
    boolean stages) {
  /**
   * How the KV cache is spread.
   *
   * @param windows size of the window in selections
   * @param dramShare share of the KV cache that has room in DRAM; below 1, NVMe has room for all
   * @param nvme folder of the NVMe tier, used if the share is below 1
   */
  public record Tiers(double windows, double dramShare, Path nvme) {
    /** Everything in DRAM, and a window of two selections. */
    public static final Tiers COMFORTABLE = new Tiers(2, 1, Path.of("."));
  }

  /**
   * Parts that change no token, each with its switch.
   *
   * @param windows how windows are divided and filled
   * @param pipeline whether misses are fetched beside the computation
   * @param microBatches of the pipeline, as {@code DecodeOptions} has them
   */
  public record Parts(WindowOptions windows, boolean pipeline, int microBatches) {}

  /** As arguments that {@link #parse} reads. */
  public List<String> arguments() {
    List<String> all = new ArrayList<>();
    all.add("file=" + model.file().toAbsolutePath());
    RopeScaling scaling = model.scaling();
    if (scaling != null) {
      all.add("rope=" + scaling.type().word());
      all.add("ropeFactor=" + scaling.factor());
      if (scaling.originalContext() != null) {
        all.add("ropeOriginal=" + scaling.originalContext());
      }
    }
    all.add("prompt=" + promptTokens);
    all.add("tokens=" + tokens);
    all.add("sequences=" + sequences);
    all.add("budget=" + budget.share());
    if (budget.quality() != null) {
      all.add("quality=" + budget.quality());
    }
    all.add("policy=" + policy);
    all.add("resident=" + formats.resident().name());
    all.add("backing=" + formats.backing().name());
    all.add("device=" + device.name());
    all.add("threads=" + threads);
    all.add("windows=" + tiers.windows());
    all.add("dramShare=" + tiers.dramShare());
    all.add("nvme=" + tiers.nvme());
    all.add("division=" + parts.windows().division().name());
    all.add("warmUp=" + parts.windows().warmUpTokens());
    all.add("prefetch=" + parts.windows().prefetch());
    all.add("pipeline=" + parts.pipeline());
    all.add("microBatches=" + parts.microBatches());
    all.add("stages=" + stages);
    return all;
  }

  /**
   * Reads {@link #arguments}.
   *
   * @throws NoSuchElementException if one is missing
   * @throws IllegalArgumentException if one is not what it should be
   */
  public static ProbeSettings parse(String... arguments) {
    Named named = new Named(arguments);
    return new ProbeSettings(
        new LocalModel(Path.of(named.get("file")), named.scaling(), null),
        Integer.parseInt(named.get("prompt")),
        Integer.parseInt(named.get("tokens")),
        Integer.parseInt(named.get("sequences")),
        named.budget(),
        named.get("policy"),
        new Formats(
            ChunkFormat.valueOf(named.get("resident")), ChunkFormat.valueOf(named.get("backing"))),
        DeviceKind.valueOf(named.get("device")),
        Integer.parseInt(named.get("threads")),
        new Tiers(
            Double.parseDouble(named.get("windows")),
            Double.parseDouble(named.get("dramShare")),
            Path.of(named.get("nvme"))),
        new Parts(
            new WindowOptions(
                WindowOptions.Division.valueOf(named.get("division")),
                Integer.parseInt(named.get("warmUp")),
                Boolean.parseBoolean(named.get("prefetch"))),
            Boolean.parseBoolean(named.get("pipeline")),
            Integer.parseInt(named.get("microBatches"))),
        Boolean.parseBoolean(named.get("stages")));
  }

  /** Arguments by name. */
  private static final class Named {
    private final Map<String, String> values = new HashMap<>();

    private Named(String... arguments) {
      for (String argument : arguments) {
        int equals = argument.indexOf('=');
        if (equals < 1) {
          throw new IllegalArgumentException("'%s' is no name=value".formatted(argument));
        }
        values.put(argument.substring(0, equals), argument.substring(equals + 1));
      }
    }

    private String get(String name) {
      String value = values.get(name);
      if (value == null) {
        throw new NoSuchElementException("no argument " + name);
      }
      return value;
    }

    private Budget budget() {
      String quality = values.get("quality");
      return new Budget(
          Double.parseDouble(get("budget")), quality == null ? null : Double.valueOf(quality));
    }

    private @Nullable RopeScaling scaling() {
      if (!values.containsKey("rope")) {
        return null;
      }
      String original = values.get("ropeOriginal");
      return new RopeScaling(
          RopeScaling.Type.of(get("rope")),
          Double.parseDouble(get("ropeFactor")),
          original == null ? null : Integer.valueOf(original));
    }
  }
}
