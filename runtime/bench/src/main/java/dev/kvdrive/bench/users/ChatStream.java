package dev.kvdrive.bench.users;

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
import org.jspecify.annotations.Nullable;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/**
 * A streamed chat completion, read over HTTP as any client would.
 *
 * @param address of the server, before {@code /v1}
 * @param model its name
 * @param prompt what the user says
 * @param maxTokens of the answer
 * @param temperature 0 for the likeliest tokens
 * @param key sent as bearer token; null for none
 */
public record ChatStream(
    URI address,
    String model,
    String prompt,
    int maxTokens,
    double temperature,
    @Nullable BearerKey key) {
  private static final JsonMapper JSON = JsonMapper.builder().build();
  private static final Pattern PREFILL = Pattern.compile(": prefill (\\d+) %");
  private static final String DATA = "data: ";
  private static final String END = "[DONE]";

  /** What the server tells. */
  public sealed interface Event {
    /** Share of the prompt that has been read. */
    record Prefill(double share) implements Event {}

    /** More of the answer. */
    record Text(String text) implements Event {}

    /** What it took, at the end. */
    record Usage(JsonNode usage) implements Event {}
  }

  /**
   * Asks, and reads the answer to its end.
   *
   * @param listener called in the thread that asks
   * @throws IOException if the connection breaks, or the server refuses or gives up; with its words
   */
  public void ask(HttpClient client, Consumer<Event> listener)
      throws IOException, InterruptedException {
    String body =
        JSON.writeValueAsString(
            Map.of(
                "model",
                model,
                "messages",
                List.of(Map.of("role", "user", "content", prompt)),
                "max_tokens",
                maxTokens,
                "temperature",
                temperature,
                "stream",
                true,
                "stream_options",
                Map.of("include_usage", true)));
    HttpRequest request =
        request("/v1/chat/completions", address, key)
            .header("Content-Type", "application/json")
            .POST(BodyPublishers.ofString(body))
            .build();
    HttpResponse<Stream<String>> response = client.send(request, BodyHandlers.ofLines());
    try (Stream<String> lines = response.body()) {
      if (response.statusCode() != 200) {
        throw refused(response.statusCode(), String.join("\n", lines.toList()));
      }
      read(lines.iterator(), listener);
    }
  }

  /** A client for {@link #ask}; to be closed. */
  public static HttpClient client() {
    return HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();
  }

  /**
   * The name of the first model that a server has.
   *
   * @throws IOException if the connection breaks or the server refuses; with its words
   */
  public static String firstModel(HttpClient client, URI address, @Nullable BearerKey key)
      throws IOException, InterruptedException {
    HttpResponse<String> response =
        client.send(request("/v1/models", address, key).build(), BodyHandlers.ofString());
    if (response.statusCode() != 200) {
      throw refused(response.statusCode(), response.body());
    }
    String name = JSON.readTree(response.body()).at("/data/0/id").asString("");
    if (name.isEmpty()) {
      throw new IOException("%s serves no model".formatted(address));
    }
    return name;
  }

  private static HttpRequest.Builder request(String path, URI address, @Nullable BearerKey key) {
    HttpRequest.Builder builder = HttpRequest.newBuilder(address.resolve(path));
    if (key != null) {
      builder.header("Authorization", key.header());
    }
    return builder;
  }

  private static IOException refused(int status, String body) {
    return new IOException("HTTP %d: %s".formatted(status, error(body)));
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
