package dev.kvdrive.bench.eval;

/**
 * Where a mean is with 95 % confidence.
 *
 * @param low its lower end
 * @param high its upper end
 */
public record Interval(double low, double high) {}
