package dev.kvdrive.server;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.kvdrive.kv.tier.ExtentFile;
import java.io.IOException;
import java.io.InputStream;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Locale;
import java.util.Objects;
import java.util.concurrent.CompletableFuture;
import java.util.function.Predicate;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/**
 * The page in a real browser, of a real runtime with the bundled model and a prompt that needs all
 * three tiers. Skipped where no browser is installed; {@code .ci/run} installs one.
 */
class UiPageTest {
  private static final JsonMapper JSON = JsonMapper.builder().build();
  private static final Duration PATIENCE = Duration.ofMinutes(3);
  private static final String KEY = "sk-0123456789abcdef";
  private static final int ANSWER = 160;

  /** Pictures are kept where this names a folder. */
  private static final String PICTURES = System.getProperty("kvdrive.pictures", "");

  @TempDir static Path folder;

  private static OwnRuntime runtime;
  private static Browser browser;

  @BeforeAll
  static void start() throws Exception {
    Path program = Browser.installed().orElse(null);
    assumeTrue(program != null, "no browser is installed: apt-get install chromium");
    runtime =
        OwnRuntime.start(
                ExtentFile.Opener.FILES,
                "--kvdrive.http.ui=true",
                "--kvdrive.api-keys-file=" + TestFolder.withKey(KEY),
                "--kvdrive.served-model-name=acme/tiny",
                "--kvdrive.model.cache-dir=" + TestFolder.PATH.resolve("models"),
                "--kvdrive.dense-below=0",
                "--kvdrive.budget=0.0625",
                "--kvdrive.meter=0.3",
                "--kvdrive.context-length=8192",
                "--kvdrive.concurrency=1",
                "--kvdrive.queue-limit=4",
                "--kvdrive.tiers.gpu-bytes=64Mi",
                "--kvdrive.tiers.dram-bytes=16Mi",
                "--kvdrive.tiers.nvme-bytes=64Mi",
                "--kvdrive.tiers.nvme-dir=" + Files.createDirectories(folder.resolve("nvme")))
            .ready();
    browser = Browser.start(Objects.requireNonNull(program), folder);
    browser.size(1280, 1400);
  }

  @BeforeEach
  void forget() {
    browser.forget();
  }

  @AfterAll
  static void end() {
    if (browser != null) {
      browser.close();
    }
    if (runtime != null) {
      runtime.close();
    }
  }

  private static HttpResponse<String> ask(int words, int answer)
      throws IOException, InterruptedException {
    String body =
        "{\"prompt\":\"%s\",\"max_tokens\":%d,\"ignore_eos\":true,\"temperature\":0}"
            .formatted("The linker reads every object once. ".repeat(words / 6), answer);
    return runtime.send(
        runtime
            .request("/v1/completions")
            .header("Authorization", "Bearer " + KEY)
            .header("Content-Type", "application/json")
            .header("x-request-id", "what-is-a-linker")
            .POST(HttpRequest.BodyPublishers.ofString(body)));
  }

  /** Waits until the text of an element is as it should be. */
  private static String until(String selector, Predicate<String> good) {
    await().atMost(PATIENCE).until(() -> good.test(browser.text(selector)));
    return browser.text(selector);
  }

  private static void keep(String name) throws IOException {
    if (!PICTURES.isEmpty()) {
      Files.write(
          Files.createDirectories(Path.of(PICTURES)).resolve(name + ".png"), browser.picture());
    }
  }

  private static void assertAccessible(String when) throws IOException {
    try (InputStream axe = UiPageTest.class.getResourceAsStream("/axe.min.js")) {
      browser.evaluate(
          new String(Objects.requireNonNull(axe).readAllBytes(), StandardCharsets.UTF_8) + ";0");
    }
    JsonNode found =
        browser.evaluate(
            "axe.run(document, {resultTypes: ['violations']}).then(r => r.violations.map(v => v.id + ': ' + v.nodes.map(n => n.target + ' ' + n.failureSummary).join(' | ')))");
    assertThat(found).as("violations %s", when).isEmpty();
  }

