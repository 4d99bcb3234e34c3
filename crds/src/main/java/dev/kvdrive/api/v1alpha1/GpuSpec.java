package dev.kvdrive.api.v1alpha1;

import com.fasterxml.jackson.annotation.JsonIgnoreProperties;
import com.fasterxml.jackson.annotation.JsonInclude;
import com.fasterxml.jackson.annotation.JsonPropertyDescription;
import io.fabric8.generator.annotation.Max;
import io.fabric8.generator.annotation.Min;
import io.fabric8.generator.annotation.Pattern;
import io.fabric8.generator.annotation.Required;
import io.fabric8.generator.annotation.Size;
import io.fabric8.generator.annotation.ValidationRule;
import io.fabric8.kubernetes.api.model.Quantity;
import org.jspecify.annotations.Nullable;

/** The GPU of a pod: how it is asked for, and how much memory it has. */
@JsonIgnoreProperties(ignoreUnknown = true)
@JsonInclude(JsonInclude.Include.NON_NULL)
@ValidationRule(
    value = "!has(self.claim) || !(has(self.resourceName) || has(self.count))",
    message = GpuSpec.CLAIM_OR_RESOURCE)
@ValidationRule(
    value =
        "!has(self.count) || self.count == 1 || (has(self.resourceName) && self.resourceName !="
            + " 'nvidia.com/gpu' && !self.resourceName.startsWith('nvidia.com/mig-'))",
    message = GpuSpec.ONE_CARD)
@ValidationRule(
    value =
        "!has(self.matchMemory) || !self.matchMemory || (!has(self.claim) &&"
            + " (!has(self.resourceName) || self.resourceName.startsWith('nvidia.com/')))",
    message = GpuSpec.NO_LABEL)
public record GpuSpec(
    @Nullable
        @Size(min = 3, max = 317)
        @Pattern(
            "^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$")
        @JsonPropertyDescription(
            "Extended resource that a pod asks for, for instance nvidia.com/mig-3g.40gb. Without"
                + " one: nvidia.com/gpu.")
        String resourceName,
    @Nullable
        @Min(1)
        @Max(1024)
        @JsonPropertyDescription(
            "How much of it. More than 1 only where a unit is not a card, but for instance a GiB of"
                + " one. Without it: 1.")
        Integer count,
    @Nullable
        @JsonPropertyDescription(
            "A claim of dynamic resource allocation (resource.k8s.io/v1) in place of an extended"
                + " resource.")
        Claim claim,
    @Nullable
        @ValidationRule(
            value = "quantity(string(self)).isGreaterThan(quantity('0'))",
            message = "must be greater than 0")
        @JsonPropertyDescription(
            "Memory of the card, or of its part, that a pod gets: no GPU tier may be larger. Without"
                + " it: what the labels of the selected nodes say, where the operator may read"
                + " nodes.")
        Quantity memory,
    @Nullable
        @JsonPropertyDescription(
            "Pods only go to nodes whose label says that a card holds the GPU tier: the label"
                + " RESOURCE.memory of GPU feature discovery. For classes that select nodes with"
                + " different cards.")
        Boolean matchMemory) {

  /** The resource of a whole card. */
  public static final String RESOURCE = "nvidia.com/gpu";

  /** Why a class has not both. */
  public static final String CLAIM_OR_RESOURCE =
      "claim takes the place of resourceName and count; write one or the other";

  /** Why a pod has not several cards. */
  public static final String ONE_CARD =
      "a pod computes on one GPU: of nvidia.com/gpu and of nvidia.com/mig-* ask for count 1, and"
          + " serve more with replicas";

  /** Why nodes cannot be chosen by their label. */
  public static final String NO_LABEL =
      "matchMemory goes by the label that GPU feature discovery gives nodes for resources of"
          + " nvidia.com; for other resources name the nodes in runtime.nodeSelector or"
          + " runtime.nodeAffinity, for a claim the memory in its template";

  /** Why a class of another device has none. */
  public static final String OF_CUDA =
      "gpu is of device CUDA; write device: CUDA, or leave gpu out";

  /** A claim that is made for each pod. */
  @JsonIgnoreProperties(ignoreUnknown = true)
  public record Claim(
      @Required
          @Size(min = 1, max = 253)
          @Pattern(KubernetesNames.OBJECT)
          @JsonPropertyDescription(
              "Name of the ResourceClaimTemplate; it must exist in the namespaces of the"
                  + " deployments.")
          String templateName) {}
}
