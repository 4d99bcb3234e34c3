package dev.kvdrive.schedule;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.Iterator;
import java.util.List;

/**
 * When places will be free, from what runs and waits: the engine is played forward with the speeds
 * that were measured. Pure.
 *
 * @param seats sequences at once
 * @param secondsPerPromptToken of prefill while nothing else runs
 * @param secondsPerStep of decode while nothing else runs
 * @param prefillShare of the time, while prompts are prefilled and others decode
 */
record WaitEstimate(
    int seats, double secondsPerPromptToken, double secondsPerStep, double prefillShare) {

  /**
   * What is left of a sequence.
   *
   * @param promptTokens to be prefilled
   * @param answerTokens to be generated
   */
  record Work(double promptTokens, double answerTokens) {}

  private static final class Left {
    double promptTokens;
    double answerTokens;

    Left(Work work) {
      promptTokens = work.promptTokens();
      answerTokens = Math.max(1, work.answerTokens());
    }
  }

  /**
   * Seconds until {@code ends} of the sequences have ended, each of which frees a place.
   *
   * @param running with a seat
   * @param waiting for one, the first first
   * @param ends at least 1
   */
  double secondsUntil(int ends, List<Work> running, List<Work> waiting) {
    List<Left> seated = new ArrayList<>();
    running.forEach(work -> seated.add(new Left(work)));
    Iterator<Work> next = waiting.iterator();
    double seconds = 0;
    int ended = 0;
    while (ended < ends) {
      while (seated.size() < seats && next.hasNext()) {
        seated.add(new Left(next.next()));
      }
      if (seated.isEmpty()) {
        return seconds;
      }
      // The shortest prompt is prefilled first.
      Left prefilling =
          seated.stream()
              .filter(left -> left.promptTokens > 0)
              .min(Comparator.comparingDouble(left -> left.promptTokens))
              .orElse(null);
      double steps =
          seated.stream()
              .filter(left -> left.promptTokens <= 0)
              .mapToDouble(left -> left.answerTokens)
              .min()
              .orElse(Double.POSITIVE_INFINITY);
      boolean decoding = steps < Double.POSITIVE_INFINITY;
      double share = prefilling == null ? 0 : decoding ? prefillShare : 1;
      double untilPrefilled =
          prefilling == null
              ? Double.POSITIVE_INFINITY
              : prefilling.promptTokens * secondsPerPromptToken / share;
      double untilDecoded = decoding ? steps * secondsPerStep / (1 - share) : untilPrefilled;
      double passed = Math.min(untilPrefilled, untilDecoded);
      seconds += passed;
      if (decoding) {
        double done =
            untilDecoded <= untilPrefilled ? steps : passed * (1 - share) / secondsPerStep;
        seated.stream()
            .filter(left -> left.promptTokens <= 0)
            .forEach(left -> left.answerTokens -= done);
      }
      if (prefilling != null) {
        prefilling.promptTokens =
            untilPrefilled <= untilDecoded
                ? 0
                : prefilling.promptTokens - passed * share / secondsPerPromptToken;
      }
      int before = seated.size();
      seated.removeIf(left -> left.promptTokens <= 0 && left.answerTokens <= 1e-6);
      ended += before - seated.size();
    }
    return seconds;
  }
}
