package dev.kvdrive.cli.plan;

import dev.kvdrive.api.v1alpha1.Geometry;
import dev.kvdrive.api.v1alpha1.InferenceClass;
import dev.kvdrive.api.v1alpha1.InferenceClassSpec;
import dev.kvdrive.api.v1alpha1.InferenceDeployment;
import dev.kvdrive.api.v1alpha1.InferenceDeploymentSpec;
import dev.kvdrive.api.v1alpha1.ModelSpec;
import dev.kvdrive.api.v1alpha1.TraceCollector;
import dev.kvdrive.api.v1alpha1.Traces;
import dev.kvdrive.cli.cluster.Surroundings;
import dev.kvdrive.feasibility.Assessment;
import dev.kvdrive.feasibility.Assessor;
import dev.kvdrive.feasibility.GeometryCatalogue;
import dev.kvdrive.feasibility.Manifests;
import dev.kvdrive.plan.ContextLimit;
import dev.kvdrive.plan.DeviceKind;
import dev.kvdrive.plan.ModelGeometry;
import dev.kvdrive.plan.Plan;
import io.fabric8.kubernetes.api.model.Quantity;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;

/**
 * Manifests judged as the operator judges them, by the same code. What they lack (classes, and the
 * deployments that a quota counts) is that of the cluster, if there is one; without one there are
 * no others.
 */
final class ManifestPlans {
  private final Manifests.Reader reader;
  private final Function<String, ModelGeometry> hub;
  private final List<String> sources = new ArrayList<>();
  private final GeometryCatalogue catalogue = GeometryCatalogue.wellKnown();
  private final Assessor assessor;
  private final @Nullable Surroundings surroundings;

  /**
   * The verdict on one deployment.
   *
   * @param name namespace and name
   * @param plan the arithmetic; null if it was refused before
   * @param reason as in the operator's condition; null if it fits
   * @param message what is wrong and what would help; null if it fits
   * @param note what the manifest still needs, or null
   */
  record Judged(
      String name,
      @Nullable Plan plan,
      @Nullable String reason,
      @Nullable String message,
      @Nullable String note) {
    boolean feasible() {
      return reason == null;
    }
  }

  /**
   * @param namespace of manifests that name none
   * @param classRequired whether a deployment that no class governs is refused
   * @param hub finds the sizes of an {@code hf://} model that neither manifest nor operator knows
   * @param surroundings of the cluster that they are meant for; null without one
   */
  ManifestPlans(
      String namespace,
      boolean classRequired,
      Function<String, ModelGeometry> hub,
      @Nullable Surroundings surroundings) {
    reader = new Manifests.Reader(namespace);
    assessor = ClusterVerdict.assessor(catalogue, classRequired);
    this.hub = hub;
    this.surroundings = surroundings;
  }

  /**
   * Takes the manifests of a file.
   *
   * @throws IllegalArgumentException if one is not what its definition says
   */
  void read(String source, String text) {
    reader.read(source, text);
    sources.add(source + (text.isBlank() ? " (empty)" : ""));
  }

  /**
   * Judges every deployment that was read.
   *
   * @throws IllegalArgumentException if there is none, or it has a class and none was read
   */
  List<Judged> judge() {
    Manifests manifests = reader.manifests();
    if (manifests.deployments().isEmpty()) {
      throw new IllegalArgumentException(
          "there is no InferenceDeployment to plan in %s; name its file with -f"
              .formatted(String.join(", ", sources)));
    }
    List<Judged> judged = new ArrayList<>();
    if (surroundings != null) {
      InCluster cluster = new InCluster(surroundings, manifests, assessor);
      for (InferenceDeployment deployment : manifests.deployments()) {
        judged.add(judge(deployment, cluster));
      }
      return judged;
    }
    for (InferenceDeployment deployment : manifests.deployments()) {
      judged.add(
          judge(
              deployment,
              manifests.classOf(deployment).orElse(null),
              manifests.classes().values()));
    }
    return judged;
  }

  private Judged judge(
      InferenceDeployment deployment,
      @Nullable InferenceClass clazz,
      Collection<InferenceClass> classes) {
    String name =
        deployment.getMetadata().getNamespace() + "/" + deployment.getMetadata().getName();
    InferenceDeploymentSpec spec = deployment.getSpec();
    if (clazz == null && spec.className() != null && classes.isEmpty()) {
      throw new IllegalArgumentException(
          "%s uses InferenceClass %s, which is not among the manifests; add it with another -f"
              .formatted(name, spec.className()));
    }
    if (clazz == null && spec.className() != null) {
      return judged(
          name,
          assessor.assess(deployment, null, List.of(), classes),
          "InferenceClass %s is not among the manifests; if it is in another file, add that with -f"
              .formatted(spec.className()));
    }
    List<String> notes = new ArrayList<>();
    Optional.ofNullable(lookUp(deployment, clazz)).ifPresent(notes::add);
    uncollected(spec, clazz).ifPresent(notes::add);
    return judged(
        name,
        assessor.assess(deployment, clazz, List.of(), classes),
        notes.isEmpty() ? null : String.join("\n", notes));
  }

