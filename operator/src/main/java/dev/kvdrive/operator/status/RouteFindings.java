package dev.kvdrive.operator.status;

import static dev.kvdrive.operator.status.ConditionTypes.ROUTE_READY;

import dev.kvdrive.api.v1alpha1.Route;
import dev.kvdrive.feasibility.Request;
import dev.kvdrive.operator.desired.InferencePool;
import io.fabric8.kubernetes.api.model.Condition;
import io.fabric8.kubernetes.api.model.HasMetadata;
import io.fabric8.kubernetes.api.model.gatewayapi.v1.HTTPRoute;
import io.fabric8.kubernetes.api.model.gatewayapi.v1.ParentReference;
import io.fabric8.kubernetes.api.model.gatewayapi.v1.RouteParentStatus;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/** What Gateways say about the route of a deployment. */
final class RouteFindings {
  private static final String ACCEPTED = "Accepted";
  private static final String RESOLVED_REFS = "ResolvedRefs";

  /** Reasons of Gateways that time may end: what is referred to may be about to come. */
  private static final Set<String> TIME_HELPS = Set.of("Pending", "BackendNotFound");

  private RouteFindings() {}

  static Finding of(Request request, Route route, RouteView view) {
    boolean pooled = route.inferencePool() != null;
    if (!view.served().allowed()) {
      return Finding.stuck(
          ROUTE_READY,
          "RoutesDisabled",
          "This operator makes no routes (routes.enabled of its chart). Have that switched on by whoever runs it, or leave out route.");
    }
    if (view.served().unknown() != null) {
      return Finding.waiting(
          ROUTE_READY,
          "GatewayApiUnknown",
          "The operator cannot find out whether this cluster serves the kinds of the Gateway API, and tries again: "
              + view.served().unknown());
    }
    if (!view.served().routes()) {
      return Finding.stuck(
          ROUTE_READY,
          "GatewayApiMissing",
          "This cluster does not serve HTTPRoute of gateway.networking.k8s.io/v1. Have the Gateway API installed by whoever runs it, or leave out route; the route is made once it is there.");
    }
    if (pooled && !view.served().pools()) {
      return Finding.stuck(
          ROUTE_READY,
          "InferencePoolMissing",
          "This cluster does not serve InferencePool of inference.networking.k8s.io/v1. Have the Gateway API Inference Extension installed by whoever runs it, or leave out route.inferencePool; the pool is made once it is there.");
    }
    HTTPRoute made = view.route().orElse(null);
    if (made == null || (pooled && view.pool().isEmpty())) {
      return Finding.waiting(ROUTE_READY, "RoutePending", "The route has not been made yet.");
    }
    List<Finding> refused =
        route.parentRefs().stream()
            .flatMap(parent -> refusal(parent, request.namespace(), made, view).stream())
            .toList();
    Optional<Finding> first =
        refused.stream()
            .filter(Finding::stalled)
            .findFirst()
            .or(() -> refused.stream().findFirst());
    return first.orElseGet(() -> Finding.holds(ROUTE_READY, ACCEPTED, accepted(request, route)));
  }

  private static String accepted(Request request, Route route) {
    List<String> hostnames = Objects.requireNonNullElse(route.hostnames(), List.of());
    return "%s %s the route: %s%s/v1%s."
        .formatted(
            route.parentRefs().stream()
                .map(parent -> name(parent, request.namespace()))
                .collect(Collectors.joining(", ", "Gateway ", "")),
            route.parentRefs().size() == 1 ? "accepts" : "accept",
            hostnames.isEmpty() ? "" : String.join(", ", hostnames) + " at ",
            Objects.requireNonNullElse(route.pathPrefix(), ""),
            request.access().tls() == null
                ? ""
                : "; the pods speak TLS, for which a Gateway needs a BackendTLSPolicy for Service %s"
                    .formatted(request.name()));
  }

