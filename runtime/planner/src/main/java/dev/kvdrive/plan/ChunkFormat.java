package dev.kvdrive.plan;

import java.util.Locale;

/** What the elements of a closed chunk are. */
public enum ChunkFormat {
  /** As they were computed, rounded to bf16. */
  BF16(2),
  /** As they were computed. */
  F32(4),
  /** Whole numbers of a byte, with a step for each key and each value: {@link ChunkLayout}. */
  INT8(1);

  private final int bytes;

  ChunkFormat(int bytes) {
    this.bytes = bytes;
  }

  /** The format in which the elements of a type stay what they are. */
  public static ChunkFormat of(KvType type) {
    return switch (type) {
      case BF16 -> BF16;
      case F32 -> F32;
    };
  }

  /** Bytes of one element. */
  public int bytes() {
    return bytes;
  }

  /** As users write it. */
  public String word() {
    return name().toLowerCase(Locale.ROOT);
  }
}
