package dev.kvdrive.cli.option;

import dev.kvdrive.kv.window.WindowOptions;
import dev.kvdrive.kv.window.WindowOptions.Division;
import picocli.CommandLine.Option;

/** Switches of the windows, for measurements: no token depends on them. */
public final class WindowSwitches {
  @Option(
      names = "--windows",
      paramLabel = "DIVISION",
      description =
          "How slots are divided among windows: uniform, lent (free seats lend theirs) or by_reuse"
              + " (by what more slots would save each layer and head). No token depends on it.")
  private Division division = WindowOptions.DEFAULT.division();

  @Option(
      names = "--window-warm-up",
      paramLabel = "TOKENS",
      converter = Bounded.Count.class,
      description =
          "Tokens at the end of a prompt whose selections fill the windows before the first step"
              + " (default: ${DEFAULT-VALUE}).")
  private int warmUp = WindowOptions.DEFAULT.warmUpTokens();

  @Option(
      names = "--prefetch",
      negatable = true,
      description = "Bring chunks for the next layer by a predicted query.")
  private boolean prefetch = WindowOptions.DEFAULT.prefetch();

  /** The switches as they are set. */
  public WindowOptions options() {
    return new WindowOptions(division, warmUp, prefetch);
  }
}
