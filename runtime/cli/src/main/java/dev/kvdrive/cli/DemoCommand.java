package dev.kvdrive.cli;

import dev.kvdrive.plan.ByteSize;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.PrintWriter;
import java.io.UncheckedIOException;
import java.net.ServerSocket;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.charset.StandardCharsets;
import java.nio.file.FileVisitResult;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.SimpleFileVisitor;
import java.nio.file.attribute.BasicFileAttributes;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/**
 * {@code ./kvdrive demo}: starts a runtime with budgets far below what the document's KV cache needs,
 * asks about the document over HTTP as any client would, and shows where the bytes were.
 */
@Command(
    name = "demo",
    description = "Asks about a long document whose KV cache lies in GPU tier, DRAM and NVMe.",
    mixinStandardHelpOptions = true,
    exitCodeListHeading = "%nExit status:%n",
    exitCodeList = {"0:the answer was right", "1:it was wrong, or something failed"})
final class DemoCommand implements Callable<Integer> {
  private static final Duration START_LIMIT = Duration.ofMinutes(3);
  private static final Duration ANSWER_LIMIT = Duration.ofMinutes(20);
  private static final int ANSWER_TOKENS = 48;
  private static final int BAR_WIDTH = 40;

  @Spec private CommandSpec spec;

  @Option(
      names = "--tokens",
      defaultValue = "24000",
      description = "Length of the document in tokens (default: ${DEFAULT-VALUE}).")
  private int tokens;

  @Option(
      names = "--depth",
      defaultValue = "0.37",
      description = "Where the fact is, 0 at the start, 1 at the end (default: ${DEFAULT-VALUE}).")
  private double depth;

  @Option(names = "--seed", description = "Seed of the document (default: another each time).")
  private @Nullable Long seed;

  @Option(
      names = "--budget",
      defaultValue = "6.25%",
      description = "Share of the context attended per step (default: ${DEFAULT-VALUE}).")
  private String budget;

  @Option(
      names = "--gpu",
      defaultValue = "44Mi",
      description = "Budget of the GPU tier (default: ${DEFAULT-VALUE}).")
  private String gpu;

  @Option(
      names = "--dram",
      defaultValue = "56Mi",
      description = "Budget of the DRAM tier (default: ${DEFAULT-VALUE}).")
  private String dram;

  @Option(
      names = "--nvme",
      defaultValue = "160Mi",
      description = "Size of the NVMe tier (default: ${DEFAULT-VALUE}).")
  private String nvme;

  @Option(names = "--keep", description = "Leave the runtime running afterwards, to be called.")
  private boolean keep;

  private final JsonMapper json = JsonMapper.builder().build();
  private final HttpClient http =
      HttpClient.newBuilder().connectTimeout(Duration.ofSeconds(5)).build();

  @Override
  public Integer call() throws IOException, InterruptedException {
    PrintWriter out = spec.commandLine().getOut();
    Path scratch = Files.createTempDirectory("kvdrive-demo");
    Path log = scratch.resolve("runtime.log");
    int port = freePort();
    String base = "http://127.0.0.1:" + port;
    out.printf(
        "Starting a runtime: kvdrive-tiny-32k on the CPU device, GPU tier %s, DRAM %s, NVMe %s, %s of the context per step%n",
        gpu, dram, nvme, budget);
    out.flush();
    Process runtime = start(port, scratch, log);
    Thread cleaning =
        new Thread(
            () -> {
              if (!keep) {
                stop(runtime);
                delete(scratch);
              }
            },
            "demo-clean-up");
    Runtime.getRuntime().addShutdownHook(cleaning);
    Instant before = Instant.now();
    awaitReady(runtime, base, log);
    out.printf("Ready after %.1f s: %s%n%n", seconds(before), base);

    long documentSeed = seed != null ? seed : System.nanoTime();
    DemoDocument document =
        DemoDocument.create(documentSeed, depth, tokens, text -> countTokens(base, text));
    out.printf(
        Locale.ROOT,
        "A supply agreement of %,d tokens (%s of text); the fact stands at %.0f %% of it.%n",
        countTokens(base, document.text()),
        ByteSize.human(document.text().length()),
        100 * document.depth());
    out.printf("Question: %s%n", document.question());
    out.flush();

    TierPeaks peaks = new TierPeaks(http, base);
    Answer answer = ask(out, base, document);
    peaks.stop();
    boolean right = answer.text().contains(document.answer());
    out.printf("%n%s%n%n", right ? "Right: the document says " + document.answer() + "." : "Wrong: the document says " + document.answer() + ".");
    report(out, peaks, answer);
    String body =
        "{\"model\": \"%s\", \"messages\": [{\"role\": \"user\", \"content\": \"...\"}]}"
            .formatted(answer.model());
    out.printf(
        "%nCall it yourself: ./kvdrive serve --gpu %s --dram %s --nvme %s%n  curl http://127.0.0.1:%d/v1/chat/completions -H 'Content-Type: application/json' \\%n    -d '%s'%n",
        gpu, dram, nvme, keep ? port : 8080, body);
    if (keep) {
      out.printf("The runtime goes on as process %d; its log is %s%n", runtime.pid(), log);
    }
    out.flush();
    return right ? 0 : 1;
  }

