package dev.kvdrive.kv.extent;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.zip.CRC32C;

/**
 * CRC32C of an extent: first of whose it is, then of its bytes. Bytes that were written for another
 * identity, or for another place of the same sequence, therefore do not verify even if they are
 * undamaged. One instance belongs to one thread.
 */
public final class ExtentChecksum implements ExtentSeal {
  private static final ValueLayout.OfInt WORD = ValueLayout.JAVA_INT_UNALIGNED;

  private final CRC32C crc = new CRC32C();
  private final byte[] header = new byte[ExtentLabel.BYTES];

  /**
   * Sixty-four bits that name a sequence, for what is made of more than its prompt.
   *
   * @param opening counts the openings of seats, so that no two sequences of a process are the same
   */
  public static long identity(SequenceIdentity identity, long opening) {
    MessageDigest digest = sha256();
    text(digest, identity.tenant());
    text(digest, identity.sequence());
    digest.update(ByteBuffer.allocate(8).putLong(opening).flip());
    return ByteBuffer.wrap(digest.digest()).getLong();
  }

  /**
   * Names of the extents that are made of a prompt alone, each after all tokens up to its end: who
   * has the same tokens has the same names, and nobody else.
   *
   * @param tenant whose prompt it is
   * @param prompt token ids
   * @param sink tokens before the first extent
   * @param extentTokens tokens of an extent
   * @param closed tokens of the prompt that are closed at its end, sink included
   */
  public static long[] ofPrompt(
      String tenant, int[] prompt, int sink, int extentTokens, int closed) {
    int count = Math.max(0, (closed - sink) / extentTokens);
    long[] names = new long[count];
    MessageDigest digest = sha256();
    digest.update((byte) 'p');
    text(digest, tenant);
    ByteBuffer tokens = ByteBuffer.allocate(4 * (sink + extentTokens));
    int at = 0;
    byte[] chain = {};
    for (int i = 0; i < count; i++) {
      int end = sink + (i + 1) * extentTokens;
      tokens.clear();
      for (; at < end; at++) {
        tokens.putInt(prompt[at]);
      }
      digest.update(chain);
      digest.update(tokens.flip());
      chain = digest.digest();
      names[i] = ByteBuffer.wrap(chain).getLong();
    }
    return names;
  }

  private static void text(MessageDigest digest, String part) {
    byte[] bytes = part.getBytes(StandardCharsets.UTF_8);
    digest.update(ByteBuffer.allocate(4).putInt(bytes.length).flip());
    digest.update(bytes);
  }

  private static MessageDigest sha256() {
    try {
      return MessageDigest.getInstance("SHA-256");
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException("every Java runtime has SHA-256", e);
    }
  }

  /** The bytes are written as they are; the proof is their checksum. */
  @Override
  public MemorySegment seal(
      ExtentLabel label, MemorySegment extent, MemorySegment spare, byte[] proof) {
    MemorySegment.ofArray(proof).set(WORD, 0, of(label, extent.asByteBuffer()));
    return extent;
  }

  @Override
  public void open(ExtentLabel label, MemorySegment bytes, byte[] proof) throws IOException {
    int written = MemorySegment.ofArray(proof).get(WORD, 0);
    int read = of(label, bytes.asByteBuffer());
    if (read != written) {
      throw new IOException(
          "checksum mismatch: %08x was written, %08x read".formatted(written, read));
    }
  }

  /** Checksum of the bytes from position to limit, which stay as they are. */
  public int of(ExtentLabel label, ByteBuffer data) {
    label.to(header);
    crc.reset();
    crc.update(header);
    crc.update(data.duplicate());
    return (int) crc.getValue();
  }
}
