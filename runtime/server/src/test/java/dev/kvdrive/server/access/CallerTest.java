package dev.kvdrive.server.access;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.kvdrive.server.access.Caller.Limit;
import dev.kvdrive.server.openai.ApiException;
import io.github.bucket4j.TimeMeter;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Deque;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicInteger;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import net.jqwik.api.constraints.Size;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.springframework.http.HttpHeaders;

/** No more is let in than the limits say, and what is refused is told when to come again. */
class CallerTest {
  private static final long SECOND = Duration.ofSeconds(1).toNanos();
  private static final long MINUTE = Duration.ofMinutes(1).toNanos();

  private static final class Clock implements TimeMeter {
    private long nanos = 1;

    @Override
    public long currentTimeNanos() {
      return nanos;
    }

    @Override
    public boolean isWallClockBased() {
      return false;
    }
  }

  private final Clock clock = new Clock();

  private Caller caller(KeyLimits limits) {
    return new Caller("ada", limits, clock);
  }

  private static boolean tries(Caller caller) {
    try {
      caller.admit().close();
      return true;
    } catch (ApiException e) {
      return false;
    }
  }

  /** In any stretch of time, from any request on. */
  @Property
  void inNoTimeAreMoreRequestsAdmittedThanTheLimitSays(
      @ForAll @IntRange(min = 1, max = 500) int limit,
      @ForAll @Size(max = 300) List<@IntRange(max = 5_000) Integer> pausesMillis) {
    Caller caller = caller(new KeyLimits(limit, null, null));
    List<Long> admitted = new ArrayList<>();
    for (int pause : pausesMillis) {
      clock.nanos += pause * 1_000_003L;
      // A burst now and then, so that the bucket empties.
      for (int i = pause % 7; i >= 0; i--) {
        if (tries(caller)) {
          admitted.add(clock.nanos);
        }
      }
    }
    for (int from = 0; from < admitted.size(); from++) {
      for (int to = from; to < admitted.size(); to++) {
        double minutes = (double) (admitted.get(to) - admitted.get(from)) / MINUTE;
        assertThat(to - from + 1).isLessThanOrEqualTo((int) Math.floor(limit + limit * minutes));
      }
    }
  }

  /** Also if they are charged late, in any pieces, and the limit changes meanwhile. */
  @Property
  void tokensThatAreChargedNeverExceedTheLimitByMoreThanWhatWasAdmittedLast(
      @ForAll @Size(max = 200) List<@IntRange(max = 400) Integer> steps) {
    int largest = 1000;
    Caller caller = caller(new KeyLimits(null, largest, null));
    long start = clock.nanos;
    long charged = 0;
    for (int step : steps) {
      clock.nanos += step * SECOND / 50;
      caller.limit(new KeyLimits(null, step % 3 == 0 ? largest : 10 + step, null));
      long before = charged;
      if (tries(caller)) {
        caller.chargePrompt(step);
        caller.chargeCompletion(step / 2);
        charged += step + step / 2;
        double minutes = (double) (clock.nanos - start) / MINUTE;
        assertThat((double) before).isLessThan(largest + largest * minutes);
      }
    }
    assertThat(caller.promptTokens() + caller.completionTokens()).isEqualTo(charged);
  }

  @Test
  void ofRequestsAtTheSameTimeExactlyAsManyAreAdmittedAsThereMayBe() throws Exception {
    int threads = 16;
    int each = 2000;
    Caller caller = caller(new KeyLimits(1234, null, null));
    AtomicInteger admitted = new AtomicInteger();
    atOnce(
        threads,
        () -> {
          for (int i = 0; i < each; i++) {
            if (tries(caller)) {
              admitted.incrementAndGet();
            }
          }
        });
    assertThat(admitted).hasValue(1234);
    assertThat(caller.admitted()).isEqualTo(1234);
    assertThat(caller.refused(Limit.REQUESTS)).isEqualTo(threads * each - 1234);
    assertThat(caller.running()).isZero();
  }

  @Test
  void atNoTimeDoMoreRunThanMay() throws Exception {
    Caller caller = caller(new KeyLimits(null, null, 3));
    AtomicInteger inside = new AtomicInteger();
    List<Integer> seen = Collections.synchronizedList(new ArrayList<>());
    atOnce(
        8,
        () -> {
          for (int i = 0; i < 5000; i++) {
            try (Admission admission = caller.admit()) {
              seen.add(inside.incrementAndGet());
              inside.decrementAndGet();
              assertThat(admission).isNotNull();
            } catch (ApiException e) {
              assertThat(e.status()).isEqualTo(429);
            }
          }
        });
    assertThat(seen).hasSizeGreaterThan(1000).allMatch(count -> count <= 3);
    assertThat(caller.running()).isZero();
  }

