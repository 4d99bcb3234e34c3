package dev.kvdrive.operator.reconcile;

import dev.kvdrive.api.v1alpha1.InferenceDeployment;
import io.fabric8.kubernetes.client.KubernetesClientException;
import io.javaoperatorsdk.operator.AggregatedOperatorException;
import java.util.ArrayDeque;
import java.util.Deque;

/** What lies behind the framework's exceptions. */
final class Failures {
  private static final int MOST_CAUSES = 100;

  private static final int NOT_FOUND = 404;

  private Failures() {}

  /** Whether a failure only says that the deployment it was about is gone. */
  static boolean meansGone(Throwable cause, InferenceDeployment deployment) {
    return cause instanceof KubernetesClientException refused
        && refused.getCode() == NOT_FOUND
        && refused.getStatus() != null
        && refused.getStatus().getDetails() != null
        && deployment.getPlural().equals(refused.getStatus().getDetails().getKind())
        && deployment.getMetadata().getName().equals(refused.getStatus().getDetails().getName());
  }

  /** The first refusal of the API server among the causes, else the last cause. */
  static Throwable cause(Throwable error) {
    Deque<Throwable> open = new ArrayDeque<>();
    open.add(error);
    Throwable last = error;
    for (int i = 0; !open.isEmpty() && i < MOST_CAUSES; i++) {
      last = open.remove();
      if (last instanceof KubernetesClientException) {
        return last;
      }
      if (last.getCause() != null) {
        open.add(last.getCause());
      }
      if (last instanceof AggregatedOperatorException several) {
        open.addAll(several.getAggregatedExceptions().values());
      }
    }
    return last;
  }
}
