package dev.kvdrive.server.access;

import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The keys that may call the API, from a file with one key per line; empty lines and lines that
 * begin with {@code #} are skipped. Only hashes are kept, and every one of them is compared in
 * constant time, so neither a dump nor a stopwatch gives a key away. Thread-safe.
 */
public final class ApiKeys {
  /** Bytes of a key file at most. */
  static final int MAX_FILE_BYTES = 1 << 20;

  /** Characters of a key at least; shorter ones can be guessed. */
  static final int MIN_KEY_CHARS = 16;

  private static final Logger log = LoggerFactory.getLogger(ApiKeys.class);

  private final Path file;
  private volatile Keys keys;
  private String lastFailure = "";

  private record Keys(String fileHash, List<byte[]> hashes) {}

  private ApiKeys(Path file, Keys keys) {
    this.file = file;
    this.keys = keys;
  }

  /**
   * Reads the file.
   *
   * @throws IllegalArgumentException if it cannot be read, holds no key or a key that is too short
   */
  public static ApiKeys read(Path file) {
    try {
      Keys keys = parse(file, bytes(file));
      if (keys.hashes().isEmpty()) {
        throw new IllegalArgumentException(
            "the API key file %s has no keys; write one per line".formatted(file));
      }
      return new ApiKeys(file, keys);
    } catch (IOException e) {
      throw new IllegalArgumentException(
          "the API key file %s cannot be read: %s".formatted(file, e), e);
    }
  }

  /**
   * Takes over a changed file. A file that cannot be read, or that is wrong, changes nothing: the
   * keys read last stay valid until a good file is there. A good file without keys admits nobody.
   */
  public synchronized void reload() {
    try {
      byte[] bytes = bytes(file);
      if (hex(bytes).equals(keys.fileHash())) {
        lastFailure = "";
        return;
      }
      keys = parse(file, bytes);
      lastFailure = "";
      log.info("API keys reloaded: {} keys", keys.hashes().size());
    } catch (IOException | IllegalArgumentException e) {
      String failure = e.toString();
      if (!failure.equals(lastFailure)) {
        log.warn("API keys not reloaded, the earlier ones stay valid: {}", failure);
        lastFailure = failure;
      }
    }
  }

  /** Whether the key is one of those in the file. */
  public boolean admits(String key) {
    byte[] hash = sha256(key.getBytes(StandardCharsets.UTF_8));
    boolean found = false;
    for (byte[] known : keys.hashes()) {
      found |= MessageDigest.isEqual(known, hash);
    }
    return found;
  }

  private static Keys parse(Path file, byte[] bytes) {
    List<byte[]> hashes = new ArrayList<>();
    int number = 0;
    for (String line : text(file, bytes).lines().toList()) {
      number++;
      String key = line.strip();
      if (key.isEmpty() || key.startsWith("#")) {
        continue;
      }
      if (key.length() < MIN_KEY_CHARS) {
        throw new IllegalArgumentException(
            "the API key in line %d of %s has %d characters; use at least %d random ones"
                .formatted(number, file, key.length(), MIN_KEY_CHARS));
      }
      hashes.add(sha256(key.getBytes(StandardCharsets.UTF_8)));
    }
    return new Keys(hex(bytes), List.copyOf(hashes));
  }

  /** Some editors begin a file with a mark of its encoding, which is no part of the first key. */
  private static String text(Path file, byte[] bytes) {
    try {
      String text = StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(bytes)).toString();
      return text.startsWith("\uFEFF") ? text.substring(1) : text;
    } catch (CharacterCodingException e) {
      throw new IllegalArgumentException(
          "the API key file %s is not in UTF-8; save it as plain text".formatted(file), e);
    }
  }

  private static byte[] bytes(Path file) throws IOException {
    try (InputStream in = Files.newInputStream(file)) {
      byte[] bytes = in.readNBytes(MAX_FILE_BYTES + 1);
      if (bytes.length > MAX_FILE_BYTES) {
        throw new IllegalArgumentException(
            "the API key file %s is larger than %d bytes".formatted(file, MAX_FILE_BYTES));
      }
      return bytes;
    }
  }

  private static String hex(byte[] bytes) {
    return HexFormat.of().formatHex(sha256(bytes));
  }

  private static byte[] sha256(byte[] bytes) {
    try {
      return MessageDigest.getInstance("SHA-256").digest(bytes);
    } catch (NoSuchAlgorithmException e) {
      throw new AssertionError("every Java runtime has SHA-256", e);
    }
  }
}
