package dev.kvdrive.operator.status;

import dev.kvdrive.operator.desired.InferencePool;
import io.fabric8.kubernetes.api.model.gatewayapi.v1.HTTPRoute;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * What the cluster shows of the route of one deployment.
 *
 * @param served what routes are made of
 * @param route its HTTPRoute
 * @param pool its InferencePool
 */
public record RouteView(Served served, Optional<HTTPRoute> route, Optional<InferencePool> pool) {
  /** Nothing is known. */
  public static final RouteView NOTHING =
      new RouteView(Served.FORBIDDEN, Optional.empty(), Optional.empty());

  /**
   * Which kinds the operator may use.
   *
   * @param allowed whether the operator was installed to make routes
   * @param routes whether the API server has HTTPRoutes
   * @param pools whether the API server has InferencePools
   * @param unknown why that could not be found out; null if it could
   */
  public record Served(boolean allowed, boolean routes, boolean pools, @Nullable String unknown) {
    /** The operator makes no routes. */
    public static final Served FORBIDDEN = new Served(false, false, false, null);
  }
}
