package dev.kvdrive.plan;

import java.util.Locale;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** Byte sizes as people and Kubernetes manifests write them. */
public final class ByteSize {
  /** Bytes of one mebibyte. */
  public static final long MIB = 1L << 20;

  /** Bytes of one gibibyte. */
  public static final long GIB = 1L << 30;

  private static final Pattern SIZE =
      Pattern.compile("\\s*(\\d{1,18}(?:\\.\\d{1,9})?)\\s*(|[kKMGTP]i?|[kKMGTP]i?B|B)\\s*");

  private ByteSize() {}

  /**
   * Reads a size: a number, optionally with a decimal (k, M, G, T, P) or binary (Ki, Mi, Gi, Ti,
   * Pi) suffix and a trailing {@code B}.
   *
   * @param field named in the error
   * @throws IllegalArgumentException if it is not a size or does not fit 63 bits
   */
  public static long parse(String field, String text) {
    Matcher m = SIZE.matcher(text);
    if (!m.matches()) {
      throw new IllegalArgumentException(
          "%s: '%s' is not a size; write for instance 512Mi or 24Gi".formatted(field, text));
    }
    String unit = m.group(2).replace("B", "");
    double factor = 1;
    if (!unit.isEmpty()) {
      int power = "KMGTP".indexOf(unit.toUpperCase(Locale.ROOT).charAt(0)) + 1;
      factor = Math.pow(unit.endsWith("i") ? 1024 : 1000, power);
    }
    double bytes = Double.parseDouble(m.group(1)) * factor;
    if (bytes >= 0x1p62) {
      throw new IllegalArgumentException("%s: '%s' is more than 4 EiB".formatted(field, text));
    }
    return (long) bytes;
  }

  /** A size with three significant digits and a binary unit, for instance {@code 1.46 GiB}. */
  public static String human(long bytes) {
    if (bytes < 1024) {
      return bytes + " B";
    }
    String[] units = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    double value = bytes;
    int unit = -1;
    do {
      value /= 1024;
      unit++;
    } while (value >= 999.5 && unit < units.length - 1);
    int decimals = value < 9.995 ? 2 : value < 99.95 ? 1 : 0;
    return String.format(Locale.ROOT, "%." + decimals + "f %s", value, units[unit]);
  }

  /** The smallest multiple of one MiB that is not below {@code bytes}, as Kubernetes writes it. */
  public static String mebibytes(long bytes) {
    return Math.ceilDiv(bytes, MIB) + "Mi";
  }
}
