package dev.kvdrive.model;

import dev.kvdrive.model.file.ModelFormatException;
import dev.kvdrive.model.file.TensorEntry;
import dev.kvdrive.model.gguf.GgufHeader;
import dev.kvdrive.model.gguf.GgufMetadata;
import dev.kvdrive.model.tensor.RopeSpec;
import dev.kvdrive.plan.ContextLimit;
import dev.kvdrive.plan.ModelShape;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;

/** Understands the metadata of GGUF files: which transformer it is. */
final class GgufArchitecture {
  private static final List<String> SUPPORTED =
      List.of("llama", "mistral3", "qwen2", "qwen3", "phi3", "granite", "olmo2", "smollm3");

  /** Architectures whose files hold queries and keys with neighbours as the pairs of rotation. */
  private static final Set<String> INTERLEAVED = Set.of("llama", "mistral3", "granite", "smollm3");

  /** SmolLM3 files do not say it: every fourth layer is not rotated. */
  private static final int SMOLLM3_INTERVAL = 4;

  /**
   * Keys that change what a model computes, and the values with which they do not. What an
   * architecture reads itself it takes out of them.
   */
  private static final Map<String, Double> CHANGES =
      Map.ofEntries(
          Map.entry("embedding_scale", 1.0),
          Map.entry("residual_scale", 1.0),
          Map.entry("logit_scale", 1.0),
          Map.entry("attention.scale", 0.0),
          Map.entry("attention.temperature_scale", 0.0),
          Map.entry("attention.clamp_kqv", 0.0),
          Map.entry("attention.max_alibi_bias", 0.0),
          Map.entry("attn_logit_softcapping", 0.0),
          Map.entry("final_logit_softcapping", 0.0),
          Map.entry("rope.scaling.yarn_ext_factor", 1.0),
          Map.entry("rope.scaling.yarn_attn_factor", 1.0));

  private final GgufMetadata meta;
  private final GgufHeader header;
  private final String architecture;

  private GgufArchitecture(GgufHeader header) {
    this.header = header;
    this.meta = header.metadata();
    this.architecture =
        meta.string("general.architecture")
            .orElseThrow(() -> bad("the file names no architecture", "nothing"));
  }

  /**
   * @param readFloats reads a small F32 tensor, or null if only the header is at hand; then rope
   *     factors kept as tensors are replaced by ones, which no size depends on
   */
  static Hyperparameters read(
      GgufHeader header, @Nullable Function<TensorEntry, double[]> readFloats) {
    return new GgufArchitecture(header).hyperparameters(readFloats);
  }

