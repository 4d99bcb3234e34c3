package dev.kvdrive.model;

import dev.kvdrive.device.TensorType;
import dev.kvdrive.model.file.ModelFormatException;
import java.nio.file.Path;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;
import tools.jackson.core.JacksonException;
import tools.jackson.core.StreamReadConstraints;
import tools.jackson.core.json.JsonFactory;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.MissingNode;

/**
 * Understands {@code config.json} as Hugging Face transformers writes it, versions 4 ({@code
 * rope_theta}, {@code rope_scaling}, {@code torch_dtype}) and 5 ({@code rope_parameters}, {@code
 * dtype}).
 */
final class HuggingFaceConfig {
  static final int MAX_BYTES = 4 << 20;

  private static final Set<String> SUPPORTED = Set.of("llama", "mistral", "qwen2", "qwen3", "phi3");
  private static final Map<String, TensorType> TYPES =
      Map.of(
          "float32", TensorType.F32,
          "float16", TensorType.F16,
          "bfloat16", TensorType.BF16);
  private static final JsonMapper JSON =
      JsonMapper.builder(
              JsonFactory.builder()
                  .streamReadConstraints(
                      StreamReadConstraints.builder()
                          .maxNestingDepth(32)
                          .maxStringLength(1 << 20)
                          .maxNumberLength(64)
                          .build())
                  .build())
          .build();

  private final Path file;
  private final String name;
  private final JsonNode config;
  private final JsonNode rope;

  private HuggingFaceConfig(Path file, String name, JsonNode config) {
    this.file = file;
    this.name = name;
    this.config = config;
    JsonNode v5 = config.path("rope_parameters");
    JsonNode v4 = config.path("rope_scaling");
    this.rope = v5.isObject() ? v5 : v4.isObject() ? v4 : MissingNode.getInstance();
  }

  /**
   * What a configuration says.
   *
   * @param parameters the transformer
   * @param tied whether the output projection is the embedding
   * @param storage type of the weights, as far as the configuration says; BF16 otherwise
   */
  record Facts(Hyperparameters parameters, boolean tied, TensorType storage) {
    /** All weights, if they are stored as {@link #storage}. */
    WeightCount weights() {
      Hyperparameters p = parameters;
      long hidden = p.hidden();
      long queries = (long) p.heads() * p.headDim();
      long keys = (long) p.kvHeads() * p.headDim();
      long matrices = 2 * hidden * (queries + keys) + 3 * hidden * p.feedForward();
      long vectors = 2 * hidden;
      vectors += p.biased() ? queries + 2 * keys : 0;
      vectors += p.queryKeyNorm() ? 2L * p.headDim() : 0;
      matrices = (tied ? 1 : 2) * hidden * p.vocabulary() + p.layers() * matrices;
      vectors = hidden + p.layers() * vectors;
      return new WeightCount(storage.bytes(matrices + vectors), matrices, vectors);
    }
  }

  /**
   * @param file for messages
   * @param name name of the model
   * @param json content of config.json
   */
  static Facts read(Path file, String name, byte[] json) {
    JsonNode config;
    try {
      config = JSON.readTree(json);
    } catch (JacksonException e) {
      throw new ModelFormatException(
          file, "the configuration is not valid JSON", e.getOriginalMessage(), "get it again", e);
    }
    if (config == null || !config.isObject()) {
      throw new ModelFormatException(
          file, "the configuration must be a JSON object", config, "get it again");
    }
    return new HuggingFaceConfig(file, name, config).facts();
  }

  /** Says what quantized the weights, before the tensors of it would seem to be missing. */
  private void refuseQuantized() {
    JsonNode by = config.path("quantization_config");
    // MLX writes its own key, or both, and never a method.
    boolean mlx = config.has("quantization") || (by.has("bits") && !by.has("quant_method"));
    if (!mlx && !by.isObject()) {
      return;
    }
    String method = mlx ? "MLX" : by.path("quant_method").asString("an unknown method");
    throw new ModelFormatException(
        file,
        "the weights are quantized by %s; of safetensors only F32, F16 and BF16 weights are supported"
            .formatted(
                method.equals("awq") || method.equals("gptq")
                    ? method.toUpperCase(Locale.ROOT)
                    : method),
        mlx && by.isMissingNode() ? config.path("quantization") : by,
        "use the model it was made from, or a GGUF file of that, which may be quantized");
  }

