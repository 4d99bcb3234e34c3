package dev.kvdrive.server;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.kvdrive.schedule.FinishReason;
import dev.kvdrive.server.serving.ModelStart;
import dev.kvdrive.server.serving.ServedModel;
import dev.kvdrive.server.ui.SnapshotFeed;
import java.io.IOException;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.Consumer;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.reactivestreams.Subscription;
import reactor.core.publisher.BaseSubscriber;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/** The page's files and what they are told, with an engine that the test plays. */
class UiTest {
  private static final JsonMapper JSON = JsonMapper.builder().build();
  private static final String KEY = "sk-0123456789abcdef";
  private static final String ON = "--kvdrive.http.ui=true";

  private final ScriptedRuntime scripted = new ScriptedRuntime();
  private final List<OwnRuntime> runtimes = new ArrayList<>();
  private final HttpClient client = HttpClient.newHttpClient();

  private OwnRuntime start(String... settings) {
    OwnRuntime runtime = OwnRuntime.start(scripted, settings);
    runtimes.add(runtime);
    return runtime.ready();
  }

  @AfterEach
  void end() {
    client.shutdownNow();
    runtimes.forEach(OwnRuntime::close);
  }

  /** A page that watches, until it is closed. */
  private final class Page implements AutoCloseable {
    private final HttpResponse<Stream<String>> answer;
    private final Iterator<String> lines;

    Page(HttpRequest request) throws IOException, InterruptedException {
      answer = client.send(request, HttpResponse.BodyHandlers.ofLines());
      lines = answer.body().iterator();
    }

    JsonNode next() {
      while (lines.hasNext()) {
        String line = lines.next();
        if (line.startsWith("data: ")) {
          return JSON.readTree(line.substring(6));
        }
      }
      throw new AssertionError("the stream has ended");
    }

    boolean ends() {
      while (lines.hasNext()) {
        lines.next();
      }
      return true;
    }

    @Override
    public void close() {
      answer.body().close();
    }
  }

  private Page watch(OwnRuntime runtime) throws IOException, InterruptedException {
    return new Page(runtime.request("/ui/events").build());
  }

  @Test
  void isNotThereUnlessItIsAskedFor() throws Exception {
    OwnRuntime runtime = start();
    for (String path : List.of("/ui", "/ui/", "/ui/page.js", "/ui/events")) {
      HttpResponse<String> answer = runtime.get(path);
      assertThat(answer.statusCode()).as(path).isEqualTo(404);
      assertThat(answer.body()).contains("unknown_url");
    }
  }

  @Test
  void itsFilesMayLoadAndCallNothingElse() throws Exception {
    OwnRuntime runtime = start(ON);
    for (String path : List.of("/ui", "/ui/page.css", "/ui/page.js", "/ui/icon.svg")) {
      HttpResponse<String> file = runtime.get(path);
      assertThat(file.statusCode()).as(path).isEqualTo(200);
      assertThat(file.body()).as(path).isNotBlank();
      assertThat(file.headers().firstValue("Content-Security-Policy").orElse(""))
          .startsWith("default-src 'none'; script-src 'self'")
          .doesNotContain("unsafe", "http", "*");
      assertThat(file.headers().firstValue("X-Content-Type-Options")).hasValue("nosniff");
      String tag = file.headers().firstValue("ETag").orElseThrow();
      HttpResponse<String> again = runtime.send(runtime.request(path).header("If-None-Match", tag));
      assertThat(again.statusCode()).isEqualTo(304);
    }
    assertThat(runtime.get("/ui").headers().firstValue("Content-Type"))
        .hasValue("text/html;charset=UTF-8");
    assertThat(runtime.get("/ui/").headers().firstValue("Location")).hasValue("../ui");
    assertThat(runtime.get("/ui/page.html").statusCode()).isEqualTo(404);
    assertThat(runtime.send(runtime.request("/ui").DELETE()).statusCode()).isEqualTo(405);
  }

