package dev.kvdrive.server;

import dev.kvdrive.device.DeviceFactory;
import dev.kvdrive.kv.tier.ExtentFile;
import dev.kvdrive.server.serving.ModelStart;
import dev.kvdrive.server.serving.Serving;
import dev.kvdrive.server.ui.SnapshotFeed;
import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.time.Duration;
import java.util.concurrent.CompletableFuture;
import java.util.function.Consumer;
import java.util.stream.Stream;
import org.awaitility.Awaitility;
import org.jspecify.annotations.Nullable;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.context.TypeExcludeFilter;
import org.springframework.boot.test.context.TestConfiguration;
import org.springframework.context.ApplicationContextInitializer;
import org.springframework.context.ConfigurableApplicationContext;
import org.springframework.context.support.GenericApplicationContext;
import org.springframework.core.type.classreading.MetadataReader;
import org.springframework.core.type.classreading.MetadataReaderFactory;

/** A runtime that one test starts and ends, over a model start that the test plays. */
final class OwnRuntime implements AutoCloseable {
  private final ConfigurableApplicationContext context;
  private final HttpClient client = HttpClient.newHttpClient();

  private OwnRuntime(ConfigurableApplicationContext context) {
    this.context = context;
  }

  /** Returns when HTTP answers; the model may still be starting. */
  static OwnRuntime start(ModelStart start, String... settings) {
    return start(
        fresh -> {
          fresh.registerBean(DeviceFactory.class, ReferenceDevices::new);
          fresh.registerBean(
              "playedStart", ModelStart.class, () -> start, bean -> bean.setPrimary(true));
        },
        settings);
  }

  /** The runtime as it is, with other files of the NVMe tier. */
  static OwnRuntime start(ExtentFile.Opener files, String... settings) {
    return start(
        fresh -> fresh.registerBean("files", ExtentFile.Opener.class, () -> files), settings);
  }

  private static OwnRuntime start(Consumer<GenericApplicationContext> beans, String... settings) {
    SpringApplication application = new SpringApplication(RuntimeApplication.class);
    application.setRegisterShutdownHook(false);
    ApplicationContextInitializer<GenericApplicationContext> parts =
        fresh -> {
          fresh.getBeanFactory().registerSingleton("testParts", new WithoutPartsOfTests());
          beans.accept(fresh);
        };
    application.addInitializers(parts);
    return new OwnRuntime(
        application.run(
            Stream.concat(
                    Stream.of("--server.port=0", "--kvdrive.warm-up-time=0s"), Stream.of(settings))
                .toArray(String[]::new)));
  }

  /** Keeps the parts of other tests, which are in the package that is scanned, out of this one. */
  private static final class WithoutPartsOfTests extends TypeExcludeFilter {
    @Override
    public boolean match(MetadataReader reader, MetadataReaderFactory factory) {
      return reader.getAnnotationMetadata().hasAnnotation(TestConfiguration.class.getName());
    }

    @Override
    public boolean equals(@Nullable Object other) {
      return other instanceof WithoutPartsOfTests;
    }

    @Override
    public int hashCode() {
      return 1;
    }
  }

  Serving serving() {
    return context.getBean(Serving.class);
  }

  SnapshotFeed feed() {
    return context.getBean(SnapshotFeed.class);
  }

  OwnRuntime ready() {
    awaitReady(serving());
    return this;
  }

  /** Waits until the model answers; fails at once where it never will. */
  static void awaitReady(Serving serving) {
    Awaitility.await()
        .atMost(Duration.ofMinutes(2))
        .until(
            () -> {
              if (serving.state() instanceof Serving.State.Failed failed) {
                throw new AssertionError(failed.detail());
              }
              return serving.state() instanceof Serving.State.Ready;
            });
  }

  HttpRequest.Builder request(String path) {
    return HttpRequest.newBuilder(URI.create("http://localhost:" + port() + path));
  }

  int port() {
    return Integer.parseInt(context.getEnvironment().getRequiredProperty("local.server.port"));
  }

  /** The port without TLS. */
  interface Plain {
    /** The body of the answer, whatever its status. */
    String get(String path) throws IOException, InterruptedException;
  }

  Plain healthPort() {
    int port = context.getBean(HealthPort.class).port();
    return path ->
        client
            .send(
                HttpRequest.newBuilder(URI.create("http://localhost:" + port + path)).build(),
                HttpResponse.BodyHandlers.ofString())
            .body();
  }

  HttpResponse<String> send(HttpRequest.Builder request) throws IOException, InterruptedException {
    return client.send(request.build(), HttpResponse.BodyHandlers.ofString());
  }

  CompletableFuture<HttpResponse<String>> sendAsync(HttpRequest.Builder request) {
    return client.sendAsync(request.build(), HttpResponse.BodyHandlers.ofString());
  }

  HttpResponse<String> get(String path) throws IOException, InterruptedException {
    return client.send(request(path).build(), HttpResponse.BodyHandlers.ofString());
  }

  HttpResponse<String> post(String path, String body) throws IOException, InterruptedException {
    return client.send(json(path, body), HttpResponse.BodyHandlers.ofString());
  }

  /** The lines of an answer as they arrive. */
  HttpResponse<Stream<String>> stream(String path, String body)
      throws IOException, InterruptedException {
    return client.send(json(path, body), HttpResponse.BodyHandlers.ofLines());
  }

  private HttpRequest json(String path, String body) {
    return request(path)
        .header("Content-Type", "application/json")
        .POST(HttpRequest.BodyPublishers.ofString(body))
        .build();
  }

  /** Ends it as SIGTERM does. */
  @Override
  public void close() {
    context.close();
    client.shutdownNow();
  }
}
