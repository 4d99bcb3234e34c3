package dev.kvdrive.feasibility;

import dev.kvdrive.api.v1alpha1.InferenceClass;
import dev.kvdrive.api.v1alpha1.InferenceClassSpec;
import dev.kvdrive.api.v1alpha1.InferenceDeployment;
import dev.kvdrive.feasibility.Assessment.Feasible;
import dev.kvdrive.feasibility.Assessment.Infeasible;
import dev.kvdrive.feasibility.ClassPolicy.Usage;
import dev.kvdrive.feasibility.GeometryCatalogue.Known;
import dev.kvdrive.plan.Plan;
import dev.kvdrive.plan.PlanRequest;
import dev.kvdrive.plan.Planner;
import java.util.Comparator;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/** Judges a specification: complete it, check it against its class, plan it. */
public final class Assessor {
  private static final Comparator<InferenceDeployment> BY_AGE =
      Comparator.comparing(
              (InferenceDeployment d) ->
                  Objects.requireNonNullElse(d.getMetadata().getCreationTimestamp(), ""))
          .thenComparing(d -> Objects.requireNonNullElse(d.getMetadata().getUid(), ""));

  private final GeometryCatalogue catalogue;
  private final OperatorDefaults defaults;

  public Assessor(GeometryCatalogue catalogue, OperatorDefaults defaults) {
    this.catalogue = catalogue;
    this.defaults = defaults;
  }

  /** The class that {@code deployment} uses, by name; the default one if it names none. */
  public static String className(InferenceDeployment deployment) {
    return Objects.requireNonNullElse(
        deployment.getSpec().className(), InferenceClass.DEFAULT_NAME);
  }

  /**
   * The verdict on {@code deployment}.
   *
   * @param clazz the class called {@link #className}, null if there is none
   * @param siblings all deployments of the namespace, this one included or not
   */
  public Assessment assess(
      InferenceDeployment deployment,
      @Nullable InferenceClass clazz,
      List<InferenceDeployment> siblings) {
    String className = className(deployment);
    if (clazz == null && deployment.getSpec().className() != null) {
      return refused(
          "ClassNotFound",
          ("There is no InferenceClass %s that this operator can see; create it, name another, or"
                  + " leave className out.")
              .formatted(className));
    }
    InferenceClassSpec classSpec = clazz == null ? null : clazz.getSpec();
    try {
      Request request = RequestResolver.resolve(deployment, classSpec, defaults);
      if (classSpec != null) {
        List<String> violations = ClassPolicy.violations(request, className, classSpec);
        if (!violations.isEmpty()) {
          return refused("NotAllowed", String.join(" ", violations));
        }
        List<String> beyond =
            ClassPolicy.beyondQuota(
                request, className, classSpec, older(deployment, siblings, className));
        if (!beyond.isEmpty()) {
          return refused("QuotaExceeded", String.join(" ", beyond));
        }
      }
      return plan(request, classSpec);
    } catch (IllegalArgumentException e) {
      return refused("InvalidSpec", Objects.requireNonNullElse(e.getMessage(), e.toString()));
    }
  }

  private Assessment plan(Request request, @Nullable InferenceClassSpec clazz) {
    Optional<Known> known = catalogue.find(request.model(), clazz);
    if (known.isEmpty()) {
      return refused(
          "GeometryUnknown",
          ("The sizes of model %s are not known, so nothing can be planned. Add"
                  + " spec.model.geometry (its values are in the model's config.json), or have"
                  + " them added to the catalogue of the InferenceClass.")
              .formatted(request.model().uri()));
    }
    Plan plan =
        Planner.plan(
            new PlanRequest(
                known.get().geometry(),
                request.contextLength(),
                request.concurrency(),
                request.budget(),
                request.kvType(),
                request.tiers(),
                request.device(),
                request.queueLimit()));
    return plan.feasible()
        ? new Feasible(request, plan, known.get().source())
        : new Infeasible("DoesNotFit", plan.verdict(), plan, known.get().source());
  }

  /** A malformed sibling counts nothing: it runs nothing. */
  private static List<Usage> older(
      InferenceDeployment deployment, List<InferenceDeployment> siblings, String className) {
    return siblings.stream()
        .filter(s -> className(s).equals(className))
        .filter(s -> !s.getMetadata().getName().equals(deployment.getMetadata().getName()))
        .filter(s -> BY_AGE.compare(s, deployment) < 0)
        .flatMap(s -> usage(s).stream())
        .toList();
  }

  private static Optional<Usage> usage(InferenceDeployment sibling) {
    try {
      return Optional.of(
          Usage.of(
              RequestResolver.tiers(sibling.getSpec().tiers()),
              Objects.requireNonNullElse(
                  sibling.getSpec().replicas(), RequestResolver.DEFAULT_REPLICAS)));
    } catch (IllegalArgumentException e) {
      return Optional.empty();
    }
  }

  private static Infeasible refused(String reason, String message) {
    return new Infeasible(reason, message, null, null);
  }
}
