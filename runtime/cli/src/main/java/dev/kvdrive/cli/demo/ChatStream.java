package dev.kvdrive.cli.demo;

import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.function.Consumer;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/** A streamed chat completion, read over HTTP as any client would. */
final class ChatStream {
  private static final JsonMapper JSON = JsonMapper.builder().build();
  private static final Pattern PREFILL = Pattern.compile(": prefill (\\d+) %");
  private static final String DATA = "data: ";
  private static final String END = "[DONE]";

  private ChatStream() {}

  /** What the server tells. */
  sealed interface Event {
    /** Share of the prompt that has been read. */
    record Prefill(double share) implements Event {}

    /** More of the answer. */
    record Text(String text) implements Event {}

    /** What it took, at the end. */
    record Usage(JsonNode usage) implements Event {}
  }

  /**
   * Asks a question greedily and reads the answer to its end.
   *
   * @throws IOException if the connection breaks, or the server refuses or gives up; with its words
   */
  static void ask(
      URI address, String model, String question, int maxTokens, Consumer<Event> listener)
      throws IOException, InterruptedException {
    String body =
        JSON.writeValueAsString(
            Map.of(
                "model",
                model,
                "messages",
                List.of(Map.of("role", "user", "content", question)),
                "max_tokens",
                maxTokens,
                "temperature",
                0,
                "stream",
                true,
                "stream_options",
                Map.of("include_usage", true)));
    HttpRequest request =
        HttpRequest.newBuilder(address.resolve("/v1/chat/completions"))
            .header("Content-Type", "application/json")
            .POST(BodyPublishers.ofString(body))
            .build();
    try (HttpClient client = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build()) {
      HttpResponse<Stream<String>> response = client.send(request, BodyHandlers.ofLines());
      try (Stream<String> lines = response.body()) {
        if (response.statusCode() != 200) {
          throw new IOException(error(String.join("\n", lines.toList())));
        }
        read(lines.iterator(), listener);
      }
    }
  }

  /**
   * Reads server-sent events.
   *
   * @throws IOException if they end with an error or before their end
   */
  static void read(Iterator<String> lines, Consumer<Event> listener) throws IOException {
    while (lines.hasNext()) {
      String line = lines.next();
      Matcher prefill = PREFILL.matcher(line);
      if (prefill.matches()) {
        listener.accept(new Event.Prefill(Integer.parseInt(prefill.group(1)) / 100.0));
      }
      if (!line.startsWith(DATA)) {
        continue;
      }
      String data = line.substring(DATA.length());
      if (data.equals(END)) {
        return;
      }
      JsonNode event = JSON.readTree(data);
      if (event.has("error")) {
        throw new IOException(error(data));
      }
      String text = event.at("/choices/0/delta/content").asString("");
      if (!text.isEmpty()) {
        listener.accept(new Event.Text(text));
      }
      if (event.path("usage").isObject()) {
        listener.accept(new Event.Usage(event.path("usage")));
      }
    }
    throw new IOException("the stream ended before the answer was complete");
  }

  private static String error(String body) {
    try {
      return JSON.readTree(body).at("/error/message").asString(body);
    } catch (tools.jackson.core.JacksonException e) {
      return body;
    }
  }
}
