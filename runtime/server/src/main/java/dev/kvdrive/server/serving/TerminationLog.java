package dev.kvdrive.server.serving;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;

/**
 * Tells Kubernetes why the container ended: it shows the content of this file as the termination
 * message. The kubelet makes the file; where there is none, nothing is written.
 *
 * @param file usually {@code /dev/termination-log}
 */
public record TerminationLog(Path file) {
  /** Kubernetes cuts longer messages off. */
  private static final int MAX_BYTES = 4096;

  /** Writes the reason; failing to do so is no second failure. */
  public void write(String reason) {
    if (!Files.isWritable(file)) {
      return;
    }
    byte[] bytes = reason.getBytes(StandardCharsets.UTF_8);
    int length = Math.min(bytes.length, MAX_BYTES);
    while (length < bytes.length && length > 0 && (bytes[length] & 0xC0) == 0x80) {
      length--;
    }
    try {
      Files.write(
          file, java.util.Arrays.copyOf(bytes, length), StandardOpenOption.TRUNCATE_EXISTING);
    } catch (IOException e) {
      System.err.println("the termination log " + file + " cannot be written: " + e);
    }
  }
}
