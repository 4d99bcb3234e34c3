package dev.kvdrive.bench.speed;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/**
 * llama.cpp as it is installed here: its Python package {@code llama-cpp-python} in the Python that
 * {@code KVDRIVE_PYTHON} names; else its program {@code llama-bench} on the path, else the package
 * in the Python there.
 */
public final class LlamaCpp {
  /** Environment variable with the Python that has the package. */
  public static final String PYTHON = "KVDRIVE_PYTHON";

  private static final String BENCH = "llama-bench";
  private static final String SCRIPT = "llama_cpp_probe.py";

  private final @Nullable Path bench;
  private final @Nullable Path python;

  private LlamaCpp(@Nullable Path bench, @Nullable Path python) {
    this.bench = bench;
    this.python = python;
  }

  /**
   * Finds it.
   *
   * @param environment of this process
   * @throws IllegalArgumentException if there is none, with how to get it
   */
  public static LlamaCpp find(Map<String, String> environment) {
    String path = environment.getOrDefault("PATH", "");
    String named = environment.get(PYTHON);
    Path bench = named != null ? null : first(path, BENCH);
    if (bench != null) {
      return new LlamaCpp(bench, null);
    }
    Path python = named != null ? Path.of(named) : first(path, "python3");
    if (python != null && has(python)) {
      return new LlamaCpp(null, python);
    }
    throw new IllegalArgumentException(
        "there is no llama.cpp here: neither %s on the PATH nor the package llama-cpp-python in %s. Install one, for instance: python3 -m venv llama && llama/bin/pip install llama-cpp-python && export %s=$PWD/llama/bin/python3"
            .formatted(BENCH, python == null ? "a Python on it" : python, PYTHON));
  }

  private static @Nullable Path first(String path, String program) {
    return Pattern.compile(":")
        .splitAsStream(path)
        .filter(folder -> !folder.isEmpty())
        .map(folder -> Path.of(folder, program))
        .filter(Files::isExecutable)
        .findFirst()
        .orElse(null);
  }

  private static boolean has(Path python) {
    try {
      return new ProcessBuilder(python.toString(), "-c", "import llama_cpp")
              .redirectErrorStream(true)
              .redirectOutput(ProcessBuilder.Redirect.DISCARD)
              .start()
              .waitFor()
          == 0;
    } catch (IOException e) {
      return false;
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      return false;
    }
  }

  /**
   * Starts it on a model.
   *
   * @param model GGUF file
   * @param promptTokens of each run
   * @param tokens to write in each run, the first included
   * @param log takes what it prints on standard error
   * @throws UncheckedIOException if it does not start
   */
  public Probe start(Path model, int promptTokens, int tokens, int threads, Path log) {
    if (bench != null) {
      return new Bench(bench, model, promptTokens, tokens, threads, log);
    }
    return ForkedProbe.start(
        List.of(
            Objects.requireNonNull(python).toString(),
            "-c",
            script(),
            model.toString(),
            Integer.toString(promptTokens),
            Integer.toString(tokens),
            Integer.toString(threads)),
        "llama.cpp",
        log);
  }

  private static String script() {
    try (InputStream in = Objects.requireNonNull(LlamaCpp.class.getResourceAsStream(SCRIPT))) {
      return new String(in.readAllBytes(), StandardCharsets.UTF_8);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /**
   * {@code llama-bench}, once for the prompt and once for the answer of each run: it has no prompt
   * that an answer follows, but answers behind so many tokens.
   */
  private record Bench(
      Path program, Path model, int promptTokens, int tokens, int threads, Path log)
      implements Probe {
    @Override
    public String description() {
      return "%s, %d threads".formatted(BENCH, threads);
    }

    @Override
    public SpeedRun run() throws InterruptedException {
      int steps = tokens - 1;
      return new SpeedRun(
          promptTokens,
          steps,
          nanos("-p", Integer.toString(promptTokens), "-n", "0"),
          nanos("-p", "0", "-n", Integer.toString(steps), "-d", Integer.toString(promptTokens)),
          promptTokens + tokens / 2.0,
          Double.NaN,
          Double.NaN);
    }

    private long nanos(String... what) throws InterruptedException {
      List<String> command = new ArrayList<>();
      command.add(program.toString());
      command.addAll(List.of("-m", model.toString(), "-t", Integer.toString(threads)));
      command.addAll(List.of("-ngl", "0", "-r", "1", "-o", "json"));
      command.addAll(Stream.of(what).toList());
      try {
        Process process =
            new ProcessBuilder(command)
                .redirectError(ProcessBuilder.Redirect.appendTo(log.toFile()))
                .start();
        process.getOutputStream().close();
        byte[] said = process.getInputStream().readAllBytes();
        int status = process.waitFor();
        JsonNode nanos =
            status == 0 ? JsonMapper.shared().readTree(said).path(0).path("avg_ns") : null;
        if (nanos == null || !nanos.isNumber()) {
          throw new IOException("%s ended with %d".formatted(String.join(" ", command), status));
        }
        return nanos.asLong();
      } catch (IOException | JacksonException e) {
        throw new UncheckedIOException(
            new IOException("%s; its log is %s".formatted(e.getMessage(), log), e));
      }
    }

    @Override
    public void close() {}
  }
}
