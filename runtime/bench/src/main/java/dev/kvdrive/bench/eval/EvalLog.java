package dev.kvdrive.bench.eval;

import dev.kvdrive.model.file.FileFault;
import dev.kvdrive.plan.Budget;
import dev.kvdrive.schedule.GenerationUsage;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.jspecify.annotations.Nullable;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.DeserializationFeature;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/**
 * A file with a line for every sample that was ever finished, so that an evaluation that was
 * interrupted goes on where it stopped. A result counts again only for the same run key (model and
 * types), budget and the same sample; a line that was cut off by a crash is run again.
 */
public final class EvalLog {
  /** A line of a version that counts less counts too. */
  private static final JsonMapper JSON =
      JsonMapper.builder().disable(DeserializationFeature.FAIL_ON_NULL_FOR_PRIMITIVES).build();

  private final @Nullable Path file;
  private final Map<String, JsonNode> lines = new HashMap<>();

  private EvalLog(@Nullable Path file) {
    this.file = file;
  }

  /** Remembers nothing. */
  public static EvalLog none() {
    return new EvalLog(null);
  }

  /**
   * Opens a log, which is made when the first result comes.
   *
   * @throws UncheckedIOException if the file is there and cannot be read
   */
  public static EvalLog open(Path file) {
    EvalLog log = new EvalLog(file);
    if (!Files.exists(file)) {
      return log;
    }
    List<String> all;
    try {
      all = Files.readAllLines(file);
    } catch (IOException e) {
      throw new UncheckedIOException("log " + FileFault.words(file, e), e);
    }
    for (String line : all) {
      try {
        JsonNode node = JSON.readTree(line);
        log.lines.put(
            key(
                node.required("run").asString(),
                new Budget(
                    node.required("budget").asDouble(),
                    node.hasNonNull("quality") ? node.path("quality").asDouble() : null),
                node.required("sample").asString()),
            node);
      } catch (JacksonException | IllegalArgumentException e) {
        // The line at which an earlier run was killed.
      }
    }
    return log;
  }

  /** The result of a sample in an earlier run with the same key. */
  public Optional<EvalResult> result(String run, EvalTask task, Budget budget) {
    JsonNode node = lines.get(key(run, budget, task.fingerprint()));
    if (node == null) {
      return Optional.empty();
    }
    String text = node.path("text").asString("");
    return Optional.of(
        new EvalResult(
            task,
            budget,
            text,
            task.score(text),
            JSON.treeToValue(node.path("usage"), GenerationUsage.class)));
  }

  /**
   * Notes a result.
   *
   * @throws UncheckedIOException if it cannot be written
   */
  public void add(String run, EvalResult result) {
    if (file == null) {
      return;
    }
    Map<String, Object> fields = new LinkedHashMap<>();
    fields.put("run", run);
    fields.put("budget", result.budget().share());
    if (result.budget().quality() != null) {
      fields.put("quality", result.budget().quality());
    }
    fields.put("sample", result.task().fingerprint());
    fields.put("task", result.task().task());
    fields.put("length", result.task().length());
    fields.put("answers", result.task().answers());
    fields.put("text", result.text());
    fields.put("score", result.score());
    fields.put("usage", result.usage());
    try {
      // A line of its own even where the last one was cut off.
      Files.writeString(
          file,
          "\n" + JSON.writeValueAsString(fields),
          StandardCharsets.UTF_8,
          StandardOpenOption.CREATE,
          StandardOpenOption.APPEND);
    } catch (IOException e) {
      throw new UncheckedIOException("log " + FileFault.words(file, e), e);
    }
  }

  private static String key(String run, Budget budget, String sample) {
    return run + "|" + budget + "|" + sample;
  }
}