  @Test
  void showsWhereTheBytesOfALongPromptAreAndWhatTheApiSaysInTheEnd() throws Exception {
    browser.prefer(false, true);
    String address = runtime.request("/ui").build().uri().toString();
    browser.open(address);

    // The key is asked for, a wrong one is refused, and the right one is enough.
    await()
        .atMost(PATIENCE)
        .until(
            () -> browser.evaluate("!document.getElementById('key-form').hidden").booleanValue());
    assertAccessible("of the form for the key");
    browser.type("sk-not-this-one-0000");
    browser.press("Enter", 13, false);
    until("#notice", text -> text.contains("Incorrect API key"));
    assertThat(browser.complaints())
        .as("two refusals, as they are meant")
        .hasSize(2)
        .allMatch(s -> s.contains("401"));
    browser.forget();
    browser.type(KEY);
    browser.press("Enter", 13, false);
    until("#model", text -> text.startsWith("acme/tiny on CPU"));
    until("#state", "ready"::equals);
    assertThat(browser.text("#idle")).contains("Nothing runs").doesNotContain(KEY);
    assertThat(
            browser
                .evaluate(
                    "JSON.stringify([localStorage.length, sessionStorage.length, document.cookie])")
                .asString(""))
        .as("the key is kept nowhere")
        .isEqualTo("[0,0,\"\"]");

    CompletableFuture<HttpResponse<String>> answer =
        CompletableFuture.supplyAsync(
            () -> {
              try {
                return ask(6000, ANSWER);
              } catch (IOException | InterruptedException e) {
                throw new IllegalStateException(e);
              }
            });
    // While the prompt is read, and while it is answered.
    until(".sequence .state", "reads its prompt"::equals);
    until(".sequence .tokens", text -> text.matches("[\\d,]+ of [\\d,]+ prompt tokens read"));
    keep("reading");
    until(".sequence .state", "answers"::equals);
    for (String tier : List.of("gpu", "dram", "nvme")) {
      String bytes = until("[data-bytes=%s] span".formatted(tier), text -> text.contains("iB"));
      assertThat(bytes).as("bytes in %s", tier).matches("\\d+(\\.\\d)? (K|M)iB");
      assertThat(
              browser
                  .evaluate(
                      "Math.max(...[...document.querySelectorAll('[data-map=%s] rect')].map(r => r.getAttribute('height')))"
                          .formatted(tier))
                  .intValue())
          .as("the map of %s", tier)
          .isPositive();
      assertThat(browser.text("[data-tier=%s] .bar .kv".formatted(tier))).isEqualTo("1");
    }
    until("#step-table", text -> text.contains("fetch"));
    until("#accuracy-sum", text -> text.contains("samples"));
    assertThat(
            browser
                .evaluate("document.querySelectorAll('#heat rect:not(.none)').length")
                .intValue())
        .isPositive();
    until("[data-figure=answered] .value span", text -> !text.equals("0.00"));
    assertAccessible("in light");
    keep("light");
    String light = background();
    browser.prefer(true, true);
    assertAccessible("in dark");
    keep("dark");
    assertThat(background()).isNotEqualTo(light);
    browser.size(390, 844);
    assertThat(
            browser.evaluate("document.documentElement.scrollWidth <= innerWidth").booleanValue())
        .as("a narrow screen scrolls one way only")
        .isTrue();
    assertAccessible("on a narrow screen");
    keep("narrow");
    browser.size(1280, 1400);
    browser.prefer(false, true);

    HttpResponse<String> told = answer.join();
    assertThat(told.statusCode()).as(told.body()).isEqualTo(200);
    JsonNode usage = JSON.readTree(told.body()).path("usage");
    JsonNode tiers = usage.path("kvdrive");
    assertThat(tiers.at("/fetched_bytes/nvme").longValue())
        .as("all three tiers are read")
        .isPositive();
    until("#ended tbody tr", text -> !text.isEmpty());
    assertThat(cell(1)).startsWith("what-is-a-linker");
    assertThat(cell(2)).isEqualTo("ended");
    assertThat(cell(3)).isEqualTo(count(usage.path("prompt_tokens")));
    assertThat(cell(4)).isEqualTo(count(usage.path("completion_tokens")));
    assertThat(cell(5))
        .isEqualTo(
            percent(
                tiers.path("attended_tokens").doubleValue()
                    / tiers.path("context_tokens").doubleValue()));
    assertThat(cell(6)).isEqualTo(percent(tiers.path("window_hit_rate").doubleValue()));
    assertThat(cell(7)).isEqualTo(count(tiers.at("/missed_chunks/dram")));
    assertThat(cell(8)).isEqualTo(count(tiers.at("/missed_chunks/nvme")));
    assertThat(cell(11)).isEqualTo(percent(tiers.at("/accuracy/mass_missed").doubleValue()));
    until(
        "#idle",
        text -> browser.evaluate("!document.getElementById('idle').hidden").booleanValue());
    // What was made of the prompt stays, and is told from what sequences hold.
    String kept =
        until("[data-tier=dram] .sum small", text -> text.matches("0 B by sequences, .+ kept"));
    assertThat(
            browser
                .evaluate(
                    "document.querySelector('[data-tier=dram] .bar .kept').getBoundingClientRect().width > 0")
                .booleanValue())
        .as(kept)
        .isTrue();
    assertThat(browser.evaluate("document.querySelector('.legend').textContent").asString(""))
        .contains("kept of prompts");
    keep("ended");

    assertThat(browser.complaints()).as("what the page complains of").isEmpty();
    assertThat(browser.requests())
        .as("requests")
        .isNotEmpty()
        .allMatch(uri -> uri.toString().startsWith(address));
  }

  @Test
  void canBeUsedWithAKeyboardAndStoppedWithIt() {
    browser.open(runtime.request("/ui").build().uri().toString());
    await()
        .atMost(PATIENCE)
        .until(() -> browser.evaluate("document.activeElement.id").asString("").equals("key"));
    browser.type(KEY);
    browser.press("Enter", 13, false);
    until("#state", "ready"::equals);
    assertThat(focus()).as("the form is gone, so reading goes on at the content").isEqualTo("main");
    browser.press("Tab", 9, true);
    assertThat(focus()).isEqualTo("pause");
    browser.press("Enter", 13, false);
    assertThat(browser.evaluate("document.activeElement.getAttribute('aria-pressed')").asString(""))
        .isEqualTo("true");
    browser.press("Tab", 9, true);
    assertThat(browser.evaluate("document.activeElement.className").asString("")).isEqualTo("skip");
    browser.press("Enter", 13, false);
    assertThat(focus()).isEqualTo("main");
  }

  private static String focus() {
    return browser.evaluate("document.activeElement.id").asString("");
  }

  private static String background() {
    return browser.evaluate("getComputedStyle(document.body).backgroundColor").asString("");
  }

  private static String cell(int column) {
    return browser.text("#ended tbody tr > :nth-child(%d)".formatted(column));
  }

  private static String count(JsonNode number) {
    return String.format(Locale.ROOT, "%,d", number.longValue());
  }

  private static String percent(double share) {
    return String.format(
        Locale.ROOT, share > 0 && share < 0.1 ? "%.2f %%" : "%.1f %%", 100 * share);
  }
}
