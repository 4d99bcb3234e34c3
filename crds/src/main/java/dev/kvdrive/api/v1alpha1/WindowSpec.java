package dev.kvdrive.api.v1alpha1;

import com.fasterxml.jackson.annotation.JsonIgnoreProperties;
import com.fasterxml.jackson.annotation.JsonInclude;
import com.fasterxml.jackson.annotation.JsonPropertyDescription;
import io.fabric8.generator.annotation.Default;
import io.fabric8.generator.annotation.Max;
import io.fabric8.generator.annotation.Min;
import org.jspecify.annotations.Nullable;

/** How the windows of chunks in GPU memory are divided and filled. */
@JsonIgnoreProperties(ignoreUnknown = true)
@JsonInclude(JsonInclude.Include.NON_NULL)
public record WindowSpec(
    @Nullable
        @Default("LENT")
        @JsonPropertyDescription(
            "Who has how many slots: LENT (every sequence that runs the same: free seats lend theirs),"
                + " UNIFORM (every seat the same) or BY_REUSE (by what more slots would save each"
                + " layer and head).")
        Division division,
    @Nullable
        @Default("16")
        @Min(0)
        @Max(256)
        @JsonPropertyDescription(
            "Tokens at the end of a prompt whose selections fill its windows before the first"
                + " step.")
        Integer warmUpTokens,
    @Nullable
        @Default("false")
        @JsonPropertyDescription(
            "Whether chunks are brought for the next layer by a predicted query.")
        Boolean prefetch) {
  /** Who has how many slots. */
  public enum Division {
    UNIFORM,
    LENT,
    BY_REUSE
  }
}
