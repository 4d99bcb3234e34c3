package dev.kvdrive.server.tracing;

import io.micrometer.observation.ObservationPredicate;
import io.micrometer.tracing.Tracer;
import io.micrometer.tracing.propagation.Propagator;
import io.opentelemetry.exporter.otlp.http.trace.OtlpHttpSpanExporter;
import java.time.Duration;
import org.springframework.beans.factory.config.BeanFactoryPostProcessor;
import org.springframework.boot.micrometer.tracing.autoconfigure.MicrometerTracingAutoConfiguration;
import org.springframework.boot.micrometer.tracing.opentelemetry.autoconfigure.SpanExporters;
import org.springframework.context.annotation.Bean;
import org.springframework.context.annotation.Conditional;
import org.springframework.context.annotation.Configuration;
import org.springframework.core.annotation.Order;
import org.springframework.core.env.Environment;
import org.springframework.http.server.reactive.observation.ServerRequestObservationContext;

/** What this runtime adds to Boot's wiring of traces. */
@Configuration(proxyBeanMethods = false)
@Conditional(OnTracing.class)
public class TracingBeans {
  /** Within what a pod has beyond its drain. */
  private static final Duration LAST_SPANS = Duration.ofSeconds(2);

  /** Before anything is made of the settings. */
  @Bean
  static BeanFactoryPostProcessor tracingCheck(Environment environment) {
    return factory -> TracingSettings.check(environment);
  }

  /** Only requests that may generate: no probe, no scrape, no page. */
  @Bean
  ObservationPredicate generatingRequests() {
    return (name, context) ->
        context instanceof ServerRequestObservationContext http
            && http.getCarrier() != null
            && http.getCarrier().getPath().value().startsWith("/v1/")
            && http.getCarrier().getMethod().name().equals("POST");
  }

  @Bean
  @Order(MicrometerTracingAutoConfiguration.RECEIVER_TRACING_OBSERVATION_HANDLER_ORDER)
  HttpSpans httpSpans(Tracer tracer, Propagator propagator) {
    return new HttpSpans(tracer, propagator);
  }

  @Bean
  CollectorExporter collectorExporter(OtlpHttpSpanExporter otlp, Environment environment) {
    return new CollectorExporter(
        otlp,
        environment.getRequiredProperty(TracingSettings.ENDPOINT),
        System::nanoTime,
        LAST_SPANS);
  }

  @Bean
  SpanExporters spanExporters(CollectorExporter exporter) {
    return SpanExporters.of(exporter);
  }
}
