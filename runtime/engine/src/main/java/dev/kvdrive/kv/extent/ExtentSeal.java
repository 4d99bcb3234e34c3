package dev.kvdrive.kv.extent;

import dev.kvdrive.plan.NvmeEncryption;
import java.io.IOException;
import java.lang.foreign.MemorySegment;

/**
 * Brings extents into the form in which they are on NVMe, and back, and notices whatever came back
 * that is not what was written: damaged, stale, or another's. What it takes to notice and to read,
 * the <i>proof</i>, is not on NVMe. One instance belongs to one thread.
 */
public sealed interface ExtentSeal permits ExtentChecksum, ExtentCipher {
  /**
   * A seal of a thread.
   *
   * @param extentBytes size of all extents
   */
  static ExtentSeal of(NvmeEncryption encryption, int extentBytes) {
    return switch (encryption) {
      case NONE -> new ExtentChecksum();
      case AES_GCM -> new ExtentCipher(extentBytes);
    };
  }

  /**
   * Seals and opens extents of nothing until that is as fast as it gets, or a while: ciphers are
   * compiled while they run, and a hundred times slower before. For an engine that is not ready
   * yet.
   */
  static void warmUp(NvmeEncryption encryption, int extentBytes) {
    if (encryption.encrypts()) {
      ExtentCipher.warmUp(extentBytes);
    }
  }

  /**
   * Seals an extent.
   *
   * @param extent its bytes, which stay as they are
   * @param spare as many bytes for the form on NVMe where it is another
   * @param proof takes its proof, {@link NvmeEncryption#proofBytes} of them
   * @return what is to be written: {@code extent} or {@code spare}
   */
  MemorySegment seal(ExtentLabel label, MemorySegment extent, MemorySegment spare, byte[] proof);

  /**
   * Opens an extent in place.
   *
   * @param bytes what was read; of no use if that fails
   * @param proof of the seal
   * @throws IOException if this was not sealed as the extent of that label, with that proof
   */
  void open(ExtentLabel label, MemorySegment bytes, byte[] proof) throws IOException;
}
