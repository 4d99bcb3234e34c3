package dev.kvdrive.operator.desired;

import dev.kvdrive.api.v1alpha1.Route;
import dev.kvdrive.feasibility.Request;
import dev.kvdrive.observed.Labels;
import dev.kvdrive.operator.desired.InferencePool.PickerRef;
import dev.kvdrive.operator.desired.InferencePool.PoolSpec;
import dev.kvdrive.operator.desired.InferencePool.Port;
import dev.kvdrive.operator.desired.InferencePool.Selector;
import io.fabric8.kubernetes.api.model.ObjectMeta;
import io.fabric8.kubernetes.api.model.gatewayapi.v1.HTTPBackendRef;
import io.fabric8.kubernetes.api.model.gatewayapi.v1.HTTPBackendRefBuilder;
import io.fabric8.kubernetes.api.model.gatewayapi.v1.HTTPRoute;
import io.fabric8.kubernetes.api.model.gatewayapi.v1.HTTPRouteBuilder;
import io.fabric8.kubernetes.api.model.gatewayapi.v1.HTTPRouteRule;
import io.fabric8.kubernetes.api.model.gatewayapi.v1.HTTPRouteRuleBuilder;
import io.fabric8.kubernetes.api.model.gatewayapi.v1.ParentReference;
import io.fabric8.kubernetes.api.model.gatewayapi.v1.ParentReferenceBuilder;
import java.util.List;
import java.util.Objects;

/**
 * How Gateways reach the API. Only its paths: not health, metrics and page of the pods. What the
 * Gateway API would fill in is said, since the API server counts what it fills in as written by
 * whoever writes the list that it is in.
 */
final class RuntimeRoute {
  /** Where the API begins in the pods. */
  private static final String API = "/v1";

  /** Requests take as long as they take: the runtime has limits of its own. */
  private static final String NO_TIMEOUT = "0s";

  private static final int WHOLE_WEIGHT = 1;
  private static final String PREFIX = "PathPrefix";

  private RuntimeRoute() {}

  static HTTPRoute httpRoute(ObjectMeta metadata, Request request, Route route) {
    return new HTTPRouteBuilder()
        .withMetadata(metadata)
        .withNewSpec()
        .withParentRefs(route.parentRefs().stream().map(RuntimeRoute::parent).toList())
        .withHostnames(Objects.requireNonNullElse(route.hostnames(), List.of()))
        .withRules(rule(request, route))
        .endSpec()
        .build();
  }

  private static ParentReference parent(Route.Parent parent) {
    return new ParentReferenceBuilder()
        .withGroup("gateway.networking.k8s.io")
        .withKind("Gateway")
        .withName(parent.name())
        .withNamespace(parent.namespace())
        .withSectionName(parent.sectionName())
        .build();
  }

  private static HTTPRouteRule rule(Request request, Route route) {
    String prefix = Objects.requireNonNullElse(route.pathPrefix(), "");
    HTTPRouteRuleBuilder rule =
        new HTTPRouteRuleBuilder()
            .addNewMatch()
            .withNewPath(PREFIX, prefix + API)
            .endMatch()
            .withBackendRefs(backend(request, route))
            .withNewTimeouts(NO_TIMEOUT, NO_TIMEOUT);
    if (!prefix.isEmpty()) {
      rule.addNewFilter()
          .withType("URLRewrite")
          .withNewUrlRewrite()
          .withNewPath()
          .withType("ReplacePrefixMatch")
          .withReplacePrefixMatch(API)
          .endPath()
          .endUrlRewrite()
          .endFilter();
    }
    return rule.build();
  }

  private static HTTPBackendRef backend(Request request, Route route) {
    HTTPBackendRefBuilder backend =
        new HTTPBackendRefBuilder().withName(request.name()).withWeight(WHOLE_WEIGHT);
    return route.inferencePool() == null
        ? backend
            .withGroup("")
            .withKind("Service")
            .withPort(DesiredObjects.servicePort(request))
            .build()
        : backend.withGroup(InferencePool.GROUP).withKind("InferencePool").build();
  }

  static InferencePool pool(ObjectMeta metadata, Request request, Route.Pool pool) {
    Route.EndpointPicker picker = pool.endpointPickerRef();
    InferencePool desired = new InferencePool();
    desired.setMetadata(metadata);
    desired.setSpec(
        new PoolSpec(
            new Selector(Labels.selector(request.name())),
            List.of(new Port(DesiredObjects.RUNTIME_PORT)),
            new PickerRef(
                "",
                "Service",
                picker.name(),
                new Port(picker.port()),
                Objects.requireNonNullElse(picker.failureMode(), Route.FailureMode.FAIL_CLOSE)
                    .text())));
    return desired;
  }
}
