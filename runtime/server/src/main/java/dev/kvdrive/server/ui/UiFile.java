package dev.kvdrive.server.ui;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import java.util.List;

/** A file of the page, which has no secrets. Immutable. */
public final class UiFile {
  /** What the page may load and call: itself. */
  public static final String CONTENT_SECURITY_POLICY =
      "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self';"
          + " base-uri 'none'; form-action 'none'; frame-ancestors 'none';"
          + " require-trusted-types-for 'script'";

  private final String path;
  private final String mediaType;
  private final byte[] bytes;
  private final String hash;

  private UiFile(String path, String mediaType, byte[] bytes, String hash) {
    this.path = path;
    this.mediaType = mediaType;
    this.bytes = bytes;
    this.hash = hash;
  }

  /** Where it is served. */
  public String path() {
    return path;
  }

  /** Of its text, which is in UTF-8. */
  public String mediaType() {
    return mediaType;
  }

  /** A copy of what is in it. */
  public byte[] bytes() {
    return bytes.clone();
  }

  /** Of its bytes. */
  public String hash() {
    return hash;
  }

  /** Reads all of them. */
  public static List<UiFile> all() {
    return List.of(
        read("/ui", "page.html", "text/html"),
        read("/ui/page.css", "page.css", "text/css"),
        read("/ui/page.js", "page.js", "text/javascript"),
        read("/ui/icon.svg", "icon.svg", "image/svg+xml"));
  }

  private static UiFile read(String path, String name, String mediaType) {
    try (InputStream in = UiFile.class.getResourceAsStream(name)) {
      if (in == null) {
        throw new IllegalStateException("the build lacks " + name);
      }
      byte[] bytes = in.readAllBytes();
      byte[] hash = MessageDigest.getInstance("SHA-256").digest(bytes);
      return new UiFile(path, mediaType, bytes, HexFormat.of().formatHex(hash, 0, 8));
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    } catch (NoSuchAlgorithmException e) {
      throw new AssertionError("every Java runtime has SHA-256", e);
    }
  }
}
