package dev.kvdrive.operator.reconcile;

import dev.kvdrive.api.v1alpha1.InferenceClass;
import dev.kvdrive.api.v1alpha1.InferenceDeployment;
import dev.kvdrive.api.v1alpha1.InferenceDeploymentStatus;
import dev.kvdrive.feasibility.Assessment;
import dev.kvdrive.feasibility.Assessment.Feasible;
import dev.kvdrive.feasibility.Assessment.Infeasible;
import dev.kvdrive.feasibility.Assessor;
import dev.kvdrive.observed.Labels;
import dev.kvdrive.observed.stored.UnreadableClass;
import dev.kvdrive.observed.stored.UnreadableDeployment;
import dev.kvdrive.operator.desired.DesiredObjects;
import dev.kvdrive.operator.status.Announcement;
import dev.kvdrive.operator.status.ConditionTypes;
import dev.kvdrive.operator.status.FailureWords;
import dev.kvdrive.operator.status.Observation;
import dev.kvdrive.operator.status.StatusAggregator;
import dev.kvdrive.operator.usage.TierMeter;
import io.fabric8.kubernetes.api.model.Event;
import io.fabric8.kubernetes.api.model.ObjectMetaBuilder;
import io.fabric8.kubernetes.client.KubernetesClientException;
import io.fabric8.kubernetes.client.dsl.base.PatchContext;
import io.fabric8.kubernetes.client.dsl.base.PatchType;
import io.fabric8.kubernetes.client.utils.Serialization;
import io.javaoperatorsdk.operator.api.reconciler.Context;
import io.javaoperatorsdk.operator.api.reconciler.ControllerConfiguration;
import io.javaoperatorsdk.operator.api.reconciler.ErrorStatusUpdateControl;
import io.javaoperatorsdk.operator.api.reconciler.EventSourceContext;
import io.javaoperatorsdk.operator.api.reconciler.Reconciler;
import io.javaoperatorsdk.operator.api.reconciler.RetryInfo;
import io.javaoperatorsdk.operator.api.reconciler.UpdateControl;
import io.javaoperatorsdk.operator.api.reconciler.Workflow;
import io.javaoperatorsdk.operator.api.reconciler.dependent.Dependent;
import io.javaoperatorsdk.operator.processing.event.source.EventSource;
import io.micrometer.core.instrument.MeterRegistry;
import java.net.HttpURLConnection;
import java.time.Clock;
import java.time.Duration;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.Collection;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Reconciles an {@link InferenceDeployment}: assess, then dependents, then one status. */
@ControllerConfiguration(name = InferenceDeploymentReconciler.NAME)
@Workflow(
    explicitInvocation = true,
    dependents = {
      @Dependent(name = "config", type = Dependents.Config.class),
      @Dependent(name = "account", type = Dependents.Account.class),
      @Dependent(name = "network", type = Dependents.Network.class),
      @Dependent(name = "service", type = Dependents.Endpoint.class),
      @Dependent(
          name = "deployment",
          type = Dependents.EphemeralWorkload.class,
          reconcilePrecondition = Preconditions.VolumesGoWithPods.class,
          dependsOn = {"config", "account", "network"}),
      @Dependent(
          name = "statefulset",
          type = Dependents.RetainedWorkload.class,
          reconcilePrecondition = Preconditions.VolumesAreRetained.class,
          dependsOn = {"config", "account", "network"}),
      @Dependent(
          name = "disruption",
          type = Dependents.Disruption.class,
          reconcilePrecondition = Preconditions.SeveralReplicas.class),
      @Dependent(
          name = "pool",
          type = Dependents.Pool.class,
          activationCondition = Preconditions.PoolsAreServed.class,
          reconcilePrecondition = Preconditions.Pooled.class),
      @Dependent(
          name = "route",
          type = Dependents.Routing.class,
          activationCondition = Preconditions.RoutesAreServed.class,
          reconcilePrecondition = Preconditions.Routed.class)
    })
public final class InferenceDeploymentReconciler implements Reconciler<InferenceDeployment> {
  public static final String NAME = "inferencedeployment";

  private static final Logger log = LoggerFactory.getLogger(InferenceDeploymentReconciler.class);

