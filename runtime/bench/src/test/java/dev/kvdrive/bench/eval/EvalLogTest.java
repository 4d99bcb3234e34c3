package dev.kvdrive.bench.eval;

import static org.assertj.core.api.Assertions.assertThat;

import dev.kvdrive.plan.Budget;
import dev.kvdrive.schedule.Accuracy;
import dev.kvdrive.schedule.GenerationUsage;
import dev.kvdrive.text.ChatMessage;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class EvalLogTest {
  private static final GenerationUsage USAGE =
      new GenerationUsage(
          1, 0, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, Accuracy.NONE);

  @TempDir private Path folder;

  private static EvalResult result(String question) {
    EvalTask task =
        new EvalTask("t", 512, List.of(ChatMessage.of("user", question)), List.of("yes"), 8);
    return new EvalResult(task, Budget.of(0.25), "oh Yes", 1, USAGE);
  }

  @Test
  void aResultIsThereAgainForTheSameRunAndSampleOnly() {
    Path file = folder.resolve("log.jsonl");
    EvalLog.open(file).add("tiny", result("one?"));
    EvalLog again = EvalLog.open(file);
    assertThat(again.result("tiny", result("one?").task(), Budget.of(0.25)))
        .contains(result("one?"));
    assertThat(again.result("small", result("one?").task(), Budget.of(0.25))).isEmpty();
    assertThat(again.result("tiny", result("one?").task(), Budget.of(1))).isEmpty();
    assertThat(again.result("tiny", result("two?").task(), Budget.of(0.25))).isEmpty();
  }

  @Test
  void aLineThatWasCutOffIsRunAgainAndSpoilsNoOther() throws Exception {
    Path file = folder.resolve("log.jsonl");
    EvalLog.open(file).add("run", result("one?"));
    String whole = Files.readString(file);
    Files.writeString(file, whole.substring(0, whole.length() / 2), StandardOpenOption.APPEND);
    EvalLog log = EvalLog.open(file);
    assertThat(log.result("run", result("two?").task(), Budget.of(0.25))).isEmpty();
    log.add("run", result("two?"));
    EvalLog last = EvalLog.open(file);
    assertThat(last.result("run", result("one?").task(), Budget.of(0.25))).isPresent();
    assertThat(last.result("run", result("two?").task(), Budget.of(0.25))).isPresent();
  }

  @Test
  void aLineOfAVersionThatCountedLessCountsToo() throws Exception {
    Path file = folder.resolve("log.jsonl");
    EvalLog.open(file).add("run", result("one?"));
    Files.writeString(file, Files.readString(file).replace("\"nvmeBytes\":9,", ""));
    assertThat(EvalLog.open(file).result("run", result("one?").task(), Budget.of(0.25)))
        .hasValueSatisfying(
            old -> {
              assertThat(old.usage().nvmeBytes()).isZero();
              assertThat(old.usage().dramBytes()).isEqualTo(8);
            });
  }

  @Test
  void noLogRemembersNothing() {
    EvalLog none = EvalLog.none();
    none.add("run", result("one?"));
    assertThat(none.result("run", result("one?").task(), Budget.of(0.25))).isEmpty();
  }
}
