package dev.kvdrive.model.source;

import java.io.IOException;
import java.net.HttpURLConnection;
import java.net.InetSocketAddress;
import java.net.Proxy;
import java.net.URI;
import java.net.URLConnection;
import java.util.Locale;
import javax.net.ssl.HttpsURLConnection;
import javax.net.ssl.SSLSocketFactory;
import org.jspecify.annotations.Nullable;

/**
 * Opens connections as {@link NetworkSettings} ask for: through a proxy or not, trusting whom.
 * Thread-safe.
 */
final class Connections {
  private final @Nullable ProxyAddress httpProxy;
  private final @Nullable ProxyAddress httpsProxy;
  private final NoProxy direct;
  private final SSLSocketFactory tls;

  /** One for all connections: Java keeps those of one factory alive for the next request. */
  private final @Nullable ProxyTunnel tunnel;

  /**
   * @throws ModelSourceException if a setting cannot be used
   */
  Connections(NetworkSettings settings) {
    httpProxy =
        settings.httpProxy() == null
            ? null
            : ProxyAddress.parse("HTTP_PROXY", settings.httpProxy());
    httpsProxy =
        settings.httpsProxy() == null
            ? null
            : ProxyAddress.parse("HTTPS_PROXY", settings.httpsProxy());
    direct = new NoProxy(settings.noProxy());
    tls =
        settings.certificates() == null
            ? HttpsURLConnection.getDefaultSSLSocketFactory()
            : TrustedCertificates.sockets(settings.certificates());
    tunnel = httpsProxy == null ? null : new ProxyTunnel(httpsProxy, tls);
  }

  /** The proxy that a connection to {@code at} goes through, or null. */
  @Nullable ProxyAddress proxy(URI at) {
    ProxyAddress proxy = isHttps(at) ? httpsProxy : httpProxy;
    return proxy == null || direct.matches(at, port(at)) ? null : proxy;
  }

  /** A connection to {@code at}, not yet connected. */
  HttpURLConnection open(URI at) throws IOException {
    ProxyAddress proxy = proxy(at);
    boolean told = httpProxy != null || httpsProxy != null;
    if (isHttps(at)) {
      // Whoever says nothing of proxies gets those of Java's own properties.
      URLConnection opened =
          told ? at.toURL().openConnection(Proxy.NO_PROXY) : at.toURL().openConnection();
      HttpsURLConnection connection = (HttpsURLConnection) opened;
      connection.setSSLSocketFactory(proxy == null || tunnel == null ? tls : tunnel);
      return connection;
    }
    if (proxy == null) {
      return (HttpURLConnection)
          (told ? at.toURL().openConnection(Proxy.NO_PROXY) : at.toURL().openConnection());
    }
    HttpURLConnection connection =
        (HttpURLConnection)
            at.toURL()
                .openConnection(
                    new Proxy(Proxy.Type.HTTP, new InetSocketAddress(proxy.host(), proxy.port())));
    if (proxy.authorization() != null) {
      connection.setRequestProperty("Proxy-Authorization", proxy.authorization());
    }
    return connection;
  }

  /** The port of an address, also where it is not written. */
  static int port(URI uri) {
    return uri.getPort() >= 0 ? uri.getPort() : isHttps(uri) ? 443 : 80;
  }

  private static boolean isHttps(URI at) {
    return at.getScheme().toLowerCase(Locale.ROOT).equals("https");
  }
}
