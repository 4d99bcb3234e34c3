package dev.kvdrive.bench.model;

import dev.kvdrive.model.tensor.TensorType;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import tools.jackson.databind.json.JsonMapper;

/** Writes a safetensors file: length of the header, header in JSON, tensors. */
final class SafetensorsFile {
  private SafetensorsFile() {}

  static void write(Path file, List<TensorSource> tensors) throws IOException {
    Map<String, Object> header = new LinkedHashMap<>();
    long at = 0;
    for (TensorSource tensor : tensors) {
      if (tensor.type() != TensorType.BF16 && tensor.type() != TensorType.F32) {
        throw new IllegalArgumentException("safetensors files have no type " + tensor.type());
      }
      header.put(
          tensor.name(),
          Map.of(
              "dtype", tensor.type().name(),
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
    head.flip();
    try (FileChannel out =
        FileChannel.open(
            file,
            StandardOpenOption.CREATE,
            StandardOpenOption.WRITE,
            StandardOpenOption.TRUNCATE_EXISTING)) {
      out.write(head);
      for (TensorSource tensor : tensors) {
        TensorWriter.write(out, tensor);
      }
    }
  }
}
