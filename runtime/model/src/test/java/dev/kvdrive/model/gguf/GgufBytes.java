package dev.kvdrive.model.gguf;

import static java.nio.charset.StandardCharsets.UTF_8;

import java.io.ByteArrayOutputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.List;

/** Writes GGUF files byte by byte, wrong ones too. */
final class GgufBytes {
  int magic = 0x46554747;
  int version = 3;
  long extraTensors;
  long extraKeys;
  private final List<byte[]> keys = new ArrayList<>();
  private final List<byte[]> tensors = new ArrayList<>();
  int dataBytes = 256;

  /** A sound file of a few kinds of values and two tensors. */
  static GgufBytes sound() {
    return new GgufBytes()
        .key("general.architecture", 8, string("llama"))
        .key("u8", 0, new byte[] {-1})
        .key("i16", 3, le(2, -2))
        .key("f32", 6, le(4, Float.floatToIntBits(1.5f)))
        .key("yes", 7, new byte[] {1})
        .key("words", 9, join(le(4, 8), le(8, 2), string("a"), string("é")))
        .key("ids", 9, join(le(4, 5), le(8, 3), le(4, 1), le(4, -2), le(4, 3)))
        .key("scores", 9, join(le(4, 6), le(8, 1), le(4, Float.floatToIntBits(0.25f))))
        .tensor("a", 0, 0, 4, 2)
        .tensor("b", 8, 32, 32);
  }

  GgufBytes key(String name, int type, byte[] value) {
    return rawKey(join(string(name), le(4, type), value));
  }

  GgufBytes rawKey(byte[] bytes) {
    keys.add(bytes);
    return this;
  }

  /** A tensor with sizes as the file has them, innermost first. */
  GgufBytes tensor(String name, int type, long offset, long... sizes) {
    byte[] dims = new byte[0];
    for (long s : sizes) {
      dims = join(dims, le(8, s));
    }
    tensors.add(join(string(name), le(4, sizes.length), dims, le(4, type), le(8, offset)));
    return this;
  }

  byte[] bytes() {
    byte[] header =
        join(
            le(4, magic),
            le(4, version),
            le(8, tensors.size() + extraTensors),
            le(8, keys.size() + extraKeys),
            join(keys.toArray(byte[][]::new)),
            join(tensors.toArray(byte[][]::new)));
    return join(header, new byte[Math.floorMod(-header.length, 32)], new byte[dataBytes]);
  }

  static byte[] string(String s) {
    byte[] utf8 = s.getBytes(UTF_8);
    return join(le(8, utf8.length), utf8);
  }

  static byte[] le(int width, long value) {
    byte[] eight = ByteBuffer.allocate(8).order(ByteOrder.LITTLE_ENDIAN).putLong(value).array();
    byte[] out = new byte[width];
    System.arraycopy(eight, 0, out, 0, width);
    return out;
  }

  static byte[] join(byte[]... parts) {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    for (byte[] p : parts) {
      out.writeBytes(p);
    }
    return out.toByteArray();
  }
}
