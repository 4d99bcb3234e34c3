package dev.kvdrive.operator.desired;

import com.fasterxml.jackson.annotation.JsonIgnoreProperties;
import com.fasterxml.jackson.annotation.JsonInclude;
import io.fabric8.kubernetes.api.model.Condition;
import io.fabric8.kubernetes.api.model.Namespaced;
import io.fabric8.kubernetes.client.CustomResource;
import io.fabric8.kubernetes.model.annotation.Group;
import io.fabric8.kubernetes.model.annotation.Kind;
import io.fabric8.kubernetes.model.annotation.Plural;
import io.fabric8.kubernetes.model.annotation.Version;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * The kind of the Gateway API Inference Extension, as far as the operator writes and reads it; no
 * library has it.
 */
@Group(InferencePool.GROUP)
@Version(InferencePool.VERSION)
@Kind("InferencePool")
@Plural("inferencepools")
public final class InferencePool
    extends CustomResource<InferencePool.PoolSpec, InferencePool.PoolStatus> implements Namespaced {
  private static final long serialVersionUID = 1;

  public static final String GROUP = "inference.networking.k8s.io";
  public static final String VERSION = "v1";

  /**
   * What is asked for.
   *
   * @param selector of pods in the same namespace
   * @param targetPorts of the pods
   * @param endpointPickerRef who chooses among them
   */
  @JsonIgnoreProperties(ignoreUnknown = true)
  @JsonInclude(JsonInclude.Include.NON_NULL)
  public record PoolSpec(
      @Nullable Selector selector,
      @Nullable List<Port> targetPorts,
      @Nullable PickerRef endpointPickerRef) {}

  /** Pods by their labels. */
  @JsonIgnoreProperties(ignoreUnknown = true)
  public record Selector(Map<String, String> matchLabels) {}

  /** A port. */
  @JsonIgnoreProperties(ignoreUnknown = true)
  public record Port(int number) {}

  /** A Service of the same namespace. */
  @JsonIgnoreProperties(ignoreUnknown = true)
  @JsonInclude(JsonInclude.Include.NON_NULL)
  public record PickerRef(
      @Nullable String group,
      @Nullable String kind,
      String name,
      @Nullable Port port,
      @Nullable String failureMode) {}

  /** What Gateways say of it. */
  @JsonIgnoreProperties(ignoreUnknown = true)
  public record PoolStatus(List<ParentStatus> parents) {
    public PoolStatus {
      parents = Objects.requireNonNullElse(parents, List.of());
    }
  }

  /** What one Gateway says of it. */
  @JsonIgnoreProperties(ignoreUnknown = true)
  public record ParentStatus(List<Condition> conditions, ParentRef parentRef) {
    public ParentStatus {
      conditions = Objects.requireNonNullElse(conditions, List.of());
    }
  }

  /** A Gateway. */
  @JsonIgnoreProperties(ignoreUnknown = true)
  public record ParentRef(String name, @Nullable String namespace) {}

  /** A specification is a record and has no empty instance. */
  @Override
  protected @Nullable PoolSpec initSpec() {
    return null;
  }

  @Override
  protected @Nullable PoolStatus initStatus() {
    return null;
  }
}
