package dev.kvdrive.cli.option;

import dev.kvdrive.plan.Budget;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;

/** Which policies are measured, and with which budgets each. */
public final class PolicyOptions {
  @Option(
      names = "--policy",
      paramLabel = "NAME",
      split = ",",
      defaultValue = "kvdrive",
      converter = PolicyConverter.class,
      description =
          "What is attended and what stays in GPU memory: kvdrive, or one of those it is measured"
              + " against, kvdrive-recent, kvdrive-paper, kvdrive-paper-flat, quest, shadowkv, retroinfer, full,"
              + " full-offload; for eval also retroinfer-tokens, pqcache, arkvale, infinigen,"
              + " magicpig, pariskv, computed on the host; several with commas"
              + " (default: ${DEFAULT-VALUE}). full and full-offload are exact whatever the others'"
              + " budgets; alone they take no budget but 'exact'.")
  private List<Method> policies = new ArrayList<>();

  /**
   * The policies.
   *
   * @param budgets that were asked for
   * @throws ParameterException if one is named twice, or none has a use for any budget
   */
  public List<Method> policies(CommandSpec spec, List<Budget> budgets) {
    if (new LinkedHashSet<>(policies).size() < policies.size()) {
      throw new ParameterException(spec.commandLine(), "--policy: every policy only once");
    }
    if (policies.stream().noneMatch(method -> method.policy().selects())
        && budgets.stream().noneMatch(Budget::exact)) {
      throw new ParameterException(
          spec.commandLine(),
          "--policy %s attends everything; take --budget exact, or another policy"
              .formatted(policies.getFirst().name()));
    }
    for (Method method : policies) {
      if (budgets(method, budgets).isEmpty()) {
        throw new ParameterException(
            spec.commandLine(),
            "--policy %s knows no shares of attention, by which budget auto chooses; add a budget like 6.25%%, or take the policy kvdrive"
                .formatted(method.name()));
      }
    }
    return policies;
  }

  /**
   * The budgets of a policy: exact mode alone where it attends everything anyway, and none by a
   * quality where it knows no shares of attention.
   */
  public static List<Budget> budgets(Method method, List<Budget> asked) {
    return method.policy().selects()
        ? asked.stream().filter(b -> b.quality() == null || estimatesShares(method)).toList()
        : List.of(Budget.of(1));
  }

  private static boolean estimatesShares(Method method) {
    return method.tokens() == null && method.policy().summary().estimatesShares();
  }
}
