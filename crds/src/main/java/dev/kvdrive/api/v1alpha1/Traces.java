package dev.kvdrive.api.v1alpha1;

import com.fasterxml.jackson.annotation.JsonIgnoreProperties;
import com.fasterxml.jackson.annotation.JsonInclude;
import com.fasterxml.jackson.annotation.JsonPropertyDescription;
import io.fabric8.generator.annotation.Pattern;
import io.fabric8.generator.annotation.Size;
import io.fabric8.generator.annotation.ValidationRule;
import org.jspecify.annotations.Nullable;

/** Whether requests are traced, and how many; where traces go says whoever runs the cluster. */
@JsonIgnoreProperties(ignoreUnknown = true)
@JsonInclude(JsonInclude.Include.NON_NULL)
@ValidationRule(
    value = "!has(self.enabled) || self.enabled || !has(self.sampling)",
    message = Traces.SHARE_OF_NOTHING,
    fieldPath = ".sampling")
public record Traces(
    @Nullable
        @JsonPropertyDescription(
            "Whether anything is traced. Without it: yes, where the InferenceClass or the operator"
                + " names a collector.")
        Boolean enabled,
    @Nullable
        @Pattern(TraceCollector.SHARE)
        @Size(max = 9)
        @JsonPropertyDescription(
            "Share of the requests that are traced, at most that of the InferenceClass. A caller's"
                + " traceparent has the last word. Without it: the InferenceClass's.")
        String sampling) {
  /** What a share is told where nothing is traced. */
  public static final String SHARE_OF_NOTHING =
      "sampling is a share of what is traced, and enabled: false traces nothing; leave one of them"
          + " out";
}
