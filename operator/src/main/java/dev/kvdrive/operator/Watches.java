package dev.kvdrive.operator;

import dev.kvdrive.api.v1alpha1.InferenceClass;
import dev.kvdrive.api.v1alpha1.InferenceDeployment;
import dev.kvdrive.operator.desired.InferencePool;
import dev.kvdrive.operator.status.FailureWords;
import io.fabric8.kubernetes.api.model.HasMetadata;
import io.fabric8.kubernetes.api.model.ListOptions;
import io.fabric8.kubernetes.api.model.ListOptionsBuilder;
import io.fabric8.kubernetes.api.model.Node;
import io.fabric8.kubernetes.api.model.gatewayapi.v1.HTTPRoute;
import io.fabric8.kubernetes.client.KubernetesClient;
import io.fabric8.kubernetes.client.KubernetesClientException;
import io.javaoperatorsdk.operator.RegisteredController;
import io.javaoperatorsdk.operator.api.reconciler.Constants;
import io.javaoperatorsdk.operator.health.InformerHealthIndicator;
import io.javaoperatorsdk.operator.health.InformerWrappingEventSourceHealthIndicator;
import io.javaoperatorsdk.operator.processing.event.source.EventSource;
import io.micrometer.core.instrument.Gauge;
import io.micrometer.core.instrument.MeterRegistry;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.ConcurrentHashMap;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * What the operator can read: for the metrics, the log and its health. A watch that cannot begin,
 * or cannot go on, because a namespace, a role or a definition is not there, is tried again by
 * itself and comes to life without a restart. Only one that has stopped for good needs a new
 * process.
 */
final class Watches {
  /** Tag of the watch of all namespaces. */
  private static final String ALL = "*";

  /** What is read of the whole cluster, whatever namespaces are watched. */
  private static final Set<Class<?>> CLUSTER_SCOPED = Set.of(InferenceClass.class, Node.class);

  /** What concerns only deployments that ask for it: their status tells. */
  private static final Set<Class<?>> ON_REQUEST = Set.of(HTTPRoute.class, InferencePool.class);

  private static final ListOptions ONE = new ListOptionsBuilder().withLimit(1L).build();

  private static final Logger log = LoggerFactory.getLogger(Watches.class);

  private final RegisteredController<?> controller;
  private final KubernetesClient client;
  private final List<String> namespaces;
  private final boolean classes;
  private final boolean nodes;
  private final Map<String, String> unreadable = new LinkedHashMap<>();

  /** Namespaces that were refused when they were last asked for, and why. */
  private final Map<String, String> refused = new ConcurrentHashMap<>();

  private volatile boolean started;

  Watches(
      RegisteredController<?> controller, KubernetesClient client, OperatorProperties properties) {
    this.controller = controller;
    this.client = client;
    this.namespaces =
        properties.watchNamespaces().isEmpty()
            ? List.of(Constants.WATCH_ALL_NAMESPACES)
            : List.copyOf(new TreeSet<>(properties.watchNamespaces()));
    this.classes = properties.classes();
    this.nodes = properties.nodes();
  }

  /** The watches exist from now on. */
  void started() {
    started = true;
  }

  void stopped() {
    started = false;
  }

  /** Whether everything that is watched in {@code namespace} is being read. */
  boolean reads(String namespace) {
    return started
        && !refused.containsKey(namespace)
        && sources().stream()
            .filter(source -> !CLUSTER_SCOPED.contains(source.resourceType()))
            .filter(source -> !ON_REQUEST.contains(source.resourceType()))
            .allMatch(source -> isRead(source, namespace));
  }

  /** Whether the classes are being read. */
  boolean readsClasses() {
    return readsAll(InferenceClass.class);
  }

  /** Whether the nodes with GPUs are being read. */
  boolean readsNodes() {
    return readsAll(Node.class);
  }

  private boolean readsAll(Class<?> type) {
    return started
        && sources().stream()
            .filter(source -> source.resourceType() == type)
            .allMatch(source -> isRead(source, Constants.WATCH_ALL_NAMESPACES));
  }

  /** Names of the watches that have stopped for good. */
  List<String> dead() {
    return started
        ? sources().stream()
            .filter(
                source -> watches(source).values().stream().anyMatch(watch -> !watch.isRunning()))
            .map(EventSource::name)
            .sorted()
            .toList()
        : List.of();
  }

