package dev.kvdrive.operator.reconcile;

import io.fabric8.kubernetes.client.KubernetesClientException;
import io.javaoperatorsdk.operator.AggregatedOperatorException;
import java.util.ArrayDeque;
import java.util.Deque;

/** What lies behind the framework's exceptions. */
final class Failures {
  private static final int MOST_CAUSES = 100;

  private Failures() {}

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