  @Test
  void aSnapshotSaysWhereTheBytesOfEachSequenceAreAndNothingOfWhatIsInIt() throws Exception {
    OwnRuntime runtime = start(ON);
    runtime.stream("/v1/chat/completions", ScriptedServer.chat("my own words", "\"stream\":true"));
    ScriptedEngine.Played played = scripted.engine.next();
    try (Page page = watch(runtime)) {
      JsonNode snapshot = page.next();
      assertThat(snapshot.at("/state").stringValue()).isEqualTo("ready");
      JsonNode engine = snapshot.at("/engine");
      assertThat(engine.at("/plan/model").stringValue()).isEqualTo(ScriptedRuntime.NAME);
      assertThat(engine.at("/plan/context_length").intValue()).isEqualTo(ScriptedRuntime.CONTEXT);
      assertThat(engine.at("/plan/demands/0").toString())
          .isEqualTo(
              "{\"tier\":\"GPU\",\"item\":\"weights\",\"bytes\":40,\"arithmetic\":\"40 bytes\"}");
      assertThat(engine.at("/tiers/2").toString())
          .isEqualTo(
              "{\"name\":\"nvme\",\"capacity_bytes\":600,\"used_bytes\":340,\"kv_bytes\":340,\"kept_bytes\":0}");
      assertThat(engine.at("/tiers/1").toString())
          .isEqualTo(
              "{\"name\":\"dram\",\"capacity_bytes\":200,\"used_bytes\":100,\"kv_bytes\":60,\"kept_bytes\":30}");
      assertThat(engine.at("/queue").toString())
          .isEqualTo("{\"running\":1,\"waiting\":0,\"limit\":2}");
      assertThat(engine.at("/totals/missed_chunks").toString())
          .isEqualTo("{\"dram\":15,\"nvme\":16}");
      assertThat(engine.at("/totals/nvme_written_day_bytes").longValue()).isEqualTo(8192);
      assertThat(engine.at("/accuracy/mass_missed/0/0").doubleValue()).isEqualTo(0.25);
      assertThat(engine.at("/accuracy/samples/0/1").longValue()).isZero();
      assertThat(engine.at("/step").toString())
          .isEqualTo(
              "{\"number\":13,\"sequences\":1,\"nanos\":5000,\"stage_nanos\":{\"attend\":4000},\"hits\":3,\"dram_misses\":2,\"nvme_misses\":1}");
      JsonNode sequence = engine.at("/sequences/0");
      assertThat(sequence.at("/id").stringValue()).isEqualTo(played.id());
      assertThat(sequence.at("/state").stringValue()).isEqualTo("stalled");
      assertThat(sequence.at("/waits_for").stringValue())
          .as("a path of the server is its own")
          .isEqualTo("chunks that are read from [path]");
      assertThat(sequence.at("/stalled_seconds").doubleValue()).isEqualTo(1.5);
      assertThat(sequence.at("/held").toString())
          .isEqualTo(
              "{\"fixed_bytes\":1,\"window_bytes\":2,\"resident_bytes\":3,\"dram_bytes\":4,\"nvme_bytes\":5,\"copied_bytes\":6,\"places\":{\"tokens\":8,\"window\":[100],\"dram\":[600],\"nvme\":[400]}}");
      assertThat(sequence.at("/usage/kvdrive/attended_tokens").longValue()).isEqualTo(30);
      assertThat(snapshot.toString()).doesNotContain("my own words");
      played.finish(FinishReason.STOP, "");
      await().until(() -> page.next().at("/engine/sequences").isEmpty());
    }
  }