  private static final String CLASSES_UNREADABLE = "ClassesUnreadable";
  private static final String NODES_UNREADABLE = "NodesUnreadable";
  private static final String NAME_TAKEN = "NameTaken";

  /** Refusals whose end no watch brings, and that somebody is about to end. */
  private static final Set<String> SOON_OVER =
      Set.of(CLASSES_UNREADABLE, NODES_UNREADABLE, NAME_TAKEN);

  /** Who speaks in events. */
  private static final String REPORTER = Labels.OPERATOR;

  /** Events and messages that no watch brings, such as those of volumes, are looked up so often. */
  private static final Duration UNSETTLED = Duration.ofSeconds(10);

  /** How often what is refused is judged again: a quota may have become free. */
  private static final Duration REFUSED = Duration.ofMinutes(1);

  /** How soon to look again while a namespace has not been read completely. */
  private static final Duration NOT_READ_YET = Duration.ofSeconds(1);

  /** How often the use of the tiers is read. */
  private static final Duration SETTLED = Duration.ofMinutes(1);

  /** Attempts that may lose a race for an object before that is said. */
  private static final int RACES = 3;

  private final Assessor assessor;
  private final StatusAggregator statuses;
  private final ClusterView view;
  private final boolean classesVisible;
  private final boolean nodesVisible;
  private final GatewayApis gatewayApis;
  private final Serving serving;
  private final MeterRegistry registry;
  private final Memory memory = new Memory();
  private final Grants grants = new Grants();
  private volatile boolean stopping;

  /**
   * @param classesVisible whether the operator may read the cluster-scoped classes
   * @param nodesVisible whether the operator may read the nodes with GPUs
   * @param routes whether the operator may make routes
   * @param namespace of the operator
   * @param release of the operator
   * @param takeOver whether it takes what another operator serves
   * @param registry where the conditions of deployments are shown
   */
  public InferenceDeploymentReconciler(
      Assessor assessor,
      StatusAggregator statuses,
      TierMeter meter,
      boolean classesVisible,
      boolean nodesVisible,
      boolean routes,
      String namespace,
      String release,
      boolean takeOver,
      MeterRegistry registry) {
    this.serving = new Serving(namespace, release, takeOver, Clock.systemUTC());
    this.assessor = assessor;
    this.statuses = statuses;
    this.view = new ClusterView(meter);
    this.classesVisible = classesVisible;
    this.nodesVisible = nodesVisible;
    this.gatewayApis = new GatewayApis(routes);
    this.registry = registry;
  }

  @Override
  public List<EventSource<?, InferenceDeployment>> prepareEventSources(
      EventSourceContext<InferenceDeployment> context) {
    List<EventSource<?, InferenceDeployment>> sources =
        EventSources.of(context, classesVisible, nodesVisible);
    sources.add(new ConditionGauges(registry, serving.identity()));
    sources.add(memory);
    return sources;
  }

  /** Nothing is written any more: what is broken off now says nothing about a deployment. */
  public void stop() {
    stopping = true;
  }

