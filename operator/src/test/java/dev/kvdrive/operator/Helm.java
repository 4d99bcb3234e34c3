package dev.kvdrive.operator;

import dev.kvdrive.observed.ApiServerPrograms;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;
import org.junit.jupiter.api.Assumptions;

/** The helm programs that e2e/cluster/helm.sh builds. */
final class Helm {
  static final Path CHART = Path.of("../helm/kvdrive");

  /** Outcome of a program. */
  record Outcome(int exitCode, String output) {}

  private Helm() {}

  /**
   * Runs a program; skips the test where it has not been built, except where the API server is
   * required, too.
   *
   * @param program {@code helm} or {@code helm-unittest}
   */
  static Outcome run(String program, String... arguments) {
    Optional<Path> found = find(program);
    if (System.getenv(ApiServer.REQUIRED) == null) {
      Assumptions.assumeTrue(
          found.isPresent(), program + " has not been built (e2e/cluster/helm.sh builds it)");
    }
    List<String> command = new ArrayList<>();
    command.add(
        found
            .orElseThrow(() -> new IllegalStateException(program + " must have been built"))
            .toString());
    command.addAll(List.of(arguments));
    try {
      Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
      String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
      return new Outcome(process.waitFor(), output);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IllegalStateException("interrupted while waiting for " + program, e);
    }
  }

  /**
   * The chart's objects, rendered for a release.
   *
   * @param arguments more of {@code helm template}
   */
  static String template(String release, String namespace, String... arguments) {
    List<String> all =
        new ArrayList<>(
            List.of(
                "template",
                release,
                CHART.toString(),
                "--namespace",
                namespace,
                "--kube-version",
                "1.34.4"));
    all.addAll(List.of(arguments));
    Outcome rendered = run("helm", all.toArray(String[]::new));
    if (rendered.exitCode() != 0) {
      throw new IllegalStateException(rendered.output());
    }
    return rendered.output();
  }

  private static Optional<Path> find(String program) {
    if (!Files.isDirectory(ApiServerPrograms.cache())) {
      return Optional.empty();
    }
    try (Stream<Path> folders = Files.list(ApiServerPrograms.cache())) {
      return folders
          .filter(folder -> folder.getFileName().toString().startsWith("helm-v"))
          .map(folder -> folder.resolve(program))
          .filter(Files::isExecutable)
          .max(Comparator.naturalOrder());
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
