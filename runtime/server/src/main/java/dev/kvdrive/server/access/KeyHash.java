package dev.kvdrive.server.access;

import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;

/** The SHA-256 of a key, which is all that is kept of it. Immutable. */
final class KeyHash {
  private final byte[] sha256;

  private KeyHash(byte[] sha256) {
    this.sha256 = sha256;
  }

  /** Of the key. */
  static KeyHash of(String key) {
    return new KeyHash(sha256(key.getBytes(StandardCharsets.UTF_8)));
  }

  /** As somebody has written it, in 64 hexadecimal digits. */
  static KeyHash parse(String hex) {
    return new KeyHash(HexFormat.of().parseHex(hex));
  }

  /** Whether it is of the same key; takes as long whether it is or not. */
  boolean matches(KeyHash other) {
    return MessageDigest.isEqual(sha256, other.sha256);
  }

  String hex() {
    return HexFormat.of().formatHex(sha256);
  }

  static byte[] sha256(byte[] bytes) {
    try {
      return MessageDigest.getInstance("SHA-256").digest(bytes);
    } catch (NoSuchAlgorithmException e) {
      throw new AssertionError("every Java runtime has SHA-256", e);
    }
  }
}
