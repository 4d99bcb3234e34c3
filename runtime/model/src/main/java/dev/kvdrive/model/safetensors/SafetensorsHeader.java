package dev.kvdrive.model.safetensors;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import tools.jackson.databind.json.JsonMapper;

/** The beginning of a safetensors file that is to be written: length of the header and header. */
public final class SafetensorsHeader {
  /**
   * One tensor, whose bytes follow those of the one before.
   *
   * @param type as the format names it, for instance {@code F32}
   */
  public record Entry(String name, String type, List<Integer> shape, long bytes) {
    public Entry {
      shape = List.copyOf(shape);
    }
  }

  private SafetensorsHeader() {}

  /** The bytes before those of the first tensor, padded to whole words. */
  public static ByteBuffer of(List<Entry> tensors) {
    Map<String, Object> header = new LinkedHashMap<>();
    long at = 0;
    for (Entry tensor : tensors) {
      header.put(
          tensor.name(),
          Map.of(
              "dtype", tensor.type(),
              "shape", tensor.shape(),
              "data_offsets", List.of(at, at + tensor.bytes())));
      at += tensor.bytes();
    }
    byte[] json = JsonMapper.shared().writeValueAsString(header).getBytes(StandardCharsets.UTF_8);
    int padded = Math.ceilDiv(json.length, Long.BYTES) * Long.BYTES;
    ByteBuffer head = ByteBuffer.allocate(Long.BYTES + padded).order(ByteOrder.LITTLE_ENDIAN);
    head.putLong(padded).put(json);
    while (head.hasRemaining()) {
      head.put((byte) ' ');
    }
    return head.flip();
  }
}
