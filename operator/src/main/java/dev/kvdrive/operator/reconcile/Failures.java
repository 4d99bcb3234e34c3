package dev.kvdrive.operator.reconcile;

import dev.kvdrive.api.v1alpha1.InferenceDeployment;
import io.fabric8.kubernetes.client.KubernetesClientException;
import io.javaoperatorsdk.operator.AggregatedOperatorException;
import java.io.IOException;
import java.io.InterruptedIOException;
import java.net.HttpURLConnection;
import java.net.SocketTimeoutException;
import java.nio.channels.ClosedByInterruptException;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import java.util.concurrent.TimeoutException;

/** What lies behind the framework's exceptions. */
final class Failures {
  private static final int MOST_CAUSES = 100;

  private static final int NOT_FOUND = 404;

  /** How the API server says that a version was not the newest. */
  private static final String MODIFIED = "the object has been modified";

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

  /** Whether a failure only says that the namespace is being deleted, and all in it with it. */
  static boolean meansGoing(List<Throwable> causes) {
    return causes.stream().anyMatch(Failures::isOfNamespaceThatGoes);
  }

  private static boolean isOfNamespaceThatGoes(Throwable cause) {
    return cause instanceof KubernetesClientException refused
        && refused.getStatus() != null
        && refused.getStatus().getDetails() != null
        && refused.getStatus().getDetails().getCauses() != null
        && refused.getStatus().getDetails().getCauses().stream()
            .anyMatch(c -> "NamespaceTerminating".equals(c.getReason()));
  }

  /** Whether a failure only says that an object was changed while it was about to be written. */
  static boolean meansChanged(List<Throwable> causes) {
    return causes.stream()
        .allMatch(
            cause ->
                cause instanceof KubernetesClientException refused
                    && refused.getCode() == HttpURLConnection.HTTP_CONFLICT
                    && String.valueOf(refused.getMessage()).contains(MODIFIED));
  }

  /** Whether work was only broken off, because whoever does it is being stopped. */
  static boolean meansStopped(Throwable error) {
    Deque<Throwable> open = new ArrayDeque<>();
    open.add(error);
    for (int i = 0; !open.isEmpty() && i < MOST_CAUSES; i++) {
      Throwable one = open.remove();
      if (one instanceof InterruptedException
          || one instanceof ClosedByInterruptException
          || (one instanceof InterruptedIOException && !(one instanceof SocketTimeoutException))) {
        return true;
      }
      if (one.getCause() != null) {
        open.add(one.getCause());
      }
      if (one instanceof AggregatedOperatorException several) {
        open.addAll(several.getAggregatedExceptions().values());
      }
    }
    return false;
  }

  /** Whether a cause lies outside of the operator: the API server's refusal, or the way to it. */
  static boolean isOutside(Throwable cause) {
    return cause instanceof KubernetesClientException
        || cause instanceof IOException
        || cause instanceof TimeoutException;
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
