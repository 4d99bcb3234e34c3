package dev.kvdrive.api.v1alpha1;

import com.fasterxml.jackson.annotation.JsonIgnoreProperties;
import com.fasterxml.jackson.annotation.JsonInclude;
import com.fasterxml.jackson.annotation.JsonPropertyDescription;
import io.fabric8.generator.annotation.Pattern;
import io.fabric8.generator.annotation.Size;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * How pods reach the model hub. An empty address says that there is none, where another source
 * would fill it in. Whoever may read a class reads this, so it has no place for a password.
 */
@JsonIgnoreProperties(ignoreUnknown = true)
@JsonInclude(JsonInclude.Include.NON_NULL)
public record Downloads(
    @Nullable
        @Size(max = 512)
        @Pattern("^(https?://[^@?#\\s/]+(/[^@?#\\s]*)?)?$")
        @JsonPropertyDescription(
            "Address of the hub or of a mirror of it (HF_ENDPOINT), for instance"
                + " https://hub.example.com.")
        String endpoint,
    @Nullable
        @Size(max = 512)
        @Pattern("^(http://[^@?#\\s/]+/?)?$")
        @JsonPropertyDescription(
            "Proxy for https addresses (HTTPS_PROXY), for instance http://proxy.example.com:3128."
                + " User and password belong in proxyCredentialsSecret.")
        String httpsProxy,
    @Nullable
        @Size(max = 512)
        @Pattern("^(http://[^@?#\\s/]+/?)?$")
        @JsonPropertyDescription("Proxy for http addresses (HTTP_PROXY).")
        String httpProxy,
    @Nullable
        @Size(max = 64)
        @JsonPropertyDescription(
            "What is reached without a proxy (NO_PROXY): domains, addresses, networks such as"
                + " 10.0.0.0/8, each with a port if it matters.")
        List<String> noProxy,
    @Nullable
        @JsonPropertyDescription(
            "Secret in the namespace of each deployment with the proxies' user:password,"
                + " percent-encoded as in an address.")
        SecretKey proxyCredentialsSecret,
    @Nullable
        @JsonPropertyDescription(
            "ConfigMap in the namespace of each deployment with certificates, in PEM, of authorities"
                + " to trust besides the public ones.")
        ConfigMapKey caBundle) {
  /** Nothing is said. */
  public static final Downloads UNSAID = new Downloads(null, null, null, null, null, null);

  /** These settings, and where they say nothing, those of {@code other}. */
  public Downloads orElse(Downloads other) {
    return new Downloads(
        endpoint == null ? other.endpoint : endpoint,
        httpsProxy == null ? other.httpsProxy : httpsProxy,
        httpProxy == null ? other.httpProxy : httpProxy,
        noProxy == null ? other.noProxy : noProxy,
        proxyCredentialsSecret == null ? other.proxyCredentialsSecret : proxyCredentialsSecret,
        caBundle == null ? other.caBundle : caBundle);
  }
}