  private Judged judge(InferenceDeployment deployment, InCluster cluster) {
    InferenceClass clazz = cluster.classOf(deployment);
    // What names a class that is not there is refused for that, whatever its model.
    String lookedUp =
        clazz == null && deployment.getSpec().className() != null
            ? null
            : lookUp(deployment, clazz);
    List<String> notes = new ArrayList<>(cluster.notes(deployment, clazz));
    if (lookedUp != null) {
      notes.add(lookedUp);
    }
    uncollected(deployment.getSpec(), clazz).ifPresent(notes::add);
    return judged(
        deployment.getMetadata().getNamespace() + "/" + deployment.getMetadata().getName(),
        cluster.assess(deployment, clazz),
        notes.isEmpty() ? null : String.join("\n", notes));
  }

  /** What becomes of traces that are asked for, where no class says where to; the chart may. */
  private static Optional<String> uncollected(
      InferenceDeploymentSpec spec, @Nullable InferenceClass clazz) {
    Traces asked = spec.traces();
    if (asked == null
        || Boolean.FALSE.equals(asked.enabled())
        || (asked.enabled() == null && asked.sampling() == null)) {
      return Optional.empty();
    }
    TraceCollector collector =
        clazz == null || clazz.getSpec() == null ? null : clazz.getSpec().traces();
    if (collector != null && collector.named()) {
      return Optional.empty();
    }
    return Optional.of(
        "It asks for traces, and %s (traces.endpoint). The operator sends them to that of its chart (runtime.traces.endpoint); where that names none either, it refuses the deployment."
            .formatted(
                clazz == null
                    ? "no InferenceClass of it names a collector"
                    : "InferenceClass %s names no collector"
                        .formatted(clazz.getMetadata().getName())));
  }

  /**
   * Completes a deployment of a model that nobody knows by what the hub says; what to write then.
   */
  private @Nullable String lookUp(InferenceDeployment deployment, @Nullable InferenceClass clazz) {
    InferenceDeploymentSpec spec = deployment.getSpec();
    String uri = spec.model().uri();
    InferenceClassSpec classSpec = clazz == null ? null : clazz.getSpec();
    if (catalogue.has(spec.model(), classSpec) || !uri.startsWith("hf://")) {
      return null;
    }
    Geometry geometry = geometry(hub.apply(uri));
    deployment.setSpec(withGeometry(spec, geometry));
    return "The operator does not know this model and downloads nothing to plan; add to spec.model:"
        + " geometry: {layers: %d, hidden: %d, heads: %d, kvHeads: %d, headDim: %d, feedForward: %d, vocabulary: %d, maxContext: %d, weights: \"%s\"%s%s}"
            .formatted(
                geometry.layers(),
                geometry.hidden(),
                geometry.heads(),
                geometry.kvHeads(),
                geometry.headDim(),
                geometry.feedForward(),
                geometry.vocabulary(),
                geometry.maxContext(),
                geometry.weights(),
                geometry.gpuWeights() == null
                    ? ""
                    : ", gpuWeights: \"%s\"".formatted(geometry.gpuWeights()),
                geometry.contextLimit() == null
                    ? ""
                    : ", contextLimit: " + geometry.contextLimit().name().toLowerCase(Locale.ROOT));
  }

  static Judged judged(String name, Assessment assessment, @Nullable String note) {
    return switch (assessment) {
      case Assessment.Feasible fits -> new Judged(name, fits.plan(), null, null, note);
      case Assessment.Infeasible not ->
          new Judged(name, not.plan(), not.reason(), not.message(), note);
    };
  }

  private static Geometry geometry(ModelGeometry g) {
    return new Geometry(
        g.layers(),
        g.hidden(),
        g.heads(),
        g.kvHeads(),
        g.headDim(),
        g.feedForward(),
        g.vocabulary(),
        g.maxContext(),
        new Quantity(Long.toString(g.weightBytes())),
        g.packed().none() ? null : new Quantity(Long.toString(g.weightBytes(DeviceKind.CUDA))),
        g.limit() == ContextLimit.TRAINED ? null : Geometry.ContextLimit.valueOf(g.limit().name()),
        g.calibrated() ? Boolean.TRUE : null);
  }

  private static InferenceDeploymentSpec withGeometry(
      InferenceDeploymentSpec spec, Geometry geometry) {
    ModelSpec model = spec.model();
    return new InferenceDeploymentSpec(
        spec.className(),
        new ModelSpec(
            model.uri(),
            geometry,
            model.tokenSecret(),
            model.cacheClaimName(),
            model.chatTemplate(),
            model.ropeScaling()),
        spec.servedModelName(),
        spec.contextLength(),
        spec.concurrency(),
        spec.budget(),
        spec.quality(),
        spec.budgetBound(),
        spec.denseBelow(),
        spec.policy(),
        spec.index(),
        spec.kvType(),
        spec.resident(),
        spec.backing(),
        spec.meter(),
        spec.windows(),
        spec.tiers(),
        spec.replicas(),
        spec.access(),
        spec.route(),
        spec.traces(),
        spec.runtime());
  }
}
