package dev.kvdrive.device;

/** Element types of activations. */
public enum ElementType {
  F32(4),
  BF16(2);

  private final int bytes;

  ElementType(int bytes) {
    this.bytes = bytes;
  }

  /** Bytes of one element. */
  public int bytes() {
    return bytes;
  }
}
