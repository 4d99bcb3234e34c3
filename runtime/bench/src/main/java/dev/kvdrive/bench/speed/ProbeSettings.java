package dev.kvdrive.bench.speed;

import dev.kvdrive.bench.engine.ComfortableTiers;
import dev.kvdrive.bench.engine.LocalModel;
import dev.kvdrive.plan.AttentionOptions;
import dev.kvdrive.plan.Budget;
import dev.kvdrive.plan.ChunkFormat;
import dev.kvdrive.plan.DeviceKind;
import dev.kvdrive.plan.Formats;
import dev.kvdrive.plan.IndexShape;
import dev.kvdrive.plan.KvType;
import dev.kvdrive.plan.Load;
import dev.kvdrive.plan.ModelGeometry;
import dev.kvdrive.plan.PlanRequest;
import dev.kvdrive.plan.PolicyShape;
import dev.kvdrive.plan.RopeScaling;
import dev.kvdrive.plan.TierBudgets;
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
 * @param seats of the engine, at least as many
 * @param budget how much of the context is attended
 * @param policy name of the policy
 * @param index by which it chooses; null for the one that the model gets
 * @param denseBelow tokens up to which a sequence attends everything
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
    int seats,
    Budget budget,
    String policy,
    @Nullable IndexShape index,
    int denseBelow,
    Formats formats,
    DeviceKind device,
    int threads,
    Tiers tiers,
    Parts parts,
    boolean stages) {
  /** Type of keys and values. */
  public static final KvType KV = KvType.BF16;

  /**
   * How the KV cache is spread.
   *
   * @param windows size of the window in selections
   * @param dramShare share of the KV cache that has room in DRAM; below 1, NVMe has room for all
   * @param nvme folder of the NVMe tier, used if the share is below 1
   * @param caps bytes of the tiers; null for the fewest that have such windows and such a share
   */
  public record Tiers(double windows, double dramShare, Path nvme, @Nullable TierBudgets caps) {
    /** With as many bytes as are needed. */
    public Tiers(double windows, double dramShare, Path nvme) {
      this(windows, dramShare, nvme, null);
    }

    /** The same on another folder. */
    public Tiers on(Path folder) {
      return new Tiers(windows, dramShare, folder, caps);
    }

    /** The same within so many bytes. */
    public Tiers within(TierBudgets bytes) {
      return new Tiers(windows, dramShare, nvme, bytes);
    }
  }

  /**
   * Parts that change no token, each with its switch.
   *
   * @param windows how windows are divided and filled
   * @param pipeline whether misses are fetched beside the computation
   * @param microBatches of the pipeline, as {@code DecodeOptions} has them
   */
  public record Parts(WindowOptions windows, boolean pipeline, int microBatches) {
    /** The same with windows divided and filled in another way. */
    public Parts with(WindowOptions others) {
      return new Parts(others, pipeline, microBatches);
    }
  }

  /** The same for another prompt and other answers, a seat for each. */
  public ProbeSettings of(int prompt, int answer, int together) {
    return new ProbeSettings(
        model,
        prompt,
        answer,
        together,
        together,
        budget,
        policy,
        index,
        denseBelow,
        formats,
        device,
        threads,
        tiers,
        parts,
        stages);
  }

  /** The same with another budget and other formats. */
  public ProbeSettings with(Budget other, Formats chunks) {
    return new ProbeSettings(
        model,
        promptTokens,
        tokens,
        sequences,
        seats,
        other,
        policy,
        index,
        denseBelow,
        chunks,
        device,
        threads,
        tiers,
        parts,
        stages);
  }

  /** The same with other parts. */
  public ProbeSettings with(Parts others) {
    return new ProbeSettings(
        model,
        promptTokens,
        tokens,
        sequences,
        seats,
        budget,
        policy,
        index,
        denseBelow,
        formats,
        device,
        threads,
        tiers,
        others,
        stages);
  }

  /** The same with another policy. */
  public ProbeSettings withPolicy(String other, @Nullable IndexShape by) {
    return new ProbeSettings(
        model,
        promptTokens,
        tokens,
        sequences,
        seats,
        budget,
        other,
        by,
        denseBelow,
        formats,
        device,
        threads,
        tiers,
        parts,
        stages);
  }

  /** The same in an engine with more seats. */
  public ProbeSettings withSeats(int more) {
    return new ProbeSettings(
        model,
        promptTokens,
        tokens,
        sequences,
        more,
        budget,
        policy,
        index,
        denseBelow,
        formats,
        device,
        threads,
        tiers,
        parts,
        stages);
  }

  /** The same with so many tokens up to which everything is attended. */
  public ProbeSettings withDenseBelow(int below) {
    return new ProbeSettings(
        model,
        promptTokens,
        tokens,
        sequences,
        seats,
        budget,
        policy,
        index,
        below,
        formats,
        device,
        threads,
        tiers,
        parts,
        stages);
  }

  /** The same with other tiers. */
  public ProbeSettings with(Tiers others) {
    return new ProbeSettings(
        model,
        promptTokens,
        tokens,
        sequences,
        seats,
        budget,
        policy,
        index,
        denseBelow,
        formats,
        device,
        threads,
        others,
        parts,
        stages);
  }

  /** What is planned for the model, its geometry given, with the bytes that its tiers have. */
  public PlanRequest request(ModelGeometry geometry) {
    PlanRequest request =
        new PlanRequest(
            geometry,
            new Load(Math.max(Load.MIN_CONTEXT, promptTokens + tokens), seats, 1),
            new AttentionOptions(
                PolicyShape.of(policy, index, geometry),
                budget,
                KV,
                formats,
                denseBelow,
                parts.windows()),
            new TierBudgets(0, 0, 0),
            device);
    TierBudgets caps = tiers.caps();
    return request.withTiers(caps != null ? caps : comfortable().of(request));
  }

  /**
   * What its tiers need: in exact mode a window of everything, and of a policy whose windows are
   * smaller as much as it has a use for.
   */
  public ComfortableTiers comfortable() {
    return new ComfortableTiers(budget.share() >= 1 ? 1 : tiers.windows(), tiers.dramShare());
  }

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
    all.add("seats=" + seats);
    all.add("budget=" + budget.share());
    if (budget.quality() != null) {
      all.add("quality=" + budget.quality());
    }
    all.add("policy=" + policy);
    if (index != null) {
      all.add("index=" + index.word());
    }
    all.add("denseBelow=" + denseBelow);
    all.add("resident=" + formats.resident().name());
    all.add("backing=" + formats.backing().name());
    all.add("device=" + device.name());
    all.add("threads=" + threads);
    all.add("windows=" + tiers.windows());
    all.add("dramShare=" + tiers.dramShare());
    all.add("nvme=" + tiers.nvme());
    TierBudgets caps = tiers.caps();
    if (caps != null) {
      all.add("gpuBytes=" + caps.gpu());
      all.add("dramBytes=" + caps.dram());
      all.add("nvmeBytes=" + caps.nvme());
    }
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
        Integer.parseInt(named.get("seats")),
        named.budget(),
        named.get("policy"),
        named.index(),
        Integer.parseInt(named.get("denseBelow")),
        new Formats(
            ChunkFormat.valueOf(named.get("resident")), ChunkFormat.valueOf(named.get("backing"))),
        DeviceKind.valueOf(named.get("device")),
        Integer.parseInt(named.get("threads")),
        new Tiers(
            Double.parseDouble(named.get("windows")),
            Double.parseDouble(named.get("dramShare")),
            Path.of(named.get("nvme")),
            named.caps()),
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

    private @Nullable IndexShape index() {
      String word = values.get("index");
      return word == null ? null : IndexShape.parse(word);
    }

    private @Nullable TierBudgets caps() {
      return values.containsKey("gpuBytes")
          ? new TierBudgets(
              Long.parseLong(get("gpuBytes")),
              Long.parseLong(get("dramBytes")),
              Long.parseLong(get("nvmeBytes")))
          : null;
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
