package dev.kvdrive.model.gguf;

import java.util.Arrays;
import java.util.Random;

/** Damages bytes the way that disks, networks and attackers do. */
public final class Mutations {
  private static final long[] EXTREMES = {
    0,
    1,
    -1,
    0x7f,
    0xff,
    0xffff,
    Integer.MAX_VALUE,
    Integer.MIN_VALUE,
    1L << 32,
    1L << 40,
    Long.MAX_VALUE,
    Long.MIN_VALUE
  };

  private Mutations() {}

  /** One to four random damages; always at least one byte is left. */
  public static byte[] apply(byte[] sound, Random random) {
    byte[] bytes = sound.clone();
    for (int n = random.nextInt(1, 5); n > 0; n--) {
      bytes = once(bytes, random);
    }
    return bytes;
  }

  private static byte[] once(byte[] bytes, Random random) {
    int at = random.nextInt(bytes.length);
    switch (random.nextInt(6)) {
      case 0 -> bytes[at] ^= (byte) (1 << random.nextInt(8));
      case 1 -> bytes[at] = (byte) random.nextInt();
      case 2 -> {
        byte[] value = GgufBytes.le(8, EXTREMES[random.nextInt(EXTREMES.length)]);
        System.arraycopy(value, 0, bytes, at, Math.min(random.nextInt(1, 9), bytes.length - at));
      }
      case 3 -> {
        return Arrays.copyOf(bytes, Math.max(1, at));
      }
      case 4 -> {
        byte[] insert = new byte[random.nextInt(1, 17)];
        random.nextBytes(insert);
        return GgufBytes.join(
            Arrays.copyOf(bytes, at), insert, Arrays.copyOfRange(bytes, at, bytes.length));
      }
      default -> {
        int from = random.nextInt(bytes.length);
        int length = Math.min(random.nextInt(1, 33), bytes.length - Math.max(at, from));
        System.arraycopy(bytes, from, bytes, at, length);
      }
    }
    return bytes;
  }
}
