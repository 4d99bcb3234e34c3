package dev.kvdrive.operator.status;

import static dev.kvdrive.operator.status.ConditionTypes.ALTERED;
import static dev.kvdrive.operator.status.ConditionTypes.FEASIBLE;
import static dev.kvdrive.operator.status.ConditionTypes.MODEL_AVAILABLE;
import static dev.kvdrive.operator.status.ConditionTypes.READY;
import static dev.kvdrive.operator.status.ConditionTypes.RECONCILING;
import static dev.kvdrive.operator.status.ConditionTypes.ROLLOUT_WAITING;
import static dev.kvdrive.operator.status.ConditionTypes.ROUTE_READY;
import static dev.kvdrive.operator.status.ConditionTypes.RUNTIME_READY;
import static dev.kvdrive.operator.status.ConditionTypes.STALLED;
import static dev.kvdrive.operator.status.ConditionTypes.STORAGE_BOUND;

import dev.kvdrive.api.v1alpha1.InferenceDeployment;
import dev.kvdrive.api.v1alpha1.InferenceDeploymentStatus;
import dev.kvdrive.api.v1alpha1.Route;
import dev.kvdrive.feasibility.Assessment;
import dev.kvdrive.feasibility.Assessment.Feasible;
import dev.kvdrive.feasibility.Assessment.Infeasible;
import dev.kvdrive.observed.Labels;
import dev.kvdrive.operator.desired.DesiredObjects;
import dev.kvdrive.operator.status.Finding.Truth;
import dev.kvdrive.operator.status.Observation.Workload;
import dev.kvdrive.plan.Plan;
import io.fabric8.kubernetes.api.model.Condition;
import io.fabric8.kubernetes.api.model.ConditionBuilder;
import io.fabric8.kubernetes.client.KubernetesClientException;
import java.time.Clock;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/** The one place where a status is made. Equal circumstances give an equal status. */
public final class StatusAggregator {
  private static final int UNPROCESSABLE = 422;

  /** Foreign fields that a message names. */
  private static final int MOST_FOREIGN = 10;

  private static final String WAITS_FOR_OPERATOR = "WaitsForOperator";

  private final Clock clock;

  public StatusAggregator(Clock clock) {
    this.clock = clock;
  }

  /** The status of {@code deployment}, given the verdict and what the cluster shows. */
  public InferenceDeploymentStatus aggregate(
      InferenceDeployment deployment, Assessment assessment, Observation observed) {
    return aggregate(deployment, assessment, observed, List.of(), Optional.empty());
  }

  /**
   * The status of {@code deployment}, given the verdict and what the cluster shows.
   *
   * @param foreign what others have added to its objects, a field each
   * @param heldUntil until when a changed specification waits for pods without requests, if it does
   */
  public InferenceDeploymentStatus aggregate(
      InferenceDeployment deployment,
      Assessment assessment,
      Observation observed,
      List<String> foreign,
      Optional<Instant> heldUntil) {
    List<Finding> findings =
        switch (assessment) {
          case Feasible feasible -> feasible(feasible, observed, heldUntil);
          case Infeasible infeasible -> infeasible(deployment, infeasible, observed);
        };
    List<Finding> all = new ArrayList<>(summarised(findings));
    heldUntil.ifPresent(until -> all.add(Findings.held(ROLLOUT_WAITING, until)));
    Findings.spentWrites(observed).ifPresent(all::add);
    if (!foreign.isEmpty()) {
      all.add(altered(foreign));
    }
    return status(deployment, assessment, observed, all);
  }

  private static Finding altered(List<String> foreign) {
    String more =
        foreign.size() <= MOST_FOREIGN
            ? ""
            : " and %d more".formatted(foreign.size() - MOST_FOREIGN);
    return Finding.holds(
        ALTERED,
        "ForeignFields",
        "Not from this specification, and not in its plan: %s%s. The operator leaves it as it is; take it out where nobody wants it."
            .formatted(String.join("; ", foreign.stream().limit(MOST_FOREIGN).toList()), more));
  }

