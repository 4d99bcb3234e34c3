package dev.kvdrive.e2e.client;

import java.io.IOException;
import java.io.PrintStream;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;

/**
 * Posts one or more JSON files to a URL, all at the same moment, and prints what comes back as it
 * comes: a line is {@code INDEX MILLISECONDS TEXT}, with the index of the file, the time since the
 * start, and {@code status CODE} or a line of the answer.
 */
public final class Post {
  private static final Duration CONNECT = Duration.ofSeconds(10);
  private static final Duration ANSWER = Duration.ofMinutes(10);

  private Post() {}

  /** {@code Post URL FILE...}; exit status 1 when an answer is not 200. */
  public static void main(String[] arguments) throws IOException, InterruptedException {
    List<String> bodies = new ArrayList<>();
    for (int i = 1; i < arguments.length; i++) {
      bodies.add(Files.readString(Path.of(arguments[i])));
    }
    if (!all(URI.create(arguments[0]), bodies, System.out)) {
      System.exit(1);
    }
  }

  /**
   * Posts the bodies at the same moment.
   *
   * @return whether every answer had the status 200
   */
  static boolean all(URI url, List<String> bodies, PrintStream out) throws InterruptedException {
    long start = System.nanoTime();
    CountDownLatch ready = new CountDownLatch(bodies.size());
    // HTTP/1.1: a cleartext upgrade would be a second protocol to test, and nobody's default.
    try (HttpClient client =
            HttpClient.newBuilder()
                .version(HttpClient.Version.HTTP_1_1)
                .connectTimeout(CONNECT)
                .build();
        ExecutorService users = Executors.newFixedThreadPool(bodies.size())) {
      List<Future<Boolean>> answers = new ArrayList<>();
      for (int i = 0; i < bodies.size(); i++) {
        int index = i;
        answers.add(
            users.submit(
                () -> {
                  ready.countDown();
                  ready.await();
                  return one(client, url, bodies.get(index), index, start, out);
                }));
      }
      boolean good = true;
      for (Future<Boolean> answer : answers) {
        good &= answer.get();
      }
      return good;
    } catch (ExecutionException e) {
      out.println("failed: " + e.getCause());
      return false;
    }
  }

  private static boolean one(
      HttpClient client, URI url, String body, int index, long start, PrintStream out)
      throws IOException, InterruptedException {
    HttpRequest request =
        HttpRequest.newBuilder(url)
            .header("Content-Type", "application/json")
            .timeout(ANSWER)
            .POST(BodyPublishers.ofString(body))
            .build();
    var response = client.send(request, BodyHandlers.ofLines());
    say(out, index, start, "status " + response.statusCode());
    response.body().filter(line -> !line.isBlank()).forEach(line -> say(out, index, start, line));
    return response.statusCode() == 200;
  }

  private static void say(PrintStream out, int index, long start, String text) {
    out.println(
        index + " " + TimeUnit.NANOSECONDS.toMillis(System.nanoTime() - start) + " " + text);
  }
}
