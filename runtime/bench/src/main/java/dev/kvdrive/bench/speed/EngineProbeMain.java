package dev.kvdrive.bench.speed;

import dev.kvdrive.bench.engine.ComfortableTiers;
import dev.kvdrive.bench.engine.LocalEngine;
import dev.kvdrive.bench.engine.LocalModel;
import dev.kvdrive.plan.ChunkFormat;
import dev.kvdrive.plan.DeviceKind;
import dev.kvdrive.plan.Formats;
import dev.kvdrive.plan.KvType;
import dev.kvdrive.plan.ModelGeometry;
import dev.kvdrive.plan.PlanRequest;
import dev.kvdrive.plan.PolicyShape;
import dev.kvdrive.plan.RopeScaling;
import dev.kvdrive.plan.TierBudgets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * This project's engine in a process of its own. Arguments: file, prompt tokens, tokens to write,
 * budget, device, threads, formats of chunks in the window and below it, policy, and where the
 * model's context is extended the type of the rope scaling, its factor and, unless it is the
 * model's own, the original context.
 */
public final class EngineProbeMain {
  private EngineProbeMain() {}

  public static void main(String[] args) {
    int promptTokens = Integer.parseInt(args[1]);
    int tokens = Integer.parseInt(args[2]);
    ProbeProcess.serve(
        () ->
            open(
                new LocalModel(Path.of(args[0]), scaling(args), null),
                promptTokens,
                tokens,
                Double.parseDouble(args[3]),
                DeviceKind.valueOf(args[4]),
                Integer.parseInt(args[5]),
                new Formats(ChunkFormat.valueOf(args[6]), ChunkFormat.valueOf(args[7])),
                args[8]));
  }

  private static @Nullable RopeScaling scaling(String[] args) {
    return args.length < 11
        ? null
        : new RopeScaling(
            RopeScaling.Type.of(args[9]),
            Double.parseDouble(args[10]),
            args.length < 12 ? null : Integer.valueOf(args[11]));
  }

  /** A scaling as the arguments that {@code main} reads. */
  public static List<String> arguments(@Nullable RopeScaling scaling) {
    List<String> arguments = new ArrayList<>();
    if (scaling != null) {
      arguments.add(scaling.type().word());
      arguments.add(Double.toString(scaling.factor()));
      if (scaling.originalContext() != null) {
        arguments.add(scaling.originalContext().toString());
      }
    }
    return arguments;
  }

  /**
   * An engine with the whole KV cache in DRAM and a window of two selections, or of everything if
   * exact; of a policy whose windows are smaller as much as it has a use for.
   */
  public static EngineProbe open(
      LocalModel model,
      int promptTokens,
      int tokens,
      double budget,
      DeviceKind device,
      int threads,
      Formats formats,
      String policy) {
    ModelGeometry geometry = model.geometry();
    PlanRequest request =
        new PlanRequest(
            geometry,
            Math.max(PlanRequest.MIN_CONTEXT, promptTokens + tokens),
            1,
            budget,
            KvType.BF16,
            new TierBudgets(0, 0, 0),
            device,
            1,
            PolicyShape.named(policy, geometry),
            formats,
            0);
    TierBudgets tiers = new ComfortableTiers(budget >= 1 ? 1 : 2, 1).of(request);
    return new EngineProbe(
        LocalEngine.start(model, request.withTiers(tiers), threads, Path.of(".")),
        promptTokens,
        tokens);
  }
}
