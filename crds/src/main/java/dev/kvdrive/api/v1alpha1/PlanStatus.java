package dev.kvdrive.api.v1alpha1;

import com.fasterxml.jackson.annotation.JsonIgnoreProperties;
import com.fasterxml.jackson.annotation.JsonInclude;
import com.fasterxml.jackson.annotation.JsonPropertyDescription;
import io.fabric8.kubernetes.api.model.Quantity;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** The byte arithmetic of one replica. */
@JsonIgnoreProperties(ignoreUnknown = true)
@JsonInclude(JsonInclude.Include.NON_NULL)
public record PlanStatus(
    @Nullable @JsonPropertyDescription("Whether it fits.") Boolean feasible,
    @Nullable @JsonPropertyDescription("Where the model's sizes came from.") String geometrySource,
    @Nullable @JsonPropertyDescription("Bytes of keys and values that one token adds.")
        Long bytesPerToken,
    @Nullable @JsonPropertyDescription("Weights as the device holds them.") Quantity weights,
    @Nullable @JsonPropertyDescription("Keys and values at full context and concurrency.")
        Quantity keyValues,
    @Nullable @JsonPropertyDescription("Memory request of a pod.") Quantity memoryRequest,
    @Nullable @JsonPropertyDescription("Memory limit of a pod.") Quantity memoryLimit,
    @Nullable @JsonPropertyDescription("Size of a pod's NVMe volume.") Quantity volumeSize,
    @Nullable @JsonPropertyDescription("The arithmetic in words, a line each.")
        List<String> arithmetic,
    @Nullable @JsonPropertyDescription("Nearest specifications that fit.")
        List<String> alternatives) {}
