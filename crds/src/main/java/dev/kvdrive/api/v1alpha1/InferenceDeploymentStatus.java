package dev.kvdrive.api.v1alpha1;

import com.fasterxml.jackson.annotation.JsonIgnoreProperties;
import com.fasterxml.jackson.annotation.JsonInclude;
import com.fasterxml.jackson.annotation.JsonPropertyDescription;
import io.fabric8.kubernetes.api.model.Condition;
import io.fabric8.kubernetes.model.annotation.LabelSelector;
import io.fabric8.kubernetes.model.annotation.StatusReplicas;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** What the operator found and did. */
@JsonIgnoreProperties(ignoreUnknown = true)
@JsonInclude(JsonInclude.Include.NON_NULL)
public record InferenceDeploymentStatus(
    @Nullable
        @JsonPropertyDescription("Generation of the specification that this status speaks of.")
        Long observedGeneration,
    @Nullable
        @JsonPropertyDescription(
            "Ready, Feasible, ModelAvailable, StorageBound and RuntimeReady always; RouteReady"
                + " with a route, in the words of its Gateways; Reconciling"
                + " while work is under way; Stalled when only a change of the specification or"
                + " of its surroundings helps; RolloutWaiting while a changed specification waits"
                + " for pods without requests; WritesSpent while pods refuse their longest requests"
                + " for what they have written to NVMe in a day; Altered while others have added to its objects.")
        List<Condition> conditions,
    @Nullable @JsonPropertyDescription("Address of the API inside the cluster.") String url,
    @Nullable @StatusReplicas @JsonPropertyDescription("Pods that exist.") Integer replicas,
    @Nullable @JsonPropertyDescription("Pods that serve.") Integer readyReplicas,
    @Nullable @LabelSelector @JsonPropertyDescription("Selector of the pods, for autoscalers.")
        String selector,
    @Nullable @JsonPropertyDescription("The byte arithmetic of one replica.") PlanStatus plan,
    @Nullable @JsonPropertyDescription("The tiers of one replica.") List<TierStatus> tiers,
    @Nullable
        @JsonPropertyDescription(
            "Share of the context's tokens that decode steps attended, since the pods started that"
                + " answered.")
        String attended,
    @Nullable
        @JsonPropertyDescription(
            "What attention leaves out, as measured by the pods that answered.")
        AccuracyStatus accuracy,
    @Nullable
        @JsonPropertyDescription(
            "The operator that serves this deployment, as namespace/release of its Helm release.")
        String operator) {}
