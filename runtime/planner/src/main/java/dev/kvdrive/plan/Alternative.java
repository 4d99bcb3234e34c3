package dev.kvdrive.plan;

/**
 * A request near an infeasible one that does fit.
 *
 * @param text in words
 * @param request what to ask for instead
 */
public record Alternative(String text, PlanRequest request) {}
