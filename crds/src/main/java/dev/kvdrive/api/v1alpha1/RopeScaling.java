package dev.kvdrive.api.v1alpha1;

import com.fasterxml.jackson.annotation.JsonIgnoreProperties;
import com.fasterxml.jackson.annotation.JsonInclude;
import com.fasterxml.jackson.annotation.JsonProperty;
import com.fasterxml.jackson.annotation.JsonPropertyDescription;
import io.fabric8.generator.annotation.Max;
import io.fabric8.generator.annotation.Min;
import io.fabric8.generator.annotation.Required;
import org.jspecify.annotations.Nullable;

/** How a model is to serve a longer context than it was trained for. */
@JsonIgnoreProperties(ignoreUnknown = true)
@JsonInclude(JsonInclude.Include.NON_NULL)
public record RopeScaling(
    @Required @JsonPropertyDescription("How the rotary embedding is stretched.") Type type,
    @Required
        @Min(1)
        @Max(1024)
        @JsonPropertyDescription("How many times the original context, above 1; for instance 4.")
        Double factor,
    @Nullable
        @Min(1)
        @Max(67_108_864)
        @JsonPropertyDescription(
            "Tokens of the context that is stretched; what the model was trained for by default.")
        Integer originalContext) {
  /** How the rotary embedding is stretched. */
  public enum Type {
    /** Blends by wavelength, with an attention factor. */
    @JsonProperty("yarn")
    YARN,
    /** Position interpolation. */
    @JsonProperty("linear")
    LINEAR
  }
}