  @Override
  public UpdateControl<InferenceDeployment> reconcile(
      InferenceDeployment deployment, Context<InferenceDeployment> context) {
    Caches caches = new Caches(context);
    if (!caches.haveNamespace(deployment.getMetadata().getNamespace())) {
      return UpdateControl.<InferenceDeployment>noUpdate().rescheduleAfter(NOT_READ_YET);
    }
    if (!serving.isOurs(deployment)) {
      Serving.Claim claim = serving.claim(deployment, context.getClient());
      if (!claim.mayTake()) {
        leave(deployment, claim, context);
        return UpdateControl.<InferenceDeployment>noUpdate().rescheduleAfter(nextLook(claim));
      }
      if (!take(deployment, context)) {
        return UpdateControl.<InferenceDeployment>noUpdate().rescheduleAfter(NOT_READ_YET);
      }
    }
    Dependents.share(gatewayApis.served(context.getClient()), context);
    Memory.OfOne remembered = memory.of(deployment);
    Assessment assessment = guarded(assess(deployment, caches, context), deployment, context);
    Dependents.share(assessment, context);
    if (assessment instanceof Infeasible) {
      Upkeep.keep(deployment, remembered, context);
    }
    Optional<Instant> heldUntil = Optional.empty();
    if (assessment instanceof Feasible feasible) {
      DesiredObjects desired = new DesiredObjects(feasible);
      Dependents.share(desired, context);
      heldUntil = IdleRollout.heldUntil(deployment, desired, view, Instant.now(), context);
      if (heldUntil.isPresent()) {
        Upkeep.keep(deployment, remembered, context);
      }
    }
    if (assessment instanceof Feasible && heldUntil.isEmpty()) {
      context
          .managedWorkflowAndDependentResourceContext()
          .reconcileManagedWorkflow()
          .throwAggregateExceptionIfErrorsPresent();
    }
    Observation observed = view.observe(context);
    if (assessment instanceof Feasible && heldUntil.isEmpty()) {
      PastConfigurations.collect(observed, context);
      Upkeep.remember(remembered, context);
    }
    remembered.fine();
    InferenceDeploymentStatus status =
        statuses.aggregate(
            deployment, assessment, observed, Dependents.foreignFields(context), heldUntil);
    return reschedule(update(deployment, status, context), assessment, status);
  }

  @Override
  public ErrorStatusUpdateControl<InferenceDeployment> updateErrorStatus(
      InferenceDeployment deployment, Context<InferenceDeployment> context, Exception e) {
    List<Throwable> causes = Failures.causes(e);
    if (stopping
        || Failures.meansStopped(e)
        || Failures.meansGone(causes, deployment)
        || Failures.meansGoing(causes)) {
      return ErrorStatusUpdateControl.<InferenceDeployment>noStatusUpdate().withNoRetry();
    }
    if (Failures.meansChanged(causes)
        && context.getRetryInfo().map(RetryInfo::getAttemptCount).orElse(0) < RACES) {
      return ErrorStatusUpdateControl.noStatusUpdate();
    }
    InferenceDeploymentStatus status =
        statuses.failed(
            deployment, Dependents.verdict(context), Dependents.foreignFields(context), causes);
    report(deployment, status, causes);
    announce(deployment, status, context);
    return ErrorStatusUpdateControl.patchStatus(withStatus(deployment, status));
  }

  /** Says each failure once, and where it lies only when nobody but the operator can tell. */
  private void report(
      InferenceDeployment deployment,
      InferenceDeploymentStatus status,
      List<? extends Throwable> causes) {
    String words =
        Objects.requireNonNull(status.conditions()).stream()
            .filter(c -> c.getType().equals(ConditionTypes.READY))
            .map(c -> c.getReason() + ": " + c.getMessage())
            .findFirst()
            .orElse("");
    if (memory.of(deployment).isNew(words)) {
      log.atWarn()
          .setMessage("InferenceDeployment {}/{}: {}")
          .addArgument(deployment.getMetadata().getNamespace())
          .addArgument(deployment.getMetadata().getName())
          .addArgument(words)
          .setCause(
              causes.stream()
                  .filter(c -> !Failures.isOutside(c))
                  .map(Throwable.class::cast)
                  .findFirst()
                  .orElse(null))
          .log();
    }
  }

  /** Marks a deployment as this operator's, unless somebody has changed it meanwhile. */
  private boolean take(InferenceDeployment deployment, Context<InferenceDeployment> context) {
    if (stopping) {
      return false;
    }
    InferenceDeploymentStatus status = statuses.served(deployment, serving.identity());
    if (!writeUnlessChanged(status, deployment, context)) {
      return false;
    }
    if (!Serving.mark(deployment).isEmpty()) {
      log.info(
          "{}/{} was served by {} and is served by {} from now on",
          deployment.getMetadata().getNamespace(),
          deployment.getMetadata().getName(),
          Serving.mark(deployment),
          serving.identity());
    }
    deployment.setStatus(status);
    return true;
  }

