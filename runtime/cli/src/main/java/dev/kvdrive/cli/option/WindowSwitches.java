package dev.kvdrive.cli.option;

import dev.kvdrive.plan.WindowOptions;
import dev.kvdrive.plan.WindowOptions.Division;
import java.util.LinkedHashMap;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Option;

/** How windows are divided and filled: no token depends on it. */
public final class WindowSwitches {
  @Option(
      names = "--windows",
      paramLabel = "DIVISION",
      description =
          "How slots are divided among windows: lent (every sequence that runs the same: free seats"
              + " lend theirs), uniform (every seat the same) or by_reuse (by what more slots would"
              + " save each layer and head). No token depends on it (default: lent).")
  private @Nullable Division division;

  @Option(
      names = "--window-warm-up",
      paramLabel = "TOKENS",
      converter = Bounded.WarmUp.class,
      description =
          "Tokens at the end of a prompt whose selections fill the windows before the first step"
              + " (default: 16).")
  private @Nullable Integer warmUp;

  @Option(
      names = "--prefetch",
      negatable = true,
      description =
          "Bring chunks for the next layer by a predicted query, in steps that it makes faster"
              + " (default: no).")
  private @Nullable Boolean prefetch;

  /** The switches as they are set. */
  public WindowOptions options() {
    WindowOptions usual = WindowOptions.DEFAULT;
    return new WindowOptions(
        division == null ? usual.division() : division,
        warmUp == null ? usual.warmUpTokens() : warmUp,
        prefetch == null ? usual.prefetch() : prefetch);
  }

  /** The settings of the runtime that were given. */
  Map<String, Object> settings() {
    Map<String, Object> given = new LinkedHashMap<>();
    if (division != null) {
      given.put("kvdrive.windows.division", division);
    }
    if (warmUp != null) {
      given.put("kvdrive.windows.warm-up", warmUp);
    }
    if (prefetch != null) {
      given.put("kvdrive.windows.prefetch", prefetch);
    }
    return given;
  }
}
