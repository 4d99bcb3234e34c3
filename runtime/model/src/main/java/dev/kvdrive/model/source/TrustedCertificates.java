package dev.kvdrive.model.source;

import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.KeyStore;
import java.security.cert.Certificate;
import java.security.cert.CertificateException;
import java.security.cert.CertificateFactory;
import java.security.cert.X509Certificate;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLSocketFactory;
import javax.net.ssl.TrustManager;
import javax.net.ssl.TrustManagerFactory;
import javax.net.ssl.X509TrustManager;
import org.jspecify.annotations.Nullable;

/** Trust in the authorities of a file, besides those that Java trusts by itself. */
final class TrustedCertificates {
  private static final String VARIABLE = "SSL_CERT_FILE";

  /** One certificate; bundles have comments between them. */
  private static final Pattern PEM =
      Pattern.compile(
          "-----BEGIN (?:TRUSTED |X509 )?CERTIFICATE-----([A-Za-z0-9+/=\\s]+)-----END ");

  private TrustedCertificates() {}

  /**
   * Makes sockets that trust the file's authorities, too.
   *
   * @throws ModelSourceException if the file cannot be read or has no certificate
   */
  static SSLSocketFactory sockets(String file) {
    List<Certificate> additional = read(file);
    try {
      KeyStore trusted = KeyStore.getInstance(KeyStore.getDefaultType());
      trusted.load(null, null);
      int i = 0;
      for (X509Certificate own : javasOwn()) {
        trusted.setCertificateEntry("java-" + i++, own);
      }
      for (Certificate one : additional) {
        trusted.setCertificateEntry("file-" + i++, one);
      }
      SSLContext context = SSLContext.getInstance("TLS");
      context.init(null, managers(trusted), null);
      return context.getSocketFactory();
    } catch (GeneralSecurityException | IOException e) {
      throw new ModelSourceException(
          VARIABLE,
          "the certificates of %s cannot be used (%s)".formatted(file, e.getMessage()),
          "compare them with what the network's administrators publish",
          false,
          e);
    }
  }

  private static List<X509Certificate> javasOwn() throws GeneralSecurityException {
    List<X509Certificate> own = new ArrayList<>();
    for (TrustManager manager : managers(null)) {
      if (manager instanceof X509TrustManager x509) {
        own.addAll(List.of(x509.getAcceptedIssuers()));
      }
    }
    return own;
  }

  private static TrustManager[] managers(@Nullable KeyStore store) throws GeneralSecurityException {
    TrustManagerFactory factory =
        TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
    factory.init(store);
    return factory.getTrustManagers();
  }

  private static List<Certificate> read(String file) {
    List<Certificate> found = new ArrayList<>();
    try {
      String text = Files.readString(Path.of(file), StandardCharsets.ISO_8859_1);
      CertificateFactory factory = CertificateFactory.getInstance("X.509");
      Matcher matcher = PEM.matcher(text);
      while (matcher.find()) {
        String pem =
            "-----BEGIN CERTIFICATE-----\n"
                + matcher.group(1).strip()
                + "\n-----END CERTIFICATE-----\n";
        found.add(
            factory.generateCertificate(
                new ByteArrayInputStream(pem.getBytes(StandardCharsets.ISO_8859_1))));
      }
    } catch (IOException | IllegalArgumentException e) {
      throw new ModelSourceException(
          VARIABLE,
          e instanceof NoSuchFileException
              ? "there is no file " + file
              : "%s cannot be read (%s)".formatted(file, e.getMessage()),
          "name a file of certificates in PEM, or unset it",
          false,
          e);
    } catch (CertificateException e) {
      throw new ModelSourceException(
          VARIABLE,
          "certificate %d of %s cannot be read (%s)"
              .formatted(found.size() + 1, file, e.getMessage()),
          "name a file of certificates in PEM",
          false,
          e);
    }
    if (found.isEmpty()) {
      throw new ModelSourceException(
          VARIABLE, file + " has no certificate in PEM", "name a file that has, or unset it");
    }
    return found;
  }
}
