package dev.kvdrive.api.v1alpha1;

import com.fasterxml.jackson.annotation.JsonIgnoreProperties;
import com.fasterxml.jackson.annotation.JsonInclude;
import com.fasterxml.jackson.annotation.JsonPropertyDescription;
import io.fabric8.generator.annotation.Required;
import io.fabric8.kubernetes.api.model.Quantity;
import org.jspecify.annotations.Nullable;

/** One tier: what it may use, what the plan needs of it, what is used. */
@JsonIgnoreProperties(ignoreUnknown = true)
@JsonInclude(JsonInclude.Include.NON_NULL)
public record TierStatus(
    @Required @JsonPropertyDescription("gpu, dram or nvme.") String name,
    @Required @JsonPropertyDescription("Budget of one replica.") Quantity budget,
    @Nullable @JsonPropertyDescription("What the plan needs at full context and concurrency.")
        Quantity planned,
    @Nullable @JsonPropertyDescription("Bytes in use, summed over the pods that answered.")
        Quantity used,
    @Nullable @JsonPropertyDescription("Share of selected chunks found in this tier.")
        String hitRate,
    @Nullable
        @JsonPropertyDescription(
            "Share of the chunks prefetched into this tier that were selected while they were"
                + " there.")
        String prefetchUse,
    @Nullable @JsonPropertyDescription("Bytes that one replica may write in any 24 hours.")
        Quantity writesPerDay,
    @Nullable
        @JsonPropertyDescription(
            "Bytes written in the last 24 hours, summed over the pods that answered.")
        Quantity writtenLastDay,
    @Nullable @JsonPropertyDescription("How what is written there is encrypted, if it is.")
        NvmeEncryption encryption) {}
