package dev.kvdrive.plan;

import org.jspecify.annotations.Nullable;

/**
 * What is to be planned.
 *
 * @param model geometry of the model
 * @param contextLength tokens of a sequence, prompt and generation together
 * @param concurrency sequences at once
 * @param budget how much a decode step attends
 * @param kvType element type of cached keys and values
 * @param tiers budgets
 * @param device kind of device
 * @param queueLimit requests that may wait; they cost heap
 * @param policy what its index costs
 * @param formats of closed chunks
 * @param denseBelow tokens up to which a sequence attends everything, whatever the budget; 0 for
 *     none, null for as many as {@link DeviceKind#denseTokens} as the tiers have room for
 * @param windows how windows are divided and filled
 */
public record PlanRequest(
    ModelGeometry model,
    int contextLength,
    int concurrency,
    Budget budget,
    KvType kvType,
    TierBudgets tiers,
    DeviceKind device,
    int queueLimit,
    PolicyShape policy,
    Formats formats,
    @Nullable Integer denseBelow,
    WindowOptions windows) {
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
    // In double, because in long it could overflow; everything else in a plan is less.
    double kv = 2.0 * concurrency * contextLength * kvType.bytes();
    kv *= (double) model.layers() * model.kvHeads() * model.headDim();
    if (kv > MAX_KV_BYTES) {
      throw new IllegalArgumentException(
          "%,d tokens x %,d of model %s are %.3g bytes of KV cache; a plan is possible up to 1 EiB"
              .formatted(contextLength, concurrency, model.name(), kv));
    }
    if (!policy.selects() && !budget.exact()) {
      throw new IllegalArgumentException(
          "policy %s attends everything, a budget of %s leaves something out: write budget 100%%, or another policy"
              .formatted(policy.name(), budget.word()));
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
    budget.check(policy);
    if (queueLimit < 0) {
      throw new IllegalArgumentException("queueLimit must not be negative, got " + queueLimit);
    }
    formats.check(kvType);
    if (denseBelow != null && denseBelow < 0) {
      throw new IllegalArgumentException(
          "the tokens below which everything is attended must not be negative, got " + denseBelow);
    }
  }

  /** With as many tokens that attend everything as are good for the device, and a fixed share. */
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
        Budget.of(budget),
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
        windows);
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
        windows);
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
        windows);
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
        windows);
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
        windows);
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
        options);
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
        windows);
  }

  /** The same for steps that attend another share, or what is enough for a quality. */
  public PlanRequest withBudget(Budget other) {
    return new PlanRequest(
        model,
        contextLength,
        concurrency,
        other,
        kvType,
        tiers,
        device,
        queueLimit,
        policy,
        formats,
        denseBelow,
        windows);
  }
}
