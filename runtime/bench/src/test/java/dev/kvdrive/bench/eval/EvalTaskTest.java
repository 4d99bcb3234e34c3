package dev.kvdrive.bench.eval;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.kvdrive.bench.document.TaskFamily;
import dev.kvdrive.bench.document.TaskMaker;
import dev.kvdrive.bench.engine.LocalEngine;
import dev.kvdrive.model.Model;
import dev.kvdrive.model.ModelLoader;
import dev.kvdrive.model.source.HubSettings;
import dev.kvdrive.model.source.ModelSource;
import dev.kvdrive.text.ChatMessage;
import dev.kvdrive.text.Tokenizer;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class EvalTaskTest {
  @TempDir private Path folder;

  private static EvalTask task(String... answers) {
    return new EvalTask(
        "niah", 512, List.of(ChatMessage.of("user", "Which?")), List.of(answers), 16);
  }

  private Path file(String text) throws IOException {
    return Files.writeString(folder.resolve("tasks.jsonl"), text);
  }

  @Test
  void theScoreIsTheShareOfAnswersInTheTextWhateverTheirCase() {
    assertThat(task("Teastad").score("It is in TEASTAD.")).isEqualTo(1);
    assertThat(task("17", "23", "42", "99").score("23, 17 and 41")).isEqualTo(0.5);
    assertThat(task("17").score("")).isZero();
  }

  private static EvalTask extraction() {
    return new EvalTask(
        "extract_json",
        512,
        List.of(ChatMessage.of("user", "Which?")),
        List.of("Ada Novak", "1874", "412", "RK-1"),
        Map.of("captain", "Ada Novak", "built", "1874", "tons", "412", "registration", "RK-1"),
        16);
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '`',
      value = {
        "{\"captain\": \"ada novak\", \"built\": 1874, \"tons\": \" 412 \", \"registration\": \"RK-1\"}|1",
        "Here it is: ```json {\"captain\": \"Ada Novak\", \"built\": \"1874\"}``` {\"tons\": 412}|0.5",
        "{\"captain\": \"Ada Novak\", \"built\": \"18|0.25",
        "{\"captain\": \"Captain Ada Novak\", \"tons\": {\"is\": 412}, \"built\": 1874}|0.25",
        "{\"built\": \"412\", \"tons\": \"1874\"}|0",
        "Her captain is Ada Novak, she was built in 1874.|0",
        "{|0"
      })
  void anExtractionIsScoredByTheFieldsThatItsObjectHasWithTheRightValues(
      String text, double score) {
    assertThat(extraction().score(text)).isEqualTo(score);
  }

  @ParameterizedTest
  @CsvSource({"tasks.jsonl", "tasks.jsonl.gz"})
  void whatIsWrittenIsReadAgain(String name) {
    List<EvalTask> tasks = List.of(task("1"), task("ü", "2\n3"), extraction());
    EvalTask.write(folder.resolve(name), tasks);
    assertThat(EvalTask.read(folder.resolve(name))).isEqualTo(tasks);
  }

  @Test
  void fingerprintsTellSamplesApart() {
    assertThat(task("1").fingerprint()).isEqualTo(task("1").fingerprint());
    assertThat(task("1").fingerprint()).isNotEqualTo(task("2").fingerprint());
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '`',
      value = {
        "{|sample 1",
        "{\"task\":\"t\"}|messages",
        "{\"task\":\"t\",\"length\":5,\"messages\":[],\"answers\":[\"a\"],\"max_new_tokens\":5}|must"
            + " not be empty",
        "{\"task\":\"t\",\"length\":5,\"messages\":[{\"role\":\"user\",\"content\":\"c\"}],\"answers\":[\"a\"],\"max_new_tokens\":0}|at"
            + " least 1",
      })
  void aLineThatIsNoTaskIsNamed(String line, String message) throws IOException {
    Path file = file(line + "\n");
    assertThatThrownBy(() -> EvalTask.read(file))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("tasks.jsonl, sample 1 is not a task")
        .hasMessageContaining(message)
        .message()
        .hasLineCount(1);
  }

  @Test
  void aFileThatIsEmptyOrMissingIsNoTaskFile() throws IOException {
    Path empty = file("\n\n");
    assertThatThrownBy(() -> EvalTask.read(empty)).hasMessageContaining("has no tasks");
    assertThatThrownBy(() -> EvalTask.read(folder.resolve("none")))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("none: there is no such file or folder");
  }

  @Test
  void theTasksThatComeWithTheProgramAreWhatTheMakerMakes() {
    Path model = new ModelSource(folder, HubSettings.from(Map.of())).resolve(ModelSource.BUILTIN);
    try (Model opened = ModelLoader.open(model, 0, ModelLoader.Verification.NONE)) {
      Tokenizer tokenizer = LocalEngine.tokenizer(opened.tokenizer());
      assertThat(EvalTask.builtin())
          .isEqualTo(
              new TaskMaker(1, text -> tokenizer.encode(text, false).length)
                  .makeAll(TaskFamily.TRAINED, List.of(2048, 4096), 1));
    }
  }
}
