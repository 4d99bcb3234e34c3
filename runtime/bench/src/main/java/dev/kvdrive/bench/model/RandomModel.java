package dev.kvdrive.bench.model;

import dev.kvdrive.model.tensor.TensorType;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.SplittableRandom;
import tools.jackson.databind.json.JsonMapper;

/**
 * Models with random weights of a known shape: right for speed, which does not depend on values,
 * and wrong for everything else. Made once and kept; the same shape and type give the same file.
 *
 * @param shape sizes
 * @param type BF16, which makes a Hugging Face folder, or Q8_0, which makes a GGUF file
 */
public record RandomModel(NamedShape shape, TensorType type) {
  private static final String SCHEME = "random:";
  private static final float ROPE_THETA = 500_000;
  private static final float EPSILON = 1e-5f;

  public RandomModel {
    if (type != TensorType.BF16 && type != TensorType.Q8_0) {
      throw new IllegalArgumentException("random models have type bf16 or q8_0, not " + type);
    }
  }

  /** Whether an address names one. */
  public static boolean is(String uri) {
    return uri.startsWith(SCHEME);
  }

  /**
   * Reads an address: {@code random:llama-3.2-1b:q8_0}.
   *
   * @throws IllegalArgumentException if there is no such shape or type
   */
  public static RandomModel parse(String uri) {
    String[] parts = uri.substring(SCHEME.length()).split(":", -1);
    if (parts.length != 2) {
      throw new IllegalArgumentException(
          "'%s' is no random model; write for instance random:llama-3.2-1b:q8_0".formatted(uri));
    }
    TensorType type =
        switch (parts[1].toLowerCase(Locale.ROOT)) {
          case "bf16" -> TensorType.BF16;
          case "q8_0" -> TensorType.Q8_0;
          default ->
              throw new IllegalArgumentException(
                  "random models have type bf16 or q8_0, not '%s'".formatted(parts[1]));
        };
    return new RandomModel(NamedShape.of(parts[0]), type);
  }

  /**
   * The model's file or folder, made if it is not there.
   *
   * @throws UncheckedIOException if it cannot be written
   */
  public Path in(Path cache) {
    return make(cache, type == TensorType.BF16);
  }

  /**
   * The model as a GGUF file whatever its type, made if it is not there.
   *
   * @throws UncheckedIOException if it cannot be written
   */
  public Path gguf(Path cache) {
    return make(cache, false);
  }

  private Path make(Path cache, boolean folder) {
    Path target =
        cache
            .resolve("random")
            .resolve(
                "%s-%s%s"
                    .formatted(
                        shape.name(), type.name().toLowerCase(Locale.ROOT), folder ? "" : ".gguf"));
    if (Files.exists(target)) {
      return target;
    }
    try {
      Files.createDirectories(target.getParent());
      Path fresh =
          folder
              ? Files.createTempDirectory(target.getParent(), "part")
              : Files.createTempFile(target.getParent(), "part", null);
      if (folder) {
        writeFolder(fresh);
      } else {
        GgufFile.write(fresh, metadata(), tensors(false));
      }
      Files.move(fresh, target, StandardCopyOption.ATOMIC_MOVE);
      return target;
    } catch (IOException e) {
      throw new UncheckedIOException("%s cannot be made: %s".formatted(target, e), e);
    }
  }

  private void writeFolder(Path folder) throws IOException {
    SafetensorsFile.write(folder.resolve("model.safetensors"), tensors(true));
    write(folder.resolve("config.json"), config());
    write(folder.resolve("tokenizer.json"), FillerVocabulary.tokenizerJson(shape.vocabulary()));
    write(folder.resolve("tokenizer_config.json"), Map.of("model_max_length", shape.maxContext()));
  }

  private static void write(Path file, Object content) throws IOException {
    Files.writeString(file, JsonMapper.shared().writeValueAsString(content));
  }

  private Map<String, Object> config() {
    Map<String, Object> config = new LinkedHashMap<>();
    config.put("architectures", List.of("LlamaForCausalLM"));
    config.put("model_type", "llama");
    config.put("hidden_act", "silu");
    config.put("hidden_size", shape.hidden());
    config.put("intermediate_size", shape.feedForward());
    config.put("num_hidden_layers", shape.layers());
    config.put("num_attention_heads", shape.heads());
    config.put("num_key_value_heads", shape.kvHeads());
    config.put("head_dim", shape.headDim());
    config.put("vocab_size", shape.vocabulary());
    config.put("max_position_embeddings", shape.maxContext());
    config.put("rms_norm_eps", EPSILON);
    config.put("rope_theta", ROPE_THETA);
    config.put("tie_word_embeddings", true);
    config.put("attention_bias", false);
    config.put("bos_token_id", 0);
    config.put("eos_token_id", 1);
    config.put("torch_dtype", "bfloat16");
    return config;
  }