  /**
   * The status when reconciling failed. What the API server refuses as invalid comes from the
   * specification, and only a change of it helps, or from what others put into the objects;
   * anything else is tried again.
   *
   * @param verdict on the specification, if it came that far
   * @param foreign what others have added to its objects, a field each
   * @param causes refusals of the API server, or what else went wrong
   */
  public InferenceDeploymentStatus failed(
      InferenceDeployment deployment,
      Optional<Assessment> verdict,
      List<String> foreign,
      List<? extends Throwable> causes) {
    InferenceDeploymentStatus before = deployment.getStatus();
    boolean invalid =
        causes.stream()
            .anyMatch(
                cause ->
                    cause instanceof KubernetesClientException refused
                        && refused.getCode() == UNPROCESSABLE);
    boolean refused =
        causes.stream()
            .anyMatch(c -> c instanceof KubernetesClientException r && r.getStatus() != null);
    String reason = invalid ? "ObjectRefused" : "ReconcileFailed";
    String what =
        invalid
            ? "The API server refuses what this specification asks for: "
            : refused
                ? "The API server refuses what the operator asks for, which will try again: "
                : causes.stream().allMatch(FailureWords::meansNoAnswer)
                    ? "The operator could not finish and will try again: "
                    : "The operator failed and will try again: ";
    String message =
        what
            + causes.stream()
                .map(FailureWords::of)
                .distinct()
                .sorted()
                .collect(Collectors.joining("; "))
            + (invalid && !foreign.isEmpty() ? perhapsOfOthers(foreign) : "");
    String notJudged = "Not judged, for not everything could be applied.";
    List<Finding> findings = new ArrayList<>();
    findings.add(
        invalid ? Finding.stuck(READY, reason, message) : Finding.waiting(READY, reason, message));
    findings.add(
        verdict
            .map(
                assessment ->
                    switch (assessment) {
                      case Feasible f -> Finding.holds(FEASIBLE, "Fits", f.plan().verdict());
                      case Infeasible i -> Finding.stuck(FEASIBLE, i.reason(), i.message());
                    })
            .orElseGet(() -> Finding.unknown(FEASIBLE, reason, "Not judged.")));
    for (String type : seen(deployment)) {
      findings.add(Finding.unknown(type, reason, notJudged));
    }
    findings.add(Finding.holds(invalid ? STALLED : RECONCILING, reason, message));
    if (before != null && before.conditions() != null) {
      // Since when a rollout waits is not forgotten by a failure in between.
      before.conditions().stream()
          .filter(c -> c.getType().equals(ROLLOUT_WAITING))
          .forEach(c -> findings.add(Finding.holds(c.getType(), c.getReason(), c.getMessage())));
    }
    if (!foreign.isEmpty()) {
      findings.add(altered(foreign));
    }
    return new InferenceDeploymentStatus(
        deployment.getMetadata().getGeneration(),
        conditions(deployment, findings),
        before == null ? null : before.url(),
        before == null ? null : before.replicas(),
        before == null ? null : before.readyReplicas(),
        before == null ? null : before.selector(),
        before == null ? null : before.plan(),
        before == null ? null : before.tiers(),
        before == null ? null : before.attended(),
        before == null ? null : before.accuracy(),
        before == null ? null : before.operator());
  }

  /**
   * The status of a deployment that {@code operator} serves from now on: what it was, or that
   * nothing has been judged yet.
   */
  public InferenceDeploymentStatus served(InferenceDeployment deployment, String operator) {
    InferenceDeploymentStatus before = deployment.getStatus();
    if (before != null && before.conditions() != null && !before.conditions().isEmpty()) {
      return new InferenceDeploymentStatus(
          before.observedGeneration(),
          before.conditions(),
          before.url(),
          before.replicas(),
          before.readyReplicas(),
          before.selector(),
          before.plan(),
          before.tiers(),
          before.attended(),
          before.accuracy(),
          operator);
    }
    String message = "The operator is about to judge the specification.";
    List<Finding> findings = new ArrayList<>();
    for (String type : always(deployment)) {
      findings.add(Finding.unknown(type, "Pending", message));
    }
    findings.add(Finding.holds(RECONCILING, "Pending", message));
    return new InferenceDeploymentStatus(
        deployment.getMetadata().getGeneration(),
        conditions(deployment, findings),
        null,
        null,
        null,
        null,
        null,
        null,
        null,
        null,
        operator);
  }

