package dev.kvdrive.server.transport;

import dev.kvdrive.model.file.FileFault;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import org.jspecify.annotations.Nullable;

/**
 * Where the certificate of a server is, in PEM.
 *
 * @param certificate the server's certificate and then those that lead to its authority
 * @param key its private key, without a password
 * @param clientAuthority certificates of the authorities whose clients may connect; null lets all
 */
public record TlsFiles(Path certificate, Path key, @Nullable Path clientAuthority) {
  /** Bytes of one file at most. */
  static final int MAX_FILE_BYTES = 1 << 20;

  /**
   * What is in them.
   *
   * @param clientAuthority null if there is no file
   */
  record Content(String certificate, String key, @Nullable String clientAuthority) {}

  /**
   * Reads all of them.
   *
   * @throws IllegalArgumentException that names the setting and the file
   */
  Content read() {
    return new Content(
        text("kvdrive.tls.certificate", certificate),
        text("kvdrive.tls.key", key),
        clientAuthority == null ? null : text("kvdrive.tls.client-ca", clientAuthority));
  }

  private static String text(String setting, Path file) {
    try (InputStream in = Files.newInputStream(file)) {
      byte[] bytes = in.readNBytes(MAX_FILE_BYTES + 1);
      if (bytes.length > MAX_FILE_BYTES) {
        throw new IllegalArgumentException(
            "%s: %s is larger than %d bytes; it should be in PEM"
                .formatted(setting, file, MAX_FILE_BYTES));
      }
      return new String(bytes, StandardCharsets.ISO_8859_1);
    } catch (IOException e) {
      throw new IllegalArgumentException(
          "%s cannot be read: %s".formatted(setting, FileFault.words(file, e)), e);
    }
  }
}
