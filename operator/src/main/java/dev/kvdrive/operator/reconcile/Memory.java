package dev.kvdrive.operator.reconcile;

import dev.kvdrive.api.v1alpha1.InferenceDeployment;
import io.fabric8.kubernetes.api.model.HasMetadata;
import io.javaoperatorsdk.operator.processing.event.ResourceID;
import io.javaoperatorsdk.operator.processing.event.source.AbstractEventSource;
import io.javaoperatorsdk.operator.processing.event.source.ResourceEventAware;
import java.util.HashMap;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import org.jspecify.annotations.Nullable;

/**
 * What the operator remembers of a deployment between two looks at it, for as long as it is there.
 * No source of events, but told of the end of deployments as one.
 */
final class Memory extends AbstractEventSource<InferenceDeployment, InferenceDeployment>
    implements ResourceEventAware<InferenceDeployment> {
  private final Map<ResourceID, OfOne> deployments = new ConcurrentHashMap<>();

  /** One deployment's. Used by one reconciliation at a time. */
  static final class OfOne {
    /** What its pods ran with when it was last seen, by kind and name. */
    private final Map<String, HasMetadata> objects = new HashMap<>();

    private @Nullable String said;

    private @Nullable String saidOfEvents;

    private @Nullable String announced;

    /** What its pods run with, by kind and name. */
    Map<String, HasMetadata> objects() {
      return objects;
    }

    /** Whether {@code words} have not been said since something else was, or {@link #fine}. */
    synchronized boolean isNew(String words) {
      boolean known = words.equals(said);
      said = words;
      return !known;
    }

    /** The same for events that could not be written, which are tried again with all else. */
    synchronized boolean isNewOfEvents(String words) {
      boolean known = words.equals(saidOfEvents);
      saidOfEvents = words;
      return !known;
    }

    /**
     * Whether {@code step} is not the last that was announced. A step that is announced under the
     * name of where it started from is announced again by who sees another start, as from a cache
     * that is two steps behind.
     */
    synchronized boolean isNewStep(String step) {
      boolean known = step.equals(announced);
      announced = step;
      return !known;
    }

    /** Nothing is to be said. */
    synchronized void fine() {
      said = null;
      saidOfEvents = null;
    }
  }

  Memory() {
    super(InferenceDeployment.class, "memory");
  }

  OfOne of(InferenceDeployment deployment) {
    return Objects.requireNonNull(
        deployments.computeIfAbsent(ResourceID.fromResource(deployment), id -> new OfOne()));
  }

  @Override
  public void onResourceDeleted(InferenceDeployment resource) {
    deployments.remove(ResourceID.fromResource(resource));
  }

  @Override
  public Set<InferenceDeployment> getSecondaryResources(InferenceDeployment primary) {
    return Set.of();
  }
}
