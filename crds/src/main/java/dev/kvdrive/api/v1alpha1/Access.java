package dev.kvdrive.api.v1alpha1;

import com.fasterxml.jackson.annotation.JsonIgnoreProperties;
import com.fasterxml.jackson.annotation.JsonInclude;
import com.fasterxml.jackson.annotation.JsonPropertyDescription;
import io.fabric8.generator.annotation.Size;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** Who may call the endpoint, and whether it has a page. */
@JsonIgnoreProperties(ignoreUnknown = true)
@JsonInclude(JsonInclude.Include.NON_NULL)
public record Access(
    @Nullable
        @JsonPropertyDescription(
            "Secret with the API keys, of at least 16 characters each: one a line, or YAML with names"
                + " and limits. A change of it is followed without a restart. Without it every caller the network lets in is"
                + " served.")
        SecretKey apiKeysSecret,
    @Nullable
        @JsonPropertyDescription(
            "Serves the API with TLS, on port 443 of the Service. Without it: in plain, on port 80.")
        Tls tls,
    @Nullable
        @Size(max = 64)
        @JsonPropertyDescription(
            "Namespaces, besides this one, whose pods may connect. \"*\" lets all in.")
        List<String> fromNamespaces,
    @Nullable
        @JsonPropertyDescription(
            "Whether the runtimes serve at /ui a page that shows what their engines do, without"
                + " prompts and answers; with API keys it asks for one. Default false.")
        Boolean ui) {}
