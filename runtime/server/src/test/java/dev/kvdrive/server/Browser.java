package dev.kvdrive.server;

import static org.awaitility.Awaitility.await;

import java.io.File;
import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.net.http.WebSocket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Base64;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.Stream;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/**
 * A headless Chromium with one page, driven over its DevTools protocol: nothing between the test
 * and the browser that is installed, and nothing that prints.
 */
final class Browser implements AutoCloseable {
  private static final JsonMapper JSON = JsonMapper.builder().build();

  /** Of the modifiers of a key. */
  private static final int SHIFT = 8;

  private static final Duration PATIENCE = Duration.ofSeconds(60);

  private final Process process;
  private final HttpClient client = HttpClient.newHttpClient();
  private final WebSocket socket;
  private final AtomicInteger calls = new AtomicInteger();
  private final Map<Integer, CompletableFuture<JsonNode>> waiting = new ConcurrentHashMap<>();
  private final List<String> complaints = new CopyOnWriteArrayList<>();
  private final List<URI> requests = new CopyOnWriteArrayList<>();

  private Browser(Process process, URI page) {
    this.process = process;
    socket = client.newWebSocketBuilder().buildAsync(page, new Messages()).join();
  }

  /** The browser of this machine, if it has one. */
  static Optional<Path> installed() {
    String named = System.getenv("KVDRIVE_BROWSER");
    if (named != null) {
      return Optional.of(Path.of(named));
    }
    return Stream.of("chromium", "chromium-browser", "google-chrome")
        .flatMap(
            name ->
                Stream.of(String.valueOf(System.getenv("PATH")).split(File.pathSeparator))
                    .map(folder -> Path.of(folder, name)))
        .filter(Files::isExecutable)
        .findFirst();
  }

  /**
   * Starts it.
   *
   * @param folder of its own
   */
  static Browser start(Path program, Path folder) throws IOException, InterruptedException {
    Path profile = Files.createDirectories(folder.resolve("profile"));
    List<String> command =
        new ArrayList<>(
            List.of(
                program.toString(),
                "--headless=new",
                "--user-data-dir=" + profile.toAbsolutePath(),
                "--remote-debugging-port=0",
                "--remote-allow-origins=*",
                "--no-first-run",
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--disable-extensions",
                "--disable-sync",
                "--disable-background-networking",
                "--disable-component-update",
                "--force-color-profile=srgb",
                "--hide-scrollbars"));
    if ("root".equals(System.getProperty("user.name"))) {
      command.add("--no-sandbox");
    }
    command.add("about:blank");
    Process process =
        new ProcessBuilder(command)
            .redirectErrorStream(true)
            .redirectOutput(folder.resolve("browser.log").toFile())
            .start();
    try {
      Path port = profile.resolve("DevToolsActivePort");
      await()
          .atMost(PATIENCE)
          .until(() -> Files.exists(port) && Files.readAllLines(port).size() == 2);
      return new Browser(process, page(Files.readAllLines(port).getFirst())).ready();
    } catch (RuntimeException e) {
      end(process);
      throw e;
    }
  }

  private static URI page(String port) throws IOException, InterruptedException {
    try (HttpClient client = HttpClient.newHttpClient()) {
      String targets =
          client
              .send(
                  HttpRequest.newBuilder(URI.create("http://127.0.0.1:" + port + "/json/list"))
                      .build(),
                  HttpResponse.BodyHandlers.ofString())
              .body();
      for (JsonNode target : JSON.readTree(targets)) {
        if (target.path("type").asString("").equals("page")) {
          return URI.create(target.path("webSocketDebuggerUrl").asString(""));
        }
      }
      throw new IllegalStateException("the browser has no page: " + targets);
    }
  }

  private Browser ready() {
    for (String domain : List.of("Page", "Runtime", "Log", "Network")) {
      call(domain + ".enable", Map.of());
    }
    return this;
  }

  private final class Messages implements WebSocket.Listener {
    private final StringBuilder text = new StringBuilder();

    @Override
    public CompletionStage<?> onText(WebSocket from, CharSequence data, boolean last) {
      text.append(data);
      if (last) {
        JsonNode message = JSON.readTree(text.toString());
        text.setLength(0);
        take(message);
      }
      from.request(1);
      return CompletableFuture.completedFuture(null);
    }
  }

