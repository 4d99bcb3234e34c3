package dev.kvdrive.bench.speed;

import dev.kvdrive.bench.engine.LocalEngine;

/**
 * This project's engine in a process of its own. Its argument is {@link ProbeSettings#argument}.
 */
public final class EngineProbeMain {
  private EngineProbeMain() {}

  public static void main(String[] args) {
    ProbeProcess.serve(() -> open(ProbeSettings.parse(args[0])));
  }

  /** An engine with the tiers that are asked for. */
  public static EngineProbe open(ProbeSettings settings) {
    ProbeSettings.Parts parts = settings.parts();
    StageClock clock = settings.stages() ? new StageClock() : null;
    return new EngineProbe(
        LocalEngine.of(
                settings.model(),
                settings.request(settings.model().geometry()),
                settings.processor().threads(),
                settings.tiers().nvme())
            .decoding(
                decode ->
                    // A clock sees what is submitted, not what is recorded.
                    decode
                        .with(parts.pipeline(), parts.microBatches())
                        .withGraphs(decode.graphs() && clock == null))
            .on(clock == null ? device -> device : clock::watch)
            .start(),
        settings.work(),
        clock);
  }
}
