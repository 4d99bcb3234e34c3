package dev.kvdrive.api.v1alpha1;

import com.fasterxml.jackson.annotation.JsonIgnoreProperties;
import com.fasterxml.jackson.annotation.JsonInclude;
import com.fasterxml.jackson.annotation.JsonPropertyDescription;
import io.fabric8.generator.annotation.Pattern;
import io.fabric8.generator.annotation.Size;
import io.fabric8.generator.annotation.ValidationRule;
import java.net.URI;
import java.net.URISyntaxException;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * Where pods send traces, by OTLP over HTTP. An empty address says that there is no collector,
 * where the operator's would be taken. Whoever may read a class reads this, so it has no place for
 * a password.
 */
@JsonIgnoreProperties(ignoreUnknown = true)
@JsonInclude(JsonInclude.Include.NON_NULL)
@ValidationRule(
    value =
        "!(has(self.headersSecret) || has(self.caBundle)) || (has(self.endpoint) && self.endpoint"
            + " != '')",
    message = TraceCollector.WITHOUT_ENDPOINT)
@ValidationRule(
    value = "!has(self.headersSecret) || !has(self.endpoint) || !self.endpoint.startsWith('http:')",
    message = TraceCollector.IN_PLAIN)
@ValidationRule(
    value = "!has(self.endpoint) || !self.endpoint.matches('^https?://[^/]+:4317(/.*)?$')",
    message = TraceCollector.GRPC)
public record TraceCollector(
    @Nullable
        @Size(max = 512)
        @Pattern(TraceCollector.ADDRESS)
        @JsonPropertyDescription(
            "Address of a collector for OTLP over HTTP, for instance"
                + " http://otel-collector.observability.svc:4318; /v1/traces is added where it is"
                + " not there.")
        String endpoint,
    @Nullable
        @JsonPropertyDescription(
            "Secret in the namespace of each deployment with headers for the collector, such as"
                + " Authorization=Bearer%20TOKEN, as OTEL_EXPORTER_OTLP_HEADERS has them. Needs an https"
                + " address.")
        SecretKey headersSecret,
    @Nullable
        @JsonPropertyDescription(
            "ConfigMap in the namespace of each deployment with the certificates, in PEM, of the"
                + " authorities that the collector is trusted by, instead of the public ones.")
        ConfigMapKey caBundle,
    @Nullable
        @Pattern(TraceCollector.SHARE)
        @Size(max = 9)
        @JsonPropertyDescription(
            "Share of the requests that are traced: what deployments get that say nothing, and the"
                + " most that they may ask for. A caller's traceparent has the last word. Without it:"
                + " 100%.")
        String sampling) {
  static final String ADDRESS =
      "^(https?://([A-Za-z0-9.-]+|\\[[0-9A-Fa-f:]+\\])(:[0-9]{1,5})?(/[A-Za-z0-9._~/-]*)?)?$";
  private static final int MOST_PORT = 65_535;
  static final String SHARE = "^(100(\\.0{1,4})?|[0-9]{1,2}(\\.[0-9]{1,4})?)%$";

  /** What half of a collector is told, by the API server and by whoever plans. */
  public static final String WITHOUT_ENDPOINT =
      "headersSecret and caBundle are those of an endpoint; name it beside them, or leave them out";

  /** What headers are told that everybody on the way would read. */
  public static final String IN_PLAIN =
      "headersSecret would be sent in plain to an http address; name an https one, or leave the"
          + " headers out";

  /** What the port for gRPC is told. */
  public static final String GRPC =
      "4317 is the port for gRPC, and traces are sent by HTTP alone; name the collector's port for"
          + " HTTP, 4318 mostly";

  /** No collector is named. */
  public static final TraceCollector UNSAID = new TraceCollector(null, null, null, null);

  /** Whether an address is named. */
  public boolean named() {
    return endpoint != null && !endpoint.isEmpty();
  }

  /**
   * This collector, and where no address is said, {@code other}. Headers and authorities are never
   * those of one for the address of the other.
   */
  public TraceCollector orElse(TraceCollector other) {
    String share = sampling == null ? other.sampling : sampling;
    return endpoint == null
        ? new TraceCollector(other.endpoint, other.headersSecret, other.caBundle, share)
        : new TraceCollector(endpoint, headersSecret, caBundle, share);
  }

  /** What the definition refuses, too, for collectors that no API server has seen. */
  public List<String> faults() {
    List<String> found = new ArrayList<>();
    String address = endpoint == null ? "" : endpoint;
    if (!isAddress(address)) {
      found.add(
          "endpoint: '%s' is not an address; write for instance http://otel-collector.observability.svc:4318"
              .formatted(address));
    }
    if (!named() && (headersSecret != null || caBundle != null)) {
      found.add(WITHOUT_ENDPOINT);
    }
    if (headersSecret != null && address.startsWith("http:")) {
      found.add(IN_PLAIN);
    }
    if (address.matches("https?://[^/]+:4317(/.*)?")) {
      found.add(GRPC);
    }
    if (sampling != null && !sampling.matches(SHARE)) {
      found.add(
          "sampling: '%s' is not a share from 0%% to 100%%; write for instance 10%%"
              .formatted(sampling));
    }
    return found;
  }

  private static boolean isAddress(String text) {
    if (text.isEmpty()) {
      return true;
    }
    if (!text.matches(ADDRESS)) {
      return false;
    }
    try {
      URI address = new URI(text);
      return address.getHost() != null && address.getPort() <= MOST_PORT && address.getPort() != 0;
    } catch (URISyntaxException e) {
      return false;
    }
  }
}
