package dev.kvdrive.cli;

import dev.kvdrive.server.RuntimeApplication;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** {@code ./kvdrive serve}: the runtime on this machine, configured by options. */
@Command(
    name = "serve",
    description = "Serves the OpenAI-compatible API on this machine until interrupted.",
    mixinStandardHelpOptions = true)
final class ServeCommand implements Callable<Integer> {
  @Mixin private RuntimeOptions runtime;

  @Option(
      names = "--port",
      defaultValue = "8080",
      description = "Port (default: ${DEFAULT-VALUE}).")
  private int port;

  @Option(
      names = "--host",
      defaultValue = "127.0.0.1",
      description = "Address to listen on (default: ${DEFAULT-VALUE}).")
  private String host;

  @Option(
      names = "--api-keys",
      paramLabel = "FILE",
      description = "File with the keys that may call, one a line (default: anyone may).")
  private @Nullable Path apiKeys;

  @Override
  public Integer call() throws InterruptedException {
    List<String> arguments = new ArrayList<>(runtime.properties());
    arguments.add("--server.port=" + port);
    arguments.add("--server.address=" + host);
    if (apiKeys != null) {
      arguments.add("--kvdrive.api-keys-file=" + apiKeys.toAbsolutePath());
    }
    RuntimeApplication.main(arguments.toArray(String[]::new));
    Thread.currentThread().join();
    return 0;
  }
}
