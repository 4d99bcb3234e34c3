package dev.kvdrive.observed.usage;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/**
 * A scrape in Prometheus' text format, as far as it is made of names, labels and values. Lines of
 * any other form are skipped: a runtime may export what nobody here knows.
 *
 * @param samples in the order of the lines
 */
public record Exposition(List<Sample> samples) {
  /**
   * One line.
   *
   * @param name of the metric
   * @param labels by name
   * @param value finite
   */
  public record Sample(String name, Map<String, String> labels, double value) {}

  private static final Pattern LINE =
      Pattern.compile("([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\\{(.*)})?\\s+(\\S+)(?:\\s+\\S+)?");
  private static final Pattern LABEL =
      Pattern.compile("([a-zA-Z_][a-zA-Z0-9_]*)=\"((?:[^\"\\\\]|\\\\.)*)\"");

  /** Reads what a runtime serves. */
  public static Exposition parse(String text) {
    List<Sample> samples = new ArrayList<>();
    text.lines()
        .filter(line -> !line.startsWith("#"))
        .forEach(line -> sample(line).ifPresent(samples::add));
    return new Exposition(List.copyOf(samples));
  }

  private static Optional<Sample> sample(String line) {
    Matcher matcher = LINE.matcher(line.strip());
    if (!matcher.matches()) {
      return Optional.empty();
    }
    try {
      double value = Double.parseDouble(matcher.group(3));
      return Double.isFinite(value)
          ? Optional.of(new Sample(matcher.group(1), labels(matcher.group(2)), value))
          : Optional.empty();
    } catch (NumberFormatException e) {
      return Optional.empty();
    }
  }

  private static Map<String, String> labels(@Nullable String text) {
    Map<String, String> labels = new HashMap<>();
    if (text != null) {
      Matcher matcher = LABEL.matcher(text);
      while (matcher.find()) {
        labels.put(matcher.group(1), matcher.group(2));
      }
    }
    return labels;
  }
}
