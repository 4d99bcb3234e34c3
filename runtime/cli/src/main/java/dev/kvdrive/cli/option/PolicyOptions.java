package dev.kvdrive.cli.option;

import dev.kvdrive.plan.PolicyShape;
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
              + " against, kvdrive-paper, kvdrive-paper-flat, quest, shadowkv, retroinfer, full,"
              + " full-offload; for eval also retroinfer-tokens, pqcache, arkvale, infinigen,"
              + " magicpig, pariskv, computed on the host; several with commas"
              + " (default: ${DEFAULT-VALUE}).")
  private List<Method> policies = new ArrayList<>();

  /**
   * The policies.
   *
   * @param budgets that were asked for
   * @throws ParameterException if one is named twice, or none has a use for any budget
   */
  public List<Method> policies(CommandSpec spec, List<Double> budgets) {
    if (new LinkedHashSet<>(policies).size() < policies.size()) {
      throw new ParameterException(spec.commandLine(), "--policy: every policy only once");
    }
    if (policies.stream().noneMatch(method -> method.policy().selects())
        && budgets.stream().noneMatch(budget -> budget >= 1)) {
      throw new ParameterException(
          spec.commandLine(),
          "--policy %s attends everything; take --budget exact, or another policy"
              .formatted(policies.getFirst().name()));
    }
    return policies;
  }

  /** The budgets of a policy: exact mode alone where it attends everything anyway. */
  public static List<Double> budgets(PolicyShape policy, List<Double> asked) {
    return policy.selects() ? asked : List.of(1.0);
  }
}
