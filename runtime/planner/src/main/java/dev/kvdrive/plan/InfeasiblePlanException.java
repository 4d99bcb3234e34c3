package dev.kvdrive.plan;

/** A deployment does not fit its budgets; the message is the plan's verdict. */
public final class InfeasiblePlanException extends RuntimeException {
  public InfeasiblePlanException(String message) {
    super(message);
  }
}