  /**
   * The status of a deployment whose operator is not heard of. What was said of the current
   * generation may still be so; of a newer one nothing has been said.
   *
   * @param message whose claim it is, and until when
   */
  public InferenceDeploymentStatus unattended(InferenceDeployment deployment, String message) {
    InferenceDeploymentStatus before =
        Objects.requireNonNull(deployment.getStatus(), "what nobody serves is taken at once");
    boolean judged =
        Objects.equals(before.observedGeneration(), deployment.getMetadata().getGeneration());
    List<Condition> said =
        Objects.requireNonNullElse(before.conditions(), List.<Condition>of()).stream()
            .filter(c -> !c.getType().equals(RECONCILING) && !c.getType().equals(STALLED))
            .toList();
    List<Finding> findings = new ArrayList<>();
    if (!judged) {
      for (String type : always(deployment)) {
        findings.add(Finding.unknown(type, WAITS_FOR_OPERATOR, message));
      }
    }
    findings.add(Finding.holds(RECONCILING, WAITS_FOR_OPERATOR, message));
    List<Condition> conditions = new ArrayList<>(judged ? said : List.of());
    conditions.addAll(conditions(deployment, findings));
    return new InferenceDeploymentStatus(
        before.observedGeneration(),
        conditions,
        before.url(),
        before.replicas(),
        before.readyReplicas(),
        before.selector(),
        before.plan(),
        before.tiers(),
        before.attended(),
        before.accuracy(),
        before.operator());
  }

  private static String perhapsOfOthers(List<String> foreign) {
    return ". Or it is refused beside what others put into the objects: %s. Take that out, or delete the object it is in (kubectl delete KIND NAME); the operator makes it again"
        .formatted(String.join("; ", foreign.stream().limit(MOST_FOREIGN).toList()));
  }

  /** Whether a status says Ready. */
  public static boolean isReady(InferenceDeploymentStatus status) {
    return status.conditions() != null
        && status.conditions().stream()
            .anyMatch(c -> c.getType().equals(READY) && c.getStatus().equals("True"));
  }

  private static List<Finding> feasible(
      Feasible feasible, Observation observed, Optional<Instant> heldUntil) {
    Findings findings = new Findings(feasible, observed);
    List<Finding> found = new ArrayList<>();
    found.add(Finding.holds(FEASIBLE, "Fits", feasible.plan().verdict()));
    found.add(findings.model());
    found.add(findings.storage());
    found.add(
        heldUntil.map(until -> Findings.held(RUNTIME_READY, until)).orElseGet(findings::runtime));
    Route route = feasible.request().route();
    if (route != null) {
      found.add(RouteFindings.of(feasible.request(), route, observed.route()));
    }
    return found;
  }

  private static List<Finding> infeasible(
      InferenceDeployment deployment, Infeasible infeasible, Observation observed) {
    int serving = observed.workload().map(Workload::ready).orElse(0);
    String message =
        serving == 0
            ? infeasible.message()
            : "%s (%s)"
                .formatted(
                    infeasible.message(),
                    serving == 1
                        ? "1 pod that ran before keeps serving."
                        : "%d pods that ran before keep serving.".formatted(serving));
    String notPlanned =
        observed.workload().isPresent()
            ? "Not judged while the specification is refused; what ran before is kept as it is."
            : "Nothing runs until the specification is feasible.";
    List<Finding> found = new ArrayList<>();
    found.add(Finding.stuck(FEASIBLE, infeasible.reason(), message));
    seen(deployment).forEach(type -> found.add(Finding.unknown(type, "NotFeasible", notPlanned)));
    return found;
  }

  /** The conditions that speak of what the cluster shows of a deployment. */
  private static List<String> seen(InferenceDeployment deployment) {
    boolean routed = !(deployment.getSpec() == null || deployment.getSpec().route() == null);
    return routed
        ? List.of(MODEL_AVAILABLE, STORAGE_BOUND, RUNTIME_READY, ROUTE_READY)
        : List.of(MODEL_AVAILABLE, STORAGE_BOUND, RUNTIME_READY);
  }