  void bindTo(MeterRegistry registry) {
    for (String namespace : namespaces) {
      Gauge.builder("kvdrive.operator.namespace.readable", this, w -> w.reads(namespace) ? 1 : 0)
          .description("1 while everything the operator serves in the namespace can be read")
          .tag("namespace", name(namespace))
          .register(registry);
    }
    if (classes) {
      Gauge.builder("kvdrive.operator.classes.readable", this, w -> w.readsClasses() ? 1 : 0)
          .description("1 while the InferenceClasses can be read")
          .register(registry);
    }
    if (nodes) {
      Gauge.builder("kvdrive.operator.nodes.readable", this, w -> w.readsNodes() ? 1 : 0)
          .description("1 while the nodes with GPUs can be read")
          .register(registry);
    }
  }

  /** Says in the log what has become readable or unreadable since the last report. */
  void report() {
    try {
      if (started) {
        compare();
      }
    } catch (RuntimeException e) {
      log.warn("What can be read could not be found out", e); // the next report tries again
    }
  }

  private synchronized void compare() {
    for (String namespace : namespaces) {
      ask(namespace);
      report(
          namespace.equals(Constants.WATCH_ALL_NAMESPACES)
              ? "All namespaces together"
              : "Namespace " + namespace,
          reads(namespace) ? null : cause(namespace));
    }
    if (classes) {
      report("The InferenceClasses", readsClasses() ? null : cause(InferenceClass.class, null));
    }
    if (nodes) {
      report("The nodes", readsNodes() ? null : cause(Node.class, null));
    }
  }

  /**
   * A watch that is open goes on for minutes after the right to it was taken away; and what was
   * taken away is the role as a whole.
   */
  private void ask(String namespace) {
    try {
      list(InferenceDeployment.class, namespace);
      refused.remove(namespace);
    } catch (KubernetesClientException e) {
      if (e.getStatus() != null) {
        refused.put(namespace, "InferenceDeployment: " + FailureWords.of(e));
      }
    }
  }

  private void list(Class<? extends HasMetadata> type, @Nullable String namespace) {
    if (namespace == null || namespace.equals(Constants.WATCH_ALL_NAMESPACES)) {
      client.resources(type).inAnyNamespace().list(ONE);
    } else {
      client.resources(type).inNamespace(namespace).list(ONE);
    }
  }

  private void report(String what, @Nullable String cause) {
    if (cause == null) {
      if (unreadable.remove(what) != null) {
        log.info("{} can be read again", what);
      }
    } else if (!Objects.equals(unreadable.put(what, cause), cause)) {
      log.warn("{} cannot be read and is tried again; the rest is served. {}", what, cause);
    }
  }

  private String cause(String namespace) {
    String words = refused.get(namespace);
    if (words != null) {
      return words;
    }
    for (EventSource<?, ?> source : sources()) {
      if (!CLUSTER_SCOPED.contains(source.resourceType())
          && !ON_REQUEST.contains(source.resourceType())
          && !isRead(source, namespace)
          && HasMetadata.class.isAssignableFrom(source.resourceType())) {
        return cause(source.resourceType().asSubclass(HasMetadata.class), namespace);
      }
    }
    return "Its watches are being renewed";
  }

  private String cause(Class<? extends HasMetadata> type, @Nullable String namespace) {
    try {
      list(type, namespace);
      return type.getSimpleName() + ": the watch is being renewed";
    } catch (KubernetesClientException e) {
      return type.getSimpleName() + ": " + FailureWords.of(e);
    }
  }

  private List<EventSource<?, ?>> sources() {
    List<EventSource<?, ?>> sources = new ArrayList<>();
    controller
        .getControllerHealthInfo()
        .eventSourceHealthIndicators()
        .values()
        .forEach(
            source -> {
              if (source instanceof EventSource<?, ?> known) {
                sources.add(known);
              }
            });
    return sources;
  }

  private static boolean isRead(EventSource<?, ?> source, String namespace) {
    Map<String, InformerHealthIndicator> watches = watches(source);
    if (watches.isEmpty()) {
      return !(source instanceof InformerWrappingEventSourceHealthIndicator);
    }
    InformerHealthIndicator watch = watches.get(namespace);
    return watch != null && watch.isRunning() && watch.hasSynced() && watch.isWatching();
  }

  private static Map<String, InformerHealthIndicator> watches(EventSource<?, ?> source) {
    return source instanceof InformerWrappingEventSourceHealthIndicator<?> wrapping
        ? wrapping.informerHealthIndicators()
        : Map.of();
  }

  private static String name(String namespace) {
    return namespace.equals(Constants.WATCH_ALL_NAMESPACES) ? ALL : namespace;
  }
}
