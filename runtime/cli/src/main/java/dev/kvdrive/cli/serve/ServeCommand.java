package dev.kvdrive.cli.serve;

import dev.kvdrive.cli.option.Bounded;
import dev.kvdrive.cli.option.CollectorConverter;
import dev.kvdrive.cli.option.ModelName;
import dev.kvdrive.cli.option.RuntimeOptions;
import dev.kvdrive.cli.option.SamplingConverter;
import dev.kvdrive.server.serving.Serving;
import java.io.PrintWriter;
import java.net.URI;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** {@code ./kvdrive serve}: the runtime on this machine, until Ctrl-C. */
@Command(
    name = "serve",
    description =
        "Serves a model over the OpenAI API on this machine. Ctrl-C lets running requests finish.",
    mixinStandardHelpOptions = true)
public final class ServeCommand implements Callable<Integer> {
  private static final long READY_POLL_MILLIS = 100;

  @Spec private CommandSpec spec;

  @Mixin private RuntimeOptions runtime = new RuntimeOptions();

  @Option(
      names = "--name",
      paramLabel = "NAME",
      description = "The model's name in the API (default: the one in its address).")
  private @Nullable String name;

  @Option(
      names = "--host",
      defaultValue = "127.0.0.1",
      description = "Address to listen on; 0.0.0.0 for all (default: ${DEFAULT-VALUE}).")
  private String host;

  @Option(
      names = "--port",
      converter = Bounded.Port.class,
      defaultValue = "8080",
      description = "Port to listen on; 0 for a free one (default: ${DEFAULT-VALUE}).")
  private int port;

  @Option(
      names = "--api-keys",
      paramLabel = "FILE",
      description =
          "Keys that may call the API, one per line, or YAML with names and limits (default: everybody"
              + " may).")
  private @Nullable Path apiKeys;

  @Option(
      names = "--tls-certificate",
      paramLabel = "FILE",
      description =
          "Certificate of the server in PEM, and those that lead to its authority; the API is served with"
              + " TLS then (default: in plain).")
  private @Nullable Path tlsCertificate;

  @Option(
      names = "--tls-key",
      paramLabel = "FILE",
      description = "Private key of the certificate, in PEM.")
  private @Nullable Path tlsKey;

  @Option(
      names = "--client-ca",
      paramLabel = "FILE",
      description =
          "Authorities, in PEM, whose clients may connect (default: clients need no certificate).")
  private @Nullable Path clientCa;

  @Option(
      names = "--health-port",
      paramLabel = "PORT",
      converter = Bounded.Port.class,
      description =
          "Port for health and metrics without TLS; 0 for a free one (default: none, they are with the"
              + " API).")
  private @Nullable Integer healthPort;

  @Option(
      names = "--cors-origin",
      paramLabel = "ORIGIN",
      description =
          "Origin whose pages may call the API from a browser, such as http://localhost:3000, or * for"
              + " all; may be repeated (default: none).")
  private List<String> corsOrigins = List.of();

  @Option(
      names = "--forget-prompts",
      description =
          "Keep nothing of a prompt once it is answered (default: what was made of it stays as long"
              + " as nobody needs the room, for prompts of the same key that begin alike).")
  private boolean forgetPrompts;

  @Option(
      names = "--otlp-endpoint",
      paramLabel = "URL",
      converter = CollectorConverter.class,
      description =
          "Collector that traces of requests are sent to by OTLP over HTTP, such as"
              + " http://localhost:4318; /v1/traces is added where it is not there (default: nothing"
              + " is traced, unless"
              + " OTEL_EXPORTER_OTLP_ENDPOINT is set).")
  private @Nullable URI otlpEndpoint;

  @Option(
      names = "--trace-sampling",
      paramLabel = "SHARE",
      converter = SamplingConverter.class,
      description =
          "Share of the requests that are traced, such as 10%%, where the caller has not decided"
              + " (default: 100%%).")
  private @Nullable Double traceSampling;

  @Option(names = "--access-log", description = "Write a line for each request.")
  private boolean accessLog;

  @Option(
      names = "--no-ui",
      description = "Leave out the page at /ui that shows what the engine does.")
  private boolean noUi;

  @Override
  public Integer call() throws InterruptedException {
    runtime.requireDevice(spec);
    Map<String, String> settings = settings();
    ScratchFolder nvme =
        runtime.needsNvmeFolder()
            ? ScratchFolder.below(LocalRuntime.cacheFolder().resolve("nvme"), "serve-")
            : null;
    try (LocalRuntime local =
        LocalRuntime.start(settings, RuntimeOptions.FLAGS, nvme, LocalRuntime.Log.LINES, null)) {
      announce(local);
      local.awaitEnd();
    }
    return 0;
  }

  /** The runtime's settings that the options amount to. */
  Map<String, String> settings() {
    Map<String, String> settings = new LinkedHashMap<>(runtime.settings(spec));
    settings.put("server.address", host);
    settings.put("server.port", Integer.toString(port));
    settings.put("kvdrive.served-model-name", name != null ? name : ModelName.of(runtime.model()));
    if (apiKeys != null) {
      settings.put("kvdrive.api-keys-file", apiKeys.toString());
    }
    put(settings, "kvdrive.tls.certificate", tlsCertificate);
    put(settings, "kvdrive.tls.key", tlsKey);
    put(settings, "kvdrive.tls.client-ca", clientCa);
    put(settings, "kvdrive.tls.health-port", healthPort);
    if (!corsOrigins.isEmpty()) {
      settings.put("kvdrive.http.cors-origins", String.join(",", corsOrigins));
    }
    settings.put("kvdrive.http.ui", Boolean.toString(!noUi));
    if (forgetPrompts) {
      settings.put("kvdrive.keep-prompts", "false");
    }
    put(settings, "management.opentelemetry.tracing.export.otlp.endpoint", otlpEndpoint);
    put(settings, "management.tracing.sampling.probability", traceSampling);
    if (accessLog) {
      settings.put("kvdrive.http.access-log", "true");
    }
    return settings;
  }

  private static void put(Map<String, String> settings, String name, @Nullable Object value) {
    if (value != null) {
      settings.put(name, value.toString());
    }
  }

  private void announce(LocalRuntime local) throws InterruptedException {
    while (local.serving().state() instanceof Serving.State.Starting) {
      Thread.sleep(READY_POLL_MILLIS);
    }
    if (local.serving().state() instanceof Serving.State.Ready ready) {
      PrintWriter out = spec.commandLine().getOut();
      out.printf("%nThe OpenAI API is at %s/v1. Ask it something:%n%n", local.address());
      CurlTls call =
          tlsCertificate == null
              ? CurlTls.plain(local.address())
              : CurlTls.of(local.address(), tlsCertificate, clientCa != null);
      out.println(
          CurlCall.chat(
                  call.address(), call.options(), ready.model().name(), apiKeys != null, "Hello")
              .indent(2));
      if (!noUi) {
        out.printf("Watch what it does at %s/ui%n%n", local.address());
      }
      out.flush();
    }
  }
}
