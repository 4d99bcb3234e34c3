package dev.kvdrive.api.v1alpha1;

import com.fasterxml.jackson.annotation.JsonIgnoreProperties;
import com.fasterxml.jackson.annotation.JsonInclude;
import com.fasterxml.jackson.annotation.JsonPropertyDescription;
import io.fabric8.generator.annotation.Default;
import io.fabric8.generator.annotation.Pattern;
import io.fabric8.generator.annotation.Required;
import io.fabric8.generator.annotation.Size;
import io.fabric8.generator.annotation.ValidationRule;
import io.fabric8.kubernetes.api.model.Quantity;
import org.jspecify.annotations.Nullable;

/** Byte budgets of one replica. Each is a hard cap. */
@JsonIgnoreProperties(ignoreUnknown = true)
@JsonInclude(JsonInclude.Include.NON_NULL)
@ValidationRule(
    value =
        "has(self.nvme) == has(oldSelf.nvme)"
            + " || (has(self.nvme) ? self.nvme.reclaim : oldSelf.nvme.reclaim) != 'Retain'",
    message = "a retained NVMe tier can be neither added nor removed; make a new deployment")
public record Tiers(
    @Required @JsonPropertyDescription("The fastest tier: weights, index and window.") Gpu gpu,
    @Required @JsonPropertyDescription("The pool in the host's memory.") Dram dram,
    @Nullable
        @JsonPropertyDescription("The tier that backs everything. Without it DRAM must hold all.")
        Nvme nvme) {

  /** The GPU tier. */
  @JsonIgnoreProperties(ignoreUnknown = true)
  public record Gpu(
      @Required
          @ValidationRule(
              value = "quantity(string(self)).isGreaterThan(quantity('0'))",
              message = "must be greater than 0")
          @JsonPropertyDescription(
              "Bytes for weights, index, window and work space. With device CPU an arena of this"
                  + " size inside the pod's memory.")
          Quantity memory) {}

  /** The DRAM tier. */
  @JsonIgnoreProperties(ignoreUnknown = true)
  public record Dram(
      @Required
          @ValidationRule(
              value = "quantity(string(self)).isGreaterThan(quantity('0'))",
              message = "must be greater than 0")
          @JsonPropertyDescription("Bytes of the pool of cached keys and values.")
          Quantity size) {}

  /** The NVMe tier. */
  @JsonIgnoreProperties(ignoreUnknown = true)
  @JsonInclude(JsonInclude.Include.NON_NULL)
  @ValidationRule(
      value = "self.reclaim == oldSelf.reclaim",
      message = "reclaim cannot change; make a new deployment",
      fieldPath = ".reclaim")
  @ValidationRule(
      value =
          "self.reclaim != 'Retain' || (quantity(string(self.size)).compareTo(quantity(string(oldSelf.size))) == 0"
              + " && has(self.storageClassName) == has(oldSelf.storageClassName)"
              + " && (!has(self.storageClassName)"
              + " || self.storageClassName == oldSelf.storageClassName))",
      message = "size and storageClassName of a retained volume cannot change")
  public record Nvme(
      @Required
          @ValidationRule(
              value = "quantity(string(self)).isGreaterThan(quantity('0'))",
              message = "must be greater than 0")
          @JsonPropertyDescription("Bytes of cached keys and values on NVMe.")
          Quantity size,
      @Nullable
          @Size(min = 1, max = 253)
          @Pattern(KubernetesNames.OBJECT)
          @JsonPropertyDescription(
              "StorageClass of the volume. Without one: the InferenceClass's, else the cluster's"
                  + " default.")
          String storageClassName,
      @Nullable
          @Default("Ephemeral")
          @JsonPropertyDescription(
              "Ephemeral: the volume lives as long as its pod. Retain: it survives restarts and"
                  + " goes with the InferenceDeployment; the pod stays where its volume is.")
          Reclaim reclaim,
      @Nullable
          @ValidationRule(
              value = "quantity(string(self)).isGreaterThan(quantity('0'))",
              message = "must be greater than 0")
          @JsonPropertyDescription(
              "Bytes that one replica may write to its volume in any 24 hours, which wears the"
                  + " drive. When they are spent, requests that need NVMe are refused until fewer"
                  + " were written. Without one: the InferenceClass's, else no limit.")
          Quantity writesPerDay,
      @Nullable
          @JsonPropertyDescription(
              "How what is written to the volume is encrypted: AES_GCM, with keys that are in the"
                  + " memory of the pod alone, or NONE. Without one: the InferenceClass's, else"
                  + " NONE.")
          NvmeEncryption encryption) {}
}