  private Process start(int port, Path scratch, Path log) throws IOException {
    String java = Path.of(System.getProperty("java.home"), "bin", "java").toString();
    return new ProcessBuilder(
            java,
            "--add-modules",
            "jdk.incubator.vector",
            "--enable-native-access=ALL-UNNAMED",
            "-cp",
            System.getProperty("java.class.path"),
            KvDrive.class.getName(),
            "serve",
            "--port=" + port,
            "--context=32768",
            "--budget=" + budget,
            "--gpu=" + gpu,
            "--dram=" + dram,
            "--nvme=" + nvme,
            "--nvme-dir=" + scratch.resolve("nvme"))
        .redirectErrorStream(true)
        .redirectOutput(log.toFile())
        .start();
  }

  private void awaitReady(Process runtime, String base, Path log)
      throws IOException, InterruptedException {
    Instant limit = Instant.now().plus(START_LIMIT);
    while (Instant.now().isBefore(limit)) {
      if (runtime.waitFor(250, TimeUnit.MILLISECONDS)) {
        throw new IllegalStateException(
            "the runtime ended with status %d:%n%s".formatted(runtime.exitValue(), lastLines(log)));
      }
      try {
        HttpResponse<Void> response =
            http.send(
                HttpRequest.newBuilder(URI.create(base + "/health/ready"))
                    .timeout(Duration.ofSeconds(2))
                    .build(),
                BodyHandlers.discarding());
        if (response.statusCode() == 200) {
          return;
        }
      } catch (IOException e) {
        continue; // not listening yet
      }
    }
    throw new IllegalStateException(
        "the runtime was not ready within %d s:%n%s"
            .formatted(START_LIMIT.toSeconds(), lastLines(log)));
  }

  private static String lastLines(Path log) throws IOException {
    List<String> lines = Files.readAllLines(log);
    return String.join("\n", lines.subList(Math.max(0, lines.size() - 15), lines.size()));
  }

  private int countTokens(String base, String text) {
    try {
      HttpResponse<String> response =
          http.send(
              post(base + "/tokenize", Map.of("prompt", text)), BodyHandlers.ofString());
      return json.readTree(require(response)).required("count").asInt();
    } catch (IOException e) {
      throw new UncheckedIOException("the runtime does not answer: " + e.getMessage(), e);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IllegalStateException("interrupted", e);
    }
  }

  private HttpRequest post(String url, Map<String, ?> body) {
    return HttpRequest.newBuilder(URI.create(url))
        .timeout(ANSWER_LIMIT)
        .header("Content-Type", "application/json")
        .POST(BodyPublishers.ofString(json.writeValueAsString(body)))
        .build();
  }

  private static String require(HttpResponse<String> response) {
    if (response.statusCode() != 200) {
      throw new IllegalStateException(
          "%s answered %d: %s"
              .formatted(response.uri().getPath(), response.statusCode(), response.body()));
    }
    return response.body();
  }

  private record Answer(String model, String text, JsonNode usage) {}

  private Answer ask(PrintWriter out, String base, DemoDocument document)
      throws IOException, InterruptedException {
    Map<String, Object> request =
        Map.of(
            "messages",
            List.of(Map.of("role", "user", "content", document.message())),
            "model",
            served(base),
            "max_tokens",
            ANSWER_TOKENS,
            "temperature",
            0,
            "stream",
            true,
            "stream_options",
            Map.of("include_usage", true));
    HttpResponse<InputStream> response =
        http.send(post(base + "/v1/chat/completions", request), BodyHandlers.ofInputStream());
    if (response.statusCode() != 200) {
      throw new IllegalStateException(
          "the runtime answered %d: %s"
              .formatted(
                  response.statusCode(),
                  new String(response.body().readAllBytes(), StandardCharsets.UTF_8)));
    }
    StringBuilder text = new StringBuilder();
    JsonNode usage = json.nullNode();
    Instant started = Instant.now();
    try (BufferedReader lines =
        new BufferedReader(new InputStreamReader(response.body(), StandardCharsets.UTF_8))) {
      String line;
      while ((line = lines.readLine()) != null) {
        if (line.startsWith(": prefill ")) {
          bar(out, Integer.parseInt(line.replaceAll("\\D", "")), started);
        } else if (line.startsWith("data: {")) {
          JsonNode event = json.readTree(line.substring("data: ".length()));
          if (event.has("error")) {
            throw new IllegalStateException(event.get("error").path("message").asString());
          }
          String piece = event.path("choices").path(0).path("delta").path("content").asString("");
          if (!piece.isEmpty()) {
            if (text.isEmpty()) {
              bar(out, 100, started);
              out.printf("%nAnswer:   ");
            }
            text.append(piece);
            out.print(piece);
            out.flush();
          }
          if (event.path("usage").isObject()) {
            usage = event.get("usage");
          }
        }
      }
    }
    return new Answer(served(base), text.toString(), usage);
  }

