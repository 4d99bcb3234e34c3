package dev.kvdrive.bench;

import dev.kvdrive.text.ChatMessage;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.zip.GZIPInputStream;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/**
 * One sample of an accuracy task.
 *
 * @param task family, for instance {@code niah_single}
 * @param length bound in tokens of prompt and answer together
 * @param messages the conversation so far
 * @param answers texts that a right answer contains
 * @param maxNewTokens tokens to generate at most
 */
public record EvalTask(
    String task, int length, List<ChatMessage> messages, List<String> answers, int maxNewTokens) {
  public EvalTask {
    messages = List.copyOf(messages);
    answers = List.copyOf(answers);
  }

  /**
   * The score of a generated text: the share of the answers that it contains, whatever their case.
   */
  public double score(String text) {
    String lower = text.toLowerCase(Locale.ROOT);
    long found = answers.stream().filter(a -> lower.contains(a.toLowerCase(Locale.ROOT))).count();
    return (double) found / answers.size();
  }

  /**
   * Reads a task file: one JSON object a line, with task, length, messages, answers and
   * max_new_tokens; compressed if its name ends in .gz.
   *
   * @throws IllegalArgumentException if a line is not a task; the message names it
   */
  public static List<EvalTask> read(Path file) {
    JsonMapper json = JsonMapper.builder().build();
    List<EvalTask> tasks = new ArrayList<>();
    try (InputStream raw = Files.newInputStream(file);
        InputStream in = file.toString().endsWith(".gz") ? new GZIPInputStream(raw) : raw;
        BufferedReader lines =
            new BufferedReader(new InputStreamReader(in, StandardCharsets.UTF_8))) {
      String line;
      while ((line = lines.readLine()) != null) {
        if (!line.isBlank()) {
          tasks.add(parse(file, tasks.size() + 1, json, line));
        }
      }
    } catch (IOException e) {
      throw new UncheckedIOException("cannot read task file " + file + ": " + e.getMessage(), e);
    }
    return tasks;
  }

  private static EvalTask parse(Path file, int number, JsonMapper json, String line) {
    try {
      JsonNode node = json.readTree(line);
      List<ChatMessage> messages = new ArrayList<>();
      for (JsonNode m : node.required("messages")) {
        messages.add(
            ChatMessage.of(m.required("role").asString(), m.required("content").asString()));
      }
      List<String> answers = new ArrayList<>();
      node.required("answers").forEach(a -> answers.add(a.asString()));
      if (messages.isEmpty() || answers.isEmpty()) {
        throw new IllegalArgumentException("messages and answers must not be empty");
      }
      return new EvalTask(
          node.required("task").asString(),
          node.required("length").asInt(),
          messages,
          answers,
          node.required("max_new_tokens").asInt());
    } catch (JacksonException | IllegalArgumentException e) {
      throw new IllegalArgumentException(
          "%s, sample %d is not a task: %s".formatted(file, number, e.getMessage()), e);
    }
  }
}
