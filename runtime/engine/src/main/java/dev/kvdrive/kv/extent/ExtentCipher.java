package dev.kvdrive.kv.extent;

import static dev.kvdrive.plan.NvmeEncryption.KEY_BYTES;
import static dev.kvdrive.plan.NvmeEncryption.TAG_BYTES;

import java.io.IOException;
import java.io.Serial;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.security.GeneralSecurityException;
import java.security.SecureRandom;
import java.util.Arrays;
import java.util.concurrent.TimeUnit;
import javax.crypto.AEADBadTagException;
import javax.crypto.Cipher;
import javax.crypto.SecretKey;
import javax.crypto.spec.GCMParameterSpec;

/**
 * Encrypts extents with AES-256 in GCM. Each time an extent is sealed it gets a new random key,
 * which encrypts nothing else: its proof is that key and the tag, which also covers the {@link
 * ExtentLabel}. The size stays what it was.
 *
 * <p>A key is in the proof alone, but for what the cipher of the Java runtime keeps of the last one
 * until its thread has the next. It works on arrays, since the same cipher takes four times as long
 * on memory outside of the heap (measured: docs/decisions/0195).
 */
public final class ExtentCipher implements ExtentSeal {
  /** Never twice under one key, since a key is used once. */
  private static final GCMParameterSpec ONLY_NONCE =
      new GCMParameterSpec(Byte.SIZE * TAG_BYTES, new byte[12]);

  /** Of 32 KiB 3,000 were enough, which took a second. */
  private static final int WARM_UP_EXTENTS = 4_000;

  private static final long WARM_UP_NANOS = TimeUnit.SECONDS.toNanos(3);

  private final Cipher cipher;
  private final SecureRandom random = new SecureRandom();
  private final OneKey key = new OneKey();
  private final byte[] label = new byte[ExtentLabel.BYTES];
  private final byte[] plain;

  /** With the tag behind it, as the cipher has it. */
  private final byte[] encrypted;

  /**
   * @param extentBytes size of all extents
   */
  public ExtentCipher(int extentBytes) {
    plain = new byte[extentBytes];
    encrypted = new byte[extentBytes + TAG_BYTES];
    try {
      cipher = Cipher.getInstance("AES/GCM/NoPadding");
    } catch (GeneralSecurityException e) {
      throw new IllegalStateException("every Java runtime has AES/GCM/NoPadding", e);
    }
  }

  static void warmUp(int extentBytes) {
    ExtentCipher cipher = new ExtentCipher(extentBytes);
    ExtentLabel label = new ExtentLabel(0, 0, 0, 0);
    byte[] proof = new byte[KEY_BYTES + TAG_BYTES];
    long begin = System.nanoTime();
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment extent = arena.allocate(extentBytes);
      MemorySegment spare = arena.allocate(extentBytes);
      for (int i = 0; i < WARM_UP_EXTENTS && System.nanoTime() - begin < WARM_UP_NANOS; i++) {
        cipher.open(label, cipher.seal(label, extent, spare, proof), proof);
      }
    } catch (IOException e) {
      throw new IllegalStateException("what was encrypted cannot be decrypted", e);
    }
  }

  @Override
  public MemorySegment seal(
      ExtentLabel of, MemorySegment extent, MemorySegment spare, byte[] proof) {
    MemorySegment.copy(extent, ValueLayout.JAVA_BYTE, 0, plain, 0, plain.length);
    try {
      random.nextBytes(key.bytes);
      begin(Cipher.ENCRYPT_MODE, of);
      cipher.doFinal(plain, 0, plain.length, encrypted, 0);
      System.arraycopy(key.bytes, 0, proof, 0, KEY_BYTES);
      System.arraycopy(encrypted, plain.length, proof, KEY_BYTES, TAG_BYTES);
    } catch (GeneralSecurityException e) {
      throw new IllegalStateException("an extent cannot be encrypted", e);
    } finally {
      key.destroy();
    }
    MemorySegment.copy(encrypted, 0, spare, ValueLayout.JAVA_BYTE, 0, plain.length);
    return spare;
  }

  @Override
  public void open(ExtentLabel of, MemorySegment bytes, byte[] proof) throws IOException {
    MemorySegment.copy(bytes, ValueLayout.JAVA_BYTE, 0, encrypted, 0, plain.length);
    System.arraycopy(proof, KEY_BYTES, encrypted, plain.length, TAG_BYTES);
    try {
      System.arraycopy(proof, 0, key.bytes, 0, KEY_BYTES);
      begin(Cipher.DECRYPT_MODE, of);
      cipher.doFinal(encrypted, 0, encrypted.length, plain, 0);
    } catch (AEADBadTagException e) {
      throw new IOException(
          "the tag of AES-GCM does not match: damaged, stale or foreign bytes were read", e);
    } catch (GeneralSecurityException e) {
      throw new IllegalStateException("an extent cannot be decrypted", e);
    } finally {
      key.destroy();
    }
    MemorySegment.copy(plain, 0, bytes, ValueLayout.JAVA_BYTE, 0, plain.length);
  }

  private void begin(int mode, ExtentLabel of) throws GeneralSecurityException {
    cipher.init(mode, key, ONLY_NONCE);
    of.to(label);
    cipher.updateAAD(label);
  }

  /**
   * The key of the extent at hand: one array, so that no copies of ours are left to be collected.
   */
  private static final class OneKey implements SecretKey {
    @Serial private static final long serialVersionUID = 1;

    private final transient byte[] bytes = new byte[KEY_BYTES];

    @Override
    public String getAlgorithm() {
      return "AES";
    }

    @Override
    public String getFormat() {
      return "RAW";
    }

    /** A copy, which the cipher of the Java runtime wipes when it gets the next. */
    @Override
    public byte[] getEncoded() {
      return bytes.clone();
    }

    @Override
    public void destroy() {
      Arrays.fill(bytes, (byte) 0);
    }
  }
}
