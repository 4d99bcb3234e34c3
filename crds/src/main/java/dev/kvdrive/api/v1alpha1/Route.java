package dev.kvdrive.api.v1alpha1;

import com.fasterxml.jackson.annotation.JsonIgnoreProperties;
import com.fasterxml.jackson.annotation.JsonInclude;
import com.fasterxml.jackson.annotation.JsonProperty;
import com.fasterxml.jackson.annotation.JsonPropertyDescription;
import io.fabric8.generator.annotation.Max;
import io.fabric8.generator.annotation.Min;
import io.fabric8.generator.annotation.Pattern;
import io.fabric8.generator.annotation.Required;
import io.fabric8.generator.annotation.Size;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** How the API is reached through Gateways of the Gateway API. */
@JsonIgnoreProperties(ignoreUnknown = true)
@JsonInclude(JsonInclude.Include.NON_NULL)
public record Route(
    @Required
        @Size(min = 1, max = 8)
        @JsonPropertyDescription("Gateways that the API is reached through.")
        List<Parent> parentRefs,
    @Nullable
        @Size(max = 16)
        @JsonPropertyDescription(
            "Names that clients call, for instance llm.example.com or *.example.com. Without them:"
                + " all that the Gateways' listeners take.")
        List<String> hostnames,
    @Nullable
        @Size(min = 2, max = 256)
        @Pattern("^(/[A-Za-z0-9]([-A-Za-z0-9._~]*[A-Za-z0-9])?)+$")
        @JsonPropertyDescription(
            "Start of the path, for instance /legal/contracts: the Gateway takes it off. Without it"
                + " the API is at /v1.")
        String pathPrefix,
    @Nullable
        @JsonPropertyDescription(
            "Has an InferencePool of the pods made, so that an endpoint picker chooses the pod of"
                + " each request. Without it requests go to the Service.")
        Pool inferencePool) {

  /** Why no Gateway goes past TLS. */
  public static final String POOL_WITHOUT_TLS =
      "Gateways and endpoint pickers speak to the pods of an InferencePool without TLS; leave out"
          + " route.inferencePool or access.tls";

  /** A Gateway. */
  @JsonIgnoreProperties(ignoreUnknown = true)
  @JsonInclude(JsonInclude.Include.NON_NULL)
  public record Parent(
      @Required
          @Size(min = 1, max = 253)
          @Pattern(KubernetesNames.OBJECT)
          @JsonPropertyDescription("Name of the Gateway.")
          String name,
      @Nullable
          @Size(min = 1, max = 63)
          @Pattern(KubernetesNames.LABEL)
          @JsonPropertyDescription(
              "Its namespace, whose pods may then connect. Without it: that of this resource.")
          String namespace,
      @Nullable
          @Size(min = 1, max = 253)
          @Pattern(KubernetesNames.OBJECT)
          @JsonPropertyDescription("One of its listeners. Without it: all that take the route.")
          String sectionName) {}

  /** An InferencePool of the pods. */
  @JsonIgnoreProperties(ignoreUnknown = true)
  public record Pool(
      @Required @JsonPropertyDescription("Who chooses a pod for each request.")
          EndpointPicker endpointPickerRef) {}

  /** A Service of this namespace, which the operator does not make. */
  @JsonIgnoreProperties(ignoreUnknown = true)
  @JsonInclude(JsonInclude.Include.NON_NULL)
  public record EndpointPicker(
      @Required
          @Size(min = 1, max = 63)
          @Pattern(KubernetesNames.LABEL)
          @JsonPropertyDescription("Name of the endpoint picker's Service.")
          String name,
      @Required @Min(1) @Max(65535) @JsonPropertyDescription("Port of the Service.") int port,
      @Nullable
          @JsonPropertyDescription(
              "What happens to requests while the picker does not answer: FailClose, the default,"
                  + " drops them; FailOpen lets the Gateway choose a pod.")
          FailureMode failureMode) {}

  /** What happens to requests while the endpoint picker does not answer. */
  public enum FailureMode {
    @JsonProperty("FailClose")
    FAIL_CLOSE("FailClose"),
    @JsonProperty("FailOpen")
    FAIL_OPEN("FailOpen");

    private final String text;

    FailureMode(String text) {
      this.text = text;
    }

    /** As the InferencePool has it. */
    public String text() {
      return text;
    }
  }
}
