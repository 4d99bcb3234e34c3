package dev.kvdrive.model;

import dev.kvdrive.model.file.ModelFormatException;
import dev.kvdrive.model.tensor.RopeSpec;
import dev.kvdrive.model.tensor.TensorType;
import dev.kvdrive.plan.ContextLimit;
import dev.kvdrive.plan.ModelShape;
import dev.kvdrive.plan.PackedWeights;
import java.nio.file.Path;
import java.util.HashSet;
import java.util.List;
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

  private static final List<String> SUPPORTED =
      List.of(
          "llama",
          "mistral",
          "mistral3",
          "ministral3",
          "qwen2",
          "qwen3",
          "phi3",
          "granite",
          "olmo2",
          "smollm3");

  /** Text parts that a mistral3 model may have. */
  private static final Set<String> NESTED = Set.of("mistral", "ministral3");

  /**
   * Fields that change what a model computes, where they are read at all, and the values with which
   * they do not. What a family reads itself it takes out of them.
   */
  private static final Map<String, Double> MULTIPLIERS =
      Map.of(
          "embedding_multiplier", 1.0,
          "residual_multiplier", 1.0,
          "logits_scaling", 1.0,
          "logit_scale", 1.0,
          "scale_emb", 1.0);

  /** Fields that change what a model computes unless they are absent, null, false or 0. */
  private static final List<String> CHANGES =
      List.of(
          "attention_multiplier",
          "attn_logit_softcapping",
          "final_logit_softcapping",
          "query_pre_attn_scalar",
          "clip_qkv",
          "scale_depth",
          "num_local_experts",
          "num_experts",
          "n_routed_experts",
          "use_mrope",
          "qk_layernorm",
          "use_qk_norm",
          "attention_sinks");

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
  private final JsonNode whole;
  private final String type;

  /**
   * @param whole the configuration
   * @param config its part about text; the same where it has none
   */
  private HuggingFaceConfig(Path file, String name, JsonNode whole, JsonNode config) {
    this.file = file;
    this.name = name;
    this.whole = whole;
    this.config = config;
    this.type = config.path("model_type").asString("");
    JsonNode v5 = config.path("rope_parameters");
    JsonNode v4 = config.path("rope_scaling");
    this.rope = v5.isObject() ? v5 : v4.isObject() ? v4 : MissingNode.getInstance();
  }

  /**
   * What a configuration says.
   *
   * @param parameters the transformer
   * @param tied whether the output projection is the embedding
   * @param nested whether it is the text part of a model that also sees
   * @param storage type of the weights, as far as the configuration says; BF16 otherwise
   */
  record Facts(Hyperparameters parameters, boolean tied, boolean nested, TensorType storage) {
    /** All weights, if they are stored as {@link #storage}. */
    WeightCount weights() {
      Hyperparameters p = parameters;
      long hidden = p.hidden();
      long queries = (long) p.heads() * p.headDim();
      long keys = (long) p.kvHeads() * p.headDim();
      long matrices = 2 * hidden * (queries + keys) + 3 * hidden * p.feedForward();
      long vectors = 2 * hidden;
      vectors += p.blocks().biased() ? queries + 2 * keys : 0;
      vectors += p.blocks().outputBiased() ? hidden : 0;
      vectors +=
          switch (p.blocks().headNorm()) {
            case NONE -> 0;
            case EACH -> 2L * p.headDim();
            case ALL -> queries + keys;
          };
      matrices = (tied ? 1 : 2) * hidden * p.vocabulary() + p.layers() * matrices;
      vectors = hidden + p.layers() * vectors;
      return new WeightCount(
          storage.bytes(matrices + vectors), matrices, vectors, PackedWeights.NONE);
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
    boolean nested = config.path("model_type").asString("").equals("mistral3");
    return new HuggingFaceConfig(file, name, config, nested ? config.path("text_config") : config)
        .facts();
  }

  /** Says what quantized the weights, before the tensors of it would seem to be missing. */
  private void refuseQuantized() {
    JsonNode by = whole.path("quantization_config");
    // MLX writes its own key, or both, and never a method.
    boolean mlx = whole.has("quantization") || (by.has("bits") && !by.has("quant_method"));
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
        mlx && by.isMissingNode() ? whole.path("quantization") : by,
        "use the model it was made from, or a GGUF file of that, which may be quantized");
  }

  private Facts facts() {
    refuseQuantized();
    String outer = whole.path("model_type").asString("");
    boolean nested = outer.equals("mistral3");
    if (!SUPPORTED.contains(outer)) {
      throw new ModelFormatException(
          file,
          "the model type is not supported",
          whole.path("model_type"),
          "use a model of one of: " + String.join(", ", SUPPORTED));
    }
    if (nested && !NESTED.contains(type)) {
      throw new ModelFormatException(
          file,
          "the model type under text_config is not supported",
          config.path("model_type"),
          "use a mistral3 model whose text_config is mistral or ministral3");
    }
    String activation = config.path("hidden_act").asString("silu");
    if (!activation.equals("silu") && !activation.equals("swish")) {
      throw bad("only the SiLU activation is supported", "hidden_act = " + activation);
    }
    boolean granite = type.equals("granite");
    requireNeutral(granite);
    int layers = integer("num_hidden_layers", null);
    int hidden = integer("hidden_size", null);
    int heads = integer("num_attention_heads", null);
    int kvHeads = integer("num_key_value_heads", heads);
    int headDim =
        integer("head_dim", type.equals("ministral3") ? 128 : heads > 0 ? hidden / heads : 0);
    int trained = integer("max_position_embeddings", null);
    double partial =
        number(rope, "partial_rotary_factor", number(config, "partial_rotary_factor", 1));
    int rotaryDim = (int) (headDim * partial);
    RotaryScaling scaling = scaling(type, trained);
    Reach reach = reach(trained, scaling);
    boolean biased = flag("attention_bias");
    boolean post = type.equals("olmo2");
    if (post && biased) {
      throw bad("biases of OLMo 2's attention are not supported", "attention_bias = true");
    }
    Hyperparameters parameters =
        new Hyperparameters(
            file,
            type,
            name,
            new ModelShape(
                layers,
                hidden,
                heads,
                kvHeads,
                headDim,
                integer("intermediate_size", null),
                integer("vocab_size", null)),
            reach.context,
            reach.limit,
            number(config, "rms_norm_eps", post ? 1e-5 : 1e-6),
            number(
                rope,
                "rope_theta",
                number(config, "rope_theta", type.equals("smollm3") ? 2_000_000 : 10_000)),
            rotaryDim,
            scaling,
            growth(),
            false,
            type.equals("smollm3") ? unrotatedLayers(layers) : Set.of(),
            granite ? number(config, "attention_multiplier", 1) : 1 / Math.sqrt(headDim),
            granite
                ? new TransformerSpec.Multipliers(
                    (float) number(config, "embedding_multiplier", 1),
                    (float) number(config, "residual_multiplier", 1),
                    (float) (1 / number(config, "logits_scaling", 1)))
                : TransformerSpec.Multipliers.NONE,
            new Hyperparameters.Blocks(
                type.equals("phi3"),
                type.equals("qwen2") || biased,
                biased && !type.equals("qwen2"),
                post,
                post
                    ? Hyperparameters.HeadNorm.ALL
                    : type.equals("qwen3")
                        ? Hyperparameters.HeadNorm.EACH
                        : Hyperparameters.HeadNorm.NONE));
    String storage =
        config
            .path("dtype")
            .asString(
                config
                    .path("torch_dtype")
                    .asString(
                        whole
                            .path("dtype")
                            .asString(whole.path("torch_dtype").asString("bfloat16"))));
    boolean tied =
        config
            .path("tie_word_embeddings")
            .asBoolean(whole.path("tie_word_embeddings").asBoolean(type.equals("smollm3")));
    return new Facts(parameters, tied, nested, TYPES.getOrDefault(storage, TensorType.BF16));
  }

  /** What the family does not read must not change what it computes. */
  private void requireNeutral(boolean granite) {
    if (flag("mlp_bias")) {
      throw bad("biases in the MLP are not supported", "mlp_bias = true");
    }
    for (String field : CHANGES) {
      JsonNode v = config.path(field);
      boolean read = granite && field.equals("attention_multiplier");
      boolean neutral =
          v.isMissingNode()
              || v.isNull()
              || (v.isBoolean() && !v.booleanValue())
              || (v.isNumber() && v.doubleValue() == 0);
      if (!read && !neutral) {
        throw changes(field, v);
      }
    }
    MULTIPLIERS.forEach(
        (field, neutral) -> {
          boolean read = granite && !field.equals("logit_scale") && !field.equals("scale_emb");
          if (!read && number(config, field, neutral) != neutral) {
            throw changes(field, config.path(field));
          }
        });
    JsonNode rotated = config.path("no_rope_layers");
    if (!type.equals("smollm3") && rotated.isArray()) {
      for (JsonNode layer : rotated) {
        if (layer.isNumber() && layer.doubleValue() == 0) {
          throw changes("no_rope_layers", rotated);
        }
      }
    }
    for (JsonNode kind : config.path("layer_types")) {
      String word = kind.asString("");
      if (!word.equals("full_attention") && !word.equals("sliding_attention")) {
        throw bad("a kind of layer is not supported", "layer_types has " + kind);
      }
    }
  }

  private ModelFormatException changes(String field, JsonNode value) {
    return bad(
        "the field %s changes what the model computes and is not supported for the model type %s"
            .formatted(field, type),
        field + " = " + value);
  }

  private record Reach(int context, ContextLimit limit) {}

  /** Tokens the model can serve, and what bounds them. */
  private Reach reach(int trained, RotaryScaling scaling) {
    long context = trained;
    ContextLimit limit =
        scaling instanceof RotaryScaling.None ? ContextLimit.TRAINED : ContextLimit.SCALED;
    if (scaling instanceof RotaryScaling.Yarn y) {
      context = Math.max(trained, (long) (y.original() * y.factor()));
    } else if (scaling instanceof RotaryScaling.Linear(double factor)) {
      context = Math.max(trained, (long) (trained * Math.min(factor, 1024)));
    }
    JsonNode chunks = config.path("dual_chunk_attention_config");
    if (!chunks.isMissingNode() && !chunks.isNull()) {
      // Up to the original context nothing is cut into chunks: plain attention is the same.
      JsonNode original = chunks.path("original_max_position_embeddings");
      if (!original.isIntegralNumber() || !original.canConvertToInt() || original.intValue() < 1) {
        throw bad(
            "dual chunk attention is not supported, and the configuration does not say up to which"
                + " context the model does without it",
            "dual_chunk_attention_config.original_max_position_embeddings = " + original);
      }
      if (original.intValue() < context) {
        context = original.intValue();
        limit = ContextLimit.CHUNKED;
      }
    }
    boolean windowed =
        !(type.startsWith("qwen") || type.equals("smollm3")) || flag("use_sliding_window");
    if (windowed && config.path("sliding_window").isNumber()) {
      int window = Math.max(1, integer("sliding_window", null));
      if (window < context) {
        context = window;
        limit = ContextLimit.WINDOW;
      }
    }
    return new Reach((int) Math.min(context, Integer.MAX_VALUE), limit);
  }

  /** How the queries of Ministral 3 grow with their position. */
  private RopeSpec.@Nullable Growth growth() {
    double beta = number(rope, "llama_4_scaling_beta", 0);
    if (!type.equals("ministral3")) {
      if (beta != 0) {
        throw changes("rope_parameters.llama_4_scaling_beta", rope.path("llama_4_scaling_beta"));
      }
      return null;
    }
    required("llama_4_scaling_beta");
    if (beta == 0) {
      return null;
    }
    double period = required("original_max_position_embeddings");
    if (!(period >= 1 && period <= Integer.MAX_VALUE)) {
      throw bad("queries cannot grow with this", "original_max_position_embeddings = " + period);
    }
    return new RopeSpec.Growth((float) beta, (int) period);
  }

  /** The layers of SmolLM3 that are not rotated: those of which a list says 0, or every fourth. */
  private Set<Integer> unrotatedLayers(int layers) {
    JsonNode list = config.path("no_rope_layers");
    Set<Integer> unrotated = new HashSet<>();
    if (list.isMissingNode() || list.isNull()) {
      int interval = integer("no_rope_layer_interval", 4);
      if (interval < 1) {
        throw bad("the interval of layers without rotation must be at least 1", interval);
      }
      for (int i = interval - 1; i >= 0 && i < layers; i += interval) {
        unrotated.add(i);
      }
      return unrotated;
    }
    if (!list.isArray() || list.size() < layers) {
      throw bad(
          "no_rope_layers must have a 0 or 1 for each of %d layers".formatted(layers),
          list.isArray() ? list.size() + " elements" : list);
    }
    for (int i = 0; i < layers; i++) {
      JsonNode rotated = list.get(i);
      if (!rotated.isIntegralNumber() || (rotated.intValue() != 0 && rotated.intValue() != 1)) {
        throw bad("no_rope_layers must have a 0 or 1 for each layer", rotated);
      }
      if (rotated.intValue() == 0) {
        unrotated.add(i);
      }
    }
    return unrotated;
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
