package dev.kvdrive.api.v1alpha1;

import com.fasterxml.jackson.annotation.JsonIgnoreProperties;
import com.fasterxml.jackson.annotation.JsonInclude;
import com.fasterxml.jackson.annotation.JsonProperty;
import com.fasterxml.jackson.annotation.JsonPropertyDescription;
import io.fabric8.generator.annotation.Max;
import io.fabric8.generator.annotation.Min;
import io.fabric8.generator.annotation.Pattern;
import io.fabric8.generator.annotation.Required;
import io.fabric8.generator.annotation.Size;
import org.jspecify.annotations.Nullable;

/** How the pods of one deployment spread over nodes, zones or what else a node label names. */
@JsonIgnoreProperties(ignoreUnknown = true)
@JsonInclude(JsonInclude.Include.NON_NULL)
public record TopologySpread(
    @Required
        @Size(min = 1, max = 317)
        @Pattern("^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$")
        @JsonPropertyDescription(
            "Key of the node label, for instance kubernetes.io/hostname or"
                + " topology.kubernetes.io/zone.")
        String topologyKey,
    @Nullable
        @Min(1)
        @Max(1000)
        @JsonPropertyDescription(
            "Pods that one place may have more than the emptiest. Without it: 1.")
        Integer maxSkew,
    @Nullable
        @JsonPropertyDescription(
            "What happens to a pod that would make it more: ScheduleAnyway, the default, prefers"
                + " other places; DoNotSchedule leaves it pending.")
        WhenUnsatisfiable whenUnsatisfiable) {
  /** What happens to a pod that would make the spread too uneven. */
  public enum WhenUnsatisfiable {
    @JsonProperty("ScheduleAnyway")
    SCHEDULE_ANYWAY("ScheduleAnyway"),
    @JsonProperty("DoNotSchedule")
    DO_NOT_SCHEDULE("DoNotSchedule");

    private final String text;

    WhenUnsatisfiable(String text) {
      this.text = text;
    }

    /** As Kubernetes writes it. */
    public String text() {
      return text;
    }
  }
}
