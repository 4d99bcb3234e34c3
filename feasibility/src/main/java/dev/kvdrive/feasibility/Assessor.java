package dev.kvdrive.feasibility;

import dev.kvdrive.api.v1alpha1.Device;
import dev.kvdrive.api.v1alpha1.InferenceClass;
import dev.kvdrive.api.v1alpha1.InferenceClassSpec;
import dev.kvdrive.api.v1alpha1.InferenceDeployment;
import dev.kvdrive.feasibility.Assessment.Feasible;
import dev.kvdrive.feasibility.Assessment.Infeasible;
import dev.kvdrive.feasibility.GeometryCatalogue.Known;
import dev.kvdrive.plan.AttentionOptions;
import dev.kvdrive.plan.Load;
import dev.kvdrive.plan.ModelGeometry;
import dev.kvdrive.plan.Plan;
import dev.kvdrive.plan.PlanRequest;
import dev.kvdrive.plan.Planner;
import dev.kvdrive.plan.PolicyShape;
import java.util.Collection;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/** Judges a specification: complete it, check it against its class, plan it. */
public final class Assessor {
  private static final Comparator<InferenceDeployment> BY_AGE =
      Comparator.comparing(
              (InferenceDeployment d) ->
                  Objects.requireNonNullElse(d.getMetadata().getCreationTimestamp(), ""))
          .thenComparing(d -> d.getMetadata().getName());

  /** How a refusal for want of a class begins, here and in the chart's admission policy. */
  public static final String CLASS_REQUIRED =
      "spec.className is missing: an InferenceClass is required here.";

