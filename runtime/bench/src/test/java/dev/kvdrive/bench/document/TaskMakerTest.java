package dev.kvdrive.bench.document;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.kvdrive.bench.eval.EvalTask;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class TaskMakerTest {
  /** Words and their ends, much as a tokenizer would cut them. */
  private static int tokens(String text) {
    return Math.ceilDiv(text.length(), 4);
  }

  private static EvalTask make(TaskFamily family, long seed, int length, double depth) {
    return new TaskMaker(seed, TaskMakerTest::tokens).make(family, length, depth);
  }

  private static String text(EvalTask task) {
    return String.valueOf(task.messages().getFirst().fields().get("content"));
  }

  @ParameterizedTest
  @EnumSource(TaskFamily.class)
  void theSameSeedMakesTheSameTaskAndAnotherSeedAnother(TaskFamily family) {
    assertThat(make(family, 1, 2000, 0.5)).isEqualTo(make(family, 1, 2000, 0.5));
    assertThat(text(make(family, 1, 2000, 0.5))).isNotEqualTo(text(make(family, 2, 2000, 0.5)));
    assertThat(text(make(family, 1, 2000, 0.5))).isNotEqualTo(text(make(family, 1, 2000, 0.25)));
  }

  @ParameterizedTest
  @EnumSource(TaskFamily.class)
  void promptAndAnswerStayWithinTheLengthAndUseMostOfIt(TaskFamily family) {
    EvalTask task = make(family, 7, 4000, 0.3);
    assertThat(tokens(text(task)) + task.maxNewTokens()).isBetween(3600, 4000);
    assertThat(task.length()).isEqualTo(4000);
    assertThat(task.task()).isEqualTo(family.word());
  }

  @ParameterizedTest
  @EnumSource(TaskFamily.class)
  void everyAnswerIsInTheDocumentAndNoneIsInTheQuestion(TaskFamily family) {
    for (int seed = 0; seed < 20; seed++) {
      EvalTask task = make(family, seed, 2000, seed / 19.0);
      String text = text(task);
      String question = text.substring(text.lastIndexOf("\n\n"));
      String document = text.substring(0, text.lastIndexOf("\n\n"));
      assertThat(task.answers()).isNotEmpty().allSatisfy(a -> assertThat(document).contains(a));
      assertThat(task.answers()).allSatisfy(a -> assertThat(question).doesNotContain(a));
    }
  }

  @ParameterizedTest
  @EnumSource(TaskFamily.class)
  void theFirstFactIsAtItsDepth(TaskFamily family) {
    for (double depth : new double[] {0, 0.25, 0.5, 0.75, 1}) {
      EvalTask task = make(family, 3, 8000, depth);
      String text = text(task);
      double where = (double) text.indexOf(task.answers().getFirst()) / text.length();
      assertThat(where).isBetween(depth - 0.05, depth + 0.05);
    }
  }

  @Test
  void whatIsToBeExtractedIsSaidOfThatShipOnly() {
    EvalTask task = make(TaskFamily.EXTRACT_JSON, 5, 4000, 0.25);
    String text = text(task);
    assertThat(task.fields()).containsOnlyKeys("registration", "captain", "built", "tons");
    assertThat(task.answers()).containsExactlyElementsOf(task.fields().values());
    String ship = text.substring(text.lastIndexOf("for the ship ") + 13, text.length() - 1);
    assertThat(text)
        .contains(
            "The ship %s has the registration %s, and her captain is %s."
                .formatted(ship, task.fields().get("registration"), task.fields().get("captain")),
            "The ship %s was built in %s and carries %s tons."
                .formatted(ship, task.fields().get("built"), task.fields().get("tons")));
    assertThat(text.split("has the registration", -1)).as("others of the kind").hasSize(5);
  }

  @Test
  void refusesADocumentWithoutRoomForProse() {
    assertThatThrownBy(() -> make(TaskFamily.PASSKEY, 1, 300, 0.5))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("passkey needs at least")
        .hasMessageContaining("got 300");
    assertThatThrownBy(() -> make(TaskFamily.PASSKEY, 1, 1_000_000, 0.5))
        .hasMessageContaining("100,000 tokens at most");
  }
}
