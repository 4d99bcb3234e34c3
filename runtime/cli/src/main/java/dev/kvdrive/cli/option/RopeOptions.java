package dev.kvdrive.cli.option;

import dev.kvdrive.plan.RopeScaling;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;

/** How a model is to serve a longer context than it was trained for. */
public final class RopeOptions {
  private static final RopeScaling.Names NAMES =
      new RopeScaling.Names("--rope-scaling", "--rope-factor", "--rope-original-context");

  @Option(
      names = "--rope-scaling",
      paramLabel = "TYPE",
      description =
          "Serve a longer context than the model was trained for: yarn or linear, with"
              + " --rope-factor. For models whose card names it, for instance Qwen3 and Qwen2.5.")
  private @Nullable String type;

  @Option(
      names = "--rope-factor",
      paramLabel = "X",
      description = "How many times the original context, for instance 4.")
  private @Nullable Double factor;

  @Option(
      names = "--rope-original-context",
      paramLabel = "TOKENS",
      converter = Bounded.Positive.class,
      description = "The context that is stretched (default: what the model was trained for).")
  private @Nullable Integer original;

  /**
   * What was asked for, or null.
   *
   * @throws ParameterException of the command if it is incomplete or wrong
   */
  public @Nullable RopeScaling scaling(CommandSpec spec) {
    try {
      return RopeScaling.of(NAMES, type, factor, original);
    } catch (IllegalArgumentException e) {
      throw new ParameterException(spec.commandLine(), String.valueOf(e.getMessage()), e);
    }
  }

  /** Whether any of the options was given. */
  public boolean given() {
    return type != null || factor != null || original != null;
  }
}
