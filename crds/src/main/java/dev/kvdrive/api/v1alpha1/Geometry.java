package dev.kvdrive.api.v1alpha1;

import com.fasterxml.jackson.annotation.JsonIgnoreProperties;
import com.fasterxml.jackson.annotation.JsonInclude;
import com.fasterxml.jackson.annotation.JsonProperty;
import com.fasterxml.jackson.annotation.JsonPropertyDescription;
import io.fabric8.generator.annotation.Max;
import io.fabric8.generator.annotation.Min;
import io.fabric8.generator.annotation.Required;
import io.fabric8.generator.annotation.ValidationRule;
import io.fabric8.kubernetes.api.model.Quantity;
import org.jspecify.annotations.Nullable;

/**
 * The sizes of a transformer that the plan depends on, as its config.json states them. The bounds
 * are the planner's, and so are the words for what bounds a context.
 */
@JsonIgnoreProperties(ignoreUnknown = true)
@JsonInclude(JsonInclude.Include.NON_NULL)
@ValidationRule(
    value = "self.heads % self.kvHeads == 0",
    message = "kvHeads must divide heads: each KV head serves the same number of query heads")
public record Geometry(
    @Required @Min(1) @Max(4096) @JsonPropertyDescription("Transformer layers (num_hidden_layers).")
        int layers,
    @Required
        @Min(1)
        @Max(131072)
        @JsonPropertyDescription("Width of the residual stream (hidden_size).")
        int hidden,
    @Required @Min(1) @Max(4096) @JsonPropertyDescription("Query heads (num_attention_heads).")
        int heads,
    @Required @Min(1) @Max(4096) @JsonPropertyDescription("KV heads (num_key_value_heads).")
        int kvHeads,
    @Required @Min(1) @Max(4096) @JsonPropertyDescription("Elements of one head (head_dim).")
        int headDim,
    @Required
        @Min(1)
        @Max(1048576)
        @JsonPropertyDescription("Inner width of the MLP (intermediate_size).")
        int feedForward,
    @Required @Min(1) @Max(4194304) @JsonPropertyDescription("Rows of the embedding (vocab_size).")
        int vocabulary,
    @Required
        @Min(1)
        @Max(67108864)
        @JsonPropertyDescription(
            "Tokens the model can serve without ropeScaling (max_position_embeddings, unless"
                + " contextLimit says otherwise).")
        int maxContext,
    @Required
        @JsonPropertyDescription(
            "Size of all weight files together, for instance 16Gi; may be rounded up.")
        Quantity weights,
    @Nullable
        @JsonPropertyDescription(
            "What all weights take on a GPU, where matrices of a GGUF file are Q8_0 or Q4_0, which"
                + " stay as they are: kvdrive plan says it. Otherwise left out: matrices are counted"
                + " in bf16.")
        Quantity gpuWeights,
    @Nullable
        @JsonPropertyDescription(
            "What maxContext is. trained (the default): what the model was trained for, which alone"
                + " ropeScaling can extend. scaled: what the rope_scaling of its config.json"
                + " reaches. window: its sliding_window. chunked: the"
                + " original_max_position_embeddings of its dual_chunk_attention_config.")
        ContextLimit contextLimit,
    @Nullable
        @JsonPropertyDescription(
            "Whether the calibration of its index, which kvdrive calibrate makes, lies beside the"
                + " weights.")
        Boolean calibrated) {

  /** What bounds the context of a model. */
  public enum ContextLimit {
    /** What it was trained for. */
    @JsonProperty("trained")
    TRAINED,
    /** What its own rope scaling extends it to. */
    @JsonProperty("scaled")
    SCALED,
    /** The sliding window of its attention. */
    @JsonProperty("window")
    WINDOW,
    /** Where dual chunk attention would begin. */
    @JsonProperty("chunked")
    CHUNKED
  }
}
