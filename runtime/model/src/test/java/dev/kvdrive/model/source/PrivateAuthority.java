package dev.kvdrive.model.source;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.KeyStore;
import java.security.cert.Certificate;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;

/** A certificate authority that no machine trusts, and a server's certificate signed by it. */
final class PrivateAuthority {
  private static final String PASSWORD = "changeit";

  private final KeyStore keys;

  private PrivateAuthority(KeyStore keys) {
    this.keys = keys;
  }

  /**
   * @param folder for a moment
   * @param hosts names that the server's certificate is for
   */
  static PrivateAuthority in(Path folder, String... hosts) {
    Path store = folder.resolve("authority.p12");
    List<String> names = new ArrayList<>();
    for (String host : hosts) {
      names.add("dns:" + host);
    }
    keytool(store, "ca", "CN=Private Authority", "-ext", "bc:critical=ca:true");
    keytool(
        store, "server", "CN=server", "-signer", "ca", "-ext", "san=" + String.join(",", names));
    try (InputStream in = Files.newInputStream(store)) {
      KeyStore keys = KeyStore.getInstance("PKCS12");
      keys.load(in, PASSWORD.toCharArray());
      return new PrivateAuthority(keys);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    } catch (GeneralSecurityException e) {
      throw new IllegalStateException(e);
    }
  }

  /** For the server. */
  SSLContext server() throws GeneralSecurityException {
    KeyManagerFactory managers =
        KeyManagerFactory.getInstance(KeyManagerFactory.getDefaultAlgorithm());
    managers.init(keys, PASSWORD.toCharArray());
    SSLContext context = SSLContext.getInstance("TLS");
    context.init(managers.getKeyManagers(), null, null);
    return context;
  }

  /** The authority's certificate in PEM. */
  String pem() throws GeneralSecurityException {
    Certificate authority = keys.getCertificate("ca");
    return "-----BEGIN CERTIFICATE-----\n"
        + Base64.getMimeEncoder(64, "\n".getBytes(StandardCharsets.US_ASCII))
            .encodeToString(authority.getEncoded())
        + "\n-----END CERTIFICATE-----\n";
  }

  private static void keytool(Path store, String alias, String name, String... more) {
    List<String> command =
        new ArrayList<>(
            List.of(
                Path.of(System.getProperty("java.home"), "bin", "keytool").toString(),
                "-genkeypair",
                "-keyalg",
                "EC",
                "-alias",
                alias,
                "-dname",
                name,
                "-keystore",
                store.toString(),
                "-storetype",
                "PKCS12",
                "-storepass",
                PASSWORD));
    command.addAll(List.of(more));
    try {
      Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
      String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
      if (process.waitFor() != 0) {
        throw new IllegalStateException(output);
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IllegalStateException(e);
    }
  }
}
