package dev.kvdrive.bench.model;

import dev.kvdrive.model.LayerTensors;
import dev.kvdrive.model.Model;
import dev.kvdrive.model.TokenizerSource;
import dev.kvdrive.model.TransformerSpec;
import dev.kvdrive.model.tensor.Dequantizer;
import dev.kvdrive.model.tensor.TensorData;
import dev.kvdrive.model.tensor.TensorType;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import org.jspecify.annotations.Nullable;
import tools.jackson.databind.json.JsonMapper;

/**
 * Converts a Llama model of a GGUF file into a Hugging Face folder in BF16, for engines that read
 * nothing else. The values are those of the GGUF file, rounded to BF16; rows of queries and keys
 * come back from llama.cpp's order (pairs side by side) to Hugging Face's (halves).
 */
public final class HuggingFaceFolder {
  private static final int CONTROL_TOKEN = 3;

  private HuggingFaceFolder() {}

  /**
   * Converts.
   *
   * @param folder made; nothing is done if it is there
   * @throws IllegalArgumentException if the model is no plain Llama of a GGUF file
   * @throws UncheckedIOException if it cannot be written
   */
  public static void convert(Model model, Path folder) {
    if (Files.exists(folder)) {
      return;
    }
    if (!(model.tokenizer() instanceof TokenizerSource.Gguf gguf)
        || !model.spec().architecture().equals("llama")
        || !(gguf.metadata().get("tokenizer.ggml.merges") instanceof String[] merges)
        || !(gguf.metadata().get("tokenizer.ggml.tokens") instanceof String[] tokens)) {
      throw new IllegalArgumentException(
          "%s is not a Llama model with a BPE tokenizer in a GGUF file"
              .formatted(model.geometry().name()));
    }
    try {
      Files.createDirectories(folder.toAbsolutePath().getParent());
      Path fresh = Files.createTempDirectory(folder.toAbsolutePath().getParent(), "part");
      SafetensorsFile.write(fresh.resolve("model.safetensors"), tensors(model));
      write(fresh.resolve("config.json"), config(model, gguf.metadata()));
      write(
          fresh.resolve("tokenizer.json"),
          tokenizer(tokens, List.of(merges), gguf.metadata().get("tokenizer.ggml.token_type")));
      write(
          fresh.resolve("tokenizer_config.json"),
          Map.of("model_max_length", model.spec().maxContext()));
      Files.move(fresh, folder, StandardCopyOption.ATOMIC_MOVE);
    } catch (IOException e) {
      throw new UncheckedIOException("%s cannot be made: %s".formatted(folder, e), e);
    }
  }

  private static void write(Path file, Object content) throws IOException {
    Files.writeString(file, JsonMapper.shared().writeValueAsString(content));
  }

  private static Map<String, Object> tokenizer(
      String[] tokens, List<String> merges, @Nullable Object tokenTypes) {
    Map<String, Integer> vocabulary = new LinkedHashMap<>();
    List<Map<String, Object>> added = new ArrayList<>();
    for (int id = 0; id < tokens.length; id++) {
      vocabulary.put(tokens[id], id);
      if (tokenTypes instanceof int[] types && types[id] == CONTROL_TOKEN) {
        added.add(
            Map.of(
                "id", id,
                "content", tokens[id],
                "single_word", false,
                "lstrip", false,
                "rstrip", false,
                "normalized", false,
                "special", true));
      }
    }
    return FillerVocabulary.tokenizerJson(vocabulary, merges, added);
  }

  private static Map<String, Object> config(Model model, Map<String, Object> metadata) {
    TransformerSpec spec = model.spec();
    Map<String, Object> config = new LinkedHashMap<>();
    config.put("architectures", List.of("LlamaForCausalLM"));
    config.put("model_type", "llama");
    config.put("hidden_act", "silu");
    config.put("hidden_size", spec.hidden());
    config.put("intermediate_size", spec.feedForward());
    config.put("num_hidden_layers", spec.layers());
    config.put("num_attention_heads", spec.heads());
    config.put("num_key_value_heads", spec.kvHeads());
    config.put("head_dim", spec.headDim());
    config.put("vocab_size", spec.vocabulary());
    config.put("max_position_embeddings", spec.maxContext());
    config.put("rms_norm_eps", spec.rmsEpsilon());
    config.put("rope_theta", metadata.getOrDefault("llama.rope.freq_base", 10_000f));
    config.put("tie_word_embeddings", tied(model));
    config.put("attention_bias", false);
    config.put("bos_token_id", metadata.getOrDefault("tokenizer.ggml.bos_token_id", 0));
    config.put("eos_token_id", metadata.getOrDefault("tokenizer.ggml.eos_token_id", 0));
    config.put("torch_dtype", "bfloat16");
    return config;
  }

  private static boolean tied(Model model) {
    return model.output().name().equals(model.embedding().name());
  }

  private static List<TensorSource> tensors(Model model) {
    TransformerSpec spec = model.spec();
    boolean paired = spec.rope().interleaved();
    List<TensorSource> all = new ArrayList<>();
    all.add(matrix("model.embed_tokens.weight", model.embedding()));
    for (int i = 0; i < spec.layers(); i++) {
      LayerTensors layer = model.layers().get(i);
      String at = "model.layers." + i + ".";
      all.add(vector(at + "input_layernorm.weight", Objects.requireNonNull(layer.attentionNorm())));
      all.add(rotated(at + "self_attn.q_proj.weight", layer.query(), spec.headDim(), paired));
      all.add(rotated(at + "self_attn.k_proj.weight", layer.key(), spec.headDim(), paired));
      all.add(matrix(at + "self_attn.v_proj.weight", layer.value()));
      all.add(matrix(at + "self_attn.o_proj.weight", layer.output()));
      all.add(
          vector(at + "post_attention_layernorm.weight", Objects.requireNonNull(layer.mlpNorm())));
      all.add(matrix(at + "mlp.gate_proj.weight", layer.gate()));
      all.add(matrix(at + "mlp.up_proj.weight", layer.up()));
      all.add(matrix(at + "mlp.down_proj.weight", layer.down()));
    }
    all.add(vector("model.norm.weight", model.outputNorm()));
    if (!tied(model)) {
      all.add(matrix("lm_head.weight", model.output()));
    }
    return all;
  }

  private static TensorSource vector(String name, TensorData data) {
    return new TensorSource(
        name,
        TensorType.BF16,
        List.of(data.cols()),
        (row, out) -> Dequantizer.row(data, 0, out, 0));
  }

  private static TensorSource matrix(String name, TensorData data) {
    return new TensorSource(
        name,
        TensorType.BF16,
        List.of(data.rows(), data.cols()),
        (row, out) -> Dequantizer.row(data, row, out, 0));
  }

  private static TensorSource rotated(String name, TensorData data, int headDim, boolean paired) {
    int half = headDim / 2;
    return new TensorSource(
        name,
        TensorType.BF16,
        List.of(data.rows(), data.cols()),
        (row, out) -> {
          int head = row / headDim;
          int in = row % headDim;
          int source = paired ? head * headDim + 2 * (in % half) + in / half : row;
          Dequantizer.row(data, source, out, 0);
        });
  }
}
