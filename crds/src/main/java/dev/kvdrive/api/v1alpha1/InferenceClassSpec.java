package dev.kvdrive.api.v1alpha1;

import com.fasterxml.jackson.annotation.JsonIgnoreProperties;
import com.fasterxml.jackson.annotation.JsonInclude;
import com.fasterxml.jackson.annotation.JsonPropertyDescription;
import io.fabric8.generator.annotation.Default;
import io.fabric8.generator.annotation.Max;
import io.fabric8.generator.annotation.Min;
import io.fabric8.generator.annotation.Pattern;
import io.fabric8.generator.annotation.Required;
import io.fabric8.generator.annotation.Size;
import io.fabric8.generator.annotation.ValidationRule;
import io.fabric8.kubernetes.api.model.Quantity;
import io.fabric8.kubernetes.api.model.Toleration;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** What the platform team provides and allows. */
@JsonIgnoreProperties(ignoreUnknown = true)
@JsonInclude(JsonInclude.Include.NON_NULL)
@ValidationRule(
    value = "!has(self.gpu) || (has(self.device) && self.device == 'CUDA')",
    message = GpuSpec.OF_CUDA)
public record InferenceClassSpec(
    @Nullable
        @Default("CPU")
        @JsonPropertyDescription("Where the runtime computes: CPU, or CUDA with one GPU a pod.")
        Device device,
    @Nullable
        @JsonPropertyDescription(
            "With device CUDA: how a pod asks for its GPU, and how much memory that has.")
        GpuSpec gpu,
    @Nullable @JsonPropertyDescription("The image and where its pods may run.")
        ClassRuntime runtime,
    @Nullable @JsonPropertyDescription("Storage classes for the NVMe tier.") Storage storage,
    @Nullable @JsonPropertyDescription("Most that one deployment may ask for.") Limits limits,
    @Nullable
        @Size(max = 256)
        @JsonPropertyDescription(
            "Namespaces that may use this class, each with its quota. Without it: all, no quota.")
        List<Tenant> tenants,
    @Nullable @JsonPropertyDescription("Models that may be served.") Models models,
    @Nullable @JsonPropertyDescription("What deployments may say about their pods.") Pods pods,
    @Nullable @JsonPropertyDescription("What deployments may say about their routes.")
        Routes routes,
    @Nullable
        @JsonPropertyDescription(
            "How pods reach the model hub. What is left out here is the operator's.")
        Downloads downloads,
    @Nullable
        @JsonPropertyDescription("Where pods send traces. Without an address here: the operator's.")
        TraceCollector traces) {

  /** Image and placement of runtime pods. */
  @JsonIgnoreProperties(ignoreUnknown = true)
  @JsonInclude(JsonInclude.Include.NON_NULL)
  public record ClassRuntime(
      @Nullable
          @Size(min = 1, max = 512)
          @JsonPropertyDescription(
              "Runtime image. Without one: the operator's, with device CUDA that for GPUs.")
          String image,
      @Nullable @JsonPropertyDescription("When the image is pulled.") PullPolicy imagePullPolicy,
      @Nullable
          @Size(max = 16)
          @JsonPropertyDescription(
              "Names of pull secrets; they must exist in the namespaces of the deployments.")
          List<String> imagePullSecrets,
      @Nullable @JsonPropertyDescription("Processors of one pod when the deployment says nothing.")
          Quantity cpu,
      @Nullable
          @Size(min = 1, max = 253)
          @Pattern(KubernetesNames.OBJECT)
          @JsonPropertyDescription("RuntimeClass of the pods.")
          String runtimeClassName,
      @Nullable @JsonPropertyDescription("Node labels the pods need.")
          Map<String, String> nodeSelector,
      @Nullable @Size(max = 32) @JsonPropertyDescription("Taints the pods tolerate.")
          List<Toleration> tolerations,
      @Nullable
          @Size(min = 1, max = 253)
          @Pattern(KubernetesNames.OBJECT)
          @JsonPropertyDescription("Priority of the pods when the deployment names none.")
          String priorityClassName,
      @Nullable
          @Size(max = 16)
          @JsonPropertyDescription(
              "What labels of nodes must be, besides nodeSelector; all of it must hold.")
          List<NodeRequirement> nodeAffinity,
      @Nullable
          @Size(max = 4)
          @JsonPropertyDescription("How the pods of a deployment spread when it does not say.")
          List<TopologySpread> topologySpread,
      @Nullable
          @Min(0)
          @Max(1000)
          @JsonPropertyDescription(
              "Pods beyond the replicas while a rollout lasts; with 0 an old one goes first."
                  + " Without it: 0 with device CUDA, where one pod more is one GPU more, else 1.")
          Integer maxSurge) {}

  /**
   * What deployments may say about their pods. A list that is left out allows what harms nobody
   * else; an empty one allows nothing.
   */
  @JsonIgnoreProperties(ignoreUnknown = true)
  @JsonInclude(JsonInclude.Include.NON_NULL)
  public record Pods(
      @Nullable
          @Size(max = 64)
          @JsonPropertyDescription(
              "Priorities that deployments may name. Without it: any but Kubernetes' own.")
          List<String> allowedPriorityClassNames,
      @Nullable
          @Size(max = 64)
          @JsonPropertyDescription(
              "Taints that deployments may tolerate, written as tolerations: theirs must tolerate no"
                  + " more than one of these. Without it: any but those with which Kubernetes"
                  + " protects nodes.")
          List<Toleration> allowedTolerations,
      @Nullable
          @Size(max = 64)
          @JsonPropertyDescription(
              "Node labels that deployments may ask for, in nodeSelector and nodeAffinity. Without"
                  + " it: any.")
          List<String> allowedNodeSelectorKeys,
      @Nullable
          @Size(max = 64)
          @JsonPropertyDescription(
              "Node labels that deployments may spread their pods by. Without it: any.")
          List<String> allowedTopologyKeys,
      @Nullable
          @Size(max = 64)
          @JsonPropertyDescription(
              "Starts of keys of labels that deployments may give their pods, for instance"
                  + " example.com/. Without it: any but those of Kubernetes.")
          List<String> allowedLabelPrefixes,
      @Nullable
          @Size(max = 64)
          @JsonPropertyDescription(
              "Starts of keys of annotations that deployments may give their pods. Without it: any"
                  + " but those of Kubernetes.")
          List<String> allowedAnnotationPrefixes) {}

  /**
   * What deployments may say about their routes. Which routes it takes a Gateway says by itself
   * (allowedRoutes).
   */
  @JsonIgnoreProperties(ignoreUnknown = true)
  @JsonInclude(JsonInclude.Include.NON_NULL)
  public record Routes(
      @Nullable
          @Size(max = 64)
          @JsonPropertyDescription(
              "Gateways that deployments may name, as namespace/name. Without it: any. Empty: no"
                  + " deployment has a route.")
          List<String> allowedGateways,
      @Nullable
          @Size(max = 64)
          @JsonPropertyDescription(
              "Hostnames that deployments may name; *.example.com has all below it. A route must"
                  + " then name its hostnames. Without it: any.")
          List<String> allowedHostnames) {}

  /** Storage classes for the NVMe tier. */
  @JsonIgnoreProperties(ignoreUnknown = true)
  @JsonInclude(JsonInclude.Include.NON_NULL)
  public record Storage(
      @Nullable
          @Size(min = 1, max = 253)
          @Pattern(KubernetesNames.OBJECT)
          @JsonPropertyDescription("Class of volumes whose deployment names none.")
          String defaultClassName,
      @Nullable
          @Size(max = 64)
          @JsonPropertyDescription("Classes that deployments may name. Without it: any.")
          List<String> allowedClassNames,
      @Nullable
          @ValidationRule(
              value = "quantity(string(self)).isGreaterThan(quantity('0'))",
              message = "must be greater than 0")
          @JsonPropertyDescription(
              "Bytes that one replica may write to its volume in any 24 hours: what deployments get"
                  + " that say nothing, and the most that they may ask for. Without it: no limit.")
          Quantity writesPerDay,
      @Nullable
          @JsonPropertyDescription(
              "AES_GCM: what deployments write to their volumes is encrypted, whether they say so"
                  + " or nothing; NONE is refused. Without it: as each says.")
          NvmeEncryption encryption) {}

  /** Most that one deployment may ask for; bytes are those of all its replicas together. */
  @JsonIgnoreProperties(ignoreUnknown = true)
  @JsonInclude(JsonInclude.Include.NON_NULL)
  public record Limits(
      @Nullable @Min(256) @Max(16777216) @JsonPropertyDescription("Longest context.")
          Integer contextLength,
      @Nullable @Min(1) @Max(1024) @JsonPropertyDescription("Highest concurrency.")
          Integer concurrency,
      @Nullable @Min(1) @Max(1000) @JsonPropertyDescription("Most replicas.") Integer replicas,
      @Nullable @JsonPropertyDescription("GPU tier of all replicas.") Quantity gpu,
      @Nullable @JsonPropertyDescription("DRAM tier of all replicas.") Quantity dram,
      @Nullable @JsonPropertyDescription("NVMe tier of all replicas.") Quantity nvme,
      @Nullable
          @JsonPropertyDescription(
              "Processors of one pod; also what a pod gets when neither its deployment nor the class"
                  + " says how many.")
          Quantity cpu,
      @Nullable
          @Min(0)
          @Max(3600)
          @JsonPropertyDescription("Seconds that running requests are given when a pod stops.")
          Integer drainSeconds) {}

  /**
   * A namespace that may use the class. Its quota counts what its deployments of this class run,
   * and what older ones ask for.
   */
  @JsonIgnoreProperties(ignoreUnknown = true)
  @JsonInclude(JsonInclude.Include.NON_NULL)
  public record Tenant(
      @Required @Size(min = 1, max = 63) @JsonPropertyDescription("The namespace.")
          String namespace,
      @Nullable @Min(0) @Max(10000) @JsonPropertyDescription("Most deployments.")
          Integer deployments,
      @Nullable @JsonPropertyDescription("GPU tier of all deployments.") Quantity gpu,
      @Nullable @JsonPropertyDescription("DRAM tier of all deployments.") Quantity dram,
      @Nullable @JsonPropertyDescription("NVMe tier of all deployments.") Quantity nvme) {}

  /** Models that may be served and those whose sizes are known. */
  @JsonIgnoreProperties(ignoreUnknown = true)
  @JsonInclude(JsonInclude.Include.NON_NULL)
  public record Models(
      @Nullable
          @Size(max = 64)
          @JsonPropertyDescription(
              "Starts of model URIs that may be served, for instance hf://acme/. Without it: any.")
          List<String> allowedPrefixes,
      @Nullable @Size(max = 128) @JsonPropertyDescription("Sizes of models, by URI.")
          List<CatalogueEntry> catalogue) {}

  /** Sizes of one model. */
  @JsonIgnoreProperties(ignoreUnknown = true)
  public record CatalogueEntry(
      @Required
          @Size(min = 1, max = 512)
          @JsonPropertyDescription("URI as deployments write it; a revision may be left out.")
          String uri,
      @Required @JsonPropertyDescription("The model's sizes.") Geometry geometry) {}
}
