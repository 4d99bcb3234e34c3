package dev.kvdrive.kv.tier;

import dev.kvdrive.plan.NvmeEncryption;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * The proofs of what is in each slot of the NVMe files: {@link dev.kvdrive.kv.extent.ExtentSeal}.
 * Those that have keys are gone without a trace when their slot is free.
 *
 * <p>Belongs to the engine thread; who reads or writes a slot has a copy of its proof.
 */
final class SlotProofs {
  private final int bytes;
  private final MemorySegment all;

  private SlotProofs(int bytes, MemorySegment all) {
    this.bytes = bytes;
    this.all = all;
  }

  /** Of so many slots, in the Java heap. */
  static SlotProofs checksums(int slots) {
    return new SlotProofs(NvmeEncryption.NONE.proofBytes(), MemorySegment.ofArray(new int[slots]));
  }

  /**
   * With keys.
   *
   * @param memory outside of the Java heap, whose collector would leave copies behind
   */
  static SlotProofs keys(NvmeEncryption encryption, MemorySegment memory) {
    return new SlotProofs(encryption.proofBytes(), memory);
  }

  /** Place for one. */
  byte[] blank() {
    return new byte[bytes];
  }

  /** A copy of that of a slot. */
  byte[] of(int slot) {
    byte[] proof = blank();
    MemorySegment.copy(all, ValueLayout.JAVA_BYTE, (long) slot * bytes, proof, 0, bytes);
    return proof;
  }

  void put(int slot, byte[] proof) {
    MemorySegment.copy(proof, 0, all, ValueLayout.JAVA_BYTE, (long) slot * bytes, bytes);
  }

  /** What the slot has cannot be read any more. */
  void forget(int slot) {
    all.asSlice((long) slot * bytes, bytes).fill((byte) 0);
  }

  /** Nothing in any slot can be read any more. */
  void forgetAll() {
    all.fill((byte) 0);
  }
}
