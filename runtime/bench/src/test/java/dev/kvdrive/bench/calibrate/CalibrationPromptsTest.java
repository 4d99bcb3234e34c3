package dev.kvdrive.bench.calibrate;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.catchThrowable;

import dev.kvdrive.bench.engine.LocalEngine;
import dev.kvdrive.model.Model;
import dev.kvdrive.model.ModelLoader;
import dev.kvdrive.model.source.HubSettings;
import dev.kvdrive.model.source.ModelSource;
import dev.kvdrive.text.Tokenizer;
import java.nio.file.Path;
import java.util.Map;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class CalibrationPromptsTest {
  @TempDir private Path folder;

  @Test
  void theLeastLengthThatIsNamedIsEnough() {
    Path file = new ModelSource(folder, HubSettings.from(Map.of())).resolve(ModelSource.BUILTIN);
    try (Model opened = ModelLoader.open(file, 0, ModelLoader.Verification.NONE)) {
      Tokenizer tokenizer = LocalEngine.tokenizer(opened.tokenizer());
      Throwable refused =
          catchThrowable(() -> CalibrationPrompts.ofTasks(1, tokenizer, Optional.empty()));
      Matcher named =
          Pattern.compile("need at least ([\\d,]+) tokens, got 1").matcher(refused.getMessage());
      assertThat(named.find()).as(refused.getMessage()).isTrue();
      int least = Integer.parseInt(named.group(1).replace(",", ""));
      assertThat(CalibrationPrompts.ofTasks(least, tokenizer, Optional.empty()))
          .isNotEmpty()
          .allMatch(prompt -> prompt.length <= least);
    }
  }
}
