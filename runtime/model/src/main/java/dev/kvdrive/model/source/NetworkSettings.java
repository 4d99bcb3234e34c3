package dev.kvdrive.model.source;

import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * What the network between this machine and the hub asks for, in the variables that curl and the
 * hub's own tools read. Nothing is checked before the hub is needed: a proxy that only concerns
 * downloads must not stop a model that lies here.
 *
 * @param httpsProxy proxy of https addresses, {@code http://[user:password@]host[:port]}; null for
 *     none
 * @param httpProxy proxy of http addresses; null for none
 * @param noProxy what is reached without a proxy, see {@link NoProxy}
 * @param certificates file of certificates in PEM that are trusted besides Java's own; null for
 *     none
 */
public record NetworkSettings(
    @Nullable String httpsProxy,
    @Nullable String httpProxy,
    String noProxy,
    @Nullable String certificates) {
  /** Whatever Java does by itself. */
  public static final NetworkSettings PLAIN = new NetworkSettings(null, null, "", null);

  /**
   * The settings of HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY, of which the small letters
   * come first, and of SSL_CERT_FILE.
   */
  public static NetworkSettings from(Map<String, String> environment) {
    String all = first(environment, "all_proxy", "ALL_PROXY");
    String https = first(environment, "https_proxy", "HTTPS_PROXY");
    String http = first(environment, "http_proxy", "HTTP_PROXY");
    String none = first(environment, "no_proxy", "NO_PROXY");
    return new NetworkSettings(
        https == null ? all : https,
        http == null ? all : http,
        none == null ? "" : none,
        first(environment, "SSL_CERT_FILE"));
  }

  private static @Nullable String first(Map<String, String> environment, String... names) {
    for (String name : names) {
      String value = environment.getOrDefault(name, "").strip();
      if (!value.isEmpty()) {
        return value;
      }
    }
    return null;
  }

  /** Without the addresses, which may hold passwords. */
  @Override
  public String toString() {
    return "%s proxy for https, %s proxy for http%s"
        .formatted(
            httpsProxy == null ? "no" : "a",
            httpProxy == null ? "no" : "a",
            certificates == null ? "" : ", certificates of " + certificates);
  }
}
