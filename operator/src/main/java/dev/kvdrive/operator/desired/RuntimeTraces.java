package dev.kvdrive.operator.desired;

import dev.kvdrive.api.v1alpha1.ConfigMapKey;
import dev.kvdrive.api.v1alpha1.SecretKey;
import dev.kvdrive.feasibility.Request;
import dev.kvdrive.feasibility.Request.TraceSettings;
import io.fabric8.kubernetes.api.model.EnvVar;
import io.fabric8.kubernetes.api.model.EnvVarBuilder;
import io.fabric8.kubernetes.api.model.Volume;
import io.fabric8.kubernetes.api.model.VolumeMount;
import io.fabric8.kubernetes.api.model.networking.v1.NetworkPolicyPeer;
import io.fabric8.kubernetes.api.model.networking.v1.NetworkPolicyPeerBuilder;
import java.net.URI;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * Where the pods send traces, in the settings of the runtime's framework; what is secret comes in a
 * variable of OpenTelemetry's. A deployment that is not traced has none of this.
 */
final class RuntimeTraces {
  /** Where a collector takes traces, below its address. */
  private static final String PATH = "/v1/traces";

  private static final CertificateMount CA =
      new CertificateMount("traces-ca", "/etc/kvdrive-traces-ca");
  private static final String CA_BUNDLE = "traces";
  private static final String POD_NAME = "KVDRIVE_POD_NAME";

  private final Request request;
  private final @Nullable TraceSettings traces;

  RuntimeTraces(Request request) {
    this.request = request;
    this.traces = request.pod().traces();
  }

  /** What the runtime's configuration says, by the first part of its properties' names. */
  Map<String, Object> settings() {
    Map<String, Object> settings = new LinkedHashMap<>();
    if (traces == null) {
      return settings;
    }
    Map<String, Object> otlp = new LinkedHashMap<>();
    String address = traces.endpoint().replaceFirst("/+$", "");
    otlp.put("endpoint", address.endsWith(PATH) ? address : address + PATH);
    if (traces.caBundle() != null) {
      otlp.put("ssl", Map.of("bundle", CA_BUNDLE));
      String file = "file:" + CA.file();
      settings.put(
          "spring.ssl.bundle.pem." + CA_BUNDLE, Map.of("truststore", Map.of("certificate", file)));
    }
    Map<String, Object> resource = new LinkedHashMap<>();
    resource.put("service.name", request.name());
    resource.put("service.namespace", request.namespace());
    resource.put("k8s.namespace.name", request.namespace());
    resource.put("k8s.pod.name", "${" + POD_NAME + "}");
    Map<String, Object> telemetry = new LinkedHashMap<>();
    telemetry.put("tracing.export.otlp", otlp);
    telemetry.put("resource-attributes", resource);
    Map<String, Object> management = new LinkedHashMap<>();
    management.put("opentelemetry", telemetry);
    management.put("tracing.sampling.probability", traces.share());
    settings.put("management", management);
    return settings;
  }

  /** Variables of the container. */
  List<EnvVar> environment() {
    List<EnvVar> environment = new ArrayList<>();
    if (traces == null) {
      return environment;
    }
    environment.add(
        new EnvVarBuilder()
            .withName(POD_NAME)
            .withNewValueFrom()
            .withNewFieldRef("v1", "metadata.name")
            .endValueFrom()
            .build());
    SecretKey headers = traces.headersSecret();
    if (headers != null) {
      environment.add(
          new EnvVarBuilder()
              .withName("OTEL_EXPORTER_OTLP_HEADERS")
              .withNewValueFrom()
              .withNewSecretKeyRef(headers.key(), headers.name(), null)
              .endValueFrom()
              .build());
    }
    return environment;
  }

  Optional<VolumeMount> mount() {
    return caBundle().map(bundle -> CA.mount());
  }

  Optional<Volume> volume() {
    return caBundle().map(CA::volume);
  }

  private Optional<ConfigMapKey> caBundle() {
    return Optional.ofNullable(traces).map(TraceSettings::caBundle);
  }

  /** Whom the pods send traces to, if they do. */
  Optional<Destination> destination() {
    return Optional.ofNullable(traces)
        .map(settings -> URI.create(settings.endpoint()))
        .map(address -> new Destination(port(address), peers(address.getHost())));
  }

  /**
   * Whom the pods send traces to.
   *
   * @param peers empty for whoever listens on the port: the address does not say where that is
   */
  record Destination(int port, List<NetworkPolicyPeer> peers) {}

  private static int port(URI address) {
    if (address.getPort() >= 0) {
      return address.getPort();
    }
    return address.getScheme().equals("https") ? 443 : 80;
  }

  /**
   * The namespace of the Service that {@code host} names: NAME, or NAME.NAMESPACE.svc and so on.
   */
  private static List<NetworkPolicyPeer> peers(String host) {
    String[] labels = host.split("\\.", 4);
    if (labels.length == 1 && !host.startsWith("[")) { // of IPv6
      return List.of(new NetworkPolicyPeerBuilder().withNewPodSelector().endPodSelector().build());
    }
    return labels.length > 2 && labels[2].equals("svc")
        ? List.of(RuntimeNetwork.namespace(labels[1]))
        : List.of();
  }
}
