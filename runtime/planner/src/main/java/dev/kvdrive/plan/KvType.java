package dev.kvdrive.plan;

/** Element type of cached keys and values. */
public enum KvType {
  BF16(2),
  F32(4);

  private final int bytes;

  KvType(int bytes) {
    this.bytes = bytes;
  }

  /** Bytes of one element. */
  public int bytes() {
    return bytes;
  }
}
