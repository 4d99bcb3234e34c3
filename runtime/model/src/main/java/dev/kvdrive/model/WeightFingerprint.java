package dev.kvdrive.model;

import dev.kvdrive.model.tensor.TensorData;
import java.lang.foreign.MemorySegment;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;

/**
 * Tells weights apart: what was fitted to one model is not to be used with another. From name,
 * type, shape and three pages of every weight of every layer, so that it takes no time with large
 * models; the same weights in another file format have another fingerprint, for their keys may have
 * another order.
 */
public final class WeightFingerprint {
  private static final int PAGE = 4096;
  private static final int DIGITS = 32;

  private WeightFingerprint() {}

  /** 32 hexadecimal digits. */
  public static String of(Model model) {
    MessageDigest digest;
    try {
      digest = MessageDigest.getInstance("SHA-256");
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException("every Java platform has SHA-256", e);
    }
    for (LayerTensors layer : model.layers()) {
      layer.all().forEach(tensor -> add(digest, tensor));
    }
    return HexFormat.of().formatHex(digest.digest()).substring(0, DIGITS);
  }

  private static void add(MessageDigest digest, TensorData tensor) {
    String head =
        "%s %s %d x %d;".formatted(tensor.name(), tensor.type(), tensor.rows(), tensor.cols());
    digest.update(head.getBytes(StandardCharsets.UTF_8));
    MemorySegment data = tensor.data();
    long bytes = Math.min(PAGE, data.byteSize());
    long last = data.byteSize() - bytes;
    for (long from : new long[] {0, last / 2, last}) {
      digest.update(data.asSlice(from, bytes).asByteBuffer());
    }
  }
}
