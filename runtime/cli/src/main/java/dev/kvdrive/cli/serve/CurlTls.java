package dev.kvdrive.cli.serve;

import java.io.IOException;
import java.io.InputStream;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.KeyStore;
import java.security.cert.Certificate;
import java.security.cert.CertificateFactory;
import java.security.cert.X509Certificate;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import javax.net.ssl.TrustManager;
import javax.net.ssl.TrustManagerFactory;
import javax.net.ssl.X509TrustManager;
import org.jspecify.annotations.Nullable;

/**
 * What a call needs to reach a server with TLS.
 *
 * @param address with a name that is in the server's certificate
 * @param options of curl, each with a space behind it
 */
record CurlTls(URI address, String options) {
  private static final int DNS = 2;
  private static final int IP = 7;

  /** A call of a server without TLS. */
  static CurlTls plain(URI address) {
    return new CurlTls(address, "");
  }

  /**
   * A call of a server with a certificate.
   *
   * @param address where it listens
   * @param file with the certificate, in PEM
   * @param clients whether clients need a certificate too
   */
  static CurlTls of(URI address, Path file, boolean clients) {
    StringBuilder options = new StringBuilder();
    URI named = address;
    try (InputStream in = Files.newInputStream(file)) {
      List<X509Certificate> chain = new ArrayList<>();
      for (Certificate one : CertificateFactory.getInstance("X.509").generateCertificates(in)) {
        chain.add((X509Certificate) one);
      }
      if (!known(chain)) {
        options.append("--cacert ").append(file).append(' ');
      }
      String name = name(chain.getFirst(), address.getHost());
      if (name != null) {
        named = URI.create("https://%s:%d".formatted(name, address.getPort()));
        if (!name.equals("localhost")) {
          options.append(
              "--resolve %s:%d:%s ".formatted(name, address.getPort(), address.getHost()));
        }
      }
    } catch (IOException | GeneralSecurityException e) {
      // The server has read it; whoever took it away since has to know what to call it with.
      options.append("--cacert ").append(file).append(' ');
    }
    if (clients) {
      options.append("--cert CLIENT.crt --key CLIENT.key ");
    }
    return new CurlTls(named, options.toString());
  }

  /** Whether an authority that everybody knows vouches for it. */
  private static boolean known(List<X509Certificate> chain) throws GeneralSecurityException {
    TrustManagerFactory usual =
        TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
    usual.init((KeyStore) null);
    for (TrustManager manager : usual.getTrustManagers()) {
      if (manager instanceof X509TrustManager authorities) {
        try {
          authorities.checkServerTrusted(chain.toArray(X509Certificate[]::new), "UNKNOWN");
          return true;
        } catch (GeneralSecurityException e) {
          return false;
        }
      }
    }
    return false;
  }

  /** The name to call it by; null if the host is in the certificate, or no other name is. */
  private static @Nullable String name(X509Certificate own, String host)
      throws GeneralSecurityException {
    Collection<List<?>> names = own.getSubjectAlternativeNames();
    if (names == null) {
      return null;
    }
    String plain = host.replace("[", "").replace("]", "");
    List<String> dns = new ArrayList<>();
    for (List<?> name : names) {
      String text = String.valueOf(name.get(1));
      if ((name.get(0).equals(IP) || name.get(0).equals(DNS)) && text.equals(plain)) {
        return null;
      }
      if (name.get(0).equals(DNS) && !text.startsWith("*")) {
        dns.add(text);
      }
    }
    boolean local = plain.equals("127.0.0.1") || plain.equals("0:0:0:0:0:0:0:1");
    return local && dns.contains("localhost")
        ? "localhost"
        : dns.stream().filter(name -> !name.equals("localhost")).findFirst().orElse(null);
  }
}
