package dev.kvdrive.operator;

import dev.kvdrive.api.v1alpha1.Downloads;
import dev.kvdrive.api.v1alpha1.PullPolicy;
import dev.kvdrive.api.v1alpha1.TraceCollector;
import dev.kvdrive.feasibility.RuntimeImages;
import java.util.List;
import java.util.Objects;
import java.util.Set;
import java.util.TreeSet;
import org.jspecify.annotations.Nullable;
import org.springframework.boot.context.properties.ConfigurationProperties;
import org.springframework.boot.context.properties.bind.DefaultValue;

/**
 * What the operator is installed with; the chart writes it.
 *
 * @param namespace the operator's own
 * @param release name of the Helm release; with the namespace it tells operators apart
 * @param takeOver whether deployments are taken that another operator serves
 * @param watchNamespaces namespaces it serves; empty for all
 * @param classes whether it reads the cluster-scoped InferenceClasses
 * @param nodes whether the labels of nodes with GPUs may be read, which are cluster-scoped
 * @param routes whether deployments may have routes, which needs rights to HTTPRoutes and
 *     InferencePools
 * @param classRequired whether a deployment that no class governs is refused
 * @param leaderElection whether replicas agree on one that works
 * @param monitoringNamespaces namespaces that may read the metrics of runtime pods
 * @param runtime defaults of runtime pods
 */
@ConfigurationProperties("kvdrive.operator")
public record OperatorProperties(
    String namespace,
    @DefaultValue("kvdrive") String release,
    @DefaultValue("false") boolean takeOver,
    @DefaultValue List<String> watchNamespaces,
    @DefaultValue("true") boolean classes,
    @DefaultValue("false") boolean nodes,
    @DefaultValue("true") boolean routes,
    @DefaultValue("false") boolean classRequired,
    @DefaultValue("true") boolean leaderElection,
    @DefaultValue List<String> monitoringNamespaces,
    RuntimePods runtime) {
  public OperatorProperties {
    Objects.requireNonNull(
        namespace, "kvdrive.operator.namespace is not set; the chart sets it to the release's");
    Objects.requireNonNull(runtime, "kvdrive.operator.runtime is not set; it names the image");
    if (classRequired && !classes) {
      throw new IllegalArgumentException(
          "kvdrive.operator.class-required needs kvdrive.operator.classes: an operator that may not"
              + " read classes would refuse everything");
    }
    watchNamespaces = List.copyOf(watchNamespaces);
    monitoringNamespaces = List.copyOf(monitoringNamespaces);
  }

  /**
   * Defaults of runtime pods.
   *
   * @param image runtime image
   * @param cudaImage runtime image with the CUDA device, for classes with it; null: the same image
   * @param imagePullPolicy when they are pulled
   * @param imagePullSecrets names of pull secrets
   * @param userId user and group of the pods; null leaves both to the image
   * @param downloads how the pods reach the model hub
   * @param traces where the pods send traces
   */
  public record RuntimePods(
      String image,
      @Nullable String cudaImage,
      @DefaultValue("IF_NOT_PRESENT") PullPolicy imagePullPolicy,
      @DefaultValue List<String> imagePullSecrets,
      @Nullable Long userId,
      @Nullable Downloads downloads,
      @Nullable TraceCollector traces) {
    public RuntimePods {
      Objects.requireNonNull(image, "kvdrive.operator.runtime.image is not set");
      imagePullSecrets = List.copyOf(imagePullSecrets);
      if (traces != null && !traces.faults().isEmpty()) {
        throw new IllegalArgumentException(
            "kvdrive.operator.runtime.traces: " + String.join("; ", traces.faults()));
      }
    }

    RuntimeImages images() {
      return new RuntimeImages(image, Objects.requireNonNullElse(cudaImage, image));
    }
  }

  /** Namespaces whose pods may always connect to runtime pods. */
  Set<String> callers() {
    TreeSet<String> callers = new TreeSet<>(monitoringNamespaces);
    callers.add(namespace);
    return callers;
  }
}
