package dev.kvdrive.bench.speed;

/**
 * A probe whose answers wait between two measurements, so that one prompt, read once, serves many
 * that are taken in turn with those of other probes.
 */
public interface PacedProbe extends Probe {
  /**
   * Has code compiled: reads a short prompt and writes an answer of its own.
   *
   * @param tokens of the answer
   */
  void settle(int tokens);

  /**
   * Reads the prompt up to the first token of every sequence. Once only.
   *
   * @return nanoseconds
   */
  long prompt();

  /**
   * Has every sequence write so many more tokens, then wait.
   *
   * @throws dev.kvdrive.schedule.GenerationException if the answers have ended
   */
  Stretch go(int tokens);
}
