package dev.kvdrive.plan;

import java.math.BigDecimal;
import org.jspecify.annotations.Nullable;

/**
 * What is to be planned.
 *
 * @param model geometry of the model
 * @param contextLength tokens of a sequence, prompt and generation together
 * @param concurrency sequences at once
 * @param budget share of the closed chunks attended per decode step, in (0, 1]; 1 is exact mode.
 *     With a quality the most that is
 * @param kvType element type of cached keys and values
 * @param tiers budgets
 * @param device kind of device
 * @param queueLimit requests that may wait; they cost heap
 * @param policy what its index costs
 * @param formats of closed chunks
 * @param denseBelow tokens up to which a sequence attends everything, whatever the budget; 0 for
 *     none, null for as many as {@link DeviceKind#denseTokens} as the tiers have room for
 * @param windows how windows are divided and filled
 * @param quality share of its attention that a step keeps, by the index's estimate, in (0, 1): it
 *     attends as few chunks as are enough for it; null where it attends as many as the budget says
 */
public record PlanRequest(
    ModelGeometry model,
    int contextLength,
    int concurrency,
    double budget,
    KvType kvType,
    TierBudgets tiers,
    DeviceKind device,
    int queueLimit,
    PolicyShape policy,
    Formats formats,
    @Nullable Integer denseBelow,
    WindowOptions windows,
    @Nullable Double quality) {
  /** The paper's larger budget: 6.25 % of the context. */
  public static final double DEFAULT_BUDGET = 0.0625;

  /** Waiting requests by default, per running one. */
  public static final int DEFAULT_QUEUE_PER_SEAT = 8;

  /** Shortest context that can be planned: sink, local ring and a chunk, rounded up. */
  public static final int MIN_CONTEXT = 128;

  private static final double MAX_KV_BYTES = 0x1p60;

  /** Most sequences at once. */
  public static final int MAX_CONCURRENCY = 1024;

  public PlanRequest {
    if (contextLength < MIN_CONTEXT) {
      throw new IllegalArgumentException(
          "contextLength must be at least %d tokens, got %d".formatted(MIN_CONTEXT, contextLength));
    }
    if (concurrency < 1 || concurrency > MAX_CONCURRENCY) {
      throw new IllegalArgumentException(
          "concurrency must be between 1 and %d, got %d".formatted(MAX_CONCURRENCY, concurrency));
    }
    if (!(budget > 0 && budget <= 1)) {
      throw new IllegalArgumentException(
          "the budget must be a share above 0 and at most 1, got " + budget);
    }
    // In double, because in long it could overflow; everything else in a plan is less.
    double kv = 2.0 * concurrency * contextLength * kvType.bytes();
    kv *= (double) model.layers() * model.kvHeads() * model.headDim();
    if (kv > MAX_KV_BYTES) {
      throw new IllegalArgumentException(
          "%,d tokens x %,d of model %s are %.3g bytes of KV cache; a plan is possible up to 1 EiB"
              .formatted(contextLength, concurrency, model.name(), kv));
    }
    if (!policy.selects() && budget < 1) {
      throw new IllegalArgumentException(
          "policy %s attends everything, a budget of %s%% leaves something out: write budget 100%%, or another policy"
              .formatted(
                  policy.name(),
                  BigDecimal.valueOf(budget)
                      .movePointRight(2)
                      .stripTrailingZeros()
                      .toPlainString()));
    }
    ClusterFormat clusters = policy.clusters();
    if (clusters != null && contextLength / clusters.tokens() >= ClusterFormat.MOST) {
      throw new IllegalArgumentException(
          "%,d tokens have more than %,d clusters of %d tokens; take clusters of %d"
              .formatted(
                  contextLength,
                  ClusterFormat.MOST,
                  clusters.tokens(),
                  2 * Integer.highestOneBit(contextLength / ClusterFormat.MOST)));
    }
    if (quality != null) {
      Budget.check(quality);
      if (!policy.summary().estimatesShares()) {
        throw new IllegalArgumentException(
            "policy %s knows no shares of attention, by which budget auto chooses; write a budget like 6.25%%, or take the policy kvdrive"
                .formatted(policy.name()));
      }
    }
    if (queueLimit < 0) {
      throw new IllegalArgumentException("queueLimit must not be negative, got " + queueLimit);
    }
    formats.check(kvType);
    if (denseBelow != null && denseBelow < 0) {
      throw new IllegalArgumentException(
          "the tokens below which everything is attended must not be negative, got " + denseBelow);
    }
  }

  /** Of steps that attend as many chunks as the budget says. */
  public PlanRequest(
      ModelGeometry model,
      int contextLength,
      int concurrency,
      double budget,
      KvType kvType,
      TierBudgets tiers,
      DeviceKind device,
      int queueLimit,
      PolicyShape policy,
      Formats formats,
      @Nullable Integer denseBelow,
      WindowOptions windows) {
    this(
        model,
        contextLength,
        concurrency,
        budget,
        kvType,
        tiers,
        device,
        queueLimit,
        policy,
        formats,
        denseBelow,
        windows,
        null);
  }

  /** With as many tokens that attend everything as are good for the device. */
  public PlanRequest(
      ModelGeometry model,
      int contextLength,
      int concurrency,
      double budget,
      KvType kvType,
      TierBudgets tiers,
      DeviceKind device,
      int queueLimit,
      PolicyShape policy,
      Formats formats) {
    this(
        model,
        contextLength,
        concurrency,
        budget,
        kvType,
        tiers,
        device,
        queueLimit,
        policy,
        formats,
        null,
        WindowOptions.DEFAULT);
  }

  /** With the formats that are used unless others are asked for. */
  public PlanRequest(
      ModelGeometry model,
      int contextLength,
      int concurrency,
      double budget,
      KvType kvType,
      TierBudgets tiers,
      DeviceKind device,
      int queueLimit,
      PolicyShape policy) {
    this(
        model,
        contextLength,
        concurrency,
        budget,
        kvType,
        tiers,
        device,
        queueLimit,
        policy,
        Formats.usual(kvType, budget));
  }

  /** With the policy that is used unless another is asked for. */
  public PlanRequest(
      ModelGeometry model,
      int contextLength,
      int concurrency,
      double budget,
      KvType kvType,
      TierBudgets tiers,
      DeviceKind device,
      int queueLimit) {
    this(
        model,
        contextLength,
        concurrency,
        budget,
        kvType,
        tiers,
        device,
        queueLimit,
        PolicyShape.kvdrive(model));
  }

  /** The same for another policy. */
  public PlanRequest withPolicy(PolicyShape shape) {
    return new PlanRequest(
        model,
        contextLength,
        concurrency,
        budget,
        kvType,
        tiers,
        device,
        queueLimit,
        shape,
        formats,
        denseBelow,
        windows,
        quality);
  }

  PlanRequest withContextLength(int tokens) {
    return new PlanRequest(
        model,
        tokens,
        concurrency,
        budget,
        kvType,
        tiers,
        device,
        queueLimit,
        policy,
        formats,
        denseBelow,
        windows,
        quality);
  }

  PlanRequest withConcurrency(int sequences) {
    return new PlanRequest(
        model,
        contextLength,
        sequences,
        budget,
        kvType,
        tiers,
        device,
        queueLimit,
        policy,
        formats,
        denseBelow,
        windows,
        quality);
  }

  /** The same with other budgets. */
  public PlanRequest withTiers(TierBudgets budgets) {
    return new PlanRequest(
        model,
        contextLength,
        concurrency,
        budget,
        kvType,
        budgets,
        device,
        queueLimit,
        policy,
        formats,
        denseBelow,
        windows,
        quality);
  }

  /** The same with chunks of other formats. */
  public PlanRequest withFormats(Formats others) {
    return new PlanRequest(
        model,
        contextLength,
        concurrency,
        budget,
        kvType,
        tiers,
        device,
        queueLimit,
        policy,
        others,
        denseBelow,
        windows,
        quality);
  }

  /** The same with windows divided and filled in another way. */
  public PlanRequest withWindows(WindowOptions options) {
    return new PlanRequest(
        model,
        contextLength,
        concurrency,
        budget,
        kvType,
        tiers,
        device,
        queueLimit,
        policy,
        formats,
        denseBelow,
        options,
        quality);
  }

  /** The same with so many tokens up to which everything is attended; null for the device's. */
  public PlanRequest withDenseBelow(@Nullable Integer tokens) {
    return new PlanRequest(
        model,
        contextLength,
        concurrency,
        budget,
        kvType,
        tiers,
        device,
        queueLimit,
        policy,
        formats,
        tokens,
        windows,
        quality);
  }

  /** The same for steps that attend what is enough for a quality; null for what the budget says. */
  public PlanRequest withQuality(@Nullable Double share) {
    return new PlanRequest(
        model,
        contextLength,
        concurrency,
        budget,
        kvType,
        tiers,
        device,
        queueLimit,
        policy,
        formats,
        denseBelow,
        windows,
        share);
  }

  /** How much a step attends. */
  public Budget attends() {
    return new Budget(budget, quality);
  }

  /** Whether every chunk is attended in every step. */
  public boolean exact() {
    return budget >= 1 && quality == null;
  }
}