  /** Writes a status, unless somebody has changed the deployment since it was read. */
  private static boolean writeUnlessChanged(
      InferenceDeploymentStatus status,
      InferenceDeployment deployment,
      Context<InferenceDeployment> context) {
    InferenceDeployment written = withStatus(deployment, status);
    written.getMetadata().setResourceVersion(deployment.getMetadata().getResourceVersion());
    try {
      context
          .getClient()
          .resource(written)
          .subresource("status")
          .patch(
              new PatchContext.Builder()
                  .withPatchType(PatchType.SERVER_SIDE_APPLY)
                  .withFieldManager(REPORTER)
                  .withForce(true)
                  .build());
      return true;
    } catch (KubernetesClientException e) {
      if (e.getCode() == HttpURLConnection.HTTP_CONFLICT) {
        return false;
      }
      throw e;
    }
  }

  /** When to look again at what another operator serves: soon after its claim ends. */
  private static Duration nextLook(Serving.Claim claim) {
    if (claim.until() == null) {
      return REFUSED;
    }
    Duration left = Duration.between(Instant.now(), claim.until()).plus(NOT_READ_YET);
    return left.compareTo(NOT_READ_YET) < 0
        ? NOT_READ_YET
        : left.compareTo(REFUSED) < 0 ? left : REFUSED;
  }

  /**
   * Another operator serves it, but has not been heard of: its deployment says what it waits for.
   */
  private void sayWhoIsWaitedFor(
      InferenceDeployment deployment, Serving.Claim claim, Context<InferenceDeployment> context) {
    String mark = Serving.mark(deployment);
    InferenceDeploymentStatus status =
        statuses.unattended(
            deployment,
            ("The operator of release %s serves this deployment and has not renewed its lease since"
                    + " %s. That of %s takes over at %s unless it comes back. To have that at once:"
                    + " kubectl delete lease %s --namespace %s")
                .formatted(
                    mark,
                    Objects.requireNonNull(claim.renewed()).truncatedTo(ChronoUnit.SECONDS),
                    serving.identity(),
                    Objects.requireNonNull(claim.until()).truncatedTo(ChronoUnit.SECONDS),
                    Serving.LEASE,
                    mark.substring(0, mark.indexOf('/'))));
    if (!stopping
        && !Objects.equals(
            Serialization.asJson(deployment.getStatus()), Serialization.asJson(status))) {
      var _ = writeUnlessChanged(status, deployment, context); // or at the next look
    }
  }

  /** Another operator serves it: nothing is done, and that is said. */
  private void leave(
      InferenceDeployment deployment, Serving.Claim claim, Context<InferenceDeployment> context) {
    if (claim.isSilent(Instant.now())) {
      sayWhoIsWaitedFor(deployment, claim, context);
    }
    String words =
        ("Served by the operator of release %s, so that of %s leaves it alone. Have only one"
                + " operator watch a namespace, or set watch.takeOver of the one that shall serve.")
            .formatted(Serving.mark(deployment), serving.identity());
    if (memory.of(deployment).isNew(words)) {
      log.warn(
          "InferenceDeployment {}/{}: {}",
          deployment.getMetadata().getNamespace(),
          deployment.getMetadata().getName(),
          words);
      write(
          Announcement.leftAlone(
              deployment, Serving.mark(deployment), words, REPORTER, Instant.now()),
          deployment,
          context);
    }
  }

  private Assessment assess(
      InferenceDeployment deployment, Caches caches, Context<InferenceDeployment> context) {
    if (deployment instanceof UnreadableDeployment unreadable) {
      return refused("InvalidSpec", unreadable.refusal());
    }
    if (classesVisible && !caches.haveClasses()) {
      return refused(
          CLASSES_UNREADABLE,
          "The operator cannot read the InferenceClasses, so it does not know what is allowed here."
              + " It tries again; its log says why. What runs keeps running.");
    }
    InferenceClass clazz =
        classesVisible ? context.getSecondaryResource(InferenceClass.class).orElse(null) : null;
    if (clazz instanceof UnreadableClass unreadable) {
      return refused(
          "ClassInvalid", Assessor.classInvalid(clazz.getMetadata().getName(), unreadable.fault()));
    }
    if (nodesVisible && !caches.haveNodes() && Assessor.goesByNodes(clazz)) {
      return refused(
          NODES_UNREADABLE,
          "The operator cannot read the nodes, so it does not know what their GPUs have. It tries"
              + " again; its log says why. What runs keeps running. A class that says it in"
              + " gpu.memory needs no nodes.");
    }
    List<InferenceDeployment> siblings =
        context
            .getPrimaryCache()
            .list(
                deployment.getMetadata().getNamespace(),
                sibling -> !(sibling instanceof UnreadableDeployment))
            .toList();
    Collection<InferenceClass> classes =
        classesVisible ? EventSources.allClasses(context) : List.of();
    return grants.judge(
        deployment,
        siblings,
        caches.running(deployment),
        running ->
            assessor.assess(
                deployment,
                clazz,
                siblings,
                classes,
                running,
                nodesVisible ? EventSources.gpuNodes(context) : List.of()));
  }