  private Facts facts() {
    refuseQuantized();
    String type = config.path("model_type").asString("");
    if (!SUPPORTED.contains(type)) {
      throw new ModelFormatException(
          file,
          "the model type is not supported",
          config.path("model_type"),
          "use a model of one of: llama, mistral, qwen2, qwen3, phi3");
    }
    String activation = config.path("hidden_act").asString("silu");
    if (!activation.equals("silu") && !activation.equals("swish")) {
      throw bad("only the SiLU activation is supported", activation);
    }
    if (flag("mlp_bias")) {
      throw bad("biases in the MLP are not supported", "mlp_bias = true");
    }
    int hidden = integer("hidden_size", null);
    int heads = integer("num_attention_heads", null);
    int kvHeads = integer("num_key_value_heads", heads);
    int headDim = integer("head_dim", heads > 0 ? hidden / heads : 0);
    int trained = integer("max_position_embeddings", null);
    double partial =
        number(rope, "partial_rotary_factor", number(config, "partial_rotary_factor", 1));
    int rotaryDim = (int) (headDim * partial);
    RotaryScaling scaling = scaling(type, trained);

    long context = trained;
    if (scaling instanceof RotaryScaling.Yarn y) {
      context = Math.max(trained, (long) (y.original() * y.factor()));
    } else if (scaling instanceof RotaryScaling.Linear(double factor)) {
      context = Math.max(trained, (long) (trained * Math.min(factor, 1024)));
    }
    boolean windowed = !type.startsWith("qwen") || flag("use_sliding_window");
    if (windowed && config.path("sliding_window").isNumber()) {
      context = Math.min(context, Math.max(1, integer("sliding_window", null)));
    }
    Hyperparameters parameters =
        new Hyperparameters(
            file,
            type,
            name,
            integer("num_hidden_layers", null),
            hidden,
            heads,
            kvHeads,
            headDim,
            integer("intermediate_size", null),
            integer("vocab_size", null),
            (int) Math.min(context, Integer.MAX_VALUE),
            number(config, "rms_norm_eps", 1e-6),
            number(rope, "rope_theta", number(config, "rope_theta", 10_000)),
            rotaryDim,
            scaling,
            false,
            type.equals("phi3"),
            type.equals("qwen2") || flag("attention_bias"),
            type.equals("qwen3"));
    String storage = config.path("dtype").asString(config.path("torch_dtype").asString("bfloat16"));
    return new Facts(
        parameters, flag("tie_word_embeddings"), TYPES.getOrDefault(storage, TensorType.BF16));
  }

  private RotaryScaling scaling(String modelType, int trained) {
    String kind = rope.path("rope_type").asString(rope.path("type").asString("default"));
    if (modelType.equals("phi3") && (kind.equals("su") || kind.equals("yarn"))) {
      kind = "longrope"; // names that early Phi-3 configurations used
    }
    double original =
        number(
            config,
            "original_max_position_embeddings",
            number(rope, "original_max_position_embeddings", trained));
    return switch (kind) {
      case "default" -> new RotaryScaling.None();
      case "linear" -> new RotaryScaling.Linear(required("factor"));
      case "llama3" ->
          new RotaryScaling.Llama3(
              required("factor"),
              required("low_freq_factor"),
              required("high_freq_factor"),
              required("original_max_position_embeddings"));
      case "yarn" -> {
        double factor = number(rope, "factor", trained / original);
        double mscale = number(rope, "mscale", 0);
        double mscaleAll = number(rope, "mscale_all_dim", 0);
        double usual =
            mscale != 0 && mscaleAll != 0
                ? RotaryScaling.yarnMagnitude(factor, mscale)
                    / RotaryScaling.yarnMagnitude(factor, mscaleAll)
                : RotaryScaling.yarnMagnitude(factor, 1);
        yield new RotaryScaling.Yarn(
            factor,
            original,
            number(rope, "beta_fast", 32),
            number(rope, "beta_slow", 1),
            rope.path("truncate").asBoolean(true),
            number(rope, "attention_factor", usual));
      }
      case "longrope" -> {
        double factor = number(rope, "factor", trained / original);
        yield new RotaryScaling.LongRope(
            factors("short_factor"),
            factors("long_factor"),
            original,
            number(rope, "attention_factor", RotaryScaling.longRopeMagnitude(factor, original)));
      }
      default ->
          throw bad(
              "the rope scaling is not supported (supported: linear, llama3, yarn, longrope)",
              kind);
    };
  }

  private double[] factors(String key) {
    JsonNode values = rope.path(key);
    if (!values.isArray() || values.isEmpty() || values.size() > 4096) {
      throw bad("longrope needs a list of numbers under " + key, values.getNodeType());
    }
    double[] out = new double[values.size()];
    for (int i = 0; i < out.length; i++) {
      if (!values.get(i).isNumber()) {
        throw bad("longrope needs a list of numbers under " + key, values.get(i));
      }
      out[i] = values.get(i).doubleValue();
    }
    return out;
  }

  private double required(String key) {
    JsonNode v = rope.path(key);
    if (!v.isNumber()) {
      throw bad("the rope scaling needs a number under " + key, v);
    }
    return v.doubleValue();
  }

  private boolean flag(String key) {
    return config.path(key).asBoolean(false);
  }

  private double number(JsonNode node, String key, double otherwise) {
    JsonNode v = node.path(key);
    if (v.isMissingNode() || v.isNull()) {
      return otherwise;
    }
    if (!v.isNumber()) {
      throw bad("a number is needed under " + key, v);
    }
    return v.doubleValue();
  }

  private int integer(String key, @Nullable Integer otherwise) {
    JsonNode v = config.path(key);
    if ((v.isMissingNode() || v.isNull()) && otherwise != null) {
      return otherwise;
    }
    if (!v.isIntegralNumber() || !v.canConvertToInt()) {
      throw bad("an integer is needed under " + key, v.isMissingNode() ? "nothing" : v);
    }
    return v.intValue();
  }

  private ModelFormatException bad(String what, Object value) {
    return new ModelFormatException(
        file, what, value, "use another model, or correct its config.json");
  }
}
