package dev.kvdrive.e2e;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Assumptions;

/**
 * A registry beside the cluster, which its kubelet pulls from, until it is closed. What is pushed
 * goes the way of users, by the scripts of the repository.
 */
final class Registry implements AutoCloseable {
  private final Settings settings;
  private final String name;

  private Registry(Settings settings, String name) {
    this.settings = settings;
    this.name = name;
  }

  /** Starts it unless it runs. Where the harness cannot, the test is skipped. */
  static Registry start(Settings settings) {
    Assumptions.assumeFalse(
        settings.registry().isEmpty(),
        "no registry in this mode: the harness runs one beside the native cluster only");
    String said = Program.run(settings.root(), settings.registry());
    return new Registry(settings, said.strip().lines().toList().getLast());
  }

  /** What the names of its images begin with. */
  String name() {
    return name;
  }

  /** Makes an image of a model that is called by a name of its own, so that no node has it. */
  void push(Path model, String as, String repository, String tag) {
    try {
      Path folder = Files.createTempDirectory("model-");
      Path file = Files.copy(model, folder.resolve(as + ".gguf"));
      Path layout = folder.resolve("layout");
      images("model.sh", layout.toString(), file.toString());
      images(
          "push.sh",
          "--model",
          layout.toString(),
          name + "/" + repository,
          tag,
          "--dest-tls-verify=false");
      Program.run(settings.root(), List.of("rm", "-r", folder.toString()));
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** From now on the largest blob of a repository has other bytes than its digest says. */
  void spoil(String repository) {
    run("--spoil", repository);
  }

  /** It does not answer until it is started again. */
  void stop() {
    run("--stop");
  }

  /** What it gave of a repository so far: how often, and a digest or tag. */
  List<String> given(String repository) {
    return run("--given", repository).lines().toList();
  }

  @Override
  public void close() {
    stop();
  }

  private void images(String script, String... arguments) {
    List<String> command = new ArrayList<>();
    command.add(settings.root().resolve("images").resolve(script).toString());
    command.addAll(List.of(arguments));
    Program.run(settings.root(), command);
  }

  private String run(String... arguments) {
    List<String> command = new ArrayList<>(settings.registry());
    command.addAll(List.of(arguments));
    return Program.run(settings.root(), command);
  }
}
