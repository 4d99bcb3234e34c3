package dev.kvdrive.server.gpu;

/** Why a card is slower than it could be. That it has nothing to do is no reason. */
public enum ThrottleReason {
  /** The limit of its power. */
  POWER_CAP("power_cap", 0x4),
  /** It waits for another card of its group. */
  SYNC_BOOST("sync_boost", 0x10),
  /** The driver found it, or its memory, too hot. */
  THERMAL("thermal", 0x20),
  /** The card itself found that it is too hot, and halves its clocks or more. */
  HARDWARE_THERMAL("hardware_thermal", 0x40),
  /** The power supply has told it to, and it halves its clocks or more. */
  POWER_BRAKE("power_brake", 0x80);

  private final String word;
  private final long bit;

  ThrottleReason(String word, long bit) {
    this.word = word;
    this.bit = bit;
  }

  /** For labels. */
  public String word() {
    return word;
  }

  /** Whether it is among the bits of {@link GpuFacts#throttled}. */
  public boolean isIn(long throttled) {
    return (throttled & bit) != 0;
  }
}
