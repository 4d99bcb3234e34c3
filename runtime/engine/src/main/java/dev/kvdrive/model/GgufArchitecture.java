package dev.kvdrive.model;

import dev.kvdrive.model.file.ModelFormatException;
import dev.kvdrive.model.file.TensorEntry;
import dev.kvdrive.model.gguf.GgufHeader;
import dev.kvdrive.model.gguf.GgufMetadata;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;

/** Understands the metadata of GGUF files: which transformer it is. */
final class GgufArchitecture {
  private static final List<String> SUPPORTED = List.of("llama", "qwen2", "qwen3", "phi3");

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
          "use a model of one of: llama (Llama 2/3, Mistral), qwen2, qwen3, phi3");
    }
    if (meta.integer(key("expert_count")).orElse(0) > 0) {
      throw bad("mixtures of experts are not supported", "expert_count > 0");
    }
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
    long window = meta.integer(key("attention.sliding_window")).orElse(0);
    if (window > 0 && window < context) {
      context = (int) window;
    }
    return new Hyperparameters(
        meta.file(),
        architecture,
        meta.string("general.name").filter(n -> !n.isBlank()).orElseGet(() -> stem(meta.file())),
        layers,
        hidden,
        heads,
        kvHeads,
        headDim,
        perLayer("feed_forward_length", null),
        Math.toIntExact(embedding.shape().getFirst()),
        context,
        number("attention.layer_norm_rms_epsilon")
            .orElseThrow(() -> missing("attention.layer_norm_rms_epsilon")),
        number("rope.freq_base").orElse(10_000.0),
        rotaryDim,
        scaling,
        architecture.equals("llama"),
        architecture.equals("phi3"),
        architecture.equals("qwen2"),
        architecture.equals("qwen3"));
  }

  private RotaryScaling scaling(
      int trained, int rotaryDim, @Nullable Function<TensorEntry, double[]> readFloats) {
    TensorEntry divisors = header.tensors().get("rope_freqs.weight");
    if (divisors != null) {
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
