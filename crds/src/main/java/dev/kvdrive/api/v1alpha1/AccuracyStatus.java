package dev.kvdrive.api.v1alpha1;

import com.fasterxml.jackson.annotation.JsonIgnoreProperties;
import com.fasterxml.jackson.annotation.JsonPropertyDescription;
import io.fabric8.generator.annotation.Required;

/** What attention leaves out, measured now and then since the pods started. */
@JsonIgnoreProperties(ignoreUnknown = true)
public record AccuracyStatus(
    @Required
        @JsonPropertyDescription(
            "Share of the attention's mass on tokens that were not attended, mean of all"
                + " measurements.")
        String massMissed,
    @Required
        @JsonPropertyDescription(
            "Error of the attention's output as a share of its norm, mean of all measurements.")
        String outputError) {}
