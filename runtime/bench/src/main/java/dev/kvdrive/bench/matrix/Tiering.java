package dev.kvdrive.bench.matrix;

import java.util.Locale;

/** Where the KV cache has room. */
public enum Tiering {
  /** All of it in DRAM. */
  DRAM(1, "all in DRAM"),

  /** Half of it in DRAM, the rest on NVMe. */
  HALF(0.5, "half on NVMe");

  private final double dramShare;
  private final String words;

  Tiering(double dramShare, String words) {
    this.dramShare = dramShare;
    this.words = words;
  }

  double dramShare() {
    return dramShare;
  }

  String words() {
    return words;
  }

  @Override
  public String toString() {
    return name().toLowerCase(Locale.ROOT);
  }
}
