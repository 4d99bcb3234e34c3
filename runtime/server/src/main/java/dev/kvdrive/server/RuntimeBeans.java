package dev.kvdrive.server;

import dev.kvdrive.plan.RequestMemory;
import dev.kvdrive.server.access.ApiKeyFilter;
import dev.kvdrive.server.access.ApiKeys;
import dev.kvdrive.server.access.CorsFilter;
import dev.kvdrive.server.metrics.KeyMetrics;
import dev.kvdrive.server.metrics.MetricsHandler;
import dev.kvdrive.server.metrics.ServingMetrics;
import dev.kvdrive.server.serving.ModelStart;
import dev.kvdrive.server.serving.RuntimeLifecycle;
import dev.kvdrive.server.serving.Serving;
import dev.kvdrive.server.serving.TerminationLog;
import dev.kvdrive.server.settings.RuntimeSettings;
import dev.kvdrive.server.settings.SettingNames;
import dev.kvdrive.server.transport.AccessLog;
import dev.kvdrive.server.transport.ConnectionLimits;
import dev.kvdrive.server.transport.Connections;
import io.micrometer.core.instrument.binder.jvm.ClassLoaderMetrics;
import io.micrometer.core.instrument.binder.jvm.JvmGcMetrics;
import io.micrometer.core.instrument.binder.jvm.JvmMemoryMetrics;
import io.micrometer.core.instrument.binder.jvm.JvmThreadMetrics;
import io.micrometer.core.instrument.binder.system.FileDescriptorMetrics;
import io.micrometer.core.instrument.binder.system.ProcessorMetrics;
import io.micrometer.core.instrument.binder.system.UptimeMetrics;
import io.micrometer.prometheusmetrics.PrometheusConfig;
import io.micrometer.prometheusmetrics.PrometheusMeterRegistry;
import java.time.Duration;
import java.util.Optional;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.ScheduledFuture;
import java.util.concurrent.TimeUnit;
import org.springframework.boot.reactor.netty.NettyServerCustomizer;
import org.springframework.context.annotation.Bean;
import org.springframework.context.annotation.Configuration;
import org.springframework.context.support.AbstractApplicationContext;
import org.springframework.context.support.DefaultLifecycleProcessor;
import org.springframework.core.env.ConfigurableEnvironment;
import org.springframework.http.client.ReactorResourceFactory;
import org.springframework.web.server.WebFilter;
import reactor.netty.resources.LoopResources;

/** Puts the runtime together. */
@Configuration(proxyBeanMethods = false)
public class RuntimeBeans {
  private static final Duration KEY_FILE_CHECK = Duration.ofSeconds(2);

  /** Time beyond the drain timeout for cancelled requests to get their last event out. */
  private static final Duration AFTER_DRAIN = Duration.ofSeconds(10);

  @Bean
  Serving serving() {
    return new Serving();
  }

  @Bean
  SettingNames settingNames(ConfigurableEnvironment environment) {
    return new SettingNames(environment);
  }

  @Bean
  RuntimeLifecycle runtimeLifecycle(
      RuntimeSettings settings, Serving serving, ModelStart modelStart, SettingNames names) {
    return new RuntimeLifecycle(
        settings,
        serving,
        modelStart,
        new TerminationLog(settings.terminationLog()),
        names,
        System::exit);
  }

  @Bean(AbstractApplicationContext.LIFECYCLE_PROCESSOR_BEAN_NAME)
  DefaultLifecycleProcessor lifecycleProcessor(RuntimeSettings settings) {
    DefaultLifecycleProcessor processor = new DefaultLifecycleProcessor();
    processor.setTimeoutPerShutdownPhase(settings.drainTimeout().plus(AFTER_DRAIN).toMillis());
    return processor;
  }

  @Bean(destroyMethod = "close")
  PrometheusMeterRegistry meterRegistry() {
    PrometheusMeterRegistry registry = new PrometheusMeterRegistry(PrometheusConfig.DEFAULT);
    new JvmMemoryMetrics().bindTo(registry);
    new JvmThreadMetrics().bindTo(registry);
    new ClassLoaderMetrics().bindTo(registry);
    new ProcessorMetrics().bindTo(registry);
    new FileDescriptorMetrics().bindTo(registry);
    new UptimeMetrics().bindTo(registry);
    return registry;
  }

  @Bean(destroyMethod = "close")
  JvmGcMetrics gcMetrics(PrometheusMeterRegistry registry) {
    JvmGcMetrics metrics = new JvmGcMetrics();
    metrics.bindTo(registry);
    return metrics;
  }

  @Bean
  ServingMetrics servingMetrics(PrometheusMeterRegistry registry) {
    return new ServingMetrics(registry);
  }

  @Bean
  MetricsHandler metricsHandler(Serving serving, PrometheusMeterRegistry registry) {
    return new MetricsHandler(serving, registry);
  }

  @Bean
  Connections connections(RuntimeSettings settings, ServingMetrics metrics) {
    RuntimeSettings.Http http = settings.http();
    Connections connections =
        new Connections(
            new ConnectionLimits(
                settings.requestMemory().connections(), http.headTimeout(), http.idleTimeout()),
            http.accessLog() ? AccessLog.beside(metrics::refused) : metrics::refused);
    metrics.watch("connections.open", "Open connections.", connections::open);
    metrics.watch("connections.limit", "Connections that may be open.", connections::limit);
    return connections;
  }

  @Bean
  NettyServerCustomizer governedConnections(Connections connections) {
    return server ->
        connections.govern(server, RequestMemory.READ_BYTES, RequestMemory.WRITE_BYTES);
  }

  /** A few threads, so that what they hold of direct memory does not grow with the machine. */
  @Bean
  ReactorResourceFactory networkThreads() {
    ReactorResourceFactory resources = new ReactorResourceFactory();
    resources.setUseGlobalResources(false);
    resources.setLoopResourcesSupplier(
        () -> LoopResources.create("http", RequestMemory.NETWORK_THREADS, true));
    return resources;
  }

  @Bean
  WebFilter corsFilter(RuntimeSettings settings) {
    return new CorsFilter(settings.http().corsOrigins());
  }

  @Bean(destroyMethod = "shutdownNow")
  ScheduledExecutorService keyFileWatch() {
    return Executors.newSingleThreadScheduledExecutor(
        Thread.ofPlatform().name("api-keys").daemon(true).factory());
  }

  @Bean
  WebFilter apiKeyFilter(
      RuntimeSettings settings,
      ScheduledExecutorService keyFileWatch,
      PrometheusMeterRegistry registry) {
    KeyMetrics metrics = new KeyMetrics(registry);
    Optional<ApiKeys> keys =
        Optional.ofNullable(settings.apiKeysFile()).map(file -> ApiKeys.read(file, metrics));
    if (keys.isPresent()) {
      ScheduledFuture<?> _ =
          keyFileWatch.scheduleWithFixedDelay(
              keys.get()::reload,
              KEY_FILE_CHECK.toMillis(),
              KEY_FILE_CHECK.toMillis(),
              TimeUnit.MILLISECONDS);
    }
    return new ApiKeyFilter(keys);
  }
}
