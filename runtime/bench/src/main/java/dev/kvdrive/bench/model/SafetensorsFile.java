package dev.kvdrive.bench.model;

import dev.kvdrive.model.safetensors.SafetensorsHeader;
import dev.kvdrive.model.tensor.TensorType;
import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;

/** Writes a safetensors file: length of the header, header in JSON, tensors. */
final class SafetensorsFile {
  private SafetensorsFile() {}

  static void write(Path file, List<TensorSource> tensors) throws IOException {
    List<SafetensorsHeader.Entry> entries = new ArrayList<>();
    for (TensorSource tensor : tensors) {
      if (tensor.type() != TensorType.BF16 && tensor.type() != TensorType.F32) {
        throw new IllegalArgumentException("safetensors files have no type " + tensor.type());
      }
      entries.add(
          new SafetensorsHeader.Entry(
              tensor.name(), tensor.type().name(), tensor.shape(), tensor.bytes()));
    }
    try (FileChannel out =
        FileChannel.open(
            file,
            StandardOpenOption.CREATE,
            StandardOpenOption.WRITE,
            StandardOpenOption.TRUNCATE_EXISTING)) {
      out.write(SafetensorsHeader.of(entries));
      for (TensorSource tensor : tensors) {
        TensorWriter.write(out, tensor);
      }
    }
  }
}
