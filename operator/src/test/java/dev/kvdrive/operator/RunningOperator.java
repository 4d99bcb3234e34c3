package dev.kvdrive.operator;

import dev.kvdrive.api.v1alpha1.PullPolicy;
import io.fabric8.kubernetes.client.KubernetesClient;
import io.javaoperatorsdk.operator.api.monitoring.Metrics;
import io.micrometer.core.instrument.MeterRegistry;
import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import java.util.List;
import org.springframework.boot.health.contributor.Status;

/** The operator as its beans wire it, in this process, until it is closed. */
public final class RunningOperator implements AutoCloseable {
  private final MeterRegistry registry = new SimpleMeterRegistry();
  private final OperatorLifecycle lifecycle;
  private final KubernetesClient client;

  /**
   * Starts it.
   *
   * @param client closed with the operator
   */
  public RunningOperator(KubernetesClient client, OperatorProperties properties) {
    this.client = client;
    Lead lead = new Lead(() -> {});
    OperatorBeans beans = new OperatorBeans();
    this.lifecycle =
        beans.operatorLifecycle(
            properties,
            client,
            beans.reconciler(properties, registry),
            Metrics.NOOP,
            registry,
            lead);
    lifecycle.start();
  }

  /** What the chart would configure for all namespaces. */
  public static OperatorProperties properties(String namespace, boolean leaderElection) {
    return properties(namespace, List.of(), leaderElection);
  }

  /** What the chart would configure for all namespaces, with {@code watch.nodes}. */
  public static OperatorProperties readingNodes(String namespace, boolean leaderElection) {
    return properties(namespace, "kvdrive", false, List.of(), leaderElection, true, true);
  }

  /** What the chart would configure for some namespaces, without a lease. */
  public static OperatorProperties watching(String namespace, List<String> watched) {
    return properties(namespace, watched, false);
  }

  /** What the chart would configure for some namespaces, without {@code routes.enabled}. */
  static OperatorProperties withoutRoutes(List<String> watched) {
    return properties("kvdrive-system", "kvdrive", false, watched, false, false, false);
  }

  /** What the chart would configure for some namespaces, as one of several releases. */
  public static OperatorProperties watching(
      String namespace, String release, boolean takeOver, List<String> watched) {
    return properties(namespace, release, takeOver, watched, true, false, true);
  }

  private static OperatorProperties properties(
      String namespace, List<String> watched, boolean leaderElection) {
    return properties(namespace, "kvdrive", false, watched, leaderElection, false, true);
  }

  private static OperatorProperties properties(
      String namespace,
      String release,
      boolean takeOver,
      List<String> watched,
      boolean leaderElection,
      boolean nodes,
      boolean routes) {
    return new OperatorProperties(
        namespace,
        release,
        takeOver,
        watched,
        true,
        nodes,
        routes,
        false,
        leaderElection,
        List.of(),
        new OperatorProperties.RuntimePods(
            "kvdrive/runtime:test",
            "kvdrive/runtime-cuda:test",
            PullPolicy.IF_NOT_PRESENT,
            List.of(),
            65532L,
            null,
            null));
  }

  /** What it measures of itself. */
  public MeterRegistry registry() {
    return registry;
  }

  /** Whether Kubernetes would let it live. */
  boolean isHealthy() {
    return lifecycle.health().getStatus().equals(Status.UP);
  }

  @Override
  public void close() {
    lifecycle.stop();
    client.close();
  }
}