  /** All conditions that a deployment always has. */
  private static List<String> always(InferenceDeployment deployment) {
    return Stream.concat(Stream.of(READY, FEASIBLE), seen(deployment).stream()).toList();
  }

  /** Adds Ready, and Reconciling or Stalled; the first that does not hold explains. */
  private static List<Finding> summarised(List<Finding> findings) {
    List<Finding> all = new ArrayList<>();
    Finding cause =
        findings.stream()
            .filter(Finding::stalled)
            .findFirst()
            .or(() -> findings.stream().filter(f -> f.truth() == Truth.FALSE).findFirst())
            .or(() -> findings.stream().filter(f -> !f.isTrue()).findFirst())
            .orElse(null);
    if (cause == null) {
      Finding runtime =
          findings.stream().filter(f -> f.type().equals(RUNTIME_READY)).findFirst().orElseThrow();
      all.add(Finding.holds(READY, runtime.reason(), runtime.message()));
      all.addAll(findings);
      return all;
    }
    all.add(new Finding(READY, Truth.FALSE, cause.reason(), cause.message(), cause.stalled()));
    all.addAll(findings);
    all.add(
        Finding.holds(cause.stalled() ? STALLED : RECONCILING, cause.reason(), cause.message()));
    return all;
  }

  private InferenceDeploymentStatus status(
      InferenceDeployment deployment,
      Assessment assessment,
      Observation observed,
      List<Finding> findings) {
    String name = deployment.getMetadata().getName();
    Plan plan =
        switch (assessment) {
          case Feasible feasible -> feasible.plan();
          case Infeasible infeasible -> infeasible.plan();
        };
    return new InferenceDeploymentStatus(
        deployment.getMetadata().getGeneration(),
        conditions(deployment, findings),
        url(deployment, assessment, observed),
        observed.workload().map(Workload::pods).orElse(0),
        observed.workload().map(Workload::ready).orElse(0),
        selector(name),
        plan == null ? null : PlanView.plan(plan, geometrySource(assessment)),
        plan == null ? null : PlanView.tiers(plan, observed.usage()),
        PlanView.attended(observed.usage()),
        PlanView.accuracy(observed.usage()),
        deployment.getStatus() == null ? null : deployment.getStatus().operator());
  }

  /** What runs although another specification is infeasible answers where it has answered. */
  private static @Nullable String url(
      InferenceDeployment deployment, Assessment assessment, Observation observed) {
    if (assessment instanceof Feasible) {
      return DesiredObjects.url(deployment);
    }
    if (observed.workload().isEmpty()) {
      return null;
    }
    InferenceDeploymentStatus before = deployment.getStatus();
    return before == null || before.url() == null ? DesiredObjects.url(deployment) : before.url();
  }

  private static String selector(String name) {
    return Labels.selector(name).entrySet().stream()
        .map(label -> label.getKey() + "=" + label.getValue())
        .collect(Collectors.joining(","));
  }

  private static @Nullable String geometrySource(Assessment assessment) {
    return switch (assessment) {
      case Feasible feasible -> feasible.geometrySource();
      case Infeasible infeasible -> infeasible.geometrySource();
    };
  }

  /** A condition keeps its time for as long as it keeps its status. */
  private List<Condition> conditions(InferenceDeployment deployment, List<Finding> findings) {
    Map<String, Condition> before =
        deployment.getStatus() == null || deployment.getStatus().conditions() == null
            ? Map.of()
            : deployment.getStatus().conditions().stream()
                .collect(Collectors.toMap(Condition::getType, c -> c, (a, b) -> a));
    String now = clock.instant().truncatedTo(ChronoUnit.SECONDS).toString();
    return findings.stream()
        .map(
            finding -> {
              Condition old = before.get(finding.type());
              String since =
                  old != null && finding.truth().text().equals(old.getStatus())
                      ? old.getLastTransitionTime()
                      : now;
              return new ConditionBuilder()
                  .withType(finding.type())
                  .withStatus(finding.truth().text())
                  .withReason(finding.reason())
                  .withMessage(finding.message())
                  .withObservedGeneration(deployment.getMetadata().getGeneration())
                  .withLastTransitionTime(since)
                  .build();
            })
        .toList();
  }
}
