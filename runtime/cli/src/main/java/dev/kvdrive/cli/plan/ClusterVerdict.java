package dev.kvdrive.cli.plan;

import dev.kvdrive.api.v1alpha1.Downloads;
import dev.kvdrive.api.v1alpha1.InferenceClass;
import dev.kvdrive.api.v1alpha1.InferenceDeployment;
import dev.kvdrive.api.v1alpha1.PullPolicy;
import dev.kvdrive.cli.cluster.Surroundings;
import dev.kvdrive.feasibility.Assessment;
import dev.kvdrive.feasibility.Assessor;
import dev.kvdrive.feasibility.GeometryCatalogue;
import dev.kvdrive.feasibility.OperatorDefaults;
import dev.kvdrive.feasibility.RuntimeImages;
import dev.kvdrive.observed.stored.UnreadableClass;
import dev.kvdrive.observed.stored.UnreadableDeployment;
import java.util.List;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * The operator's verdict on a deployment of a cluster: its code, on what it goes by, as far as the
 * user may read that.
 */
public final class ClusterVerdict {
  private final Surroundings surroundings;
  private final Assessor assessor;

  public ClusterVerdict(Surroundings surroundings) {
    this(surroundings, assessor(GeometryCatalogue.wellKnown(), false));
  }

  ClusterVerdict(Surroundings surroundings, Assessor assessor) {
    this.surroundings = surroundings;
    this.assessor = assessor;
  }

  /** What only matters to pods is left out: none are made here. */
  static Assessor assessor(GeometryCatalogue catalogue, boolean classRequired) {
    return new Assessor(
        catalogue,
        new OperatorDefaults(
            new RuntimeImages("", ""),
            PullPolicy.IF_NOT_PRESENT,
            List.of(),
            null,
            Set.of(),
            Downloads.UNSAID,
            OperatorDefaults.UNKNOWN_COLLECTOR,
            classRequired));
  }

  /** The verdict on what is stored. */
  public Assessment of(InferenceDeployment deployment) {
    return deployment instanceof UnreadableDeployment unreadable
        ? new Assessment.Infeasible("InvalidSpec", unreadable.refusal(), null, null)
        : of(
            deployment,
            classOf(deployment, surroundings.classes()),
            surroundings.siblings(deployment.getMetadata().getNamespace()),
            surroundings.classes());
  }

  /**
   * The verdict on what may be stored.
   *
   * @param clazz that it uses; null if there is none
   * @param siblings all deployments of its namespace
   * @param classes all classes
   */
  Assessment of(
      InferenceDeployment deployment,
      @Nullable InferenceClass clazz,
      List<InferenceDeployment> siblings,
      List<InferenceClass> classes) {
    if (clazz instanceof UnreadableClass unreadable) {
      return new Assessment.Infeasible(
          "ClassInvalid",
          Assessor.classInvalid(clazz.getMetadata().getName(), unreadable.fault()),
          null,
          null);
    }
    return assessor.assess(
        deployment,
        clazz,
        siblings,
        classes,
        surroundings.running(deployment),
        surroundings.nodes());
  }

  /** The class that a deployment uses, of those that there are. */
  static @Nullable InferenceClass classOf(
      InferenceDeployment deployment, List<InferenceClass> classes) {
    String name = Assessor.className(deployment);
    return classes.stream()
        .filter(clazz -> clazz.getMetadata().getName().equals(name))
        .findFirst()
        .orElse(null);
  }
}
