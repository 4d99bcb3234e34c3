package dev.kvdrive.schedule;

/**
 * How fast the engine was lately: means in which what is old counts less and less. Written by the
 * engine thread, read by any.
 */
final class Speeds {
  /** What is left of a weight after each further prompt, step or answer. */
  private static final double PROMPT_KEPT = 0.999;

  private static final double STEP_KEPT = 0.99;
  private static final double ANSWER_KEPT = 0.9;

  /** Tokens of an answer, before there was any. */
  private static final double FIRST_GUESS = 256;

  private double promptTokens;
  private double promptNanos;
  private double steps;
  private double stepNanos;
  private double answers = 1;
  private double answerTokens = FIRST_GUESS;

  /** Some of a prompt was prefilled. */
  synchronized void prefilled(double tokens, long nanos) {
    promptTokens = PROMPT_KEPT * promptTokens + tokens;
    promptNanos = PROMPT_KEPT * promptNanos + nanos;
  }

  /** A decode step of all sequences. */
  synchronized void step(long nanos) {
    steps = STEP_KEPT * steps + 1;
    stepNanos = STEP_KEPT * stepNanos + nanos;
  }

  /** A sequence ended by itself after so many tokens. */
  synchronized void answered(int tokens) {
    answers = ANSWER_KEPT * answers + 1;
    answerTokens = ANSWER_KEPT * answerTokens + tokens;
  }

  /** Forgets what answers were like, for instance those of a warm-up; speeds stay. */
  synchronized void forgetAnswers() {
    answers = 1;
    answerTokens = FIRST_GUESS;
  }

  /** Seconds for a prompt token; 0 if none was prefilled yet. */
  synchronized double secondsPerPromptToken() {
    return promptTokens == 0 ? 0 : promptNanos / promptTokens / 1e9;
  }

  /** Seconds for a step; 0 if there was none yet. */
  synchronized double secondsPerStep() {
    return steps == 0 ? 0 : stepNanos / steps / 1e9;
  }

  /**
   * Tokens that an answer goes on for: no more than it may have, and no more than answers had
   * lately, because an answer does not come nearer to its end by having gone on for long.
   *
   * @param most that it may still have
   */
  synchronized double expectedAnswer(int most) {
    return Math.min(most, Math.max(1, answerTokens / answers));
  }
}
