package dev.kvdrive.api.v1alpha1;

import com.fasterxml.jackson.annotation.JsonIgnoreProperties;
import com.fasterxml.jackson.annotation.JsonInclude;
import com.fasterxml.jackson.annotation.JsonPropertyDescription;
import io.fabric8.generator.annotation.Required;
import io.fabric8.kubernetes.api.model.Quantity;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** The byte arithmetic of one replica. */
@JsonIgnoreProperties(ignoreUnknown = true)
@JsonInclude(JsonInclude.Include.NON_EMPTY)
public record PlanStatus(
    @JsonPropertyDescription("Whether it fits.") boolean feasible,
    @Nullable @JsonPropertyDescription("Where the model's sizes came from.") String geometrySource,
    @Nullable @JsonPropertyDescription("Bytes of keys and values that one token adds.")
        Long bytesPerToken,
    @Nullable @JsonPropertyDescription("How much of the context a step attends.") String budget,
    @Nullable
        @JsonPropertyDescription("Tokens up to which a sequence attends everything; 0 for none.")
        Integer denseBelow,
    @Nullable @JsonPropertyDescription("Memory request and limit of a pod.") Quantity memory,
    @Nullable @JsonPropertyDescription("Java heap inside that memory.") Quantity heap,
    @Nullable @JsonPropertyDescription("Size of a pod's NVMe volume.") Quantity volume,
    @Nullable @JsonPropertyDescription("The arithmetic, item by item.") List<Demand> demands,
    @Nullable @JsonPropertyDescription("Why it does not fit.") List<String> shortfalls,
    @Nullable @JsonPropertyDescription("Nearest specifications that fit.")
        List<String> alternatives,
    @Nullable @JsonPropertyDescription("What fits but will probably disappoint.")
        List<String> warnings) {

  /** One item of the arithmetic. */
  @JsonIgnoreProperties(ignoreUnknown = true)
  public record Demand(
      @Required @JsonPropertyDescription("gpu, dram or nvme.") String tier,
      @Required @JsonPropertyDescription("What the bytes are for.") String item,
      @Required @JsonPropertyDescription("How many, rounded.") String size,
      @Required @JsonPropertyDescription("How they come about.") String arithmetic) {}
}
