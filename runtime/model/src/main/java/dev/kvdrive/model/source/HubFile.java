package dev.kvdrive.model.source;

import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;

/**
 * A file of a repository at one commit.
 *
 * @param name path inside the repository
 * @param bytes length
 * @param hash SHA-256 of the content (64 hex digits, large files) or git's blob id, the SHA-1 of
 *     {@code "blob <length>\0"} and the content (40 hex digits)
 */
record HubFile(String name, long bytes, String hash) {
  /** The hash of a file on disk, of the same kind as {@link #hash}. */
  String hashOf(Path file) throws IOException {
    MessageDigest digest = digest(hash.length() == 64 ? "SHA-256" : "SHA-1");
    if (hash.length() == 40) {
      digest.update(("blob " + bytes + "\0").getBytes(StandardCharsets.US_ASCII));
    }
    return hex(digest, file);
  }

  static String sha256(Path file) throws IOException {
    return hex(digest("SHA-256"), file);
  }

  private static String hex(MessageDigest digest, Path file) throws IOException {
    byte[] buffer = new byte[1 << 20];
    try (InputStream in = Files.newInputStream(file)) {
      for (int n = in.read(buffer); n >= 0; n = in.read(buffer)) {
        digest.update(buffer, 0, n);
      }
    }
    return HexFormat.of().formatHex(digest.digest());
  }

  private static MessageDigest digest(String algorithm) {
    try {
      return MessageDigest.getInstance(algorithm);
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException("every JDK has " + algorithm, e);
    }
  }
}
