package dev.kvdrive.model;

import java.util.List;
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
                l + "attn_output",
                l + "attn_q_norm.weight",
                l + "attn_k_norm.weight",
                l + "post_attention_norm.weight",
                l + "ffn_norm.weight",
                l + "ffn_gate.weight",
                l + "ffn_up.weight",
                l + "ffn_up.weight",
                l + "ffn_down.weight",
                l + "post_ffw_norm.weight");
          });

  static final TensorNames HUGGING_FACE = huggingFace("model.", "lm_head.weight");

  /** The text part of models that also see: as transformers 4 wrote it, and as 5 does. */
  static final List<TensorNames> HUGGING_FACE_NESTED =
      List.of(
          huggingFace("language_model.model.", "language_model.lm_head.weight"),
          huggingFace("model.language_model.", "lm_head.weight"));

  /** What of a model that also sees is no part of its text model. */
  static final Set<String> HUGGING_FACE_VISION =
      Set.of(
          "vision_tower.",
          "multi_modal_projector.",
          "model.vision_tower.",
          "model.multi_modal_projector.");

  private static TensorNames huggingFace(String prefix, String output) {
    return new TensorNames(
        prefix + "embed_tokens.weight",
        prefix + "norm.weight",
        output,
        i -> {
          String l = prefix + "layers." + i + ".";
          return new Layer(
              l + "input_layernorm.weight",
              l + "self_attn.q_proj",
              l + "self_attn.k_proj",
              l + "self_attn.v_proj",
              l + "self_attn.qkv_proj.weight",
              l + "self_attn.o_proj",
              l + "self_attn.q_norm.weight",
              l + "self_attn.k_norm.weight",
              l + "post_attention_layernorm.weight",
              l + "post_attention_layernorm.weight",
              l + "mlp.gate_proj.weight",
              l + "mlp.up_proj.weight",
              l + "mlp.gate_up_proj.weight",
              l + "mlp.down_proj.weight",
              l + "post_feedforward_layernorm.weight");
        });
  }

  Layer layer(int index) {
    return layers.apply(index);
  }

  /**
   * Names of one layer; the projections of attention without {@code .weight} or {@code .bias}. A
   * layer has either the norms before or those after.
   */
  record Layer(
      String attentionNorm,
      String query,
      String key,
      String value,
      String fusedAttention,
      String attentionOutput,
      String queryNorm,
      String keyNorm,
      String attentionPostNorm,
      String mlpNorm,
      String gate,
      String up,
      String fusedMlp,
      String down,
      String mlpPostNorm) {}
}