  /** Why one Gateway does not serve the route, if so. */
  private static Optional<Finding> refusal(
      Route.Parent parent, String namespace, HTTPRoute made, RouteView view) {
    String gateway = name(parent, namespace);
    List<RouteParentStatus> said =
        made.getStatus() == null
            ? List.of()
            : made.getStatus().getParents().stream()
                .filter(status -> isOf(status.getParentRef(), parent, namespace))
                .toList();
    if (said.isEmpty()) {
      return Optional.of(
          Finding.waiting(
              ROUTE_READY,
              "GatewaySilent",
              "Gateway %s has not said anything about the route. Is there a Gateway of that name, and does its class have a controller? kubectl get gateway %s --namespace %s"
                  .formatted(
                      gateway,
                      parent.name(),
                      Objects.requireNonNullElse(parent.namespace(), namespace))));
    }
    return said.stream()
        .flatMap(
            status ->
                Stream.of(ACCEPTED, RESOLVED_REFS)
                    .flatMap(
                        type ->
                            refusal(gateway, "route", type, status.getConditions(), made).stream()))
        .findFirst()
        .or(() -> ofPool(gateway, parent, namespace, view));
  }

  /** A Gateway that says nothing of the pool has resolved the route's reference to it. */
  private static Optional<Finding> ofPool(
      String gateway, Route.Parent parent, String namespace, RouteView view) {
    InferencePool pool = view.pool().orElse(null);
    if (pool == null || pool.getStatus() == null) {
      return Optional.empty();
    }
    return pool.getStatus().parents().stream()
        .filter(
            said ->
                isGateway(said.parentRef().name(), said.parentRef().namespace(), parent, namespace))
        .flatMap(
            said ->
                Stream.of(ACCEPTED, RESOLVED_REFS)
                    .filter(type -> condition(type, said.conditions()).isPresent())
                    .flatMap(
                        type ->
                            refusal(gateway, "InferencePool", type, said.conditions(), pool)
                                .stream()))
        .findFirst();
  }

  private static Optional<Condition> condition(String type, List<Condition> conditions) {
    return conditions.stream().filter(c -> c.getType().equals(type)).findFirst();
  }

  private static Optional<Finding> refusal(
      String gateway, String what, String type, List<Condition> conditions, HasMetadata of) {
    Condition condition = condition(type, conditions).orElse(null);
    if (condition == null || isOld(condition, of)) {
      return Optional.of(
          Finding.waiting(
              ROUTE_READY,
              "RoutePending",
              "Gateway %s has not judged the %s as it is now (%s)."
                  .formatted(gateway, what, type)));
    }
    if (condition.getStatus().equals("True")) {
      return Optional.empty();
    }
    String message =
        "Gateway %s: the %s is not %s: %s"
            .formatted(
                gateway,
                what,
                type.equals(ACCEPTED) ? "accepted" : "resolved to what it refers to",
                Objects.requireNonNullElse(condition.getMessage(), condition.getReason()));
    boolean lasting =
        condition.getStatus().equals("False") && !TIME_HELPS.contains(condition.getReason());
    return Optional.of(
        lasting
            ? Finding.stuck(ROUTE_READY, condition.getReason(), message)
            : Finding.waiting(ROUTE_READY, condition.getReason(), message));
  }

  private static boolean isOld(Condition condition, HasMetadata of) {
    Long judged = condition.getObservedGeneration();
    Long generation = of.getMetadata().getGeneration();
    return judged != null && judged != 0 && generation != null && judged < generation;
  }

  private static boolean isOf(ParentReference said, Route.Parent parent, String namespace) {
    return isGateway(said.getName(), said.getNamespace(), parent, namespace)
        && Objects.equals(said.getSectionName(), parent.sectionName());
  }

  private static boolean isGateway(
      String name, @Nullable String in, Route.Parent parent, String namespace) {
    return name.equals(parent.name())
        && Objects.requireNonNullElse(in, namespace)
            .equals(Objects.requireNonNullElse(parent.namespace(), namespace));
  }

  private static String name(Route.Parent parent, String namespace) {
    return Objects.requireNonNullElse(parent.namespace(), namespace) + "/" + parent.name();
  }
}