  private static void atOnce(int threads, Runnable work) throws Exception {
    CountDownLatch begin = new CountDownLatch(1);
    try (ExecutorService pool = Executors.newFixedThreadPool(threads)) {
      List<Future<?>> all = new ArrayList<>();
      for (int i = 0; i < threads; i++) {
        all.add(
            pool.submit(
                () -> {
                  begin.await();
                  work.run();
                  return null;
                }));
      }
      begin.countDown();
      for (Future<?> one : all) {
        one.get();
      }
    }
  }

  @Test
  void whoIsRefusedIsAdmittedAfterTheTimeThatItWasToldAndNotBefore() {
    Caller caller = caller(new KeyLimits(7, null, null));
    while (tries(caller)) {
      assertThat(caller.admitted()).isLessThanOrEqualTo(7);
    }
    ApiException refused = refusal(caller);
    assertThat(refused.status()).isEqualTo(429);
    assertThat(refused.body().error().type()).isEqualTo("requests");
    assertThat(refused.body().error().code()).isEqualTo("rate_limit_exceeded");
    assertThat(refused)
        .hasMessage(
            "Rate limit reached for key 'ada': 7 requests per minute. Try again in 8.572s.");
    clock.nanos += wait(refused).toNanos() - 1;
    assertThat(tries(caller)).isFalse();
    clock.nanos += 1;
    assertThat(tries(caller)).isTrue();
  }

  @Test
  void tokensBeyondTheLimitAreMadeUpForFirst() {
    Caller caller = caller(new KeyLimits(null, 600, null));
    Admission first = caller.admit();
    first.chargePrompt(500);
    Admission second = caller.admit();
    second.chargePrompt(500);
    second.chargeCompletion(100);
    ApiException refused = refusal(caller);
    assertThat(refused)
        .hasMessage(
            "Rate limit reached for key 'ada': 600 tokens per minute, of which 500 more than that are used. Try again in 50.1s.");
    clock.nanos += wait(refused).toNanos();
    assertThat(tries(caller)).isTrue();
    HttpHeaders headers = new HttpHeaders();
    caller.tell(headers);
    assertThat(headers.toSingleValueMap())
        .containsOnlyKeys(
            "x-ratelimit-limit-tokens", "x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens")
        .containsEntry("x-ratelimit-limit-tokens", "600")
        .containsEntry("x-ratelimit-remaining-tokens", "1")
        .containsEntry("x-ratelimit-reset-tokens", "59.9s");
  }

  @Test
  void aRequestThatOneLimitRefusesTakesNothingOfTheOthers() {
    Caller caller = caller(new KeyLimits(2, 10, 1));
    Admission running = caller.admit();
    assertThat(refusal(caller).body().error().type()).isEqualTo("concurrent_requests");
    running.chargePrompt(10);
    running.close();
    running.close();
    assertThat(refusal(caller).body().error().type()).isEqualTo("tokens");
    assertThat(caller.running()).isZero();
    clock.nanos += 10 * SECOND;
    assertThat(tries(caller)).isTrue();
    assertThat(refusal(caller).body().error().type()).isEqualTo("requests");
  }

  @Test
  void aRequestRunsUntilItsLastGenerationHasEnded() {
    Caller caller = caller(new KeyLimits(null, null, 1));
    Deque<Admission> open = new ArrayDeque<>();
    open.add(caller.admit());
    open.element().begin(2);
    open.element().answered();
    open.element().ended();
    assertThatThrownBy(caller::admit).hasMessageContaining("1 concurrent requests");
    open.element().ended();
    assertThat(caller.running()).isZero();
    open.element().close();
    assertThat(caller.running()).isZero();
    Admission refused = caller.admit();
    refused.begin(1);
    refused.giveUp();
    refused.answered();
    assertThat(caller.running()).isZero();
  }

  @ParameterizedTest
  @CsvSource({
    "0, 0ms",
    "20, 20ms",
    "999, 999ms",
    "1000, 1s",
    "1500, 1.5s",
    "59999, 59.999s",
    "60000, 1m0s",
    "90001, 1m31s",
    "360000, 6m0s"
  })
  void timesAreWrittenAsOpenAiWritesThem(long millis, String text) {
    assertThat(Caller.text(Duration.ofMillis(millis))).isEqualTo(text);
  }

  private static ApiException refusal(Caller caller) {
    try {
      caller.admit();
      throw new AssertionError("it was admitted");
    } catch (ApiException e) {
      return e;
    }
  }

  private static Duration wait(ApiException refused) {
    Duration wait = refused.retryAfter();
    assertThat(wait).isNotNull();
    return wait == null ? Duration.ZERO : wait;
  }
}
