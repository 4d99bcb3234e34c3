package dev.kvdrive.operator.desired;

import dev.kvdrive.api.v1alpha1.ConfigMapKey;
import dev.kvdrive.api.v1alpha1.Downloads;
import dev.kvdrive.api.v1alpha1.SecretKey;
import dev.kvdrive.feasibility.Request;
import io.fabric8.kubernetes.api.model.EnvVar;
import io.fabric8.kubernetes.api.model.EnvVarBuilder;
import io.fabric8.kubernetes.api.model.Volume;
import io.fabric8.kubernetes.api.model.VolumeMount;
import java.net.URI;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.SortedSet;
import java.util.TreeSet;
import org.jspecify.annotations.Nullable;

/**
 * How the pods reach the model hub, in the variables that the hub's own tools and curl read. Only a
 * model that is downloaded has any of this.
 */
final class RuntimeDownloads {
  private static final CertificateMount CA = new CertificateMount("ca", "/etc/kvdrive-ca");
  private static final String CREDENTIALS = "KVDRIVE_PROXY_CREDENTIALS";
  private static final int HTTPS = 443;
  private static final int HTTP = 80;

  private final boolean needed;
  private final @Nullable SecretKey token;
  private final Downloads downloads;

  RuntimeDownloads(Request request) {
    this.needed = request.model().uri().startsWith("hf://");
    this.token = request.model().tokenSecret();
    this.downloads = request.pod().downloads();
  }

  /** Whether the pods download anything. */
  boolean needed() {
    return needed;
  }

  /** Variables of the container; one that another refers to comes first. */
  List<EnvVar> environment() {
    List<EnvVar> environment = new ArrayList<>();
    if (!needed) {
      return environment;
    }
    if (token != null) {
      environment.add(secret("HF_TOKEN", token));
    }
    said(downloads.endpoint()).ifPresent(v -> environment.add(variable("HF_ENDPOINT", v)));
    boolean proxied =
        said(downloads.httpsProxy()).isPresent() || said(downloads.httpProxy()).isPresent();
    SecretKey credentials = downloads.proxyCredentialsSecret();
    if (proxied && credentials != null) {
      environment.add(secret(CREDENTIALS, credentials));
    }
    said(downloads.httpsProxy()).ifPresent(v -> environment.add(proxy("HTTPS_PROXY", v)));
    said(downloads.httpProxy()).ifPresent(v -> environment.add(proxy("HTTP_PROXY", v)));
    List<String> direct = downloads.noProxy();
    if (proxied && direct != null && !direct.isEmpty()) {
      environment.add(variable("NO_PROXY", String.join(",", direct)));
    }
    if (downloads.caBundle() != null) {
      environment.add(variable("SSL_CERT_FILE", CA.file()));
    }
    return environment;
  }

  Optional<VolumeMount> mount() {
    return caBundle().map(bundle -> CA.mount());
  }

  Optional<Volume> volume() {
    return caBundle().map(CA::volume);
  }

  /**
   * Ports that the pods connect to: the proxies' and, unless everything goes through a proxy, those
   * of the hub and of where it redirects to.
   */
  SortedSet<Integer> ports() {
    TreeSet<Integer> ports = new TreeSet<>();
    Optional<String> https = said(downloads.httpsProxy());
    Optional<String> http = said(downloads.httpProxy());
    https.map(proxy -> port(proxy, HTTP)).ifPresent(ports::add);
    http.map(proxy -> port(proxy, HTTP)).ifPresent(ports::add);
    boolean exceptions = downloads.noProxy() != null && !downloads.noProxy().isEmpty();
    Optional<String> endpoint = said(downloads.endpoint());
    boolean plain = endpoint.filter(address -> address.startsWith("http:")).isPresent();
    if ((plain ? http : https).isEmpty() || exceptions) {
      ports.add(endpoint.map(address -> port(address, plain ? HTTP : HTTPS)).orElse(HTTPS));
    }
    // A mirror may redirect to https wherever it is itself.
    if (https.isEmpty() || exceptions) {
      ports.add(HTTPS);
    }
    return ports;
  }

  private Optional<ConfigMapKey> caBundle() {
    return needed ? Optional.ofNullable(downloads.caBundle()) : Optional.empty();
  }

  private EnvVar proxy(String name, String address) {
    return variable(
        name,
        downloads.proxyCredentialsSecret() == null
            ? address
            // The kubelet puts the Secret's value in; the address that people may read has none.
            : address.replace("://", "://$(" + CREDENTIALS + ")@"));
  }

  private static int port(String address, int usual) {
    int port = URI.create(address).getPort();
    return port < 0 ? usual : port;
  }

  private static Optional<String> said(@Nullable String address) {
    return Optional.ofNullable(address).filter(text -> !text.isEmpty());
  }

  private static EnvVar secret(String name, SecretKey from) {
    return new EnvVarBuilder()
        .withName(name)
        .withNewValueFrom()
        .withNewSecretKeyRef(from.key(), from.name(), null)
        .endValueFrom()
        .build();
  }

  private static EnvVar variable(String name, String value) {
    return new EnvVarBuilder().withName(name).withValue(value).build();
  }
}
