package dev.kvdrive.e2e;

import com.fasterxml.jackson.databind.JsonNode;
import java.util.ArrayList;
import java.util.List;
import java.util.TreeMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * A request's answer as the client in the cluster saw it.
 *
 * @param status HTTP status
 * @param lines the answer's lines with the milliseconds after which they came
 */
record Exchange(int status, List<Line> lines) {
  private static final String DATA = "data:";
  private static final Pattern LOGGED = Pattern.compile("(\\d+) (\\d+) (?:status (\\d+)|(.*))");

  /** A line and when it came. */
  record Line(long millis, String text) {}

  /** Reads the log of {@code Post}: the exchanges in the order of their requests. */
  static List<Exchange> readLog(String log) {
    TreeMap<Integer, Integer> statuses = new TreeMap<>();
    TreeMap<Integer, List<Line>> lines = new TreeMap<>();
    for (String logged : log.lines().toList()) {
      Matcher matcher = LOGGED.matcher(logged);
      if (!matcher.matches()) {
        continue;
      }
      int index = Integer.parseInt(matcher.group(1));
      lines.computeIfAbsent(index, i -> new ArrayList<>());
      if (matcher.group(3) != null) {
        statuses.put(index, Integer.parseInt(matcher.group(3)));
      } else {
        lines
            .getOrDefault(index, List.of())
            .add(new Line(Long.parseLong(matcher.group(2)), matcher.group(4)));
      }
    }
    List<Exchange> exchanges = new ArrayList<>();
    lines.forEach((index, of) -> exchanges.add(new Exchange(statuses.getOrDefault(index, 0), of)));
    return exchanges;
  }

  /** An event of a streamed answer and when it came. */
  private record Event(long millis, JsonNode json) {
    /** The text it brings, of a chat or of a plain completion; empty if none. */
    String text() {
      String delta = json.at("/choices/0/delta/content").asText("");
      return delta.isEmpty() ? json.at("/choices/0/text").asText("") : delta;
    }
  }

  /** Each line's {@code data:}, without the closing [DONE]. */
  private List<Event> events() {
    return lines.stream()
        .filter(line -> line.text().startsWith(DATA) && !line.text().endsWith("[DONE]"))
        .map(line -> new Event(line.millis(), Json.read(line.text().substring(DATA.length()))))
        .toList();
  }

  private boolean streamed() {
    return lines.stream().anyMatch(line -> line.text().startsWith(DATA));
  }

  private JsonNode body() {
    return Json.read(String.join("\n", lines.stream().map(Line::text).toList()));
  }

  /** The text that the model wrote. */
  String text() {
    if (!streamed()) {
      JsonNode choice = body().at("/choices/0");
      return choice.at("/message/content").asText(choice.path("text").asText());
    }
    return String.join("", events().stream().map(Event::text).toList());
  }

  /** Tokens of the prompt, as the server counted them. */
  int promptTokens() {
    return usage().path("prompt_tokens").asInt();
  }

  /** Tokens that the model wrote. */
  int completionTokens() {
    return usage().path("completion_tokens").asInt();
  }

  JsonNode usage() {
    if (!streamed()) {
      return body().path("usage");
    }
    return events().stream()
        .map(event -> event.json().path("usage"))
        .filter(JsonNode::isObject)
        .reduce((first, second) -> second)
        .orElseThrow(() -> new AssertionError("no usage in " + this));
  }

  /** Milliseconds after which the first piece of text came. */
  long firstTextMillis() {
    return textMillis().getFirst();
  }

  /** Milliseconds after which the last piece of text came. */
  long lastTextMillis() {
    return textMillis().getLast();
  }

  /** When each piece of text came. */
  List<Long> textMillis() {
    return events().stream().filter(event -> !event.text().isEmpty()).map(Event::millis).toList();
  }
}
