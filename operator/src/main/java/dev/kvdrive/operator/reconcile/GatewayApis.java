package dev.kvdrive.operator.reconcile;

import dev.kvdrive.operator.desired.InferencePool;
import dev.kvdrive.operator.status.FailureWords;
import dev.kvdrive.operator.status.RouteView.Served;
import io.fabric8.kubernetes.api.model.APIResource;
import io.fabric8.kubernetes.api.model.APIResourceList;
import io.fabric8.kubernetes.client.KubernetesClient;
import io.fabric8.kubernetes.client.KubernetesClientException;
import java.time.Duration;
import org.jspecify.annotations.Nullable;

/**
 * Whether the API server serves the kinds of the Gateway API, which a cluster may get or lose while
 * the operator runs. It is asked as every client may ask it: a definition itself could be read with
 * a right to the whole cluster only.
 */
final class GatewayApis {
  /** What was asked is true for so long; within that a definition that comes or goes is noticed. */
  static final Duration MEMORY = Duration.ofSeconds(10);

  private static final String ROUTES = "gateway.networking.k8s.io/v1";
  private static final String POOLS = InferencePool.GROUP + "/" + InferencePool.VERSION;

  private final boolean allowed;
  private @Nullable Served last;
  private long asked;

  /**
   * @param allowed whether the operator may make routes at all; otherwise nobody is asked
   */
  GatewayApis(boolean allowed) {
    this.allowed = allowed;
  }

  /** What is served. */
  synchronized Served served(KubernetesClient client) {
    if (!allowed) {
      return Served.FORBIDDEN;
    }
    Served known = last;
    if (known == null || System.nanoTime() - asked > MEMORY.toNanos()) {
      known = ask(client, known);
      last = known;
      asked = System.nanoTime();
    }
    return known;
  }

  /** What cannot be found out for a while is as it was; it concerns only who has a route. */
  private static Served ask(KubernetesClient client, @Nullable Served before) {
    try {
      return new Served(
          true,
          has(client.getApiResources(ROUTES), "HTTPRoute"),
          has(client.getApiResources(POOLS), "InferencePool"),
          null);
    } catch (KubernetesClientException e) {
      return before == null || before.unknown() != null
          ? new Served(true, false, false, FailureWords.of(e))
          : before;
    }
  }

  /** Of a definition that is being deleted, which may take a minute, nothing can be created. */
  private static boolean has(@Nullable APIResourceList resources, String kind) {
    return resources != null
        && resources.getResources().stream()
            .filter(resource -> kind.equals(resource.getKind()))
            .map(APIResource::getVerbs)
            .anyMatch(verbs -> verbs.contains("create"));
  }
}
