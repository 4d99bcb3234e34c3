package dev.kvdrive.kv.extent;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.zip.CRC32C;

/**
 * CRC32C of an extent: first of whose it is, then of its bytes. Bytes that were written for another
 * identity, or for another place of the same sequence, therefore do not verify even if they are
 * undamaged. One instance belongs to one thread.
 */
public final class ExtentChecksum {
  private final CRC32C crc = new CRC32C();
  private final ByteBuffer header = ByteBuffer.allocate(20).order(ByteOrder.LITTLE_ENDIAN);

  /**
   * Sixty-four bits that name a sequence.
   *
   * @param opening counts the openings of seats, so that no two sequences of a process are the same
   */
  public static long identity(SequenceIdentity identity, long opening) {
    try {
      MessageDigest digest = MessageDigest.getInstance("SHA-256");
      for (String part : new String[] {identity.tenant(), identity.sequence()}) {
        byte[] bytes = part.getBytes(StandardCharsets.UTF_8);
        digest.update(ByteBuffer.allocate(4).putInt(bytes.length).flip());
        digest.update(bytes);
      }
      digest.update(ByteBuffer.allocate(8).putLong(opening).flip());
      return ByteBuffer.wrap(digest.digest()).getLong();
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException("every Java runtime has SHA-256", e);
    }
  }

  /** Checksum of the bytes from position to limit, which stay as they are. */
  public int of(long identity, int layer, int kvHead, int extent, ByteBuffer data) {
    header.clear();
    header.putLong(identity).putInt(layer).putInt(kvHead).putInt(extent).flip();
    crc.reset();
    crc.update(header);
    crc.update(data.duplicate());
    return (int) crc.getValue();
  }
}
