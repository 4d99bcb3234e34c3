package dev.kvdrive.server;

import com.sun.net.httpserver.HttpServer;
import io.opentelemetry.proto.collector.trace.v1.ExportTraceServiceRequest;
import io.opentelemetry.proto.common.v1.AnyValue;
import io.opentelemetry.proto.common.v1.KeyValue;
import io.opentelemetry.proto.trace.v1.Span;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import org.awaitility.Awaitility;

/** Takes spans by OTLP over HTTP, as a collector of OpenTelemetry does. */
final class Collector implements AutoCloseable {
  private final HttpServer server;
  private final List<Span> spans = new CopyOnWriteArrayList<>();
  private final List<KeyValue> resource = new CopyOnWriteArrayList<>();

  Collector() {
    try {
      server = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    server.createContext(
        "/v1/traces",
        exchange -> {
          try (InputStream body = exchange.getRequestBody()) {
            ExportTraceServiceRequest.parseFrom(body)
                .getResourceSpansList()
                .forEach(
                    from -> {
                      resource.addAll(from.getResource().getAttributesList());
                      from.getScopeSpansList().forEach(scope -> spans.addAll(scope.getSpansList()));
                    });
          }
          exchange.sendResponseHeaders(200, -1);
          exchange.close();
        });
    server.start();
  }

  /** Attributes by their names. */
  record Values(List<KeyValue> pairs) {
    AnyValue get(String name) {
      return pairs.stream()
          .filter(pair -> pair.getKey().equals(name))
          .findFirst()
          .orElseThrow(() -> new AssertionError("no " + name + " in " + pairs))
          .getValue();
    }
  }

  String endpoint() {
    return "http://localhost:%d/v1/traces".formatted(server.getAddress().getPort());
  }

  /** What arrived, once there is as much of it. */
  List<Span> await(int count) {
    Awaitility.await().atMost(Duration.ofSeconds(30)).until(() -> spans.size() >= count);
    return List.copyOf(spans);
  }

  int count() {
    return spans.size();
  }

  static Values attributes(Span span) {
    return values(span.getAttributesList());
  }

  Values resource() {
    return values(resource);
  }

  private static Values values(List<KeyValue> pairs) {
    return new Values(List.copyOf(pairs));
  }

  @Override
  public void close() {
    server.stop(0);
  }
}
