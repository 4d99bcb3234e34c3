package dev.kvdrive.operator.reconcile;

import dev.kvdrive.api.v1alpha1.InferenceDeployment;
import io.fabric8.kubernetes.client.KubernetesClientException;
import io.javaoperatorsdk.operator.AggregatedOperatorException;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;

/** What lies behind the framework's exceptions. */
final class Failures {
  private static final int MOST_CAUSES = 100;

  private static final int NOT_FOUND = 404;

  private Failures() {}

  /** Whether a failure only says that the deployment it was about is gone. */
  static boolean meansGone(List<Throwable> causes, InferenceDeployment deployment) {
    return causes.stream().anyMatch(cause -> meansGone(cause, deployment));
  }

  private static boolean meansGone(Throwable cause, InferenceDeployment deployment) {
    return cause instanceof KubernetesClientException refused
        && refused.getCode() == NOT_FOUND
        && refused.getStatus() != null
        && refused.getStatus().getDetails() != null
        && deployment.getPlural().equals(refused.getStatus().getDetails().getKind())
        && deployment.getMetadata().getName().equals(refused.getStatus().getDetails().getName());
  }

  /**
   * The refusals of the API server among the causes, else the last cause. The client wraps a
   * refusal in an exception that only says which operation failed; that one has no status.
   */
  static List<Throwable> causes(Throwable error) {
    Deque<Throwable> open = new ArrayDeque<>();
    open.add(error);
    Throwable last = error;
    List<Throwable> refusals = new ArrayList<>();
    for (int i = 0; !open.isEmpty() && i < MOST_CAUSES; i++) {
      last = open.remove();
      if (last instanceof KubernetesClientException refused && refused.getStatus() != null) {
        refusals.add(refused);
        continue;
      }
      if (last.getCause() != null) {
        open.add(last.getCause());
      }
      if (last instanceof AggregatedOperatorException several) {
        open.addAll(several.getAggregatedExceptions().values());
      }
    }
    return refusals.isEmpty() ? List.of(last) : List.copyOf(refusals);
  }
}
