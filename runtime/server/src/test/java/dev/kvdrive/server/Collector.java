package dev.kvdrive.server;

import com.sun.net.httpserver.HttpServer;
import com.sun.net.httpserver.HttpsConfigurator;
import com.sun.net.httpserver.HttpsServer;
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
import javax.net.ssl.SSLContext;
import org.awaitility.Awaitility;
import org.jspecify.annotations.Nullable;

/** Takes spans by OTLP over HTTP, as a collector of OpenTelemetry does. */
final class Collector implements AutoCloseable {
  private final HttpServer server;
  private final String scheme;
  private final List<String> authorizations = new CopyOnWriteArrayList<>();
  private final List<Span> spans = new CopyOnWriteArrayList<>();
  private final List<KeyValue> resource = new CopyOnWriteArrayList<>();

  Collector() {
    this(null);
  }

  /**
   * @param tls null for a collector without
   */
  Collector(@Nullable SSLContext tls) {
    InetSocketAddress address = new InetSocketAddress(InetAddress.getLoopbackAddress(), 0);
    try {
      if (tls == null) {
        server = HttpServer.create(address, 0);
      } else {
        HttpsServer secured = HttpsServer.create(address, 0);
        secured.setHttpsConfigurator(new HttpsConfigurator(tls));
        server = secured;
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    scheme = tls == null ? "http" : "https";
    server.createContext(
        "/v1/traces",
        exchange -> {
          String header = exchange.getRequestHeaders().getFirst("Authorization");
          if (header != null) {
            authorizations.add(header);
          }
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
    return "%s://localhost:%d/v1/traces".formatted(scheme, server.getAddress().getPort());
  }

  /** What arrived, once there is as much of it. */
  List<Span> await(int count) {
    Awaitility.await().atMost(Duration.ofSeconds(30)).until(() -> spans.size() >= count);
    return List.copyOf(spans);
  }

  /** The header Authorization of all that came with one. */
  List<String> authorizations() {
    return List.copyOf(authorizations);
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
