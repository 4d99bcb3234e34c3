package dev.kvdrive.server;

import dev.kvdrive.plan.DeviceKind;
import dev.kvdrive.plan.RequestMemory;
import dev.kvdrive.server.access.ApiKeyFilter;
import dev.kvdrive.server.access.ApiKeys;
import dev.kvdrive.server.access.CorsFilter;
import dev.kvdrive.server.access.PlainFilter;
import dev.kvdrive.server.gpu.Gpus;
import dev.kvdrive.server.metrics.Exemplars;
import dev.kvdrive.server.metrics.GpuMetrics;
import dev.kvdrive.server.metrics.KeyMetrics;
import dev.kvdrive.server.metrics.MetricsHandler;
import dev.kvdrive.server.metrics.ServingMetrics;
import dev.kvdrive.server.serving.HealthNote;
import dev.kvdrive.server.serving.ModelStart;
import dev.kvdrive.server.serving.RuntimeLifecycle;
import dev.kvdrive.server.serving.Serving;
import dev.kvdrive.server.serving.TerminationLog;
import dev.kvdrive.server.settings.RuntimeSettings;
import dev.kvdrive.server.settings.SettingNames;
import dev.kvdrive.server.tracing.RequestTracing;
import dev.kvdrive.server.transport.AccessLog;
import dev.kvdrive.server.transport.ConnectionLimits;
import dev.kvdrive.server.transport.Connections;
import dev.kvdrive.server.transport.Tls;
import dev.kvdrive.server.transport.TlsFiles;
import io.micrometer.core.instrument.binder.jvm.ClassLoaderMetrics;
import io.micrometer.core.instrument.binder.jvm.JvmGcMetrics;
import io.micrometer.core.instrument.binder.jvm.JvmMemoryMetrics;
import io.micrometer.core.instrument.binder.jvm.JvmThreadMetrics;
import io.micrometer.core.instrument.binder.system.FileDescriptorMetrics;
import io.micrometer.core.instrument.binder.system.ProcessorMetrics;
import io.micrometer.core.instrument.binder.system.UptimeMetrics;
import io.micrometer.prometheusmetrics.PrometheusConfig;
import io.micrometer.prometheusmetrics.PrometheusMeterRegistry;
import io.micrometer.tracing.Tracer;
import io.prometheus.metrics.model.registry.PrometheusRegistry;
import java.net.InetSocketAddress;
import java.time.Clock;
import java.time.Duration;
import java.util.Objects;
import java.util.Optional;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.ScheduledFuture;
import java.util.concurrent.TimeUnit;
import org.springframework.beans.factory.ObjectProvider;
import org.springframework.boot.autoconfigure.condition.ConditionalOnProperty;
import org.springframework.boot.reactor.netty.NettyServerCustomizer;
import org.springframework.context.annotation.Bean;
import org.springframework.context.annotation.Configuration;
import org.springframework.context.support.AbstractApplicationContext;
import org.springframework.context.support.DefaultLifecycleProcessor;
import org.springframework.core.env.ConfigurableEnvironment;
import org.springframework.http.client.ReactorResourceFactory;
import org.springframework.http.server.reactive.HttpHandler;
import org.springframework.web.server.WebFilter;
import reactor.netty.http.server.HttpServer;
import reactor.netty.resources.LoopResources;

/** Puts the runtime together. */
@Configuration(proxyBeanMethods = false)
public class RuntimeBeans {
  private static final Duration FILE_CHECK = Duration.ofSeconds(2);

