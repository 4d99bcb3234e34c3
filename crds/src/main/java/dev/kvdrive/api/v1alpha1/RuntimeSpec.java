package dev.kvdrive.api.v1alpha1;

import com.fasterxml.jackson.annotation.JsonIgnoreProperties;
import com.fasterxml.jackson.annotation.JsonInclude;
import com.fasterxml.jackson.annotation.JsonPropertyDescription;
import io.fabric8.generator.annotation.Max;
import io.fabric8.generator.annotation.Min;
import io.fabric8.generator.annotation.Pattern;
import io.fabric8.generator.annotation.Size;
import io.fabric8.generator.annotation.ValidationRule;
import io.fabric8.kubernetes.api.model.Quantity;
import io.fabric8.kubernetes.api.model.Toleration;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** How the pods run: a few typed settings instead of a pod template. */
@JsonIgnoreProperties(ignoreUnknown = true)
@JsonInclude(JsonInclude.Include.NON_NULL)
@ValidationRule(
    value = "!has(self.priorityClassName) || !self.priorityClassName.startsWith('system-')",
    message = RuntimeSpec.SYSTEM_PRIORITY,
    fieldPath = ".priorityClassName")
@ValidationRule(
    value = "!has(self.tolerations) || self.tolerations.all(t, has(t.key) && t.key != '')",
    message = RuntimeSpec.CATCH_ALL,
    fieldPath = ".tolerations")
@ValidationRule(
    value = "!has(self.idleTimeoutSeconds) || (has(self.rollout) && self.rollout == 'WhenIdle')",
    message = RuntimeSpec.OF_WHEN_IDLE,
    fieldPath = ".idleTimeoutSeconds")
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
        @JsonPropertyDescription(
            "Whether what was made of a prompt stays in DRAM and on NVMe after its answer, as long"
                + " as nobody needs the room, for prompts of the same API key that begin alike."
                + " Without it: true.")
        Boolean keepPrompts,
    @Nullable
        @Min(0)
        @Max(3600)
        @JsonPropertyDescription(
            "Seconds that running requests are given when a pod stops. Without it: 300, or less"
                + " where the InferenceClass allows no more.")
        Integer drainSeconds,
    @Nullable
        @JsonPropertyDescription(
            "Surge: the new pod is ready before an old one goes. InPlace: an old one goes first."
                + " WhenIdle: what runs stays until no request runs or waits, then as without it."
                + " Pods with a retained volume are always replaced in place. Without it: as many"
                + " pods more as the InferenceClass has in maxSurge.")
        Rollout rollout,
    @Nullable
        @Min(1)
        @Max(604800)
        @JsonPropertyDescription(
            "With rollout WhenIdle: seconds after which a changed specification is rolled out"
                + " although requests run. Without it: 3600.")
        Integer idleTimeoutSeconds,
    @Nullable @JsonPropertyDescription("Labels added to the pods.") Map<String, String> labels,
    @Nullable @JsonPropertyDescription("Annotations added to the pods.")
        Map<String, String> annotations,
    @Nullable @JsonPropertyDescription("Node labels the pods need.")
        Map<String, String> nodeSelector,
    @Nullable @Size(max = 32) @JsonPropertyDescription("Taints the pods tolerate.")
        List<Toleration> tolerations,
    @Nullable
        @Size(min = 1, max = 253)
        @Pattern(KubernetesNames.OBJECT)
        @JsonPropertyDescription("Priority of the pods.")
        String priorityClassName,
    @Nullable
        @Size(max = 16)
        @JsonPropertyDescription(
            "What labels of nodes must be, besides nodeSelector; all of it must hold.")
        List<NodeRequirement> nodeAffinity,
    @Nullable
        @Size(max = 4)
        @JsonPropertyDescription(
            "How the pods spread over what node labels name. Without it: the InferenceClass's.")
        List<TopologySpread> topologySpread) {
  /** Why no deployment has a priority of Kubernetes' own. */
  public static final String SYSTEM_PRIORITY =
      "priorities that begin with system- are for what keeps the cluster alive; name another";

  /** Why nobody waits with another rollout. */
  public static final String OF_WHEN_IDLE =
      "idleTimeoutSeconds is of rollout WhenIdle; write rollout: WhenIdle, or leave it out";

  /** Why no deployment tolerates every taint. */
  public static final String CATCH_ALL =
      "a toleration without a key tolerates every taint, also those that protect nodes; name the"
          + " taints' keys";
}