  @Test
  void oneProducerServesAFewWatchersAndRestsWhenNobodyWatches() throws Exception {
    OwnRuntime runtime = start(ON);
    assertThat(scripted.engine.views()).isZero();
    List<Page> pages = new ArrayList<>();
    for (int i = 0; i < SnapshotFeed.MOST_WATCHERS; i++) {
      pages.add(watch(runtime));
    }
    HttpResponse<String> oneMore = runtime.get("/ui/events");
    assertThat(oneMore.statusCode()).isEqualTo(429);
    assertThat(oneMore.body()).contains("watchers_full", "8 pages watch this server already");
    assertThat(oneMore.headers().firstValue("Retry-After")).hasValue("5");
    pages.forEach(Page::next);
    long before = scripted.engine.views();
    for (int i = 0; i < 4; i++) {
      pages.forEach(Page::next);
    }
    assertThat(scripted.engine.views() - before)
        .as("views are made by the clock, whoever watches")
        .isLessThan(4L * SnapshotFeed.MOST_WATCHERS);
    pages.forEach(Page::close);
    await().until(() -> runtime.feed().watchers() == 0);
    await()
        .until(
            () -> {
              long now = scripted.engine.views();
              Thread.sleep(3 * SnapshotFeed.EVERY.toMillis());
              return scripted.engine.views() == now;
            });
    try (Page again = watch(runtime)) {
      assertThat(again.next().at("/state").stringValue()).isEqualTo("ready");
    }
  }

  @Test
  void whatItShowsNeedsAKeyWhereTheApiDoes() throws Exception {
    OwnRuntime runtime = start(ON, "--kvdrive.api-keys-file=" + TestFolder.withKey(KEY));
    for (String path : List.of("/ui", "/ui/page.css", "/ui/page.js", "/ui/icon.svg")) {
      assertThat(runtime.get(path).statusCode()).as(path).isEqualTo(200);
    }
    for (String path : List.of("/ui/events", "/ui/%65vents", "/ui/events/", "/ui//events")) {
      HttpResponse<String> refused = runtime.get(path);
      assertThat(refused.statusCode()).as(path).isEqualTo(401);
      assertThat(refused.body()).contains("API key");
    }
    assertThat(runtime.feed().watchers()).isZero();
    try (Page page =
        new Page(runtime.request("/ui/events").header("Authorization", "Bearer " + KEY).build())) {
      assertThat(page.next().at("/state").stringValue()).isEqualTo("ready");
    }
  }

  /** It neither holds memory nor a place for long. */
  @Test
  void aWatcherThatDoesNotReadIsDroppedAndTheOthersGoOn() throws Exception {
    OwnRuntime runtime = start(ON);
    try (Page reads = watch(runtime)) {
      SnapshotFeed.Watcher watcher = runtime.feed().watch().orElseThrow();
      CountDownLatch dropped = new CountDownLatch(1);
      CountDownLatch ended = new CountDownLatch(1);
      AtomicInteger events = new AtomicInteger();
      watcher.onDrop(dropped::countDown);
      watcher
          .events()
          .subscribe(
              new BaseSubscriber<>() {
                @Override
                protected void hookOnSubscribe(Subscription subscription) {
                  request(2);
                }

                @Override
                protected void hookOnNext(byte[] event) {
                  events.incrementAndGet();
                }

                @Override
                protected void hookOnComplete() {
                  ended.countDown();
                }
              });
      while (dropped.getCount() > 0) {
        reads.next();
      }
      assertThat(ended.await(5, TimeUnit.SECONDS)).isTrue();
      assertThat(events).hasValue(2);
      assertThat(runtime.feed().watchers()).isEqualTo(1);
      reads.next();
    }
  }

  @Test
  void showsAModelThatLoadsAndEndsWithTheRuntime() throws Exception {
    CountDownLatch loads = new CountDownLatch(1);
    ModelStart slow =
        new ModelStart() {
          @Override
          public ServedModel start(Consumer<String> progress) {
            progress.accept("downloading /srv/secret: a tenth");
            try {
              loads.await();
            } catch (InterruptedException e) {
              throw new IllegalStateException(e);
            }
            return scripted.start(progress);
          }

          @Override
          public void close() {
            scripted.close();
          }
        };
    OwnRuntime runtime = OwnRuntime.start(slow, ON);
    runtimes.add(runtime);
    try (Page page = watch(runtime)) {
      await()
          .untilAsserted(
              () ->
                  assertThat(page.next().at("/detail").stringValue())
                      .isEqualTo("downloading [path]: a tenth"));
      assertThat(page.next().has("engine")).isFalse();
      loads.countDown();
      await().until(() -> page.next().has("engine"));
      runtime.serving().drain();
      assertThat(page.ends()).isTrue();
      assertThat(runtime.feed().watchers()).isZero();
    }
  }
}