  private Hyperparameters hyperparameters(@Nullable Function<TensorEntry, double[]> readFloats) {
    if (!SUPPORTED.contains(architecture)) {
      throw new ModelFormatException(
          meta.file(),
          "the architecture is not supported",
          architecture,
          "use a model of one of: " + String.join(", ", SUPPORTED));
    }
    if (meta.integer(key("expert_count")).orElse(0) > 0) {
      throw bad("mixtures of experts are not supported", "expert_count > 0");
    }
    boolean granite = architecture.equals("granite");
    requireNeutral();
    int layers = size("block_count");
    int hidden = size("embedding_length");
    int heads = perLayer("attention.head_count", null);
    int kvHeads = perLayer("attention.head_count_kv", heads);
    int headDim =
        Math.toIntExact(
            bounded(
                "attention.key_length",
                meta.integer(key("attention.key_length")).orElse(hidden / Math.max(1, heads))));
    long valueDim = meta.integer(key("attention.value_length")).orElse(headDim);
    if (valueDim != headDim) {
      throw bad(
          "keys and values of different length are not supported", headDim + " and " + valueDim);
    }
    int rotaryDim =
        bounded("rope.dimension_count", meta.integer(key("rope.dimension_count")).orElse(headDim));
    TensorEntry embedding = header.tensors().get("token_embd.weight");
    if (embedding == null) {
      throw bad("the file has no token embedding", "no token_embd.weight");
    }
    int trained = size("context_length");
    RotaryScaling scaling = scaling(trained, rotaryDim, readFloats);
    int context = trained;
    ContextLimit limit =
        scaling instanceof RotaryScaling.None ? ContextLimit.TRAINED : ContextLimit.SCALED;
    long window = meta.integer(key("attention.sliding_window")).orElse(0);
    if (window > 0 && architecture.equals("olmo2")) {
      // OLMo 3, whose layers with a window are also rotated otherwise than those without.
      throw bad(
          "layers with and without a sliding window are not supported",
          key("attention.sliding_window") + " = " + window);
    }
    if (window > 0 && window < context) {
      context = (int) window;
      limit = ContextLimit.WINDOW;
    }
    boolean olmo = architecture.equals("olmo2");
    return new Hyperparameters(
        meta.file(),
        architecture,
        meta.string("general.name").filter(n -> !n.isBlank()).orElseGet(() -> stem(meta.file())),
        new ModelShape(
            layers,
            hidden,
            heads,
            kvHeads,
            headDim,
            perLayer("feed_forward_length", null),
            Math.toIntExact(embedding.shape().getFirst())),
        context,
        limit,
        number("attention.layer_norm_rms_epsilon")
            .orElseThrow(() -> missing("attention.layer_norm_rms_epsilon")),
        number("rope.freq_base").orElse(10_000.0),
        rotaryDim,
        scaling,
        growth(trained),
        INTERLEAVED.contains(architecture),
        architecture.equals("smollm3") ? everyFourth(layers) : Set.of(),
        number("attention.scale").filter(v -> v != 0).orElse(1 / Math.sqrt(headDim)),
        granite
            ? new TransformerSpec.Multipliers(
                (float) orNeutral("embedding_scale"),
                (float) orNeutral("residual_scale"),
                (float) (1 / orNeutral("logit_scale")))
            : TransformerSpec.Multipliers.NONE,
        new Hyperparameters.Blocks(
            architecture.equals("phi3"),
            architecture.equals("qwen2"),
            false,
            olmo,
            olmo
                ? Hyperparameters.HeadNorm.ALL
                : architecture.equals("qwen3")
                    ? Hyperparameters.HeadNorm.EACH
                    : Hyperparameters.HeadNorm.NONE));
  }

  private static Set<Integer> everyFourth(int layers) {
    Set<Integer> out = new HashSet<>();
    for (int i = SMOLLM3_INTERVAL - 1; i < layers; i += SMOLLM3_INTERVAL) {
      out.add(i);
    }
    return out;
  }

  /** A factor that 0, as absence, leaves out. */
  private double orNeutral(String suffix) {
    return number(suffix).filter(v -> v != 0).orElse(1.0);
  }

  /** How the queries of Ministral 3 grow with their position. */
  private RopeSpec.@Nullable Growth growth(int trained) {
    double beta = number("attention.temperature_scale").orElse(0.0);
    if (!architecture.equals("mistral3") || beta == 0) {
      return null;
    }
    long period = meta.integer(key("rope.scaling.original_context_length")).orElse(trained);
    return new RopeSpec.Growth(
        (float) beta, bounded("rope.scaling.original_context_length", period));
  }

  /** What the architecture does not read must not change what it computes. */
  private void requireNeutral() {
    Set<String> read =
        switch (architecture) {
          case "granite" ->
              Set.of("embedding_scale", "residual_scale", "logit_scale", "attention.scale");
          // An explicit scale of attention is read for these as llama.cpp does.
          case "llama", "smollm3" -> Set.of("attention.scale");
          case "mistral3" -> Set.of("attention.scale", "attention.temperature_scale");
          default -> Set.of();
        };
    CHANGES.forEach(
        (suffix, neutral) -> {
          double value = number(suffix).orElse(neutral);
          boolean absent = value == 0 || value == neutral;
          if (!read.contains(suffix) && !absent) {
            throw bad(
                "a metadata key changes what the model computes and is not supported for "
                    + architecture,
                key(suffix) + " = " + value);
          }
        });
    if (architecture.equals("granite") && !meta.bool(key("rope.scaling.finetuned")).orElse(true)) {
      throw bad(
          "Granite without rotation is not supported", key("rope.scaling.finetuned") + " = false");
    }
  }

