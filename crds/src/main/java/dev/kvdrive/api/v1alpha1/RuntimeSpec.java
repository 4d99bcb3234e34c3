package dev.kvdrive.api.v1alpha1;

import com.fasterxml.jackson.annotation.JsonIgnoreProperties;
import com.fasterxml.jackson.annotation.JsonInclude;
import com.fasterxml.jackson.annotation.JsonPropertyDescription;
import io.fabric8.generator.annotation.Default;
import io.fabric8.generator.annotation.Max;
import io.fabric8.generator.annotation.Min;
import io.fabric8.generator.annotation.Size;
import io.fabric8.kubernetes.api.model.Quantity;
import io.fabric8.kubernetes.api.model.Toleration;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** How the pods run: a few typed settings instead of a pod template. */
@JsonIgnoreProperties(ignoreUnknown = true)
@JsonInclude(JsonInclude.Include.NON_NULL)
public record RuntimeSpec(
    @Nullable
        @JsonPropertyDescription(
            "Processors of one pod, request and limit. Without it the pod may use what its node has"
                + " to spare. Memory is not asked for: the plan has it.")
        Quantity cpu,
    @Nullable
        @Min(1)
        @Max(4096)
        @JsonPropertyDescription(
            "Requests that may wait in one pod; more are answered with 429. Without it: eight"
                + " times the concurrency.")
        Integer queueLimit,
    @Nullable
        @Default("300")
        @Min(0)
        @Max(3600)
        @JsonPropertyDescription("Seconds that running requests are given when a pod stops.")
        Integer drainSeconds,
    @Nullable
        @Default("Surge")
        @JsonPropertyDescription(
            "Surge: the new pod is ready before an old one goes. InPlace: an old one goes first."
                + " Pods with a retained volume are always replaced in place.")
        Rollout rollout,
    @Nullable @JsonPropertyDescription("Labels added to the pods.") Map<String, String> labels,
    @Nullable @JsonPropertyDescription("Annotations added to the pods.")
        Map<String, String> annotations,
    @Nullable @JsonPropertyDescription("Node labels the pods need.")
        Map<String, String> nodeSelector,
    @Nullable @Size(max = 32) @JsonPropertyDescription("Taints the pods tolerate.")
        List<Toleration> tolerations,
    @Nullable @Size(min = 1, max = 253) @JsonPropertyDescription("Priority of the pods.")
        String priorityClassName) {}
