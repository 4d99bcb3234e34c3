package dev.kvdrive.plan;

import java.util.function.UnaryOperator;

/**
 * What is to be planned.
 *
 * @param model geometry of the model
 * @param load how much comes at once
 * @param attention what is kept of it and attended
 * @param tiers budgets
 * @param device kind of device
 */
public record PlanRequest(
    ModelGeometry model,
    Load load,
    AttentionOptions attention,
    TierBudgets tiers,
    DeviceKind device) {
  private static final double MAX_KV_BYTES = 0x1p60;

  public PlanRequest {
    int context = load.contextLength();
    if (context < Load.MIN_CONTEXT) {
      throw new IllegalArgumentException(
          "contextLength must be at least %d tokens, got %d".formatted(Load.MIN_CONTEXT, context));
    }
    // In double, because in long it could overflow; everything else in a plan is less.
    double kv = 2.0 * load.concurrency() * context * attention.kvType().bytes();
    kv *= (double) model.layers() * model.kvHeads() * model.headDim();
    if (kv > MAX_KV_BYTES) {
      throw new IllegalArgumentException(
          "%,d tokens x %,d of model %s are %.3g bytes of KV cache; a plan is possible up to 1 EiB"
              .formatted(context, load.concurrency(), model.name(), kv));
    }
    ClusterFormat clusters = attention.policy().clusters();
    if (clusters != null && context / clusters.tokens() >= ClusterFormat.MOST) {
      throw new IllegalArgumentException(
          "%,d tokens have more than %,d clusters of %d tokens; take clusters of %d"
              .formatted(
                  context,
                  ClusterFormat.MOST,
                  clusters.tokens(),
                  2 * Integer.highestOneBit(context / ClusterFormat.MOST)));
    }
  }

  /**
   * With what is usual for a budget and a type on a device, of the policy that is used unless said
   * otherwise.
   */
  public static PlanRequest of(
      ModelGeometry model,
      Load load,
      double budget,
      KvType kvType,
      TierBudgets tiers,
      DeviceKind device) {
    AttentionOptions usual =
        AttentionOptions.of(PolicyShape.kvdrive(model), Budget.of(budget), kvType, device);
    return new PlanRequest(model, load, usual, tiers, device);
  }

  PlanRequest withLoad(Load other) {
    return new PlanRequest(model, other, attention, tiers, device);
  }

  /** The same with something attended in another way. */
  public PlanRequest attending(UnaryOperator<AttentionOptions> change) {
    return new PlanRequest(model, load, change.apply(attention), tiers, device);
  }

  /** The same with other budgets. */
  public PlanRequest withTiers(TierBudgets budgets) {
    return new PlanRequest(model, load, attention, budgets, device);
  }
}
