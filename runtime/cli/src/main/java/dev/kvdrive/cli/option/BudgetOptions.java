package dev.kvdrive.cli.option;

import dev.kvdrive.plan.AttentionOptions;
import dev.kvdrive.plan.Budget;
import java.util.LinkedHashMap;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;

/** How much a step attends. */
public final class BudgetOptions {
  @Option(
      names = "--budget",
      paramLabel = "SHARE",
      converter = AskedBudget.Converter.class,
      description =
          "Share of the context attended per step, 'exact' for all of it, or 'auto' for as little"
              + " in every layer and head as is enough for the quality (default: 6.25%%).")
  private @Nullable AskedBudget budget;

  @Option(
      names = "--quality",
      paramLabel = "SHARE",
      converter = QualityConverter.class,
      description =
          "With --budget auto: the share of its attention that a step keeps, by the index's"
              + " estimate (default: 95%%).")
  private @Nullable Double quality;

  @Option(
      names = "--budget-bound",
      paramLabel = "SHARE",
      converter = ShareConverter.class,
      description =
          "With --budget auto: the share of the context attended per step at most, which is what"
              + " the plan makes room for; a quarter of it at least (default: 25%%).")
  private @Nullable Double bound;

  /**
   * The budget; what is planned with where none was given.
   *
   * @throws ParameterException of the command if something does not go together
   */
  public Budget budget(CommandSpec spec) {
    return of(spec, budget, quality, bound);
  }

  /** The settings of the runtime that were given, by their names in its configuration. */
  Map<String, String> settings(CommandSpec spec) {
    Budget asked = budget(spec);
    return budget == null ? Map.of() : settings(asked);
  }

  /** The settings of the runtime that make it attend so much. */
  public static Map<String, String> settings(Budget budget) {
    Map<String, String> settings = new LinkedHashMap<>();
    String share = Double.toString(budget.share());
    if (budget.quality() == null) {
      settings.put("kvdrive.budget", share);
    } else {
      settings.put("kvdrive.quality", budget.quality().toString());
      settings.put("kvdrive.budget-bound", share);
    }
    return settings;
  }

  static Budget of(
      CommandSpec spec,
      @Nullable AskedBudget asked,
      @Nullable Double quality,
      @Nullable Double bound) {
    if (asked != null && asked.share() == null) {
      return new Budget(
          bound == null ? Budget.DEFAULT_BOUND : bound,
          quality == null ? Budget.DEFAULT_QUALITY : quality);
    }
    if (quality != null || bound != null) {
      throw new ParameterException(
          spec.commandLine(),
          "%s is of budget auto; add --budget auto, or leave it out"
              .formatted(quality != null ? "--quality" : "--budget-bound"));
    }
    return Budget.of(
        asked == null || asked.share() == null ? AttentionOptions.DEFAULT_BUDGET : asked.share());
  }
}
