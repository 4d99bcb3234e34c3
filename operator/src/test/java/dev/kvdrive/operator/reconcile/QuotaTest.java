package dev.kvdrive.operator.reconcile;

import static org.assertj.core.api.Assertions.assertThat;

import dev.kvdrive.api.v1alpha1.InferenceClass;
import dev.kvdrive.api.v1alpha1.InferenceDeployment;
import dev.kvdrive.api.v1alpha1.PullPolicy;
import dev.kvdrive.feasibility.Assessment;
import dev.kvdrive.feasibility.Assessment.Feasible;
import dev.kvdrive.feasibility.Assessor;
import dev.kvdrive.feasibility.GeometryCatalogue;
import dev.kvdrive.feasibility.OperatorDefaults;
import dev.kvdrive.feasibility.Usage;
import dev.kvdrive.feasibility.WrittenManifests;
import dev.kvdrive.observed.Running;
import dev.kvdrive.operator.desired.DesiredObjects;
import io.fabric8.kubernetes.api.model.Pod;
import io.fabric8.kubernetes.api.model.PodBuilder;
import io.fabric8.kubernetes.api.model.apps.Deployment;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import net.jqwik.api.Arbitraries;
import net.jqwik.api.Arbitrary;
import net.jqwik.api.Combinators;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.Provide;
import net.jqwik.api.Tuple;
import org.jspecify.annotations.Nullable;

/** Whatever tenants do, in whatever order the operator looks: never more than the quota runs. */
class QuotaTest {
  private static final long QUOTA = 200L << 20;
  private static final InferenceClass CLASS =
      WrittenManifests.clazz("small", "tenants: [{namespace: ten, dram: 200Mi, deployments: 3}]");
  private static final Assessor ASSESSOR =
      new Assessor(
          GeometryCatalogue.wellKnown(),
          new OperatorDefaults("image", PullPolicy.IF_NOT_PRESENT, List.of(), null, Set.of()));

  /** What can happen to one of the deployments. */
  enum Action {
    APPLY,
    DELETE,
    RECONCILE,
    REPLACE_A_POD,
    RESTART_THE_OPERATOR
  }

  record Step(Action action, int deployment, int mebibytes, int replicas) {}

  @Provide
  Arbitrary<List<Step>> steps() {
    return Combinators.combine(
            Arbitraries.frequency(
                Tuple.of(3, Action.APPLY),
                Tuple.of(1, Action.DELETE),
                Tuple.of(6, Action.RECONCILE),
                Tuple.of(6, Action.REPLACE_A_POD),
                Tuple.of(1, Action.RESTART_THE_OPERATOR)),
            Arbitraries.integers().between(0, 4),
            Arbitraries.of(40, 48, 60, 100, 140, 190, 250),
            Arbitraries.integers().between(0, 3))
        .as(Step::new)
        .list()
        .ofMinSize(10)
        .ofMaxSize(60);
  }

  @Property(tries = 150)
  void noSequenceOfChangesRunsMoreThanTheQuota(@ForAll("steps") List<Step> steps) {
    Cluster cluster = new Cluster();
    for (Step step : steps) {
      cluster.apply(step);
      assertThat(cluster.dramThatRuns()).as("after %s", step).isLessThanOrEqualTo(QUOTA);
      assertThat(cluster.workloads).as("after %s", step).hasSizeLessThanOrEqualTo(3);
    }
  }

  /** Deployments, workloads and pods of one namespace, with the operator and the controllers. */
  private static final class Cluster {
    private final Map<String, InferenceDeployment> deployments = new TreeMap<>();
    private final Map<String, Deployment> workloads = new TreeMap<>();
    private final Map<String, List<Pod>> pods = new TreeMap<>();
    private Grants grants = new Grants();
    private int clock;

    void apply(Step step) {
      String name = "d" + step.deployment();
      switch (step.action()) {
        case APPLY -> write(name, step);
        case DELETE -> {
          deployments.remove(name);
          workloads.remove(name);
        }
        case RECONCILE -> reconcile(name);
        case REPLACE_A_POD -> replaceAPod(name);
        case RESTART_THE_OPERATOR -> grants = new Grants();
      }
    }

    private void write(String name, Step step) {
      InferenceDeployment before = deployments.get(name);
      InferenceDeployment written =
          WrittenManifests.deployment(
              name,
              "ten",
              """
              contextLength: 8192
              className: small
              replicas: %d
              tiers: {gpu: {memory: 64Mi}, dram: {size: %dMi}, nvme: {size: 64Mi}}
              """
                  .formatted(step.replicas(), step.mebibytes()),
              "");
      written
          .getMetadata()
          .setCreationTimestamp(
              before == null
                  ? "2026-11-01T00:%02d:%02dZ".formatted(clock / 60, clock++ % 60)
                  : before.getMetadata().getCreationTimestamp());
      deployments.put(name, written);
    }

    private void reconcile(String name) {
      InferenceDeployment deployment = deployments.get(name);
      if (deployment == null) {
        return;
      }
      List<InferenceDeployment> siblings = List.copyOf(deployments.values());
      Assessment verdict =
          grants.judge(
              deployment,
              siblings,
              Running.of("small", workloads.values(), allPods()),
              running -> ASSESSOR.assess(deployment, CLASS, siblings, List.of(CLASS), running));
      if (verdict instanceof Feasible feasible) {
        workloads.put(name, new DesiredObjects(feasible).deployment());
      }
    }

    /**
     * One step of a rollout: a pod too many or of another template goes, or a missing one comes.
     */
    private void replaceAPod(String name) {
      List<Pod> own = pods.computeIfAbsent(name, n -> new ArrayList<>());
      @Nullable Deployment workload = workloads.get(name);
      int wanted = workload == null ? 0 : workload.getSpec().getReplicas();
      Map<String, String> annotations =
          workload == null
              ? Map.of()
              : workload.getSpec().getTemplate().getMetadata().getAnnotations();
      for (Pod pod : own) {
        if (own.size() > wanted || !pod.getMetadata().getAnnotations().equals(annotations)) {
          own.remove(pod);
          return;
        }
      }
      if (own.size() < wanted && workload != null) {
        own.add(
            new PodBuilder()
                .withNewMetadata()
                .withName(name + "-" + clock++)
                .withLabels(workload.getSpec().getTemplate().getMetadata().getLabels())
                .withAnnotations(annotations)
                .endMetadata()
                .build());
      }
    }

    private List<Pod> allPods() {
      return pods.values().stream().flatMap(List::stream).toList();
    }

    long dramThatRuns() {
      return Running.of("small", workloads.values(), allPods()).values().stream()
          .mapToLong(Usage::dram)
          .sum();
    }
  }
}
