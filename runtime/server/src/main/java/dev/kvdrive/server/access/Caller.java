package dev.kvdrive.server.access;

import dev.kvdrive.server.openai.ApiException;
import io.github.bucket4j.TimeMeter;
import java.time.Duration;
import java.util.EnumMap;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.LongAdder;
import org.jspecify.annotations.Nullable;
import org.springframework.http.HttpHeaders;

/**
 * Who calls with one of the keys of a name: its limits, what is left of them, and what it has used.
 * The one owner of that state; it stays the same when the file with the keys changes. Thread-safe.
 */
public final class Caller {
  /** Clients may not hurry back sooner where nobody knows when a place will be free. */
  private static final Duration WHEN_ONE_HAS_ENDED = Duration.ofSeconds(1);

  /** Which limit refused a request. */
  public enum Limit {
    REQUESTS,
    TOKENS,
    CONCURRENT_REQUESTS;

    /** Of metrics and errors. */
    public String word() {
      return name().toLowerCase(Locale.ROOT);
    }
  }

  private record State(
      KeyLimits limits, @Nullable MinuteLimit requests, @Nullable MinuteLimit tokens) {}

  private final String name;
  private final TimeMeter clock;
  private volatile State state;
  private final AtomicInteger running = new AtomicInteger();
  private final LongAdder admitted = new LongAdder();
  private final LongAdder promptTokens = new LongAdder();
  private final LongAdder completionTokens = new LongAdder();
  private final Map<Limit, LongAdder> refused = new EnumMap<>(Limit.class);

  Caller(String name, KeyLimits limits, TimeMeter clock) {
    this.name = name;
    this.clock = clock;
    this.state = changed(null, limits);
    for (Limit limit : Limit.values()) {
      refused.put(limit, new LongAdder());
    }
  }

  /** In metrics and errors; not the key. */
  public String name() {
    return name;
  }

  /** Requests that were admitted. */
  public long admitted() {
    return admitted.sum();
  }

  /** Requests that a limit refused. */
  public long refused(Limit limit) {
    LongAdder count = refused.get(limit);
    return count == null ? 0 : count.sum();
  }

  /** Requests that are worked on. */
  public int running() {
    return running.get();
  }

  public long promptTokens() {
    return promptTokens.sum();
  }

  public long completionTokens() {
    return completionTokens.sum();
  }

  KeyLimits limits() {
    return state.limits();
  }

  /** Other limits from now on; what was used of the earlier ones stays used. */
  void limit(KeyLimits limits) {
    State before = state;
    if (!before.limits().equals(limits)) {
      state = changed(before, limits);
    }
  }

  private State changed(@Nullable State before, KeyLimits limits) {
    return new State(
        limits,
        changed(before == null ? null : before.requests(), limits.requestsPerMinute()),
        changed(before == null ? null : before.tokens(), limits.tokensPerMinute()));
  }

  private @Nullable MinuteLimit changed(@Nullable MinuteLimit before, @Nullable Integer limit) {
    if (limit == null) {
      return null;
    }
    if (before == null) {
      return new MinuteLimit(limit, clock);
    }
    before.change(limit);
    return before;
  }

  /** Whether it would make no difference if this were forgotten and made anew. */
  boolean isUnused() {
    State now = state;
    return running.get() == 0 && isFull(now.requests()) && isFull(now.tokens());
  }

  private static boolean isFull(@Nullable MinuteLimit limit) {
    return limit == null || limit.left() >= limit.limit();
  }

  /**
   * Lets a request in.
   *
   * @throws ApiException 429 that says which limit, how much it is, and when to try again; nothing
   *     is taken then
   */
  Admission admit() {
    State now = state;
    takePlace(now.limits().concurrentRequests());
    boolean admits = false;
    try {
      MinuteLimit tokens = now.tokens();
      if (tokens != null && tokens.left() <= 0) {
        throw refuse(Limit.TOKENS, tokens, "tokens");
      }
      MinuteLimit requests = now.requests();
      if (requests != null && !requests.take()) {
        throw refuse(Limit.REQUESTS, requests, "requests");
      }
      admits = true;
    } finally {
      if (!admits) {
        leave();
      }
    }
    admitted.increment();
    return new Admission(this);
  }

  private void takePlace(@Nullable Integer places) {
    if (places == null) {
      running.incrementAndGet();
      return;
    }
    int now = running.get();
    while (now < places) {
      if (running.compareAndSet(now, now + 1)) {
        return;
      }
      now = running.get();
    }
    count(Limit.CONCURRENT_REQUESTS);
    throw ApiException.rateLimit(
        Limit.CONCURRENT_REQUESTS.word(),
        "Rate limit reached for key '%s': %d concurrent requests, all of them running. Try again when one has ended."
            .formatted(name, places),
        WHEN_ONE_HAS_ENDED);
  }

  private ApiException refuse(Limit limit, MinuteLimit spent, String what) {
    count(limit);
    Duration wait = spent.untilOne();
    long over = -spent.left();
    return ApiException.rateLimit(
        limit.word(),
        "Rate limit reached for key '%s': %d %s per minute%s. Try again in %s."
            .formatted(
                name,
                spent.limit(),
                what,
                over > 0 ? ", of which %d more than that are used".formatted(over) : "",
                text(wait)),
        wait);
  }

  private void count(Limit limit) {
    LongAdder count = refused.get(limit);
    if (count != null) {
      count.increment();
    }
  }

  /** A request is over. */
  void leave() {
    running.decrementAndGet();
  }

  void chargePrompt(int tokens) {
    promptTokens.add(tokens);
    charge(tokens);
  }

  void chargeCompletion(int tokens) {
    completionTokens.add(tokens);
    charge(tokens);
  }

  private void charge(int tokens) {
    MinuteLimit limit = state.tokens();
    if (limit != null) {
      limit.charge(tokens);
    }
  }

  /** Says what is left, in OpenAI's headers; of limits that there are. */
  void tell(HttpHeaders headers) {
    State now = state;
    tell(headers, "requests", now.requests());
    tell(headers, "tokens", now.tokens());
  }

  private static void tell(HttpHeaders headers, String what, @Nullable MinuteLimit limit) {
    if (limit != null) {
      headers.set("x-ratelimit-limit-" + what, Integer.toString(limit.limit()));
      headers.set("x-ratelimit-remaining-" + what, Long.toString(Math.max(0, limit.left())));
      headers.set("x-ratelimit-reset-" + what, text(limit.untilFull()));
    }
  }

  /** As OpenAI writes times: {@code 20ms}, {@code 1.5s}, {@code 6m0s}; up from a microsecond. */
  static String text(Duration time) {
    long millis = time.plusNanos(999_000).toMillis();
    if (millis < 1000) {
      return millis + "ms";
    }
    if (millis < 60_000) {
      String fraction = "%03d".formatted(millis % 1000).replaceFirst("0+$", "");
      return millis / 1000 + (fraction.isEmpty() ? "" : "." + fraction) + "s";
    }
    long seconds = Math.ceilDiv(millis, 1000);
    return seconds / 60 + "m" + seconds % 60 + "s";
  }
}
