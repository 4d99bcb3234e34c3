package dev.kvdrive.cli.option;

import dev.kvdrive.plan.Budget;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;

/** Several budgets to measure: auto once for each quality. */
public final class BudgetList {
  @Option(
      names = "--budget",
      paramLabel = "SHARE",
      split = ",",
      converter = AskedBudget.Converter.class,
      description =
          "Budgets, each by itself: shares of the context attended per step, 'exact' for all of it,"
              + " 'auto' for as little in every layer and head as is enough for a quality (default:"
              + " exact,6.25%% for eval, exact for bench).")
  private List<AskedBudget> budgets = new ArrayList<>();

  @Option(
      names = "--quality",
      paramLabel = "SHARE",
      split = ",",
      converter = QualityConverter.class,
      description =
          "With --budget auto: shares of its attention that a step keeps, by the index's estimate,"
              + " each by itself (default: 95%%).")
  private List<Double> qualities = new ArrayList<>();

  @Option(
      names = "--budget-bound",
      paramLabel = "SHARE",
      converter = ShareConverter.class,
      description =
          "With --budget auto: the share of the context attended per step at most (default: 25%%).")
  private @Nullable Double bound;

  /**
   * The budgets.
   *
   * @param unsaid where none was given
   * @throws ParameterException if one is named twice, or something does not go together
   */
  public List<Budget> budgets(CommandSpec spec, Budget... unsaid) {
    boolean auto = budgets.stream().anyMatch(asked -> asked.share() == null);
    if (!auto) {
      // Which says what is wrong with the others.
      BudgetOptions.of(spec, null, qualities.isEmpty() ? null : qualities.getFirst(), bound);
    }
    List<Budget> all = new ArrayList<>(budgets.isEmpty() ? List.of(unsaid) : List.of());
    for (AskedBudget asked : budgets) {
      if (asked.share() != null || qualities.isEmpty()) {
        all.add(BudgetOptions.of(spec, asked, null, asked.share() == null ? bound : null));
      } else {
        qualities.forEach(share -> all.add(BudgetOptions.of(spec, asked, share, bound)));
      }
    }
    if (new LinkedHashSet<>(all).size() < all.size()) {
      throw new ParameterException(
          spec.commandLine(), "--budget, --quality: every budget only once");
    }
    return all;
  }
}
