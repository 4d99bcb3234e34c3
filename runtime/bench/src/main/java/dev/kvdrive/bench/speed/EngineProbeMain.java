package dev.kvdrive.bench.speed;

import dev.kvdrive.bench.engine.ComfortableTiers;
import dev.kvdrive.bench.engine.LocalEngine;
import dev.kvdrive.model.ModelLoader;
import dev.kvdrive.plan.DeviceKind;
import dev.kvdrive.plan.KvType;
import dev.kvdrive.plan.PlanRequest;
import dev.kvdrive.plan.TierBudgets;
import java.nio.file.Path;

/**
 * This project's engine in a process of its own. Arguments: file, prompt tokens, tokens to write,
 * budget, device, threads.
 */
public final class EngineProbeMain {
  private EngineProbeMain() {}

  public static void main(String[] args) {
    int promptTokens = Integer.parseInt(args[1]);
    int tokens = Integer.parseInt(args[2]);
    ProbeProcess.serve(
        () ->
            open(
                Path.of(args[0]),
                promptTokens,
                tokens,
                Double.parseDouble(args[3]),
                DeviceKind.valueOf(args[4]),
                Integer.parseInt(args[5])));
  }

  /**
   * An engine with the whole KV cache in DRAM and a window of two selections, or of everything if
   * exact.
   */
  public static EngineProbe open(
      Path file, int promptTokens, int tokens, double budget, DeviceKind device, int threads) {
    PlanRequest request =
        new PlanRequest(
            ModelLoader.geometry(file),
            Math.max(PlanRequest.MIN_CONTEXT, promptTokens + tokens),
            1,
            budget,
            KvType.BF16,
            new TierBudgets(0, 0, 0),
            device,
            1);
    TierBudgets tiers = new ComfortableTiers(budget >= 1 ? 1 : 2, 1).of(request);
    return new EngineProbe(
        LocalEngine.start(file, ComfortableTiers.with(request, tiers), threads, Path.of(".")),
        promptTokens,
        tokens);
  }
}