  private static Infeasible refused(String reason, String message) {
    return new Infeasible(reason, message, null, null);
  }

  /**
   * Refuses a deployment whose objects would take over objects of somebody else, or have to become
   * what they cannot.
   */
  private Assessment guarded(
      Assessment assessment, InferenceDeployment deployment, Context<InferenceDeployment> context) {
    if (assessment instanceof Feasible feasible) {
      DesiredObjects desired = new DesiredObjects(feasible);
      Optional<String> taken = NameGuard.taken(deployment, desired, context);
      if (taken.isPresent()) {
        grants.release(deployment);
        return new Infeasible(NAME_TAKEN, taken.get(), feasible.plan(), feasible.geometrySource());
      }
      Optional<String> fixed = ImmutableFields.conflict(desired, context);
      if (fixed.isPresent()) {
        grants.release(deployment);
        return new Infeasible(
            "ImmutableField", fixed.get(), feasible.plan(), feasible.geometrySource());
      }
    }
    return assessment;
  }

  private UpdateControl<InferenceDeployment> update(
      InferenceDeployment deployment,
      InferenceDeploymentStatus status,
      Context<InferenceDeployment> context) {
    boolean same =
        stopping
            || Objects.equals(
                Serialization.asJson(deployment.getStatus()), Serialization.asJson(status));
    if (same) {
      return UpdateControl.noUpdate();
    }
    announce(deployment, status, context);
    return UpdateControl.patchStatus(withStatus(deployment, status));
  }

  /** An event is a service to people: that one could not be written stops nothing. */
  private void announce(
      InferenceDeployment deployment,
      InferenceDeploymentStatus status,
      Context<InferenceDeployment> context) {
    Announcement.of(deployment, status, REPORTER, Instant.now())
        .filter(event -> memory.of(deployment).isNewStep(event.getType() + " " + event.getReason()))
        .ifPresent(event -> write(event, deployment, context));
  }

  private void write(
      Event event, InferenceDeployment deployment, Context<InferenceDeployment> context) {
    try {
      context.getClient().resource(event).create();
    } catch (KubernetesClientException e) {
      if (e.getCode() == HttpURLConnection.HTTP_CONFLICT) {
        return; // told already: this status came from a cache that was behind
      }
      String words = FailureWords.of(e);
      if (memory.of(deployment).isNewOfEvents(words)) {
        log.warn(
            "No event of {}/{}: {}",
            deployment.getMetadata().getNamespace(),
            deployment.getMetadata().getName(),
            words);
      }
    }
  }

  /** Only the status, so that server-side apply owns nothing else. */
  private static InferenceDeployment withStatus(
      InferenceDeployment deployment, InferenceDeploymentStatus status) {
    InferenceDeployment patch = new InferenceDeployment();
    patch.setMetadata(
        new ObjectMetaBuilder()
            .withName(deployment.getMetadata().getName())
            .withNamespace(deployment.getMetadata().getNamespace())
            .build());
    patch.setStatus(status);
    return patch;
  }

  private static UpdateControl<InferenceDeployment> reschedule(
      UpdateControl<InferenceDeployment> control,
      Assessment assessment,
      InferenceDeploymentStatus status) {
    if (assessment instanceof Infeasible infeasible) {
      return control.rescheduleAfter(SOON_OVER.contains(infeasible.reason()) ? UNSETTLED : REFUSED);
    }
    return control.rescheduleAfter(StatusAggregator.isReady(status) ? SETTLED : UNSETTLED);
  }
}
