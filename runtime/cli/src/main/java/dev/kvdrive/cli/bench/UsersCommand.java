package dev.kvdrive.cli.bench;

import dev.kvdrive.bench.users.Answered;
import dev.kvdrive.bench.users.BearerKey;
import dev.kvdrive.bench.users.ChatStream;
import dev.kvdrive.bench.users.UserLoad;
import dev.kvdrive.bench.users.UserReport;
import dev.kvdrive.cli.option.Bounded;
import dev.kvdrive.cli.option.LengthConverter;
import dev.kvdrive.cli.option.OutputFileConverter;
import dev.kvdrive.cli.terminal.Quantities;
import dev.kvdrive.cli.terminal.Terminal;
import java.io.IOException;
import java.net.ConnectException;
import java.net.URI;
import java.net.http.HttpClient;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Map;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;
import tools.jackson.databind.json.JsonMapper;

/** {@code ./kvdrive bench users}: what users of a server wait for. */
@Command(
    name = "users",
    description =
        "Sends long prompts of several users at once to a server that runs already, any with the"
            + " API of OpenAI, and tells how long they wait for the first token and for the next"
            + " ones.",
    mixinStandardHelpOptions = true)
public final class UsersCommand implements Callable<Integer> {
  @Spec private CommandSpec spec;

  @Option(
      names = "--url",
      paramLabel = "URL",
      defaultValue = "http://127.0.0.1:8080",
      description = "Of the server, without /v1 (default: ${DEFAULT-VALUE}).")
  private URI url;

  @Option(
      names = "--model",
      paramLabel = "NAME",
      description = "As the server calls it (default: the first that it has).")
  private @Nullable String model;

  @Option(
      names = "--users",
      paramLabel = "N",
      converter = Bounded.Positive.class,
      defaultValue = "8",
      description = "At once (default: ${DEFAULT-VALUE}).")
  private int users;

  @Option(
      names = "--requests",
      paramLabel = "N",
      converter = Bounded.Positive.class,
      defaultValue = "1",
      description = "Of each user, one after the other (default: ${DEFAULT-VALUE}).")
  private int requests;

  @Option(
      names = "--prompt",
      paramLabel = "TOKENS",
      converter = LengthConverter.class,
      defaultValue = "8k",
      description = "Of the longest prompt, about (default: ${DEFAULT-VALUE}).")
  private int longest;

  @Option(
      names = "--shortest-prompt",
      paramLabel = "TOKENS",
      converter = LengthConverter.class,
      description =
          "Of the shortest; those of the other users lie between (default: all as the longest).")
  private @Nullable Integer shortest;

  @Option(
      names = "--tokens",
      paramLabel = "N",
      converter = Bounded.Positive.class,
      defaultValue = "128",
      description = "Of an answer at most (default: ${DEFAULT-VALUE}).")
  private int tokens;

  @Option(
      names = "--temperature",
      paramLabel = "T",
      defaultValue = "1",
      description =
          "At which answers are drawn; at 0 many end early or repeat themselves (default:"
              + " ${DEFAULT-VALUE}).")
  private double temperature;

  @Option(
      names = "--seed",
      paramLabel = "N",
      defaultValue = "1",
      description = "Of the prompts (default: ${DEFAULT-VALUE}).")
  private long seed;

  @Option(
      names = "--key-file",
      paramLabel = "FILE",
      description = "File with the key to send, one line.")
  private @Nullable Path keyFile;

  @Option(
      names = "--json",
      paramLabel = "FILE",
      converter = OutputFileConverter.class,
      description = "Write every request as JSON.")
  private @Nullable Path json;

  @Override
  public Integer call() throws IOException, InterruptedException {
    if (url.getHost() == null || url.getScheme() == null || !url.getScheme().matches("https?")) {
      throw new ParameterException(
          spec.commandLine(), "--url %s: write for instance http://127.0.0.1:8080".formatted(url));
    }
    int least = shortest == null ? longest : shortest;
    if (least > longest) {
      throw new ParameterException(
          spec.commandLine(),
          "--shortest-prompt %d is longer than --prompt %d".formatted(least, longest));
    }
    if (!(temperature >= 0 && temperature <= 2)) {
      throw new ParameterException(
          spec.commandLine(), "--temperature %s: it is between 0 and 2".formatted(temperature));
    }
    BearerKey key = keyFile == null ? null : new BearerKey(Files.readString(keyFile).strip());
    Terminal progress = Terminal.of(spec.commandLine().getErr());
    try (HttpClient client = ChatStream.client()) {
      String name = model == null ? ChatStream.firstModel(client, url, key) : model;
      UserLoad load =
          new UserLoad(url, name, users, requests, least, longest, tokens, temperature, seed, key);
      UserLoad.Outcome outcome = load.run(client, answered -> tell(progress, answered));
      spec.commandLine().getOut().print(UserReport.markdown(outcome));
      spec.commandLine().getOut().flush();
      if (json != null) {
        Files.writeString(
            json,
            JsonMapper.builder()
                .build()
                .writeValueAsString(
                    Map.of(
                        "model",
                        name,
                        "users",
                        users,
                        "seconds",
                        outcome.nanos() / 1e9,
                        "answers",
                        outcome.answers())));
      }
      return outcome.answers().stream().allMatch(answered -> answered.failure() == null) ? 0 : 1;
    } catch (ConnectException e) {
      throw new IOException(
          "no server answers at %s; start ./kvdrive serve, or name another with --url"
              .formatted(url),
          e);
    }
  }

  private static void tell(Terminal progress, Answered answered) {
    progress.line(
        answered.failure() != null
            ? "user %d: %s".formatted(answered.user() + 1, answered.failure())
            : "user %d: %s tokens read, the first of %d after %s, %s a second then"
                .formatted(
                    answered.user() + 1,
                    Quantities.count(answered.promptTokens()),
                    answered.tokens(),
                    Quantities.duration(Duration.ofNanos(answered.firstNanos())),
                    Double.isNaN(answered.tokensPerSecond())
                        ? "none"
                        : Quantities.rate(answered.tokensPerSecond())));
  }
}
