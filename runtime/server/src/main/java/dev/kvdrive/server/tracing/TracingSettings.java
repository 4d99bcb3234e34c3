package dev.kvdrive.server.tracing;

import java.net.URI;
import java.util.Locale;
import org.jspecify.annotations.Nullable;
import org.springframework.core.env.Environment;

/**
 * What Spring Boot's settings say of traces. Boot makes them of OpenTelemetry's variables, too: of
 * {@code OTEL_EXPORTER_OTLP_ENDPOINT} the endpoint, with {@code /v1/traces} behind it.
 */
final class TracingSettings {
  static final String ENDPOINT = "management.opentelemetry.tracing.export.otlp.endpoint";
  private static final String TRANSPORT = "management.opentelemetry.tracing.export.otlp.transport";
  private static final String PROBABILITY = "management.tracing.sampling.probability";

  private TracingSettings() {}

  /** Whether there is a collector, and nothing says that it is not to be used. */
  static boolean isOn(Environment environment) {
    String endpoint = environment.getProperty(ENDPOINT);
    return endpoint != null
        && !endpoint.isBlank()
        && isTrue(environment, "management.opentelemetry.enabled")
        && isTrue(environment, "management.tracing.export.enabled")
        && isTrue(environment, "management.tracing.export.otlp.enabled");
  }

  private static boolean isTrue(Environment environment, String name) {
    return environment.getProperty(name, Boolean.class, true);
  }

  /**
   * Checks what would otherwise fail without saying which setting is wrong.
   *
   * @throws IllegalArgumentException if one is
   */
  static void check(Environment environment) {
    String endpoint = environment.getRequiredProperty(ENDPOINT);
    if (!isHttp(endpoint)) {
      throw new IllegalArgumentException(
          "%s must be the address of a collector for OTLP over HTTP, such as http://otel-collector:4318/v1/traces, got '%s'"
              .formatted(ENDPOINT, endpoint));
    }
    String transport = environment.getProperty(TRANSPORT, "http");
    if (!transport.toLowerCase(Locale.ROOT).equals("http")) {
      throw new IllegalArgumentException(
          "%s is %s, and traces are sent by http alone (OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf); leave it out, and name the collector's port for HTTP, 4318 mostly"
              .formatted(TRANSPORT, transport));
    }
    String probability = environment.getProperty(PROBABILITY);
    if (probability != null && !isShare(probability)) {
      throw new IllegalArgumentException(
          "%s must be a share of the requests from 0 to 1, got '%s'"
              .formatted(PROBABILITY, probability));
    }
  }

  private static boolean isHttp(String endpoint) {
    URI address = uri(endpoint);
    return address != null
        && address.getHost() != null
        && ("http".equals(address.getScheme()) || "https".equals(address.getScheme()));
  }

  private static @Nullable URI uri(String text) {
    try {
      return URI.create(text);
    } catch (IllegalArgumentException e) {
      return null;
    }
  }

  private static boolean isShare(String text) {
    try {
      double share = Double.parseDouble(text);
      return share >= 0 && share <= 1;
    } catch (NumberFormatException e) {
      return false;
    }
  }
}
