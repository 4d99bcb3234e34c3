package dev.kvdrive.server.transport;

import io.netty.handler.ssl.ClientAuth;
import io.netty.handler.ssl.SslContext;
import io.netty.handler.ssl.SslContextBuilder;
import io.netty.handler.ssl.SslProvider;
import java.security.GeneralSecurityException;
import java.security.PrivateKey;
import java.security.PublicKey;
import java.security.Signature;
import java.security.cert.CertificateExpiredException;
import java.security.cert.CertificateNotYetValidException;
import java.security.cert.X509Certificate;
import java.time.Instant;
import java.util.Date;
import java.util.List;
import java.util.Locale;
import javax.net.ssl.SSLException;
import org.jspecify.annotations.Nullable;
import org.springframework.boot.ssl.pem.PemContent;

/**
 * A server's certificate that has been checked, and what connections are secured with. Immutable.
 *
 * @param context for TLS 1.3 and 1.2
 * @param subject of the certificate
 * @param notBefore when it begins
 * @param notAfter when it ends
 */
record TlsCertificate(SslContext context, String subject, Instant notBefore, Instant notAfter) {
  private static final byte[] PROBE = {1, 2, 3, 4};

  /**
   * Makes one of what files hold.
   *
   * @throws IllegalArgumentException that names the setting and the file, and what is wrong: no
   *     PEM, not valid now, a key of another certificate
   */
  static TlsCertificate of(TlsFiles files, TlsFiles.Content content, Instant now) {
    List<X509Certificate> chain =
        certificates("kvdrive.tls.certificate: " + files.certificate(), content.certificate());
    X509Certificate own = chain.getFirst();
    checkValid("kvdrive.tls.certificate: the certificate in " + files.certificate(), own, now);
    PrivateKey key = key("kvdrive.tls.key: " + files.key(), content.key());
    if (!isPair(own.getPublicKey(), key)) {
      throw new IllegalArgumentException(
          "kvdrive.tls.key: %s is not the key of the first certificate in %s, which is for %s; give the key that belongs to it, and the server's own certificate first"
              .formatted(files.key(), files.certificate(), subject(own)));
    }
    SslContextBuilder builder =
        SslContextBuilder.forServer(key, chain)
            .sslProvider(SslProvider.JDK)
            .protocols("TLSv1.3", "TLSv1.2");
    String authority = content.clientAuthority();
    if (authority != null) {
      String place = "kvdrive.tls.client-ca: " + files.clientAuthority();
      List<X509Certificate> authorities = certificates(place, authority);
      if (authorities.stream().noneMatch(one -> isValid(one, now))) {
        checkValid(
            "kvdrive.tls.client-ca: the certificate in " + files.clientAuthority(),
            authorities.getFirst(),
            now);
      }
      builder.trustManager(authorities).clientAuth(ClientAuth.REQUIRE);
    }
    try {
      return new TlsCertificate(
          builder.build(),
          subject(own),
          own.getNotBefore().toInstant(),
          own.getNotAfter().toInstant());
    } catch (SSLException | IllegalArgumentException e) {
      throw new IllegalArgumentException(
          "kvdrive.tls.certificate: %s cannot be used: %s"
              .formatted(files.certificate(), e.getMessage()),
          e);
    }
  }

  private static String subject(X509Certificate certificate) {
    String name = certificate.getSubjectX500Principal().getName();
    return name.isEmpty() ? "an empty subject" : name;
  }

  private static List<X509Certificate> certificates(String place, String text) {
    try {
      List<X509Certificate> found = PemContent.of(text).getCertificates();
      if (!found.isEmpty()) {
        return found;
      }
    } catch (IllegalStateException | IllegalArgumentException e) {
      // Said below; its words may quote the file.
    }
    throw new IllegalArgumentException(
        place + " has no certificate in PEM; it should begin with -----BEGIN CERTIFICATE-----");
  }

  private static PrivateKey key(String place, String text) {
    if (text.toUpperCase(Locale.ROOT).contains("ENCRYPTED")) {
      throw new IllegalArgumentException(
          place + " has a key with a password; take the password off, and guard the file");
    }
    @Nullable PrivateKey key = null;
    try {
      key = PemContent.of(text).getPrivateKey();
    } catch (IllegalStateException | IllegalArgumentException e) {
      // Said below; its words may quote the file.
    }
    if (key == null) {
      throw new IllegalArgumentException(
          place
              + " has no private key in PEM; it should begin with -----BEGIN PRIVATE KEY-----, or the same of RSA or EC");
    }
    return key;
  }

  private static void checkValid(String what, X509Certificate certificate, Instant now) {
    try {
      certificate.checkValidity(Date.from(now));
    } catch (CertificateExpiredException e) {
      throw new IllegalArgumentException(
          "%s, for %s, ended on %s, and now is %s; renew it"
              .formatted(what, subject(certificate), certificate.getNotAfter().toInstant(), now),
          e);
    } catch (CertificateNotYetValidException e) {
      throw new IllegalArgumentException(
          "%s, for %s, begins on %s, and now is %s; wait, or set the clock right"
              .formatted(what, subject(certificate), certificate.getNotBefore().toInstant(), now),
          e);
    }
  }

  private static boolean isValid(X509Certificate certificate, Instant now) {
    return !now.isBefore(certificate.getNotBefore().toInstant())
        && !now.isAfter(certificate.getNotAfter().toInstant());
  }

  private static boolean isPair(PublicKey own, PrivateKey key) {
    String algorithm =
        switch (key.getAlgorithm()) {
          case "RSA" -> "SHA256withRSA";
          case "EC" -> "SHA256withECDSA";
          default -> key.getAlgorithm();
        };
    try {
      Signature signature = Signature.getInstance(algorithm);
      signature.initSign(key);
      signature.update(PROBE);
      byte[] signed = signature.sign();
      signature.initVerify(own);
      signature.update(PROBE);
      return signature.verify(signed);
    } catch (GeneralSecurityException e) {
      return false; // Keys of two kinds.
    }
  }
}
