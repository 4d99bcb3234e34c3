package dev.kvdrive.bench.users;

import dev.kvdrive.bench.document.Hay;
import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/**
 * Users who all come at once, each with long prompts of its own, and ask again when answered. No
 * two prompts begin alike, so nothing that a server keeps of one helps another.
 *
 * @param address of the server, before {@code /v1}
 * @param model its name
 * @param users at once
 * @param requests of each user, one after the other
 * @param shortest tokens of the first user's prompts, about
 * @param longest tokens of the last user's; the others' lie between them at equal distances
 * @param answerTokens at most
 * @param temperature at which answers are drawn
 * @param seed of the prompts
 * @param key sent as bearer token; null for none
 */
public record UserLoad(
    URI address,
    String model,
    int users,
    int requests,
    int shortest,
    int longest,
    int answerTokens,
    double temperature,
    long seed,
    @Nullable BearerKey key) {
  /** Characters of the prompt by which it is measured how many there are to a token. */
  private static final int SAMPLE = 4_000;

  /** What comes of it: every request, and the time from the first question to the last answer. */
  public record Outcome(List<Answered> answers, long nanos) {
    public Outcome {
      answers = List.copyOf(answers);
    }
  }

  /**
   * Asks everything.
   *
   * @param listener told of each request as it ends, by one thread at a time
   * @throws IOException if the server does not answer one short question beforehand; what fails
   *     later is in the outcome
   */
  public Outcome run(HttpClient client, Consumer<Answered> listener)
      throws IOException, InterruptedException {
    double perToken = charactersPerToken(client);
    List<List<String>> prompts = new ArrayList<>();
    for (int user = 0; user < users; user++) {
      List<String> mine = new ArrayList<>();
      for (int request = 0; request < requests; request++) {
        mine.add(prompt(user, request, (int) (length(user) * perToken)));
      }
      prompts.add(mine);
    }
    List<Answered> all = new ArrayList<>();
    long start = System.nanoTime();
    try (ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor()) {
      List<Future<?>> running = new ArrayList<>();
      for (int user = 0; user < users; user++) {
        int who = user;
        running.add(
            threads.submit(
                () -> {
                  for (String prompt : prompts.get(who)) {
                    Answered answered = ask(client, who, prompt);
                    synchronized (all) {
                      all.add(answered);
                      listener.accept(answered);
                    }
                  }
                  return null;
                }));
      }
      for (Future<?> user : running) {
        user.get();
      }
    } catch (ExecutionException e) {
      throw new IllegalStateException(e.getCause());
    }
    return new Outcome(all, System.nanoTime() - start);
  }

  /** Tokens of a user's prompts, about. */
  int length(int user) {
    return users == 1
        ? longest
        : shortest + (int) ((long) (longest - shortest) * user / (users - 1));
  }

  private String prompt(int user, int request, int characters) {
    String hay = Hay.of(seed * 1_000_003 + user * 1_009L + request, characters);
    return "Read this, and then tell in your own words what happened at each place.\n\n"
        .concat("Part %d of book %d. ".formatted(request + 1, user + 1))
        .concat(hay);
  }

  private double charactersPerToken(HttpClient client) throws IOException, InterruptedException {
    String sample = Hay.of(seed, SAMPLE);
    int[] tokens = {0};
    new ChatStream(address, model, sample, 1, 0, key)
        .ask(
            client,
            event -> {
              if (event instanceof ChatStream.Event.Usage took) {
                tokens[0] = took.usage().path("prompt_tokens").asInt(0);
              }
            });
    if (tokens[0] == 0) {
      throw new IOException(
          "%s does not say how many tokens a prompt has; it must answer stream_options with usage"
              .formatted(address));
    }
    return (double) sample.length() / tokens[0];
  }

  private Answered ask(HttpClient client, int user, String prompt) throws InterruptedException {
    Clock clock = new Clock();
    String failure = null;
    try {
      new ChatStream(address, model, prompt, answerTokens, temperature, key)
          .ask(client, clock::accept);
    } catch (IOException e) {
      failure = e.getMessage() == null ? e.toString() : e.getMessage();
    }
    return clock.answered(user, failure);
  }

  /** Times of one answer, in the thread that asks. */
  private static final class Clock {
    private final long start = System.nanoTime();
    private long first;
    private long last;
    private final List<Long> gaps = new ArrayList<>();
    private int promptTokens;
    private int tokens;

    void accept(ChatStream.Event event) {
      switch (event) {
        case ChatStream.Event.Prefill _ -> {}
        case ChatStream.Event.Text _ -> text(System.nanoTime());
        case ChatStream.Event.Usage took -> {
          promptTokens = took.usage().path("prompt_tokens").asInt(0);
          tokens = took.usage().path("completion_tokens").asInt(0);
        }
      }
    }

    private void text(long now) {
      if (first == 0) {
        first = now;
      } else {
        gaps.add(now - last);
      }
      last = now;
    }

    Answered answered(int user, @Nullable String failure) {
      return new Answered(
          user,
          promptTokens,
          tokens,
          first == 0 ? 0 : first - start,
          System.nanoTime() - start,
          gaps,
          failure);
    }
  }
}
