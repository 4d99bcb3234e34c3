package dev.kvdrive.model;

import java.util.Set;
import java.util.function.IntFunction;

/** What the tensors of a transformer are called in one kind of file. */
record TensorNames(String embedding, String outputNorm, String output, IntFunction<Layer> layers) {
  /** Rope factors that GGUF files keep as tensors; they are no weights. */
  static final Set<String> GGUF_ROPE =
      Set.of("rope_freqs.weight", "rope_factors_long.weight", "rope_factors_short.weight");

  static final TensorNames GGUF =
      new TensorNames(
          "token_embd.weight",
          "output_norm.weight",
          "output.weight",
          i -> {
            String l = "blk." + i + ".";
            return new Layer(
                l + "attn_norm.weight",
                l + "attn_q",
                l + "attn_k",
                l + "attn_v",
                l + "attn_qkv.weight",
                l + "attn_output.weight",
                l + "attn_q_norm.weight",
                l + "attn_k_norm.weight",
                l + "ffn_norm.weight",
                l + "ffn_gate.weight",
                l + "ffn_up.weight",
                l + "ffn_up.weight",
                l + "ffn_down.weight");
          });

  static final TensorNames HUGGING_FACE =
      new TensorNames(
          "model.embed_tokens.weight",
          "model.norm.weight",
          "lm_head.weight",
          i -> {
            String l = "model.layers." + i + ".";
            return new Layer(
                l + "input_layernorm.weight",
                l + "self_attn.q_proj",
                l + "self_attn.k_proj",
                l + "self_attn.v_proj",
                l + "self_attn.qkv_proj.weight",
                l + "self_attn.o_proj.weight",
                l + "self_attn.q_norm.weight",
                l + "self_attn.k_norm.weight",
                l + "post_attention_layernorm.weight",
                l + "mlp.gate_proj.weight",
                l + "mlp.up_proj.weight",
                l + "mlp.gate_up_proj.weight",
                l + "mlp.down_proj.weight");
          });

  Layer layer(int index) {
    return layers.apply(index);
  }

  /** Names of one layer; query, key and value without {@code .weight} or {@code .bias}. */
  record Layer(
      String attentionNorm,
      String query,
      String key,
      String value,
      String fusedAttention,
      String attentionOutput,
      String queryNorm,
      String keyNorm,
      String mlpNorm,
      String gate,
      String up,
      String fusedMlp,
      String down) {}
}