  private RotaryScaling scaling(
      int trained, int rotaryDim, @Nullable Function<TensorEntry, double[]> readFloats) {
    TensorEntry divisors = header.tensors().get("rope_freqs.weight");
    if (divisors != null) {
      String other = meta.string(key("rope.scaling.type")).orElse("none");
      if (!other.equals("none")) {
        throw bad(
            "rope factors in a tensor and another rope scaling at once are not supported",
            "rope_freqs.weight, " + key("rope.scaling.type") + " = " + other);
      }
      return new RotaryScaling.Divisors(factors(divisors, rotaryDim, readFloats));
    }
    double original = meta.integer(key("rope.scaling.original_context_length")).orElse(trained);
    TensorEntry longFactors = header.tensors().get("rope_factors_long.weight");
    TensorEntry shortFactors = header.tensors().get("rope_factors_short.weight");
    if (longFactors != null && shortFactors != null) {
      return new RotaryScaling.LongRope(
          factors(shortFactors, rotaryDim, readFloats),
          factors(longFactors, rotaryDim, readFloats),
          original,
          number("rope.scaling.attn_factor")
              .orElse(RotaryScaling.longRopeMagnitude(trained / original, original)));
    }
    double factor = number("rope.scaling.factor").or(() -> number("rope.scale_linear")).orElse(1.0);
    String kind = meta.string(key("rope.scaling.type")).orElse(factor == 1 ? "none" : "linear");
    return switch (kind) {
      case "none" -> new RotaryScaling.None();
      case "linear" -> new RotaryScaling.Linear(factor);
      case "yarn" ->
          new RotaryScaling.Yarn(
              factor,
              original,
              number("rope.scaling.yarn_beta_fast").orElse(32.0),
              number("rope.scaling.yarn_beta_slow").orElse(1.0),
              true,
              RotaryScaling.yarnMagnitude(factor, 1)
                  / RotaryScaling.yarnMagnitude(
                      factor, number("rope.scaling.yarn_log_multiplier").orElse(0.0))
                  * number("rope.scaling.attn_factor").orElse(1.0));
      default -> throw bad("the rope scaling is not supported", kind);
    };
  }

  private double[] factors(
      TensorEntry entry, int rotaryDim, @Nullable Function<TensorEntry, double[]> readFloats) {
    if (readFloats == null) {
      double[] ones = new double[Math.max(1, rotaryDim / 2)];
      Arrays.fill(ones, 1);
      return ones;
    }
    if (entry.bytes() > 4L * rotaryDim) {
      throw bad("the rope factors are longer than a head", entry.shape());
    }
    return readFloats.apply(entry);
  }

  private String key(String suffix) {
    return architecture + "." + suffix;
  }

  private int size(String suffix) {
    return bounded(suffix, meta.integer(key(suffix)).orElseThrow(() -> missing(suffix)));
  }

  /** A size that some files give per layer; all layers must agree. */
  private int perLayer(String suffix, @Nullable Integer otherwise) {
    String key = key(suffix);
    if (meta.isArray(key)) {
      long[] values = meta.integers(key).orElseThrow();
      for (long v : values) {
        if (v != values[0]) {
          throw bad("layers of different shape are not supported", key + " varies");
        }
      }
      if (values.length == 0) {
        throw missing(suffix);
      }
      return bounded(suffix, values[0]);
    }
    var value = meta.integer(key);
    if (value.isEmpty() && otherwise != null) {
      return otherwise;
    }
    return bounded(suffix, value.orElseThrow(() -> missing(suffix)));
  }

  private int bounded(String suffix, long value) {
    if (value < 1 || value > Integer.MAX_VALUE) {
      throw bad("metadata key " + key(suffix) + " is absurd", value);
    }
    return (int) value;
  }

  private Optional<Double> number(String suffix) {
    var v = meta.number(key(suffix));
    return v.isPresent() ? Optional.of(v.getAsDouble()) : Optional.empty();
  }

  private ModelFormatException missing(String suffix) {
    return bad("a metadata key is missing", key(suffix));
  }

  private ModelFormatException bad(String what, Object value) {
    return new ModelFormatException(
        meta.file(), what, value, "use another file of this model, or convert it again");
  }

  static String stem(Path file) {
    Path name = file.getFileName();
    return name == null ? file.toString() : name.toString().replaceFirst("\\.gguf$", "");
  }
}
