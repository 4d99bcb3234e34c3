package dev.kvdrive.operator.reconcile;

import dev.kvdrive.api.v1alpha1.InferenceClass;
import dev.kvdrive.api.v1alpha1.InferenceDeployment;
import dev.kvdrive.api.v1alpha1.InferenceDeploymentStatus;
import dev.kvdrive.feasibility.Assessment;
import dev.kvdrive.feasibility.Assessment.Feasible;
import dev.kvdrive.feasibility.Assessment.Infeasible;
import dev.kvdrive.feasibility.Assessor;
import dev.kvdrive.operator.desired.DesiredObjects;
import dev.kvdrive.operator.desired.Labels;
import dev.kvdrive.operator.status.Announcement;
import dev.kvdrive.operator.status.Observation;
import dev.kvdrive.operator.status.StatusAggregator;
import dev.kvdrive.operator.stored.UnreadableClass;
import dev.kvdrive.operator.stored.UnreadableDeployment;
import dev.kvdrive.operator.usage.TierMeter;
import io.fabric8.kubernetes.api.model.ObjectMetaBuilder;
import io.fabric8.kubernetes.client.KubernetesClientException;
import io.fabric8.kubernetes.client.utils.Serialization;
import io.javaoperatorsdk.operator.api.reconciler.Context;
import io.javaoperatorsdk.operator.api.reconciler.ControllerConfiguration;
import io.javaoperatorsdk.operator.api.reconciler.ErrorStatusUpdateControl;
import io.javaoperatorsdk.operator.api.reconciler.EventSourceContext;
import io.javaoperatorsdk.operator.api.reconciler.Reconciler;
import io.javaoperatorsdk.operator.api.reconciler.UpdateControl;
import io.javaoperatorsdk.operator.api.reconciler.Workflow;
import io.javaoperatorsdk.operator.api.reconciler.dependent.Dependent;
import io.javaoperatorsdk.operator.processing.event.source.EventSource;
import io.micrometer.core.instrument.MeterRegistry;
import java.net.HttpURLConnection;
import java.time.Duration;
import java.time.Instant;
import java.util.Collection;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
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
          reconcilePrecondition = Preconditions.SeveralReplicas.class)
    })
public final class InferenceDeploymentReconciler implements Reconciler<InferenceDeployment> {
  public static final String NAME = "inferencedeployment";

  private static final Logger log = LoggerFactory.getLogger(InferenceDeploymentReconciler.class);

  private static final String CLASSES_UNREADABLE = "ClassesUnreadable";

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

  private final Assessor assessor;
  private final StatusAggregator statuses;
  private final ClusterView view;
  private final boolean classesVisible;
  private final MeterRegistry registry;
  private final Grants grants = new Grants();

  /**
   * @param classesVisible whether the operator may read the cluster-scoped classes
   * @param registry where the conditions of deployments are shown
   */
  public InferenceDeploymentReconciler(
      Assessor assessor,
      StatusAggregator statuses,
      TierMeter meter,
      boolean classesVisible,
      MeterRegistry registry) {
    this.assessor = assessor;
    this.statuses = statuses;
    this.view = new ClusterView(meter);
    this.classesVisible = classesVisible;
    this.registry = registry;
  }

  @Override
  public List<EventSource<?, InferenceDeployment>> prepareEventSources(
      EventSourceContext<InferenceDeployment> context) {
    List<EventSource<?, InferenceDeployment>> sources = EventSources.of(context, classesVisible);
    sources.add(new ConditionGauges(registry));
    return sources;
  }

  @Override
  public UpdateControl<InferenceDeployment> reconcile(
      InferenceDeployment deployment, Context<InferenceDeployment> context) {
    Caches caches = new Caches(context);
    if (!caches.haveNamespace(deployment.getMetadata().getNamespace())) {
      return UpdateControl.<InferenceDeployment>noUpdate().rescheduleAfter(NOT_READ_YET);
    }
    Assessment assessment = guarded(assess(deployment, caches, context), deployment, context);
    if (assessment instanceof Feasible feasible) {
      Dependents.share(new DesiredObjects(feasible), context);
      context
          .managedWorkflowAndDependentResourceContext()
          .reconcileManagedWorkflow()
          .throwAggregateExceptionIfErrorsPresent();
    }
    Observation observed = view.observe(context);
    if (assessment instanceof Feasible) {
      PastConfigurations.collect(observed, context);
    }
    InferenceDeploymentStatus status =
        statuses.aggregate(deployment, assessment, observed, Dependents.foreignFields(context));
    return reschedule(update(deployment, status, context), assessment, status);
  }

  @Override
  public ErrorStatusUpdateControl<InferenceDeployment> updateErrorStatus(
      InferenceDeployment deployment, Context<InferenceDeployment> context, Exception e) {
    List<Throwable> causes = Failures.causes(e);
    if (Failures.meansGone(causes, deployment)) {
      return ErrorStatusUpdateControl.<InferenceDeployment>noStatusUpdate().withNoRetry();
    }
    InferenceDeploymentStatus status = statuses.failed(deployment, causes);
    announce(deployment, status, context);
    return ErrorStatusUpdateControl.patchStatus(withStatus(deployment, status));
  }

  private Assessment assess(
      InferenceDeployment deployment, Caches caches, Context<InferenceDeployment> context) {
    if (deployment instanceof UnreadableDeployment unreadable) {
      return refused(
          "InvalidSpec",
          "What is stored is not a specification: %s. Correct it, or delete this resource."
              .formatted(unreadable.fault()));
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
          "ClassInvalid",
          "What is stored as InferenceClass %s is not one: %s. Whoever runs this cluster must correct it."
              .formatted(clazz.getMetadata().getName(), unreadable.fault()));
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
        running -> assessor.assess(deployment, clazz, siblings, classes, running));
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
        return new Infeasible("NameTaken", taken.get(), feasible.plan(), feasible.geometrySource());
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

  private static UpdateControl<InferenceDeployment> update(
      InferenceDeployment deployment,
      InferenceDeploymentStatus status,
      Context<InferenceDeployment> context) {
    boolean same =
        Objects.equals(Serialization.asJson(deployment.getStatus()), Serialization.asJson(status));
    if (same) {
      return UpdateControl.noUpdate();
    }
    announce(deployment, status, context);
    return UpdateControl.patchStatus(withStatus(deployment, status));
  }

  /** An event is a service to people: that one could not be written stops nothing. */
  private static void announce(
      InferenceDeployment deployment,
      InferenceDeploymentStatus status,
      Context<InferenceDeployment> context) {
    Announcement.of(deployment, status, REPORTER, Instant.now())
        .ifPresent(
            event -> {
              try {
                context.getClient().resource(event).create();
              } catch (KubernetesClientException e) {
                if (e.getCode() == HttpURLConnection.HTTP_CONFLICT) {
                  return; // told already: this status came from a cache that was behind
                }
                log.warn(
                    "No event of {}/{}: {}",
                    deployment.getMetadata().getNamespace(),
                    deployment.getMetadata().getName(),
                    e.getMessage());
              }
            });
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
      return control.rescheduleAfter(
          infeasible.reason().equals(CLASSES_UNREADABLE) ? UNSETTLED : REFUSED);
    }
    return control.rescheduleAfter(StatusAggregator.isReady(status) ? SETTLED : UNSETTLED);
  }
}
