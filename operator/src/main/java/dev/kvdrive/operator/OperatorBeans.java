package dev.kvdrive.operator;

import dev.kvdrive.api.v1alpha1.Downloads;
import dev.kvdrive.feasibility.Assessor;
import dev.kvdrive.feasibility.GeometryCatalogue;
import dev.kvdrive.feasibility.OperatorDefaults;
import dev.kvdrive.operator.desired.DesiredObjects;
import dev.kvdrive.operator.reconcile.InferenceDeploymentReconciler;
import dev.kvdrive.operator.status.StatusAggregator;
import dev.kvdrive.operator.usage.TierMeter;
import io.fabric8.kubernetes.client.KubernetesClient;
import io.fabric8.kubernetes.client.KubernetesClientBuilder;
import io.javaoperatorsdk.operator.Operator;
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
  static final String NAME = "kvdrive-operator";

  private static final Duration FIRST_RETRY = Duration.ofSeconds(1);
  private static final Duration LONGEST_RETRY = Duration.ofMinutes(2);

  @Bean
  KubernetesClient kubernetesClient() {
    return new KubernetesClientBuilder().build();
  }

  @Bean
  InferenceDeploymentReconciler reconciler(OperatorProperties properties) {
    OperatorProperties.RuntimePods runtime = properties.runtime();
    OperatorDefaults defaults =
        new OperatorDefaults(
            runtime.image(),
            runtime.imagePullPolicy(),
            runtime.imagePullSecrets(),
            runtime.userId(),
            properties.callers(),
            Objects.requireNonNullElse(runtime.downloads(), Downloads.UNSAID),
            properties.classRequired());
    return new InferenceDeploymentReconciler(
        new Assessor(GeometryCatalogue.wellKnown(), defaults),
        new StatusAggregator(Clock.systemUTC()),
        new TierMeter(DesiredObjects.RUNTIME_PORT),
        properties.classes());
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
      Lead lead) {
    Operator operator = operator(properties, client, metrics, lead);
    register(operator, reconciler, properties);
    return new OperatorLifecycle(operator, lead);
  }

  static Operator operator(
      OperatorProperties properties, KubernetesClient client, Metrics metrics, Lead lead) {
    return new Operator(
        overrider -> {
          overrider
              .withKubernetesClient(client)
              .withCloseClientOnStop(false)
              .withMetrics(metrics)
              // Every object is applied by the server, which remembers who owns which field.
              .withDefaultNonSSAResource(Set.of())
              .withPreviousAnnotationForDependentResources(false);
          if (properties.leaderElection()) {
            overrider.withLeaderElectionConfiguration(
                LeaderElectionConfigurationBuilder.aLeaderElectionConfiguration(NAME)
                    .withLeaseNamespace(properties.namespace())
                    .withExitOnStopLeading(false)
                    .withLeaderCallbacks(lead.callbacks())
                    .build());
          }
        });
  }

  static void register(
      Operator operator, InferenceDeploymentReconciler reconciler, OperatorProperties properties) {
    operator.register(
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
