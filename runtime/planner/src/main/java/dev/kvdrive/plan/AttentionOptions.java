package dev.kvdrive.plan;

import org.jspecify.annotations.Nullable;

/**
 * What of a sequence is kept, and how much of it a step attends.
 *
 * @param policy what its index costs
 * @param budget how much a decode step attends
 * @param kvType element type of cached keys and values
 * @param formats of closed chunks
 * @param denseBelow tokens up to which a sequence attends everything, whatever the budget; 0 for
 *     none, null for as many as {@link DeviceKind#denseTokens} as the tiers have room for
 * @param windows how windows are divided and filled
 */
public record AttentionOptions(
    PolicyShape policy,
    Budget budget,
    KvType kvType,
    Formats formats,
    @Nullable Integer denseBelow,
    WindowOptions windows) {
  /** The paper's larger budget: 6.25 % of the context. */
  public static final double DEFAULT_BUDGET = 0.0625;

  public AttentionOptions {
    if (!policy.selects() && !budget.exact()) {
      throw new IllegalArgumentException(
          "policy %s attends everything, a budget of %s leaves something out: write budget 100%%, or another policy"
              .formatted(policy.name(), budget.word()));
    }
    budget.check(policy);
    formats.check(kvType);
    if (denseBelow != null && denseBelow < 0) {
      throw new IllegalArgumentException(
          "the tokens below which everything is attended must not be negative, got " + denseBelow);
    }
  }

  /** What is usual for a policy, a budget and a type on a device. */
  public static AttentionOptions of(
      PolicyShape policy, Budget budget, KvType kvType, DeviceKind device) {
    return new AttentionOptions(
        policy,
        budget,
        kvType,
        Formats.usual(kvType, budget.share(), device),
        null,
        WindowOptions.DEFAULT);
  }

  /** The same for another policy. */
  public AttentionOptions withPolicy(PolicyShape other) {
    return new AttentionOptions(other, budget, kvType, formats, denseBelow, windows);
  }

  /** The same for steps that attend another share, or what is enough for a quality. */
  public AttentionOptions withBudget(Budget other) {
    return new AttentionOptions(policy, other, kvType, formats, denseBelow, windows);
  }

  /** The same with chunks of other formats. */
  public AttentionOptions withFormats(Formats others) {
    return new AttentionOptions(policy, budget, kvType, others, denseBelow, windows);
  }

  /** The same with so many tokens up to which everything is attended; null for the device's. */
  public AttentionOptions withDenseBelow(@Nullable Integer tokens) {
    return new AttentionOptions(policy, budget, kvType, formats, tokens, windows);
  }

  /** The same with windows divided and filled in another way. */
  public AttentionOptions withWindows(WindowOptions options) {
    return new AttentionOptions(policy, budget, kvType, formats, denseBelow, options);
  }
}
