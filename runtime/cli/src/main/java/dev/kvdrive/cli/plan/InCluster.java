package dev.kvdrive.cli.plan;

import dev.kvdrive.api.v1alpha1.InferenceClass;
import dev.kvdrive.api.v1alpha1.InferenceDeployment;
import dev.kvdrive.cli.cluster.ClusterException;
import dev.kvdrive.cli.cluster.Surroundings;
import dev.kvdrive.feasibility.Assessment;
import dev.kvdrive.feasibility.Assessor;
import dev.kvdrive.feasibility.GeometryCatalogue;
import dev.kvdrive.feasibility.Manifests;
import dev.kvdrive.observed.stored.UnreadableDeployment;
import io.fabric8.kubernetes.api.model.Condition;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * Manifests as if they were applied to a cluster: what they say takes the place of what is there.
 */
final class InCluster {
  private final Surroundings surroundings;
  private final Manifests manifests;
  private final ClusterVerdict verdict;
  private final String now = Instant.now().truncatedTo(ChronoUnit.SECONDS).toString();

  InCluster(Surroundings surroundings, Manifests manifests, Assessor assessor) {
    this.surroundings = surroundings;
    this.manifests = manifests;
    this.verdict = new ClusterVerdict(surroundings, assessor);
    manifests.deployments().forEach(this::age);
  }

  /**
   * The class that a deployment uses.
   *
   * @throws ClusterException if nobody can tell, since the classes may not be read
   */
  @Nullable InferenceClass classOf(InferenceDeployment deployment) {
    Optional<InferenceClass> written = manifests.classOf(deployment);
    if (written.isPresent()) {
      return written.get();
    }
    requireClasses(surroundings, Assessor.className(deployment));
    return ClusterVerdict.classOf(deployment, surroundings.classes());
  }

  /** A verdict without the classes would not be the operator's. */
  static void requireClasses(Surroundings surroundings, String name) {
    String fault = surroundings.classesFault();
    if (fault != null) {
      throw new ClusterException(
          "InferenceClass %s could not be read, without which there is no verdict: %s. Give the class with -f instead"
              .formatted(name, fault),
          null);
    }
  }

  Assessment assess(InferenceDeployment deployment, @Nullable InferenceClass clazz) {
    Map<String, InferenceClass> classes = new LinkedHashMap<>();
    surroundings.classes().forEach(c -> classes.put(c.getMetadata().getName(), c));
    classes.putAll(manifests.classes());
    return verdict.of(
        deployment,
        clazz,
        siblings(deployment.getMetadata().getNamespace()),
        List.copyOf(classes.values()));
  }

  private List<InferenceDeployment> siblings(String namespace) {
    Map<String, InferenceDeployment> siblings = new LinkedHashMap<>();
    surroundings.siblings(namespace).forEach(d -> siblings.put(d.getMetadata().getName(), d));
    manifests.deployments().stream()
        .filter(d -> namespace.equals(d.getMetadata().getNamespace()))
        .forEach(d -> siblings.put(d.getMetadata().getName(), d));
    return List.copyOf(siblings.values());
  }

  /** A quota is the older deployment's: what is there keeps its age, what comes is the youngest. */
  private void age(InferenceDeployment deployment) {
    deployment
        .getMetadata()
        .setCreationTimestamp(
            surroundings.siblings(deployment.getMetadata().getNamespace()).stream()
                .filter(d -> d.getMetadata().getName().equals(deployment.getMetadata().getName()))
                .map(d -> d.getMetadata().getCreationTimestamp())
                .findFirst()
                .orElse(now));
  }

  List<String> notes(InferenceDeployment deployment, @Nullable InferenceClass clazz) {
    List<String> notes = new ArrayList<>(surroundings.unknown(deployment, clazz));
    String namespace = deployment.getMetadata().getNamespace();
    if (Boolean.FALSE.equals(surroundings.hasNamespace(namespace))) {
      notes.add(
          "There is no namespace %s: kubectl create namespace %s".formatted(namespace, namespace));
    }
    return notes;
  }

  /** One that is in the cluster, as it is stored there. */
  static ManifestPlans.Judged stored(
      InferenceDeployment deployment, Surroundings surroundings, boolean classRequired) {
    ClusterVerdict verdict =
        new ClusterVerdict(
            surroundings, ClusterVerdict.assessor(GeometryCatalogue.wellKnown(), classRequired));
    List<String> notes = new ArrayList<>();
    if (!(deployment instanceof UnreadableDeployment)) {
      requireClasses(surroundings, Assessor.className(deployment));
      notes.addAll(
          surroundings.unknown(
              deployment, ClusterVerdict.classOf(deployment, surroundings.classes())));
    }
    Assessment assessment = verdict.of(deployment);
    otherwise(deployment, assessment).ifPresent(notes::add);
    return ManifestPlans.judged(
        deployment.getMetadata().getNamespace() + "/" + deployment.getMetadata().getName(),
        assessment,
        notes.isEmpty() ? null : String.join("\n", notes));
  }

  /** What the operator has said, where that is not the verdict. */
  private static Optional<String> otherwise(InferenceDeployment deployment, Assessment assessment) {
    Condition said =
        deployment.getStatus() == null || deployment.getStatus().conditions() == null
            ? null
            : deployment.getStatus().conditions().stream()
                .filter(c -> c.getType().equals("Feasible"))
                .findFirst()
                .orElse(null);
    if (said == null) {
      return Optional.of("No operator has judged it.");
    }
    Long generation = deployment.getMetadata().getGeneration();
    if (!Objects.equals(said.getObservedGeneration(), generation)) {
      return Optional.of(
          "The operator has not judged this specification (generation %s) yet; of generation %s it says %s."
              .formatted(generation, said.getObservedGeneration(), said.getReason()));
    }
    boolean fits = assessment instanceof Assessment.Feasible;
    boolean same =
        fits
            ? "True".equals(said.getStatus())
            : assessment instanceof Assessment.Infeasible not
                && "False".equals(said.getStatus())
                && not.reason().equals(said.getReason());
    return same
        ? Optional.empty()
        : Optional.of(
            "The operator says otherwise: %s: %s It also goes by what it was installed with (classes.required, watch.nodes) and by the objects of that name."
                .formatted(said.getReason(), said.getMessage()));
  }
}
