package dev.kvdrive.bench.eval;

import com.fasterxml.jackson.annotation.JsonInclude;
import dev.kvdrive.plan.Budget;
import org.jspecify.annotations.Nullable;

/**
 * All that an answer depends on but its sample: results with the same settings are of one column,
 * wherever and whenever they came about.
 *
 * @param model its name
 * @param weights fingerprint of the model's weights
 * @param policy as users write it
 * @param index what the policy keeps of a chunk or token
 * @param budget share of the closed chunks attended per step; 1 is exact mode
 * @param denseBelow tokens up to which a sequence attends everything whatever the budget; 0 in
 *     exact mode, which always does
 * @param length bound in tokens of the samples
 * @param device kind of device, for instance CPU
 * @param kvType type of cached keys and values
 * @param resident form of a chunk in the window
 * @param backing form of a chunk below it
 * @param variant scaling of positions and template other than the model's; empty if there is none
 * @param quality share of its attention that a step keeps, the budget at most; null for as much as
 *     the budget says
 */
@JsonInclude(JsonInclude.Include.NON_NULL)
public record EvalSettings(
    String model,
    String weights,
    String policy,
    String index,
    double budget,
    int denseBelow,
    int length,
    String device,
    String kvType,
    String resident,
    String backing,
    String variant,
    @Nullable Double quality) {
  /** How much a step attends. */
  public Budget attends() {
    return new Budget(budget, quality);
  }

  /** Whether a step attends everything. */
  public boolean exact() {
    return attends().exact();
  }

  /** Whether keys and values are attended as they are cached. */
  public boolean lossless() {
    return resident.equals(kvType) && backing.equals(kvType);
  }
}
