package dev.kvdrive.feasibility;

import dev.kvdrive.plan.Plan;
import org.jspecify.annotations.Nullable;

/** The verdict on a specification. */
public sealed interface Assessment {
  /**
   * It can run.
   *
   * @param request the completed specification
   * @param plan the arithmetic; feasible
   * @param geometrySource where the model's sizes came from
   */
  record Feasible(Request request, Plan plan, String geometrySource) implements Assessment {}

  /**
   * It cannot run, and only a change of the specification or of its class helps.
   *
   * @param reason CamelCase, for the condition
   * @param message what is wrong and what would help
   * @param plan the arithmetic, if it came that far
   * @param geometrySource where the model's sizes came from, if they are known
   */
  record Infeasible(
      String reason, String message, @Nullable Plan plan, @Nullable String geometrySource)
      implements Assessment {}
}