  private String served(String base) throws IOException, InterruptedException {
    HttpResponse<String> models =
        http.send(
            HttpRequest.newBuilder(URI.create(base + "/v1/models")).build(),
            BodyHandlers.ofString());
    return json.readTree(require(models)).required("data").required(0).required("id").asString();
  }

  private static void bar(PrintWriter out, int percent, Instant started) {
    int filled = percent * BAR_WIDTH / 100;
    out.printf(
        Locale.ROOT,
        "\rReading:  [%s%s] %3d %%  %.0f s",
        "#".repeat(filled),
        ".".repeat(BAR_WIDTH - filled),
        percent,
        seconds(started));
    out.flush();
  }

  private static void report(PrintWriter out, TierPeaks peaks, Answer answer) {
    JsonNode usage = answer.usage();
    JsonNode tiers = usage.path("kvdrive");
    int prompt = usage.path("prompt_tokens").asInt();
    int completion = usage.path("completion_tokens").asInt();
    long dramBytes = tiers.path("fetched_bytes").path("dram").asLong();
    long nvmeBytes = tiers.path("fetched_bytes").path("nvme").asLong();
    double prefill = tiers.path("prefill_seconds").asDouble();
    double decode = tiers.path("decode_seconds").asDouble();
    out.println("Where keys and values were, at the highest seen:");
    peaks
        .highest()
        .forEach(
            (tier, peak) ->
                out.printf(
                    "  %-5s %10s; %s of %s in use in all%n",
                    tier,
                    ByteSize.human(peak.kvBytes()),
                    ByteSize.human(peak.usedBytes()),
                    ByteSize.human(peak.capacityBytes())));
    long context = Math.max(1, tiers.path("context_tokens").asLong());
    out.printf(
        Locale.ROOT,
        "Attended:     %.1f %% of the context per step%n",
        100.0 * tiers.path("attended_tokens").asLong() / context);
    out.printf(
        Locale.ROOT,
        "Window:       %,d hits (%.1f %%), %,d chunks from DRAM, %,d from NVMe%n",
        tiers.path("window_hits").asLong(),
        100 * tiers.path("window_hit_rate").asDouble(),
        tiers.path("missed_chunks").path("dram").asLong(),
        tiers.path("missed_chunks").path("nvme").asLong());
    out.printf(
        "Fetched:      %s per token (%s from DRAM, %s from NVMe in all)%n",
        ByteSize.human((dramBytes + nvmeBytes) / Math.max(1, completion)),
        ByteSize.human(dramBytes),
        ByteSize.human(nvmeBytes));
    out.printf(
        Locale.ROOT,
        "Speed:        prompt of %,d tokens in %.1f s (%,.0f tokens/s), answer at %.1f tokens/s%n",
        prompt,
        prefill,
        prompt / prefill,
        (completion - 1) / Math.max(1e-9, decode));
  }

  private static double seconds(Instant since) {
    return Duration.between(since, Instant.now()).toMillis() / 1e3;
  }

  private static int freePort() throws IOException {
    try (ServerSocket socket = new ServerSocket(0)) {
      return socket.getLocalPort();
    }
  }

  private static void stop(Process runtime) {
    runtime.destroy();
    try {
      if (!runtime.waitFor(20, TimeUnit.SECONDS)) {
        runtime.destroyForcibly();
      }
    } catch (InterruptedException e) {
      runtime.destroyForcibly();
      Thread.currentThread().interrupt();
    }
  }

  private static void delete(Path folder) {
    try (Stream<Path> any = Files.list(folder)) {
      if (any.findAny().isPresent()) {
        Files.walkFileTree(
            folder,
            new SimpleFileVisitor<>() {
              @Override
              public FileVisitResult visitFile(Path file, BasicFileAttributes attributes)
                  throws IOException {
                Files.delete(file);
                return FileVisitResult.CONTINUE;
              }

              @Override
              public FileVisitResult postVisitDirectory(Path dir, @Nullable IOException failure)
                  throws IOException {
                Files.delete(dir);
                return FileVisitResult.CONTINUE;
              }
            });
      }
    } catch (IOException e) {
      System.err.println("kvdrive: cannot remove " + folder + ": " + e.getMessage());
    }
  }
}