  private void take(JsonNode message) {
    if (message.has("id")) {
      CompletableFuture<JsonNode> call = waiting.remove(message.path("id").intValue());
      if (call != null) {
        call.complete(message);
      }
      return;
    }
    JsonNode said = message.path("params");
    switch (message.path("method").asString("")) {
      case "Network.requestWillBeSent" ->
          requests.add(URI.create(said.at("/request/url").asString("")));
      case "Runtime.exceptionThrown" -> complaints.add(said.at("/exceptionDetails").toString());
      case "Runtime.consoleAPICalled" -> complaints.add(said.path("args").toString());
      case "Log.entryAdded" -> complaints.add(said.path("entry").toString());
      default -> {
        // of no interest
      }
    }
  }

  /** Calls the protocol. */
  private JsonNode call(String method, Map<String, ?> parameters) {
    int id = calls.incrementAndGet();
    CompletableFuture<JsonNode> answer = new CompletableFuture<>();
    waiting.put(id, answer);
    socket
        .sendText(
            JSON.writeValueAsString(Map.of("id", id, "method", method, "params", parameters)), true)
        .join();
    JsonNode message = answer.orTimeout(PATIENCE.toSeconds(), TimeUnit.SECONDS).join();
    if (message.has("error")) {
      throw new IllegalStateException(method + ": " + message.path("error"));
    }
    return message.path("result");
  }

  void open(String address) {
    call("Page.navigate", Map.of("url", address));
    await()
        .atMost(PATIENCE)
        .until(() -> evaluate("document.readyState").asString("").equals("complete"));
  }

  /** The value of an expression in the page; of a promise, what it comes to. */
  JsonNode evaluate(String expression) {
    JsonNode result =
        call(
            "Runtime.evaluate",
            Map.of("expression", expression, "returnByValue", true, "awaitPromise", true));
    if (result.has("exceptionDetails")) {
      throw new IllegalStateException(result.path("exceptionDetails").toString());
    }
    return result.at("/result/value");
  }

  /** The text of the first element that a selector finds; empty if there is none. */
  String text(String selector) {
    return evaluate(
            "document.querySelector(%s)?.textContent ?? ''"
                .formatted(JSON.writeValueAsString(selector)))
        .asString("");
  }

  /** What the user prefers. */
  void prefer(boolean dark, boolean calm) {
    call(
        "Emulation.setEmulatedMedia",
        Map.of(
            "features",
            List.of(
                Map.of("name", "prefers-color-scheme", "value", dark ? "dark" : "light"),
                Map.of(
                    "name",
                    "prefers-reduced-motion",
                    "value",
                    calm ? "reduce" : "no-preference"))));
  }

  /** The size of the window, in CSS pixels. */
  void size(int width, int height) {
    call(
        "Emulation.setDeviceMetricsOverride",
        Map.of("width", width, "height", height, "deviceScaleFactor", 1, "mobile", width < 600));
  }

  /** Presses a key that has no character, or Enter. */
  void press(String key, int code, boolean shift) {
    Map<String, Object> event =
        Map.of(
            "key",
            key,
            "code",
            key,
            "windowsVirtualKeyCode",
            code,
            "modifiers",
            shift ? SHIFT : 0,
            "text",
            key.equals("Enter") ? "\r" : "");
    for (String type : List.of("keyDown", "keyUp")) {
      Map<String, Object> with = new HashMap<>(event);
      with.put("type", type);
      call("Input.dispatchKeyEvent", with);
    }
  }

  /** Types into what has the focus. */
  void type(String text) {
    call("Input.insertText", Map.of("text", text));
  }

  /** A picture of what the window shows. */
  byte[] picture() {
    return Base64.getDecoder()
        .decode(call("Page.captureScreenshot", Map.of("format", "png")).path("data").asString(""));
  }

  /** Errors, warnings and all else that the page has said. */
  List<String> complaints() {
    return List.copyOf(complaints);
  }

  /** Forgets what it has said and asked for. */
  void forget() {
    complaints.clear();
    requests.clear();
  }

  /** Everything that it has asked for. */
  List<URI> requests() {
    return List.copyOf(requests);
  }

  @Override
  public void close() {
    socket.abort();
    client.shutdownNow();
    end(process);
  }

  private static void end(Process process) {
    process.descendants().forEach(ProcessHandle::destroyForcibly);
    process.destroyForcibly();
    try {
      process.waitFor(10, TimeUnit.SECONDS);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }
}
