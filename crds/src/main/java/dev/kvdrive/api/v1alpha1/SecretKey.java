package dev.kvdrive.api.v1alpha1;

import com.fasterxml.jackson.annotation.JsonIgnoreProperties;
import com.fasterxml.jackson.annotation.JsonPropertyDescription;
import io.fabric8.generator.annotation.Pattern;
import io.fabric8.generator.annotation.Required;
import io.fabric8.generator.annotation.Size;

/** One key of a Secret in the deployment's namespace. The operator never reads it. */
@JsonIgnoreProperties(ignoreUnknown = true)
public record SecretKey(
    @Required
        @Size(min = 1, max = 253)
        @Pattern(KubernetesNames.OBJECT)
        @JsonPropertyDescription("Name of the Secret.")
        String name,
    @Required
        @Size(min = 1, max = 253)
        @Pattern(KubernetesNames.KEY)
        @JsonPropertyDescription("Key inside the Secret.")
        String key) {}
