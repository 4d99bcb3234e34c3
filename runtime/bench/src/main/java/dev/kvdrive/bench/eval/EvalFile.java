package dev.kvdrive.bench.eval;

import dev.kvdrive.model.file.FileFault;
import dev.kvdrive.schedule.Accuracy;
import dev.kvdrive.schedule.GenerationUsage;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.zip.GZIPInputStream;
import java.util.zip.GZIPOutputStream;
import org.jspecify.annotations.Nullable;
import tools.jackson.core.JacksonException;
import tools.jackson.core.type.TypeReference;
import tools.jackson.databind.DeserializationFeature;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.SerializationFeature;
import tools.jackson.databind.json.JsonMapper;

/**
 * What an evaluation found, as JSON: {@code columns} has the scores, {@code runs} every answer with
 * all that it depends on, so that files of several runs can be read together. Compressed if its
 * name ends in .gz.
 */
public final class EvalFile {
  /** A file of a version that counts less is read as well. */
  private static final JsonMapper JSON =
      JsonMapper.builder()
          .enable(SerializationFeature.INDENT_OUTPUT)
          .disable(DeserializationFeature.FAIL_ON_NULL_FOR_PRIMITIVES)
          .disable(DeserializationFeature.FAIL_ON_UNKNOWN_PROPERTIES)
          .build();

  private EvalFile() {}

  /**
   * Writes a report.
   *
   * @param facts to begin with
   * @throws UncheckedIOException if the file cannot be written
   */
  public static void write(Path file, Map<String, Object> facts, EvalReport report) {
    Map<String, Object> tree = new LinkedHashMap<>(facts);
    Map<String, Object> columns = new LinkedHashMap<>();
    List<EvalReport.Row> rows = report.rows();
    for (int i = 0; i < rows.size(); i++) {
      columns.put(report.names().get(i), scores(rows.get(i)));
    }
    tree.put("columns", columns);
    tree.put("runs", rows.stream().map(EvalReport.Row::column).toList());
    try (OutputStream raw = Files.newOutputStream(file);
        OutputStream out = compressed(file) ? new GZIPOutputStream(raw) : raw) {
      JSON.writeValue(out, tree);
    } catch (IOException | JacksonException e) {
      throw new UncheckedIOException(FileFault.words(file, e), new IOException(e));
    }
  }

  private static Map<String, Object> scores(EvalReport.Row row) {
    EvalColumn.Taken taken = row.column().taken();
    Map<String, Object> fields = new LinkedHashMap<>();
    put(fields, "mean", "interval", row.mean());
    put(fields, "againstExact", "againstExactInterval", row.against());
    fields.put("scores", means(row.scores()));
    fields.put("intervals", intervals(row.scores()));
    fields.put("againstExactByTask", means(row.againstByTask()));
    fields.put("againstExactIntervals", intervals(row.againstByTask()));
    fields.put("samples", row.column().samples().size());
    fields.put("paired", row.paired());
    fields.put("attended", taken.attended());
    fields.put("hitRate", taken.hitRate());
    Accuracy accuracy = row.column().accuracy();
    if (accuracy.samples() > 0) {
      fields.put("measured", accuracy.samples());
      fields.put("massMissed", accuracy.massMissed());
      fields.put("outputError", accuracy.outputError());
    }
    fields.put("indexBytesPerToken", row.column().indexBytes());
    fields.put("prefillTokensPerSecond", taken.prefillPerSecond());
    fields.put("decodeTokensPerSecond", taken.decodePerSecond());
    return fields;
  }

  private static void put(
      Map<String, Object> fields, String mean, String interval, @Nullable Score score) {
    if (score != null) {
      fields.put(mean, score.mean());
      if (score.interval() != null) {
        fields.put(interval, score.interval());
      }
    }
  }

  private static Map<String, Double> means(Map<String, Score> scores) {
    Map<String, Double> means = new LinkedHashMap<>();
    scores.forEach((task, score) -> means.put(task, score.mean()));
    return means;
  }

  private static Map<String, Interval> intervals(Map<String, Score> scores) {
    Map<String, Interval> intervals = new LinkedHashMap<>();
    scores.forEach(
        (task, score) -> {
          if (score.interval() != null) {
            intervals.put(task, score.interval());
          }
        });
    return intervals;
  }

  /**
   * The columns of a file.
   *
   * @throws IllegalArgumentException if it cannot be read, or is none that {@link #write} has
   *     written; the message names it
   */
  public static List<EvalColumn> read(Path file) {
    JsonNode tree;
    try (InputStream raw = Files.newInputStream(file);
        InputStream in = compressed(file) ? new GZIPInputStream(raw) : raw) {
      tree = JSON.readTree(in);
    } catch (IOException | JacksonException e) {
      throw new IllegalArgumentException(
          e instanceof IOException
              ? FileFault.words(file, e)
              : "%s cannot be read: %s".formatted(file, firstLine(e)),
          e);
    }
    JsonNode runs = tree.path("runs");
    if (!runs.isArray() || runs.isEmpty()) {
      throw new IllegalArgumentException(
          "%s has no runs: it must be a file that ./kvdrive eval --json has written"
              .formatted(file));
    }
    List<EvalColumn> columns = new ArrayList<>();
    try {
      runs.forEach(run -> columns.add(column(run)));
    } catch (JacksonException | IllegalArgumentException e) {
      throw new IllegalArgumentException(
          "%s, run %d is none: %s".formatted(file, columns.size() + 1, firstLine(e)), e);
    }
    return columns;
  }

  private static EvalColumn column(JsonNode run) {
    List<EvalSample> samples = new ArrayList<>();
    for (JsonNode sample : run.required("samples")) {
      samples.add(
          new EvalSample(
              sample.required("sample").asString(),
              sample.required("task").asString(),
              sample.required("score").asDouble(),
              sample.path("text").asString(""),
              JSON.treeToValue(sample.required("usage"), GenerationUsage.class)));
    }
    return new EvalColumn(
        JSON.treeToValue(run.required("settings"), EvalSettings.class),
        run.required("indexBytes").asDouble(),
        JSON.convertValue(
            run.required("conditions"), new TypeReference<List<Map<String, Object>>>() {}),
        samples);
  }

  private static boolean compressed(Path file) {
    return file.toString().endsWith(".gz");
  }

  private static String firstLine(Exception e) {
    return String.valueOf(e.getMessage()).lines().findFirst().orElse("");
  }
}
