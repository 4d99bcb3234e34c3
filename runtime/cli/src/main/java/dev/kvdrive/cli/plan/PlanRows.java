package dev.kvdrive.cli.plan;

import java.util.Locale;

/** The lines of a plan, wherever one is shown. */
public final class PlanRows {
  private PlanRows() {}

  /**
   * One line with its end.
   *
   * @param tier or what else the bytes are of
   * @param item what they are for
   * @param size how many
   * @param text how they come about
   */
  public static String row(String tier, String item, String size, String text) {
    return String.format(Locale.ROOT, "%-7s %-14s %10s  %s%n", tier, item, size, text);
  }
}
