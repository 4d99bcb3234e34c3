package dev.kvdrive.cli.terminal;

import java.math.BigDecimal;
import java.time.Duration;
import java.util.Locale;

/** Numbers as people read them. */
public final class Quantities {
  private Quantities() {}

  /** A count with its thousands set apart. */
  public static String count(long value) {
    return String.format(Locale.ROOT, "%,d", value);
  }

  /** A share in percent, with one decimal. */
  public static String percent(double share) {
    return String.format(Locale.ROOT, "%.1f %%", 100 * share);
  }

  /** A share in percent, with as many decimals as it has: 6.25 %. */
  public static String share(double share) {
    return new BigDecimal(Double.toString(share))
            .movePointRight(2)
            .stripTrailingZeros()
            .toPlainString()
        + " %";
  }

  /** Something per second, with three significant digits. */
  public static String rate(double perSecond) {
    int decimals = perSecond < 9.995 ? 2 : perSecond < 99.95 ? 1 : 0;
    return String.format(Locale.ROOT, "%,." + decimals + "f", perSecond);
  }

  /** A duration: 4.2 s, 1 min 05 s, 2 h 07 min. */
  public static String duration(Duration duration) {
    long seconds = Math.round(duration.toMillis() / 1000.0);
    if (seconds < 10) {
      return String.format(Locale.ROOT, "%.1f s", duration.toMillis() / 1000.0);
    }
    if (seconds < 60) {
      return seconds + " s";
    }
    if (seconds < 3600) {
      return String.format(Locale.ROOT, "%d min %02d s", seconds / 60, seconds % 60);
    }
    return String.format(Locale.ROOT, "%d h %02d min", seconds / 3600, seconds / 60 % 60);
  }
}
