package dev.kvdrive.e2e.client;

import java.io.IOException;
import java.io.PrintStream;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;

/**
 * Users who never stop asking: each posts its JSON file to a URL, reads the streamed answer to its
 * end, and begins anew. What became of each request is a line, {@code INDEX NUMBER BEGAN ENDED
 * OUTCOME}, with the index of the file, the number of its requests so far, milliseconds since the
 * start, and {@code whole} and the text of the answer in the JSON of its pieces, or {@code failed:}
 * and why. Nothing is tried again; who has failed begins anew after a second.
 *
 * <p>Users of even index keep their connection; of odd index, they open another for each request.
 */
public final class Load {
  private static final Duration CONNECT = Duration.ofSeconds(10);
  private static final Duration ANSWER = Duration.ofMinutes(10);

  /** After a failure, as a server asks for that is going. */
  private static final Duration PAUSE = Duration.ofSeconds(1);

  private static final String FAILED = "failed: ";
  private static final String DATA = "data: ";
  private static final String DONE = DATA + "[DONE]";

  private Load() {}

  /** {@code Load URL FILE...}; runs until it is killed. */
  public static void main(String[] arguments) throws IOException {
    List<String> bodies = new ArrayList<>();
    for (int i = 1; i < arguments.length; i++) {
      bodies.add(Files.readString(Path.of(arguments[i])));
    }
    run(URI.create(arguments[0]), bodies, Long.MAX_VALUE, System.out);
  }

  /** Has each user send so many requests, one after the other. */
  static void run(URI url, List<String> bodies, long requests, PrintStream out) {
    long start = System.nanoTime();
    try (ExecutorService users = Executors.newFixedThreadPool(bodies.size())) {
      for (int i = 0; i < bodies.size(); i++) {
        int index = i;
        users.execute(() -> user(url, bodies.get(index), index, requests, start, out));
      }
    }
  }

  private static void user(
      URI url, String body, int index, long requests, long start, PrintStream out) {
    boolean keeps = index % 2 == 0;
    HttpClient client = client();
    try {
      for (long number = 1; number <= requests; number++) {
        long began = millis(start);
        String outcome = outcome(client, url, body);
        out.println(index + " " + number + " " + began + " " + millis(start) + " " + outcome);
        if (outcome.startsWith(FAILED)) {
          Thread.sleep(PAUSE);
        }
        if (!keeps) {
          client.close();
          client = client();
        }
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    } finally {
      client.close();
    }
  }

  private static HttpClient client() {
    return HttpClient.newBuilder()
        .version(HttpClient.Version.HTTP_1_1)
        .connectTimeout(CONNECT)
        .build();
  }

  private static String outcome(HttpClient client, URI url, String body) {
    HttpRequest request =
        HttpRequest.newBuilder(url)
            .header("Content-Type", "application/json")
            .timeout(ANSWER)
            .POST(BodyPublishers.ofString(body))
            .build();
    List<String> lines = new ArrayList<>();
    try {
      HttpResponse<Stream<String>> response = client.send(request, BodyHandlers.ofLines());
      response.body().filter(line -> !line.isBlank()).forEach(lines::add);
      if (response.statusCode() != 200) {
        return FAILED + "status " + response.statusCode() + " " + String.join(" ", lines);
      }
    } catch (IOException | RuntimeException e) {
      return FAILED + "after " + lines.size() + " lines " + e;
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      return FAILED + "interrupted";
    }
    if (lines.isEmpty() || !lines.getLast().equals(DONE)) {
      return FAILED + "cut after " + lines.size() + " lines";
    }
    StringBuilder text = new StringBuilder("whole ");
    lines.forEach(line -> text.append(content(line)));
    return text.toString();
  }

  /** The piece of text that an event brings, still in the escapes of its JSON. */
  private static String content(String line) {
    String key = "\"content\":\"";
    int from = line.indexOf(key);
    if (from < 0) {
      return "";
    }
    int at = from + key.length();
    int end = at;
    while (end < line.length() && line.charAt(end) != '"') {
      end += line.charAt(end) == '\\' ? 2 : 1;
    }
    return line.substring(at, Math.min(end, line.length()));
  }

  private static long millis(long start) {
    return TimeUnit.NANOSECONDS.toMillis(System.nanoTime() - start);
  }
}
