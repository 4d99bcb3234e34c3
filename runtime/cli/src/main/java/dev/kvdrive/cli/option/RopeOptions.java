package dev.kvdrive.cli.option;

import dev.kvdrive.plan.ModelGeometry;
import dev.kvdrive.plan.RopeScaling;
import java.util.LinkedHashMap;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;

/** How a model is to serve a longer context than it was trained for. */
public final class RopeOptions {
  private static final RopeScaling.Names NAMES =
      new RopeScaling.Names("--rope-scaling", "--rope-factor", "--rope-original-context");

  private static final String SETTING = "kvdrive.model.rope-scaling";

  /** Each setting of the runtime that an option stands for, and the option. */
  static final Map<String, String> FLAGS =
      Map.of(
          SETTING,
          NAMES.type(),
          SETTING + ".type",
          NAMES.type(),
          SETTING + ".factor",
          NAMES.factor(),
          SETTING + ".original-context",
          NAMES.originalContext());

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

  /**
   * A model with its context extended as was asked for.
   *
   * @throws ParameterException of the command if what was asked for is wrong, or not for this model
   */
  public ModelGeometry extended(CommandSpec spec, ModelGeometry model) {
    try {
      return model.extended(scaling(spec));
    } catch (IllegalArgumentException e) {
      throw new ParameterException(spec.commandLine(), String.valueOf(e.getMessage()), e);
    }
  }

  /**
   * The settings of the runtime that were given.
   *
   * @throws ParameterException of the command if they are incomplete or wrong
   */
  public Map<String, String> settings(CommandSpec spec) {
    RopeScaling scaling = scaling(spec);
    Map<String, String> settings = new LinkedHashMap<>();
    if (scaling != null) {
      settings.put(SETTING + ".type", scaling.type().word());
      settings.put(SETTING + ".factor", Double.toString(scaling.factor()));
      if (scaling.originalContext() != null) {
        settings.put(SETTING + ".original-context", scaling.originalContext().toString());
      }
    }
    return settings;
  }
}
