package dev.kvdrive.bench.model;

import dev.kvdrive.model.tensor.TensorType;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.List;
import java.util.Map;

/** Writes a GGUF file of version 3: metadata, tensor table, tensors. */
final class GgufFile {
  private static final int MAGIC = 0x46554747;
  private static final int VERSION = 3;
  private static final int ALIGNMENT = 32;

  private static final int TYPE_UINT32 = 4;
  private static final int TYPE_INT32 = 5;
  private static final int TYPE_FLOAT32 = 6;
  private static final int TYPE_BOOL = 7;
  private static final int TYPE_STRING = 8;
  private static final int TYPE_ARRAY = 9;

  private GgufFile() {}

  /** Writes it; metadata values are whole and real numbers, Boolean, String, String[] and int[]. */
  static void write(Path file, Map<String, Object> metadata, List<TensorSource> tensors)
      throws IOException {
    Bytes head = new Bytes();
    head.int32(MAGIC).int32(VERSION).int64(tensors.size()).int64(metadata.size());
    metadata.forEach(
        (key, value) -> {
          head.text(key);
          switch (value) {
            case Integer number -> head.int32(TYPE_UINT32).int32(number);
            case Long number -> head.int32(TYPE_UINT32).int32(Math.toIntExact(number));
            case Float number -> head.int32(TYPE_FLOAT32).int32(Float.floatToIntBits(number));
            case Double number ->
                head.int32(TYPE_FLOAT32).int32(Float.floatToIntBits(number.floatValue()));
            case Boolean yes -> head.int32(TYPE_BOOL).int8(yes ? 1 : 0);
            case String text -> head.int32(TYPE_STRING).text(text);
            case String[] texts -> {
              head.int32(TYPE_ARRAY).int32(TYPE_STRING).int64(texts.length);
              for (String text : texts) {
                head.text(text);
              }
            }
            case int[] numbers -> {
              head.int32(TYPE_ARRAY).int32(TYPE_INT32).int64(numbers.length);
              for (int number : numbers) {
                head.int32(number);
              }
            }
            default -> throw new IllegalArgumentException(key + " is a " + value.getClass());
          }
        });
    long at = 0;
    for (TensorSource tensor : tensors) {
      head.text(tensor.name()).int32(tensor.shape().size());
      for (int size : tensor.shape().reversed()) {
        head.int64(size);
      }
      head.int32(typeNumber(tensor.type())).int64(at);
      at += aligned(tensor.bytes());
    }
    try (FileChannel out =
        FileChannel.open(
            file,
            StandardOpenOption.CREATE,
            StandardOpenOption.WRITE,
            StandardOpenOption.TRUNCATE_EXISTING)) {
      head.pad();
      out.write(head.buffer());
      for (TensorSource tensor : tensors) {
        TensorWriter.write(out, tensor);
        out.write(ByteBuffer.allocate((int) (aligned(tensor.bytes()) - tensor.bytes())));
      }
    }
  }

  private static int typeNumber(TensorType type) {
    return switch (type) {
      case F32 -> 0;
      case Q8_0 -> 8;
      case BF16 -> 30;
      default -> throw new IllegalArgumentException("cannot write " + type);
    };
  }

  private static long aligned(long bytes) {
    return Math.ceilDiv(bytes, ALIGNMENT) * ALIGNMENT;
  }

  private static final class Bytes {
    private final ByteArrayOutputStream out = new ByteArrayOutputStream();

    Bytes int8(int value) {
      out.write(value);
      return this;
    }

    Bytes int32(int value) {
      out.writeBytes(
          ByteBuffer.allocate(Integer.BYTES).order(ByteOrder.LITTLE_ENDIAN).putInt(value).array());
      return this;
    }

    Bytes int64(long value) {
      out.writeBytes(
          ByteBuffer.allocate(Long.BYTES).order(ByteOrder.LITTLE_ENDIAN).putLong(value).array());
      return this;
    }

    Bytes text(String text) {
      byte[] utf8 = text.getBytes(StandardCharsets.UTF_8);
      int64(utf8.length);
      out.writeBytes(utf8);
      return this;
    }

    void pad() {
      out.writeBytes(new byte[(int) (aligned(out.size()) - out.size())]);
    }

    ByteBuffer buffer() {
      return ByteBuffer.wrap(out.toByteArray());
    }
  }
}
