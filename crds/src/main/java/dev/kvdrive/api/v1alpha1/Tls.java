package dev.kvdrive.api.v1alpha1;

import com.fasterxml.jackson.annotation.JsonIgnoreProperties;
import com.fasterxml.jackson.annotation.JsonInclude;
import com.fasterxml.jackson.annotation.JsonPropertyDescription;
import io.fabric8.generator.annotation.Pattern;
import io.fabric8.generator.annotation.Required;
import io.fabric8.generator.annotation.Size;
import org.jspecify.annotations.Nullable;

/** How the endpoint is secured. The operator never reads the Secrets. */
@JsonIgnoreProperties(ignoreUnknown = true)
@JsonInclude(JsonInclude.Include.NON_NULL)
public record Tls(
    @Required
        @Size(min = 1, max = 253)
        @Pattern(KubernetesNames.OBJECT)
        @JsonPropertyDescription(
            "Secret of the type kubernetes.io/tls, with tls.crt and tls.key, as cert-manager writes"
                + " it. A change of it is followed without a restart.")
        String secretName,
    @Nullable
        @JsonPropertyDescription(
            "Secret with the certificates of the authorities, in PEM, whose clients may connect."
                + " Without it clients need no certificate.")
        SecretKey clientCaSecret) {}
