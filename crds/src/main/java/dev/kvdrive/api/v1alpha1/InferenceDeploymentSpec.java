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
import io.fabric8.kubernetes.model.annotation.SpecReplicas;
import org.jspecify.annotations.Nullable;

/** What a user asks for. The operator never writes into it. */
@JsonIgnoreProperties(ignoreUnknown = true)
@JsonInclude(JsonInclude.Include.NON_NULL)
@ValidationRule(
    value = "!has(self.quality) || (has(self.budget) && self.budget == 'auto')",
    message = InferenceDeploymentSpec.QUALITY_WITHOUT_AUTO,
    fieldPath = ".quality")
@ValidationRule(
    value = "!has(self.budgetBound) || (has(self.budget) && self.budget == 'auto')",
    message = InferenceDeploymentSpec.BOUND_WITHOUT_AUTO,
    fieldPath = ".budgetBound")
@ValidationRule(
    value =
        "!has(self.route) || !has(self.route.inferencePool) || !has(self.access) ||"
            + " !has(self.access.tls)",
    message = Route.POOL_WITHOUT_TLS,
    fieldPath = ".route.inferencePool")
public record InferenceDeploymentSpec(
    @Nullable
        @Size(min = 1, max = 253)
        @Pattern(KubernetesNames.OBJECT)
        @JsonPropertyDescription(
            "InferenceClass to use. Without one: the class named default, when there is one.")
        String className,
    @Required @JsonPropertyDescription("The model that is served.") ModelSpec model,
    @Nullable
        @Pattern("^[A-Za-z0-9][A-Za-z0-9._/:-]*$")
        @Size(min = 1, max = 128)
        @JsonPropertyDescription(
            "Name of the model in the API. Without one: the name of this resource.")
        String servedModelName,
    @Required
        @Min(256)
        @Max(16777216)
        @JsonPropertyDescription("Tokens of prompt and answer together, per request.")
        int contextLength,
    @Nullable
        @Default("1")
        @Min(1)
        @Max(1024)
        @JsonPropertyDescription(
            "Requests that one replica serves at the same time at full context.")
        Integer concurrency,
    @Nullable
        @Default("6.25%")
        @Pattern("^(auto|(100(\\.0{1,4})?|[0-9]{1,2}(\\.[0-9]{1,4})?)%)$")
        @Size(max = 9)
        @JsonPropertyDescription(
            "Share of the context attended per step, for instance 6.25% or 1.56%. 100% is exact:"
                + " nothing is left out. auto: in every layer and head as little as is enough for"
                + " the quality.")
        String budget,
    @Nullable
        @Pattern("^[0-9]{1,2}(\\.[0-9]{1,4})?%$")
        @Size(max = 8)
        @JsonPropertyDescription(
            "With budget auto: the share of its attention that a step keeps, by the index's"
                + " estimate. Without one: 95%.")
        String quality,
    @Nullable
        @Pattern("^(100(\\.0{1,4})?|[0-9]{1,2}(\\.[0-9]{1,4})?)%$")
        @Size(max = 9)
        @JsonPropertyDescription(
            "With budget auto: the share of the context attended per step at most, which is what"
                + " the plan makes room for. Without one: 25%.")
        String budgetBound,
    @Nullable
        @Min(0)
        @Max(16777216)
        @JsonPropertyDescription(
            "Tokens up to which a sequence attends everything, whatever the budget; 0 for none."
                + " Without one: as many as are decoded faster that way on the device, as far as"
                + " the windows have room.")
        Integer denseBelow,
    @Nullable
        @Default("kvdrive")
        @Pattern("^[a-z0-9]+(-[a-z0-9]+)*$")
        @Size(max = 63)
        @JsonPropertyDescription(
            "What is attended and what stays in GPU memory: kvdrive, or one of the methods it is"
                + " measured against: kvdrive-recent, kvdrive-paper, kvdrive-paper-flat, quest, shadowkv, retroinfer,"
                + " full, full-offload, which leave nothing out and need budget 100%.")
        String policy,
    @Nullable
        @Pattern("^[a-z0-9]+([-+][a-z0-9]+)*$")
        @Size(max = 63)
        @JsonPropertyDescription(
            "What chunks are chosen by: two-bit, or planes-64, planes-96, planes-128 and so on for"
                + " keys of as many bits in a space that kvdrive calibrate has fitted to the model;"
                + " with +clusters-64 what is not chosen is estimated by clusters of similar tokens."
                + " Without one: bit planes with clusters where such a calibration is known to come"
                + " with the model, else two-bit.")
        String index,
    @Nullable @Default("BF16") @JsonPropertyDescription("Element type of cached keys and values.")
        KvType kvType,
    @Nullable
        @JsonPropertyDescription(
            "Chunks of keys and values in the window. INT8, which needs backing INT8, has nearly"
                + " twice the slots in the same bytes. Without one: INT8 on a GPU where backing is"
                + " INT8 and the budget leaves something out, else the kvType.")
        ChunkFormat resident,
    @Nullable
        @JsonPropertyDescription(
            "Chunks of keys and values in DRAM and on NVMe. INT8, with a step for each key and"
                + " value, takes half of BF16. Without one: INT8, but the kvType if that is F32 or"
                + " the budget is 100%.")
        ChunkFormat backing,
    @Nullable
        @Pattern("^(100(\\.0{1,4})?|[0-9]{1,2}(\\.[0-9]{1,4})?)%$")
        @Size(max = 9)
        @JsonPropertyDescription(
            "Share of the time of all steps that measuring may take what their attention leaves"
                + " out; 0% for never. No answer depends on it. Without one: 1%.")
        String meter,
    @Nullable
        @JsonPropertyDescription(
            "How the windows of chunks in GPU memory are divided and filled. No answer depends on"
                + " it.")
        WindowSpec windows,
    @Required @JsonPropertyDescription("Byte budgets of one replica.") Tiers tiers,
    @Nullable
        @Default("1")
        @Min(0)
        @Max(1000)
        @SpecReplicas
        @JsonPropertyDescription("Pods that serve the model.")
        Integer replicas,
    @Nullable @JsonPropertyDescription("Who may call, and how.") Access access,
    @Nullable
        @JsonPropertyDescription(
            "Has an HTTPRoute made, by which Gateways of the Gateway API reach the API.")
        Route route,
    @Nullable
        @JsonPropertyDescription("Whether requests are traced. It takes a collector to have them.")
        Traces traces,
    @Nullable @JsonPropertyDescription("How the pods run.") RuntimeSpec runtime) {
  private static final String WITHOUT_AUTO =
      " is of budget auto; write budget: auto, or leave it out";

  /** What a quality without budget auto is told, by the API server and by whoever plans. */
  public static final String QUALITY_WITHOUT_AUTO = "quality" + WITHOUT_AUTO;

  /** The same of a bound. */
  public static final String BOUND_WITHOUT_AUTO = "budgetBound" + WITHOUT_AUTO;
}
