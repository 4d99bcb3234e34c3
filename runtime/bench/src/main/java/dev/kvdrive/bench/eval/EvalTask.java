package dev.kvdrive.bench.eval;

import dev.kvdrive.model.file.FileFault;
import dev.kvdrive.text.ChatMessage;
import java.io.BufferedReader;
import java.io.BufferedWriter;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.OutputStream;
import java.io.OutputStreamWriter;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.zip.GZIPInputStream;
import java.util.zip.GZIPOutputStream;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/**
 * One sample of an accuracy task.
 *
 * @param task family, for instance {@code niah_single}
 * @param length bound in tokens of prompt and answer together
 * @param messages the conversation so far; each has a role and a text
 * @param answers texts that a right answer contains
 * @param fields what a right answer states as JSON, by name; if it is not empty, this and not
 *     {@code answers} makes the score
 * @param maxNewTokens tokens to generate at most
 */
public record EvalTask(
    String task,
    int length,
    List<ChatMessage> messages,
    List<String> answers,
    Map<String, String> fields,
    int maxNewTokens) {
  private static final JsonMapper JSON = JsonMapper.builder().build();

  /** Resource with a few tasks of 2k and 4k tokens, made with {@code eval make-tasks}. */
  private static final String BUILTIN = "/tasks/small.jsonl.gz";

  /** What the built-in tasks are called. */
  public static final String BUILTIN_NAME = "builtin:small";

  public EvalTask {
    messages = List.copyOf(messages);
    answers = List.copyOf(answers);
    fields = Collections.unmodifiableMap(new LinkedHashMap<>(fields));
    if (messages.isEmpty() || answers.isEmpty()) {
      throw new IllegalArgumentException("messages and answers must not be empty");
    }
    if (maxNewTokens < 1) {
      throw new IllegalArgumentException("max_new_tokens must be at least 1, got " + maxNewTokens);
    }
  }

  /** A sample that is scored by what its answer contains. */
  public EvalTask(
      String task, int length, List<ChatMessage> messages, List<String> answers, int maxNewTokens) {
    this(task, length, messages, answers, Map.of(), maxNewTokens);
  }

  /**
   * The score of a generated text: the share of the answers that it contains, whatever their case;
   * or the share of the fields that the first JSON object in it has with the right values.
   */
  public double score(String text) {
    if (!fields.isEmpty()) {
      Map<String, String> found = JsonFields.of(text);
      long right =
          fields.entrySet().stream()
              .filter(
                  f -> f.getValue().equalsIgnoreCase(found.getOrDefault(f.getKey(), "").strip()))
              .count();
      return (double) right / fields.size();
    }
    String lower = text.toLowerCase(Locale.ROOT);
    long found = answers.stream().filter(a -> lower.contains(a.toLowerCase(Locale.ROOT))).count();
    return (double) found / answers.size();
  }

  /** What tells this sample from every other: a hash of all that it consists of. */
  public String fingerprint() {
    try {
      byte[] hash =
          MessageDigest.getInstance("SHA-256").digest(line().getBytes(StandardCharsets.UTF_8));
      return HexFormat.of().formatHex(hash, 0, 12);
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException(e);
    }
  }

  /** The sample as a line of a task file. */
  String line() {
    Map<String, Object> line = new LinkedHashMap<>();
    line.put("task", task);
    line.put("length", length);
    line.put("messages", messages.stream().map(ChatMessage::fields).toList());
    line.put("answers", answers);
    if (!fields.isEmpty()) {
      line.put("fields", fields);
    }
    line.put("max_new_tokens", maxNewTokens);
    return JSON.writeValueAsString(line);
  }

  /** The tasks that come with the program. */
  public static List<EvalTask> builtin() {
    try (InputStream raw = EvalTask.class.getResourceAsStream(BUILTIN)) {
      if (raw == null) {
        throw new IllegalStateException("this build does not contain " + BUILTIN);
      }
      return read(BUILTIN_NAME, new GZIPInputStream(raw));
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /**
   * Reads a task file: one JSON object a line, with task, length, messages, answers, max_new_tokens
   * and where there are some fields; compressed if its name ends in .gz.
   *
   * @throws IllegalArgumentException if the file cannot be read, has no task, or a line is none;
   *     the message names it
   */
  public static List<EvalTask> read(Path file) {
    try (InputStream raw = Files.newInputStream(file);
        InputStream in = compressed(file) ? new GZIPInputStream(raw) : raw) {
      return read(file.toString(), in);
    } catch (IOException e) {
      throw new IllegalArgumentException("task file " + FileFault.words(file, e), e);
    }
  }

  private static List<EvalTask> read(String name, InputStream in) throws IOException {
    List<EvalTask> tasks = new ArrayList<>();
    BufferedReader lines = new BufferedReader(new InputStreamReader(in, StandardCharsets.UTF_8));
    String line;
    while ((line = lines.readLine()) != null) {
      if (!line.isBlank()) {
        tasks.add(parse(name, tasks.size() + 1, line));
      }
    }
    if (tasks.isEmpty()) {
      throw new IllegalArgumentException("task file %s has no tasks".formatted(name));
    }
    return tasks;
  }

  /**
   * Writes a task file; compressed if its name ends in .gz.
   *
   * @throws UncheckedIOException if that fails
   */
  public static void write(Path file, List<EvalTask> tasks) {
    try (OutputStream raw = Files.newOutputStream(file);
        OutputStream out = compressed(file) ? new GZIPOutputStream(raw) : raw;
        BufferedWriter lines =
            new BufferedWriter(new OutputStreamWriter(out, StandardCharsets.UTF_8))) {
      for (EvalTask task : tasks) {
        lines.write(task.line());
        lines.write('\n');
      }
    } catch (IOException e) {
      throw new UncheckedIOException("task file " + FileFault.words(file, e), e);
    }
  }

  private static boolean compressed(Path file) {
    return file.toString().endsWith(".gz");
  }

  private static EvalTask parse(String name, int number, String line) {
    try {
      JsonNode node = JSON.readTree(line);
      List<ChatMessage> messages = new ArrayList<>();
      for (JsonNode m : node.required("messages")) {
        messages.add(
            ChatMessage.of(m.required("role").asString(), m.required("content").asString()));
      }
      List<String> answers = new ArrayList<>();
      node.required("answers").forEach(a -> answers.add(a.asString()));
      Map<String, String> fields = new LinkedHashMap<>();
      node.path("fields").forEachEntry((field, value) -> fields.put(field, value.asString()));
      return new EvalTask(
          node.required("task").asString(),
          node.required("length").asInt(),
          messages,
          answers,
          fields,
          node.required("max_new_tokens").asInt());
    } catch (JacksonException | IllegalArgumentException e) {
      throw new IllegalArgumentException(
          "%s, sample %d is not a task: %s".formatted(name, number, firstLine(e)), e);
    }
  }

  private static String firstLine(Exception e) {
    return String.valueOf(e.getMessage()).lines().findFirst().orElse("");
  }
}
