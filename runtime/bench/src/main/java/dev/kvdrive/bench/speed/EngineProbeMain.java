package dev.kvdrive.bench.speed;

import dev.kvdrive.bench.engine.ComfortableTiers;
import dev.kvdrive.bench.engine.LocalEngine;
import dev.kvdrive.plan.AttentionOptions;
import dev.kvdrive.plan.KvType;
import dev.kvdrive.plan.Load;
import dev.kvdrive.plan.ModelGeometry;
import dev.kvdrive.plan.PlanRequest;
import dev.kvdrive.plan.PolicyShape;
import dev.kvdrive.plan.TierBudgets;

/**
 * This project's engine in a process of its own. Its arguments are those of {@link
 * ProbeSettings#arguments}.
 */
public final class EngineProbeMain {
  private EngineProbeMain() {}

  public static void main(String[] args) {
    ProbeProcess.serve(() -> open(ProbeSettings.parse(args)));
  }

  /**
   * An engine with the tiers that are asked for; in exact mode with a window of everything, and of
   * a policy whose windows are smaller with as much as it has a use for.
   */
  public static EngineProbe open(ProbeSettings settings) {
    ModelGeometry geometry = settings.model().geometry();
    ProbeSettings.Parts parts = settings.parts();
    PlanRequest request =
        new PlanRequest(
            geometry,
            new Load(
                Math.max(Load.MIN_CONTEXT, settings.promptTokens() + settings.tokens()),
                settings.sequences(),
                1),
            new AttentionOptions(
                PolicyShape.named(settings.policy(), geometry),
                settings.budget(),
                KvType.BF16,
                settings.formats(),
                0,
                parts.windows()),
            new TierBudgets(0, 0, 0),
            settings.device());
    ProbeSettings.Tiers tiers = settings.tiers();
    double windows = settings.budget().share() >= 1 ? 1 : tiers.windows();
    TierBudgets budgets = new ComfortableTiers(windows, tiers.dramShare()).of(request);
    StageClock clock = settings.stages() ? new StageClock() : null;
    return new EngineProbe(
        LocalEngine.of(
                settings.model(), request.withTiers(budgets), settings.threads(), tiers.nvme())
            .decoding(decode -> decode.with(parts.pipeline(), parts.microBatches()))
            .on(clock == null ? device -> device : clock::watch)
            .start(),
        settings.promptTokens(),
        settings.tokens(),
        settings.sequences(),
        clock);
  }
}