  /** The reason of a GPU tier that no card holds; the runtime's, too, when it finds that. */
  public static final String GPU_TOO_SMALL = "GpuTooSmall";

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
    return assess(deployment, clazz, siblings, clazz == null ? List.of() : List.of(clazz));
  }

  /**
   * The verdict on {@code deployment}.
   *
   * @param clazz the class called {@link #className}, null if there is none
   * @param siblings all deployments of the namespace, this one included or not
   * @param classes all classes; a refusal names those that the namespace may use
   */
  public Assessment assess(
      InferenceDeployment deployment,
      @Nullable InferenceClass clazz,
      List<InferenceDeployment> siblings,
      Collection<InferenceClass> classes) {
    return assess(deployment, clazz, siblings, classes, Map.of());
  }

  /**
   * The verdict on {@code deployment}.
   *
   * @param clazz the class called {@link #className}, null if there is none
   * @param siblings all deployments of the namespace, this one included or not
   * @param classes all classes; a refusal names those that the namespace may use
   * @param running what runs of this class in the namespace, by name of its deployment, which may
   *     be gone; this one included. A deployment that is not named runs nothing
   */
  public Assessment assess(
      InferenceDeployment deployment,
      @Nullable InferenceClass clazz,
      List<InferenceDeployment> siblings,
      Collection<InferenceClass> classes,
      Map<String, Usage> running) {
    return assess(deployment, clazz, siblings, classes, running, List.of());
  }

  /**
   * The verdict on {@code deployment}.
   *
   * @param clazz the class called {@link #className}, null if there is none
   * @param siblings all deployments of the namespace, this one included or not
   * @param classes all classes; a refusal names those that the namespace may use
   * @param running what runs of this class in the namespace, by name of its deployment, which may
   *     be gone; this one included. A deployment that is not named runs nothing
   * @param nodes the nodes with GPUs, as far as they are known; no node says nothing about cards
   */
  public Assessment assess(
      InferenceDeployment deployment,
      @Nullable InferenceClass clazz,
      List<InferenceDeployment> siblings,
      Collection<InferenceClass> classes,
      Map<String, Usage> running,
      Collection<GpuNode> nodes) {
    String className = className(deployment);
    InferenceClassSpec classSpec = clazz == null ? null : clazz.getSpec();
    Optional<Infeasible> noClass = withoutClass(deployment, classSpec, classes);
    if (noClass.isPresent()) {
      return noClass.get();
    }
    if (classSpec != null) {
      List<String> faults =
          ClassPolicy.faults(
              deployment.getMetadata().getNamespace(), deployment.getSpec().model(), classSpec);
      if (!faults.isEmpty()) {
        return refused("ClassInvalid", classInvalid(className, String.join("; ", faults)));
      }
    }
    String uri = deployment.getSpec().model().uri();
    List<String> bundled = catalogue.bundled(classSpec);
    if (uri.startsWith(GeometryCatalogue.BUNDLED_SCHEME) && !bundled.contains(uri)) {
      return refused(
          "ModelNotBundled",
          "There is no bundled model %s; the runtime image has %s."
              .formatted(uri, String.join(", ", bundled)));
    }
    List<String> aboutPods =
        PodPolicy.violations(
            deployment.getSpec().runtime(),
            classSpec == null ? null : classSpec.pods(),
            classSpec == null || classSpec.runtime() == null
                ? null
                : classSpec.runtime().maxSurge(),
            classSpec == null ? null : className);
    if (!aboutPods.isEmpty()) {
      return refused("NotAllowed", String.join(" ", aboutPods));
    }
    try {
      Request request = RequestResolver.resolve(deployment, classSpec, defaults);
      Optional<String> aboutTraces =
          TracePolicy.violation(
              deployment.getSpec().traces(),
              Objects.requireNonNullElse(classSpec, RequestResolver.NO_CLASS),
              classSpec == null ? null : className,
              defaults);
      if (aboutTraces.isPresent()) {
        return refused("NotAllowed", aboutTraces.get());
      }
      if (classSpec != null) {
        List<String> violations = ClassPolicy.violations(request, className, classSpec);
        if (!violations.isEmpty()) {
          return refused("NotAllowed", String.join(" ", violations));
        }
        List<String> beyond =
            ClassPolicy.beyondQuota(
                request,
                className,
                classSpec,
                running.get(request.name()),
                others(deployment, className, classSpec, siblings, running).values(),
                Math.toIntExact(
                    running.keySet().stream().filter(n -> !n.equals(request.name())).count()));
        if (!beyond.isEmpty()) {
          return refused("QuotaExceeded", String.join(" ", beyond));
        }
      }
      return plan(request, classSpec, nodes);
    } catch (IllegalArgumentException e) {
      return refused("InvalidSpec", Objects.requireNonNullElse(e.getMessage(), e.toString()));
    }
  }

  /** What a deployment says of a class that is none, and who can help. */
  public static String classInvalid(String className, String faults) {
    return "What is stored as InferenceClass %s is not one: %s. Whoever runs this cluster must correct it."
        .formatted(className, faults);
  }

  /** Refuses a deployment whose class is missing, is not there, or is not for its namespace. */
  private Optional<Infeasible> withoutClass(
      InferenceDeployment deployment,
      @Nullable InferenceClassSpec clazz,
      Collection<InferenceClass> classes) {
    String namespace = deployment.getMetadata().getNamespace();
    String className = className(deployment);
    List<String> open = ClassPolicy.openTo(namespace, classes);
    String choice =
        open.isEmpty()
            ? "None is open to namespace %s; ask whoever runs this cluster for one."
                .formatted(namespace)
            : "Open to namespace %s: %s.".formatted(namespace, String.join(", ", open));
    if (clazz != null) {
      return ClassPolicy.isOpenTo(namespace, clazz)
          ? Optional.empty()
          : Optional.of(
              refused(
                  "NotAllowed",
                  "InferenceClass %s is not open to namespace %s. %s"
                      .formatted(className, namespace, choice)));
    }
    if (deployment.getSpec().className() != null) {
      return Optional.of(
          refused(
              "ClassNotFound",
              "There is no InferenceClass %s that this operator can see; create it, name another%s. %s"
                  .formatted(
                      className,
                      defaults.classRequired() ? "" : ", or leave className out",
                      choice)));
    }
    return defaults.classRequired()
        ? Optional.of(refused("NotAllowed", CLASS_REQUIRED + " " + choice))
        : Optional.empty();
  }

  /**
   * Whether what is known of the nodes decides about deployments of a class: the operator must then
   * have read them first.
   */
  public static boolean goesByNodes(@Nullable InferenceClass clazz) {
    InferenceClassSpec spec = clazz == null ? null : clazz.getSpec();
    return spec != null
        && spec.device() == Device.CUDA
        && (spec.gpu() == null || (spec.gpu().memory() == null && spec.gpu().claim() == null));
  }

  private Assessment plan(
      Request request, @Nullable InferenceClassSpec clazz, Collection<GpuNode> nodes) {
    Optional<Known> known = catalogue.find(request.model(), clazz);
    if (known.isEmpty()) {
      return refused(
          "GeometryUnknown",
          ("The sizes of model %s are not known, so nothing can be planned. Add"
                  + " spec.model.geometry (its values are in the model's config.json), or have"
                  + " them added to the catalogue of the InferenceClass.")
              .formatted(request.model().uri()));
    }
    ModelGeometry geometry = known.get().geometry().extended(Request.ropeScaling(request.model()));
    Plan plan =
        Planner.plan(
            new PlanRequest(
                geometry,
                new Load(request.contextLength(), request.concurrency(), request.queueLimit()),
                new AttentionOptions(
                    PolicyShape.of(request.policy(), request.index(), geometry),
                    request.budget(),
                    request.kvType(),
                    request.formats(),
                    request.denseBelow(),
                    request.windows()),
                request.tiers(),
                request.device()));
    Optional<Cards> cards = Cards.of(request, nodes);
    if (cards.isPresent()) {
      if (!cards.get().hold(request.tiers().gpu())) {
        return new Infeasible(GPU_TOO_SMALL, cards.get().refusal(plan), plan, known.get().source());
      }
      plan = cards.get().within(plan);
    }
    return plan.feasible()
        ? new Feasible(planned(request, plan), plan, known.get().source())
        : new Infeasible("DoesNotFit", plan.verdict(), plan, known.get().source());
  }

  /** With what was planned where nobody has said it: a pod never runs anything else. */
  private static Request planned(Request request, Plan plan) {
    PolicyShape policy = plan.request().attention().policy();
    return request.planned(
        plan.requireSizes().denseBelow(),
        policy.name().equals(PolicyShape.KVDRIVE.name()) ? policy.index() : request.index());
  }

  /**
   * What counts of each other deployment of the class: what it runs, and, if it is older, what it
   * asks for, so that a newcomer never takes its place. One that asks for more than the whole
   * quota, or whose budgets are malformed, keeps nobody waiting.
   */
  private static Map<String, Usage> others(
      InferenceDeployment deployment,
      String className,
      InferenceClassSpec clazz,
      List<InferenceDeployment> siblings,
      Map<String, Usage> running) {
    Map<String, Usage> others = new TreeMap<>(running);
    siblings.stream()
        .filter(s -> className(s).equals(className))
        .filter(s -> BY_AGE.compare(s, deployment) < 0)
        .forEach(
            older ->
                usage(older)
                    .filter(
                        asked ->
                            ClassPolicy.couldEverRun(
                                older.getMetadata().getNamespace(), clazz, asked))
                    .ifPresent(
                        asked -> others.merge(older.getMetadata().getName(), asked, Usage::max)));
    others.remove(deployment.getMetadata().getName());
    return others;
  }

  private static Optional<Usage> usage(InferenceDeployment sibling) {
    try {
      return Optional.of(
          Usage.of(
              RequestResolver.tiers(sibling.getSpec().tiers(), RequestResolver.NO_CLASS),
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
