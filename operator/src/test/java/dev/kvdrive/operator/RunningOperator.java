package dev.kvdrive.operator;

import dev.kvdrive.api.v1alpha1.PullPolicy;
import io.fabric8.kubernetes.client.KubernetesClient;
import io.javaoperatorsdk.operator.Operator;
import io.javaoperatorsdk.operator.api.monitoring.Metrics;
import java.util.List;

/** The operator as its beans wire it, in this process, until it is closed. */
public final class RunningOperator implements AutoCloseable {
  private final Operator operator;
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
    this.operator = OperatorBeans.operator(properties, client, Metrics.NOOP, lead);
    OperatorBeans.register(operator, new OperatorBeans().reconciler(properties), properties);
    this.lifecycle = new OperatorLifecycle(operator, lead);
    lifecycle.start();
  }

  /** What the chart would configure. */
  public static OperatorProperties properties(String namespace, boolean leaderElection) {
    return new OperatorProperties(
        namespace,
        List.of(),
        true,
        false,
        leaderElection,
        List.of(),
        new OperatorProperties.RuntimePods(
            "kvdrive/runtime:test", PullPolicy.IF_NOT_PRESENT, List.of(), 65532L, null));
  }

  @Override
  public void close() {
    lifecycle.stop();
    client.close();
  }
}