  private static final int HEALTH_LINE_BYTES = 8 * 1024;
  private static final int HEALTH_HEADER_BYTES = 16 * 1024;

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
      RuntimeSettings settings,
      Serving serving,
      ModelStart modelStart,
      SettingNames names,
      Connections connections) {
    return new RuntimeLifecycle(
        settings,
        serving,
        modelStart,
        new TerminationLog(settings.terminationLog()),
        names,
        connections::farewell,
        System::exit);
  }

  @Bean(AbstractApplicationContext.LIFECYCLE_PROCESSOR_BEAN_NAME)
  DefaultLifecycleProcessor lifecycleProcessor(RuntimeSettings settings) {
    DefaultLifecycleProcessor processor = new DefaultLifecycleProcessor();
    processor.setTimeoutPerShutdownPhase(settings.drainTimeout().plus(AFTER_DRAIN).toMillis());
    return processor;
  }

  @Bean(destroyMethod = "close")
  PrometheusMeterRegistry meterRegistry(Exemplars exemplars) {
    PrometheusMeterRegistry registry =
        new PrometheusMeterRegistry(
            PrometheusConfig.DEFAULT,
            new PrometheusRegistry(),
            io.micrometer.core.instrument.Clock.SYSTEM,
            exemplars);
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
  Exemplars exemplars() {
    return new Exemplars();
  }

  @Bean
  RequestTracing requestTracing(ObjectProvider<Tracer> tracer) {
    return new RequestTracing(tracer.getIfAvailable());
  }

  @Bean
  ServingMetrics servingMetrics(PrometheusMeterRegistry registry, Exemplars exemplars) {
    return new ServingMetrics(registry, exemplars);
  }

  @Bean(destroyMethod = "close")
  Gpus gpus(RuntimeSettings settings, PrometheusMeterRegistry registry) {
    Gpus gpus = settings.device() == DeviceKind.CUDA ? Gpus.here() : Gpus.none();
    GpuMetrics metrics = new GpuMetrics(registry);
    gpus.cards().forEach(metrics::watch);
    return gpus;
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
  NettyServerCustomizer governedConnections(Connections connections, Optional<Tls> tls) {
    return server ->
        connections.govern(
            server, tls.orElse(null), RequestMemory.READ_BYTES, RequestMemory.WRITE_BYTES);
  }

  /** What secures connections; nobody gets it where nothing is set. */
  @Bean
  @ConditionalOnProperty("kvdrive.tls.certificate")
  Tls tls(RuntimeSettings settings, ServingMetrics metrics, ScheduledExecutorService fileWatch) {
    RuntimeSettings.Tls wanted = Objects.requireNonNull(settings.tls());
    Tls tls =
        Tls.read(
            new TlsFiles(
                Objects.requireNonNull(wanted.certificate()),
                Objects.requireNonNull(wanted.key()),
                wanted.clientCa()),
            Clock.systemUTC());
    metrics.watch(
        "tls.certificate.not.after.seconds",
        "When the certificate in use ends, in seconds since 1970.",
        () -> tls.notAfter().getEpochSecond());
    metrics.watch(
        "tls.certificate.current",
        "Whether the certificate in use is that of the files.",
        () -> tls.isCurrent() ? 1 : 0);
    metrics.count("tls.reloads", "Changed certificates that were taken over.", tls, Tls::reloads);
    metrics.count(
        "tls.handshakes.failed",
        "Connections that came to no agreement on TLS.",
        tls,
        Tls::failedHandshakes);
    every(fileWatch, tls::reload);
    return tls;
  }

  @Bean
  HealthNote healthNote(Optional<Tls> tls) {
    return () -> tls.flatMap(Tls::trouble);
  }

  @Bean
  WebFilter plainFilter(Optional<Tls> tls) {
    return new PlainFilter(tls.isPresent());
  }

  @Bean
  @ConditionalOnProperty("kvdrive.tls.health-port")
  HealthPort healthPort(
      RuntimeSettings settings,
      ConfigurableEnvironment environment,
      ReactorResourceFactory networkThreads,
      Connections connections,
      HttpHandler handler) {
    int port = Objects.requireNonNull(Objects.requireNonNull(settings.tls()).healthPort());
    String address = environment.getProperty("server.address");
    HttpServer server =
        HttpServer.create()
            .bindAddress(
                () ->
                    address == null
                        ? new InetSocketAddress(port)
                        : new InetSocketAddress(address, port))
            .runOn(networkThreads.getLoopResources())
            .httpRequestDecoder(
                decoder ->
                    decoder
                        .maxInitialLineLength(HEALTH_LINE_BYTES)
                        .maxHeaderSize(HEALTH_HEADER_BYTES)
                        .h2cMaxContentLength(0));
    return new HealthPort(
        connections.govern(server, null, RequestMemory.READ_BYTES, RequestMemory.WRITE_BYTES),
        handler);
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
  ScheduledExecutorService fileWatch() {
    return Executors.newSingleThreadScheduledExecutor(
        Thread.ofPlatform().name("file-watch").daemon(true).factory());
  }

  private static void every(ScheduledExecutorService fileWatch, Runnable look) {
    ScheduledFuture<?> _ =
        fileWatch.scheduleWithFixedDelay(
            look, FILE_CHECK.toMillis(), FILE_CHECK.toMillis(), TimeUnit.MILLISECONDS);
  }

  @Bean
  WebFilter apiKeyFilter(
      RuntimeSettings settings,
      ScheduledExecutorService fileWatch,
      PrometheusMeterRegistry registry) {
    KeyMetrics metrics = new KeyMetrics(registry);
    Optional<ApiKeys> keys =
        Optional.ofNullable(settings.apiKeysFile()).map(file -> ApiKeys.read(file, metrics));
    keys.ifPresent(read -> every(fileWatch, read::reload));
    return new ApiKeyFilter(keys);
  }
}
