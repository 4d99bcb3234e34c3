package dev.kvdrive.operator;

import dev.kvdrive.api.v1alpha1.Downloads;
import dev.kvdrive.api.v1alpha1.TraceCollector;
import dev.kvdrive.feasibility.Assessor;
import dev.kvdrive.feasibility.GeometryCatalogue;
import dev.kvdrive.feasibility.OperatorDefaults;
import dev.kvdrive.observed.stored.StoredObjects;
import dev.kvdrive.operator.desired.DesiredObjects;
import dev.kvdrive.operator.reconcile.InferenceDeploymentReconciler;
import dev.kvdrive.operator.status.ForeignFields;
import dev.kvdrive.operator.status.StatusAggregator;
import dev.kvdrive.operator.usage.TierMeter;
import io.fabric8.kubernetes.client.Config;
import io.fabric8.kubernetes.client.KubernetesClient;
import io.fabric8.kubernetes.client.KubernetesClientBuilder;
import io.javaoperatorsdk.operator.Operator;
import io.javaoperatorsdk.operator.RegisteredController;
import io.javaoperatorsdk.operator.api.config.LeaderElectionConfigurationBuilder;
import io.javaoperatorsdk.operator.api.monitoring.Metrics;
import io.javaoperatorsdk.operator.api.reconciler.Constants;
import io.javaoperatorsdk.operator.monitoring.micrometer.MicrometerMetrics;
import io.javaoperatorsdk.operator.processing.retry.GenericRetry;
import io.micrometer.core.instrument.MeterRegistry;
import java.time.Clock;
import java.time.Duration;
import java.util.Objects;
import java.util.Set;
import org.springframework.context.annotation.Bean;
import org.springframework.context.annotation.Configuration;

/** The Java Operator SDK wired by hand; its starter does not exist for this Spring Boot. */
@Configuration(proxyBeanMethods = false)
class OperatorBeans {
  /** Also the name of the field manager, so that {@code kubectl} shows who owns what. */
  static final String NAME = ForeignFields.OPERATOR;

  /**
   * Longest wait for caches before work begins, twice: for deployments, then for what they own.
   * Nothing is judged in a namespace whose caches are not complete, however long that takes.
   */
  private static final Duration PATIENCE_AT_START = Duration.ofSeconds(5);

  private static final Duration FIRST_RETRY = Duration.ofSeconds(1);
  private static final Duration LONGEST_RETRY = Duration.ofMinutes(2);

  @Bean
  KubernetesClient kubernetesClient() {
    return client(Config.autoConfigure(null));
  }

  /** A client that reads custom resources tolerantly. */
  static KubernetesClient client(Config config) {
    return new KubernetesClientBuilder()
        .withConfig(config)
        .withKubernetesSerialization(StoredObjects.serialization())
        .build();
  }

  @Bean
  InferenceDeploymentReconciler reconciler(OperatorProperties properties, MeterRegistry registry) {
    OperatorProperties.RuntimePods runtime = properties.runtime();
    OperatorDefaults defaults =
        new OperatorDefaults(
            runtime.images(),
            runtime.imagePullPolicy(),
            runtime.imagePullSecrets(),
            runtime.userId(),
            properties.callers(),
            Objects.requireNonNullElse(runtime.downloads(), Downloads.UNSAID),
            Objects.requireNonNullElse(runtime.traces(), TraceCollector.UNSAID),
            properties.classRequired());
    return new InferenceDeploymentReconciler(
        new Assessor(GeometryCatalogue.wellKnown(), defaults),
        new StatusAggregator(Clock.systemUTC()),
        new TierMeter(DesiredObjects.RUNTIME_PORT),
        properties.classes(),
        properties.nodes(),
        properties.routes(),
        properties.namespace(),
        properties.release(),
        properties.takeOver(),
        registry);
  }

  @Bean
  Metrics operatorMetrics(MeterRegistry registry) {
    return MicrometerMetrics.withoutPerResourceMetrics(registry);
  }

  @Bean
  Lead lead() {
    return new Lead(() -> Runtime.getRuntime().halt(Lead.LOST_EXIT_CODE));
  }

  @Bean
  OperatorLifecycle operatorLifecycle(
      OperatorProperties properties,
      KubernetesClient client,
      InferenceDeploymentReconciler reconciler,
      Metrics metrics,
      MeterRegistry registry,
      Lead lead) {
    OperatorLease lease =
        new OperatorLease(client, properties.namespace(), NAME, OperatorLease.thisProcess());
    Operator operator = operator(properties, client, metrics, lead, lease);
    Watches watches = new Watches(register(operator, reconciler, properties), client, properties);
    watches.bindTo(registry);
    return new OperatorLifecycle(operator, lead, lease, watches, reconciler::stop);
  }

  static Operator operator(
      OperatorProperties properties,
      KubernetesClient client,
      Metrics metrics,
      Lead lead,
      OperatorLease lease) {
    return new Operator(
        overrider -> {
          overrider
              .withKubernetesClient(client)
              .withCloseClientOnStop(false)
              .withMetrics(metrics)
              // What cannot be read yet is tried again by its watch; meanwhile the rest is served.
              .withStopOnInformerErrorDuringStartup(false)
              .withCacheSyncTimeout(PATIENCE_AT_START)
              // Every object is applied by the server, which remembers who owns which field.
              .withDefaultNonSSAResource(Set.of())
              .withPreviousAnnotationForDependentResources(false);
          if (properties.leaderElection()) {
            overrider.withLeaderElectionConfiguration(
                LeaderElectionConfigurationBuilder.aLeaderElectionConfiguration(lease.name())
                    .withLeaseNamespace(properties.namespace())
                    .withIdentity(lease.holder())
                    .withLeaseDuration(OperatorLease.DURATION)
                    .withRenewDeadline(OperatorLease.RENEW_DEADLINE)
                    .withRetryPeriod(OperatorLease.RETRY_PERIOD)
                    .withExitOnStopLeading(false)
                    .withLeaderCallbacks(lead.callbacks())
                    .build());
          }
        });
  }

  static RegisteredController<?> register(
      Operator operator, InferenceDeploymentReconciler reconciler, OperatorProperties properties) {
    return operator.register(
        reconciler,
        overrider ->
            overrider
                .settingNamespaces(
                    properties.watchNamespaces().isEmpty()
                        ? Set.of(Constants.WATCH_ALL_NAMESPACES)
                        : Set.copyOf(properties.watchNamespaces()))
                .withFieldManager(NAME)
                // The framework's default gives up after five attempts and then waits for an event.
                .withRetry(
                    new GenericRetry()
                        .withoutMaxAttempts()
                        .setInitialInterval(FIRST_RETRY)
                        .setMaxInterval(LONGEST_RETRY.toMillis())));
  }
}
