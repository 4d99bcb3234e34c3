package dev.kvdrive.api.v1alpha1;

import com.fasterxml.jackson.annotation.JsonIgnoreProperties;
import com.fasterxml.jackson.annotation.JsonPropertyDescription;
import io.fabric8.generator.annotation.Max;
import io.fabric8.generator.annotation.Min;
import io.fabric8.generator.annotation.Required;
import io.fabric8.generator.annotation.ValidationRule;
import io.fabric8.kubernetes.api.model.Quantity;

/**
 * The sizes of a transformer that the plan depends on, as its config.json states them. The bounds
 * are the planner's.
 */
@JsonIgnoreProperties(ignoreUnknown = true)
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
        @JsonPropertyDescription("Tokens the model was trained for (max_position_embeddings).")
        int maxContext,
    @Required @JsonPropertyDescription("Size of all weight files together, for instance 16Gi.")
        Quantity weights) {}