  private Map<String, Object> metadata() {
    List<String> tokens = FillerVocabulary.tokens(shape.vocabulary());
    int[] types = new int[tokens.size()];
    Arrays.fill(types, 1);
    Map<String, Object> metadata = new LinkedHashMap<>();
    metadata.put("general.architecture", "llama");
    metadata.put("general.name", "random " + shape.name());
    metadata.put("general.alignment", 32);
    metadata.put("llama.block_count", shape.layers());
    metadata.put("llama.context_length", shape.maxContext());
    metadata.put("llama.embedding_length", shape.hidden());
    metadata.put("llama.feed_forward_length", shape.feedForward());
    metadata.put("llama.attention.head_count", shape.heads());
    metadata.put("llama.attention.head_count_kv", shape.kvHeads());
    metadata.put("llama.attention.layer_norm_rms_epsilon", EPSILON);
    metadata.put("llama.rope.freq_base", ROPE_THETA);
    metadata.put("llama.attention.key_length", shape.headDim());
    metadata.put("llama.attention.value_length", shape.headDim());
    metadata.put("llama.rope.dimension_count", shape.headDim());
    metadata.put("llama.vocab_size", shape.vocabulary());
    metadata.put("tokenizer.ggml.model", "gpt2");
    metadata.put("tokenizer.ggml.pre", "llama-bpe");
    metadata.put("tokenizer.ggml.tokens", tokens.toArray(String[]::new));
    metadata.put("tokenizer.ggml.token_type", types);
    metadata.put("tokenizer.ggml.merges", new String[] {FillerVocabulary.MERGE});
    metadata.put("tokenizer.ggml.bos_token_id", 0);
    metadata.put("tokenizer.ggml.eos_token_id", 1);
    return metadata;
  }

  private List<TensorSource> tensors(boolean huggingFace) {
    List<TensorSource> all = new ArrayList<>();
    int hidden = shape.hidden();
    int queries = shape.heads() * shape.headDim();
    int keys = shape.kvHeads() * shape.headDim();
    all.add(
        matrix(
            all.size(),
            huggingFace ? "model.embed_tokens.weight" : "token_embd.weight",
            shape.vocabulary(),
            hidden));
    for (int i = 0; i < shape.layers(); i++) {
      String at = huggingFace ? "model.layers." + i + "." : "blk." + i + ".";
      all.add(norm(at + (huggingFace ? "input_layernorm.weight" : "attn_norm.weight")));
      String attention = at + (huggingFace ? "self_attn." : "attn_");
      all.add(
          matrix(
              all.size(),
              attention + (huggingFace ? "q_proj.weight" : "q.weight"),
              queries,
              hidden));
      all.add(
          matrix(
              all.size(), attention + (huggingFace ? "k_proj.weight" : "k.weight"), keys, hidden));
      all.add(
          matrix(
              all.size(), attention + (huggingFace ? "v_proj.weight" : "v.weight"), keys, hidden));
      all.add(
          matrix(
              all.size(),
              attention + (huggingFace ? "o_proj.weight" : "output.weight"),
              hidden,
              queries));
      all.add(norm(at + (huggingFace ? "post_attention_layernorm.weight" : "ffn_norm.weight")));
      String mlp = at + (huggingFace ? "mlp." : "ffn_");
      int inner = shape.feedForward();
      all.add(
          matrix(
              all.size(), mlp + (huggingFace ? "gate_proj.weight" : "gate.weight"), inner, hidden));
      all.add(
          matrix(all.size(), mlp + (huggingFace ? "up_proj.weight" : "up.weight"), inner, hidden));
      all.add(
          matrix(
              all.size(), mlp + (huggingFace ? "down_proj.weight" : "down.weight"), hidden, inner));
    }
    all.add(norm(huggingFace ? "model.norm.weight" : "output_norm.weight"));
    return all;
  }

  private TensorSource norm(String name) {
    return new TensorSource(
        name,
        type == TensorType.BF16 ? TensorType.BF16 : TensorType.F32,
        List.of(shape.hidden()),
        (row, out) -> Arrays.fill(out, 1));
  }

  /**
   * A matrix whose products keep the size of what they are applied to.
   *
   * @param seed its place in the model, so that both formats get the same values
   */
  private TensorSource matrix(int seed, String name, int rows, int cols) {
    SplittableRandom random = new SplittableRandom(seed);
    double reach = Math.sqrt(3.0 / cols);
    return new TensorSource(
        name,
        type,
        List.of(rows, cols),
        (row, out) -> {
          for (int i = 0; i < out.length; i++) {
            out[i] = (float) (reach * (2 * random.nextDouble() - 1));
          }
        });
  }
}
