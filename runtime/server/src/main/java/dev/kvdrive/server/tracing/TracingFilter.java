package dev.kvdrive.server.tracing;

import java.util.Objects;
import org.jspecify.annotations.Nullable;
import org.springframework.boot.autoconfigure.AutoConfigurationImportFilter;
import org.springframework.boot.autoconfigure.AutoConfigurationMetadata;
import org.springframework.context.EnvironmentAware;
import org.springframework.core.env.Environment;

/**
 * Leaves Boot's wiring of traces out where there is no collector, so that a runtime without one has
 * neither a tracer nor an observation; and that of what this runtime never sends.
 */
public final class TracingFilter implements AutoConfigurationImportFilter, EnvironmentAware {
  private static final String BOOT = "org.springframework.boot.";

  /** Bounds metrics that there are none of; needs Boot's wiring of metrics. */
  private static final String METRICS_OF_REQUESTS =
      BOOT + "webflux.autoconfigure.WebFluxObservationAutoConfiguration";

  private @Nullable Environment environment;

  @Override
  public void setEnvironment(Environment environment) {
    this.environment = environment;
  }

  @Override
  public boolean[] match(@Nullable String[] classes, AutoConfigurationMetadata metadata) {
    boolean on = TracingSettings.isOn(Objects.requireNonNull(environment));
    boolean[] matches = new boolean[classes.length];
    for (int i = 0; i < classes.length; i++) {
      String name = classes[i];
      matches[i] = name == null || !isOfTelemetry(name) || (on && !isNeverSent(name));
    }
    return matches;
  }

  private static boolean isOfTelemetry(String name) {
    return name.startsWith(BOOT + "micrometer.")
        || name.startsWith(BOOT + "opentelemetry.")
        || name.equals(METRICS_OF_REQUESTS);
  }

  /**
   * Metrics of requests, logs over OTLP, spans for Zipkin; exemplars are the registry's own here.
   */
  private static boolean isNeverSent(String name) {
    return name.equals(METRICS_OF_REQUESTS)
        || name.contains(".logging.")
        || name.contains(".zipkin.")
        || name.contains("Exemplars");
  }
}
