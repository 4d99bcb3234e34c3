package dev.kvdrive.plan;

import java.math.BigDecimal;
import org.jspecify.annotations.Nullable;

/**
 * How much a decode step attends: a share of the closed chunks, or what is enough for a quality.
 *
 * @param share of the closed chunks, in (0, 1]; 1 is everything. With a quality the most
 * @param quality share of its attention that a step keeps, by the index's estimate, in (0, 1); null
 *     for a fixed share
 */
public record Budget(double share, @Nullable Double quality) {
  /** Quality of budget {@code auto} unless another is asked for. */
  public static final double DEFAULT_QUALITY = 0.95;

  /** Share of the closed chunks that budget {@code auto} attends at most unless said otherwise. */
  public static final double DEFAULT_BOUND = 0.25;

  public Budget {
    if (!(share > 0 && share <= 1)) {
      throw new IllegalArgumentException(
          "the budget must be a share above 0 and at most 1, got " + share);
    }
    if (quality != null && !(quality > 0 && quality < 1)) {
      throw new IllegalArgumentException(
          "quality must be a share of the attention above 0 and below 1, got "
              + quality
              + (quality == 1 ? "; write budget 100% for all of it" : ""));
    }
  }

  /** A fixed share. */
  public static Budget of(double share) {
    return new Budget(share, null);
  }

  /** Chunks to select of so many: at least one if there is any, at most all. */
  public int chunks(int closed) {
    return chunks(share, closed);
  }

  static int chunks(double share, int closed) {
    return share >= 1 ? closed : Math.min(closed, (int) Math.ceil(share * closed));
  }

  /** Whether every chunk is attended in every step. */
  public boolean exact() {
    return share >= 1 && quality == null;
  }

  /** As people write it: {@code exact}, {@code 6.25 %}, {@code auto 99 %, at most 25 %}. */
  public String words() {
    return quality == null ? word() : "%s, at most %s".formatted(word(), percent(share));
  }

  /** The same without the bound: {@code auto 99 %}. */
  public String word() {
    if (quality != null) {
      return "auto " + percent(quality);
    }
    return exact() ? "exact" : percent(share);
  }

  private static String percent(double share) {
    return BigDecimal.valueOf(share).movePointRight(2).stripTrailingZeros().toPlainString() + " %";
  }

  /**
   * Checks that a policy can tell how much is enough.
   *
   * @throws IllegalArgumentException if it is asked for and cannot, with the way out
   */
  public void check(PolicyShape policy) {
    if (quality != null && !policy.summary().estimatesShares()) {
      throw new IllegalArgumentException(
          "policy %s knows no shares of attention, by which budget auto chooses; write a budget like 6.25%%, or take the policy kvdrive"
              .formatted(policy.name()));
    }
  }
}
