package dev.kvdrive.operator.status;

import static org.assertj.core.api.Assertions.assertThat;

import dev.kvdrive.api.v1alpha1.InferenceDeployment;
import dev.kvdrive.api.v1alpha1.InferenceDeploymentStatus;
import dev.kvdrive.api.v1alpha1.ModelSpec;
import dev.kvdrive.api.v1alpha1.PullPolicy;
import dev.kvdrive.feasibility.Assessment;
import dev.kvdrive.feasibility.Assessor;
import dev.kvdrive.feasibility.GeometryCatalogue;
import dev.kvdrive.feasibility.OperatorDefaults;
import dev.kvdrive.feasibility.WrittenManifests;
import dev.kvdrive.operator.status.Observation.Warning;
import dev.kvdrive.operator.status.Observation.Workload;
import dev.kvdrive.operator.usage.TierUsage;
import io.fabric8.kubernetes.api.model.Condition;
import io.fabric8.kubernetes.api.model.PersistentVolumeClaim;
import io.fabric8.kubernetes.api.model.PersistentVolumeClaimBuilder;
import io.fabric8.kubernetes.api.model.Pod;
import io.fabric8.kubernetes.api.model.PodBuilder;
import io.fabric8.kubernetes.api.model.Quantity;
import java.time.Clock;
import java.time.Instant;
import java.time.ZoneOffset;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class StatusAggregatorTest {
  private static final Instant NOW = Instant.parse("2026-11-24T12:00:00Z");
  private static final Instant LATER = NOW.plusSeconds(60);
  private static final Workload SERVING = new Workload(1, 1, 1, true, null);
  private static final Workload STARTING = new Workload(1, 0, 1, true, null);

  private final InferenceDeployment deployment = deployment("");

  @Test
  void isReadyWhenEverythingHolds() {
    InferenceDeploymentStatus status = status(deployment, seen(SERVING, bound("512Mi")));

    assertThat(truth(status, "Ready")).isEqualTo("True");
    assertThat(status.conditions())
        .extracting(Condition::getType)
        .doesNotContain("Reconciling", "Stalled");
  }

  @Test
  void saysFromTheFirstLookOnThatItIsUnderWay() {
    InferenceDeploymentStatus status = status(deployment, Observation.NOTHING);

    assertThat(truth(status, "Ready")).isEqualTo("False");
    assertThat(truth(status, "Reconciling")).isEqualTo("True");
    assertThat(status.observedGeneration()).isEqualTo(7);
    assertThat(status.conditions())
        .allSatisfy(
            c -> {
              assertThat(c.getReason()).matches("[A-Z][A-Za-z]+");
              assertThat(c.getMessage()).isNotBlank();
              assertThat(c.getObservedGeneration()).isEqualTo(7);
            });
  }

  @Test
  void equalCircumstancesGiveAnEqualStatus() {
    InferenceDeploymentStatus first = status(deployment, seen(SERVING, bound("512Mi")));
    deployment.setStatus(first);

    assertThat(
            aggregator(LATER)
                .aggregate(deployment, assess(deployment), seen(SERVING, bound("512Mi"))))
        .isEqualTo(first);
  }

  @Test
  void aConditionKeepsItsTimeForAsLongAsItsStatus() {
    deployment.setStatus(status(deployment, seen(STARTING, bound("512Mi"))));

    InferenceDeploymentStatus next =
        aggregator(LATER).aggregate(deployment, assess(deployment), seen(SERVING, bound("512Mi")));

    assertThat(condition(next, "StorageBound").getLastTransitionTime()).isEqualTo(NOW.toString());
    assertThat(condition(next, "Ready").getLastTransitionTime()).isEqualTo(LATER.toString());
  }

  @Test
  void noReplicasAreReadyAtOnce() {
    InferenceDeployment none = deployment("replicas: 0");

    InferenceDeploymentStatus status = status(none, seen(new Workload(0, 0, 0, true, null)));

    assertThat(truth(status, "Ready")).isEqualTo("True");
    assertThat(condition(status, "Ready").getReason()).isEqualTo("ScaledToZero");
  }

  @Test
  void aRolloutIsNotReadyUntilEveryPodIsNew() {
    InferenceDeploymentStatus status =
        status(deployment, seen(new Workload(2, 1, 1, true, null), bound("512Mi")));

    assertThat(truth(status, "RuntimeReady")).isEqualTo("False");
    assertThat(condition(status, "Ready").getReason()).isEqualTo("RollingOut");
    assertThat(condition(status, "Ready").getMessage()).contains("meanwhile 1 pod serves");
  }

  @Test
  void thePodsOfAFirstStartDoNotRollOut() {
    InferenceDeploymentStatus status =
        status(deployment("replicas: 2"), seen(new Workload(2, 1, 2, true, null), bound("512Mi")));

    assertThat(condition(status, "RuntimeReady").getReason()).isEqualTo("Starting");
  }

  @Test
  void numbersOfAnOlderTemplateAreNotBelieved() {
    InferenceDeploymentStatus status =
        status(deployment, seen(new Workload(1, 1, 1, false, null), bound("512Mi")));

    assertThat(truth(status, "Ready")).isEqualTo("False");
  }

  @Test
  void podsThatMayNotBeMadeAreExplained() {
    InferenceDeploymentStatus status =
        status(
            deployment, seen(new Workload(0, 0, 0, true, "exceeded quota: cpu"), bound("512Mi")));

    assertThat(condition(status, "RuntimeReady").getReason()).isEqualTo("PodsRejected");
    assertThat(condition(status, "RuntimeReady").getMessage()).contains("exceeded quota");
  }

  @Test
  void aSmallerVolumeStalls() {
    InferenceDeploymentStatus status = status(deployment, seen(STARTING, bound("64Mi")));

    assertThat(condition(status, "StorageBound").getReason()).isEqualTo("VolumeTooSmall");
    assertThat(truth(status, "Stalled")).isEqualTo("True");
  }

  @Test
  void aClaimThatWaitsShowsItsLatestWarning() {
    Observation observed =
        new Observation(
            Optional.of(STARTING),
            List.of(),
            List.of(claim("Pending", null)),
            Map.of("claim", new Warning("ProvisioningFailed", "no room on any node")),
            TierUsage.UNKNOWN);

    Condition bound = condition(status(deployment, observed), "StorageBound");
    assertThat(bound.getReason()).isEqualTo("ProvisioningFailed");
    assertThat(bound.getMessage()).contains("no room on any node").contains("512 MiB");
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "ModelNotFound: no such repository     | ModelAvailable | ModelNotFound      | Stalled",
        "VolumeTooSmall: 1 MiB of 512 MiB      | StorageBound   | VolumeTooSmall     | Stalled",
        "it. NVMe volume: has room for 3 MiB   | StorageBound   | VolumeInsufficient | Stalled",
        "builtin:kvdrive-tiny-32k: damaged     | ModelAvailable | ModelUnavailable   | Reconciling",
        "something unforeseen                  | RuntimeReady   | RuntimeFailed      | Reconciling",
      })
  void theRuntimesLastWordsFindTheirCondition(
      String words, String type, String reason, String summary) {
    InferenceDeploymentStatus status =
        status(deployment, seen(STARTING, List.of(ended(words, 1, 1)), bound("512Mi")));

    assertThat(condition(status, type).getReason()).isEqualTo(reason);
    assertThat(condition(status, "Ready").getReason()).isEqualTo(reason);
    assertThat(truth(status, summary)).isEqualTo("True");
  }

  @Test
  void aMissingModelClaimConcernsTheModel() {
    deployment.setSpec(
        WrittenManifests.withModel(
            deployment.getSpec(),
            new ModelSpec("pvc://models/tiny", WrittenManifests.geometry(2), null, null)));
    Pod pod =
        new PodBuilder()
            .withNewMetadata()
            .withName("endpoint-1")
            .endMetadata()
            .withNewStatus()
            .addNewCondition()
            .withType("PodScheduled")
            .withStatus("False")
            .withReason("Unschedulable")
            .withMessage("0/1 nodes are available: persistentvolumeclaim \"models\" not found.")
            .endCondition()
            .endStatus()
            .build();

    InferenceDeploymentStatus status =
        status(deployment, seen(STARTING, List.of(pod), bound("512Mi")));

    assertThat(condition(status, "ModelAvailable").getReason()).isEqualTo("ModelClaimUnavailable");
    assertThat(truth(status, "StorageBound")).isEqualTo("True");
  }

  @Test
  void theMomentBeforeAPodsClaimIsNoTrouble() {
    Pod pod =
        new PodBuilder()
            .withNewMetadata()
            .withName("endpoint-1")
            .endMetadata()
            .withNewStatus()
            .addNewCondition()
            .withType("PodScheduled")
            .withStatus("False")
            .withReason("Unschedulable")
            .withMessage(
                "0/1 nodes are available: waiting for ephemeral volume controller to create the"
                    + " persistentvolumeclaim \"endpoint-1-nvme\". not found")
            .endCondition()
            .endStatus()
            .build();

    InferenceDeploymentStatus status = status(deployment, seen(STARTING, List.of(pod)));

    assertThat(condition(status, "Ready").getReason()).isEqualTo("VolumePending");
  }

  @Test
  void whatFailsAgainAndAgainStalls() {
    InferenceDeploymentStatus status =
        status(deployment, seen(STARTING, List.of(ended("oops", 1, 5)), bound("512Mi")));

    assertThat(truth(status, "Stalled")).isEqualTo("True");
  }

  @Test
  void aLongMessageIsCut() {
    InferenceDeploymentStatus status =
        status(
            deployment, seen(STARTING, List.of(ended("x".repeat(10_000), 1, 1)), bound("512Mi")));

    assertThat(condition(status, "Ready").getMessage()).hasSizeLessThanOrEqualTo(2048);
  }

  @Test
  void tiersShowWhatPodsSay() {
    Observation observed =
        new Observation(
            Optional.of(SERVING),
            List.of(),
            List.of(bound("512Mi")),
            Map.of(),
            new TierUsage(Map.of("gpu", 1L << 20, "dram", 100L), Map.of("gpu", 80L, "dram", 20L)));

    var tiers = Objects.requireNonNull(status(deployment, observed).tiers());

    assertThat(tiers.get(0).used()).isEqualTo(new Quantity("1Mi"));
    assertThat(tiers.get(0).hitRate()).isEqualTo("80%");
    assertThat(tiers.get(1).used()).isEqualTo(new Quantity("1Mi"));
    assertThat(tiers.get(1).hitRate()).isEqualTo("20%");
    assertThat(tiers.get(2).used()).isNull();
  }

  @Test
  void aFailureOfTheOperatorIsNoFailureOfTheDeployment() {
    deployment.setStatus(status(deployment, seen(SERVING, bound("512Mi"))));

    InferenceDeploymentStatus status =
        aggregator(LATER).failed(deployment, new IllegalStateException("no connection"));

    assertThat(condition(status, "Ready").getReason()).isEqualTo("ReconcileFailed");
    assertThat(condition(status, "Ready").getMessage()).contains("no connection");
    assertThat(truth(status, "Feasible")).isEqualTo("True");
    assertThat(status.url()).isNotNull();
  }

  private static InferenceDeployment deployment(String more) {
    InferenceDeployment deployment = WrittenManifests.deployment("endpoint", "legal", more);
    deployment.getMetadata().setGeneration(7L);
    return deployment;
  }

  private static Assessment assess(InferenceDeployment deployment) {
    return new Assessor(
            GeometryCatalogue.wellKnown(),
            new OperatorDefaults("i", PullPolicy.NEVER, List.of(), null, Set.of()))
        .assess(deployment, null, List.of());
  }

  private static StatusAggregator aggregator(Instant now) {
    return new StatusAggregator(Clock.fixed(now, ZoneOffset.UTC));
  }

  private static InferenceDeploymentStatus status(
      InferenceDeployment deployment, Observation observed) {
    return aggregator(NOW).aggregate(deployment, assess(deployment), observed);
  }

  private static Observation seen(Workload workload, PersistentVolumeClaim... claims) {
    return seen(workload, List.of(), claims);
  }

  private static Observation seen(
      Workload workload, List<Pod> pods, PersistentVolumeClaim... claims) {
    return new Observation(
        Optional.of(workload), pods, List.of(claims), Map.of(), TierUsage.UNKNOWN);
  }

  private static PersistentVolumeClaim bound(String capacity) {
    return claim("Bound", new Quantity(capacity));
  }

  private static PersistentVolumeClaim claim(String phase, @Nullable Quantity capacity) {
    return new PersistentVolumeClaimBuilder()
        .withNewMetadata()
        .withName("claim")
        .endMetadata()
        .withNewStatus()
        .withPhase(phase)
        .withCapacity(capacity == null ? Map.of() : Map.of("storage", capacity))
        .endStatus()
        .build();
  }

  private static Pod ended(String words, int exitCode, int restarts) {
    return new PodBuilder()
        .withNewMetadata()
        .withName("endpoint-1")
        .endMetadata()
        .withNewStatus()
        .addNewContainerStatus()
        .withName("runtime")
        .withReady(false)
        .withRestartCount(restarts)
        .withNewLastState()
        .withNewTerminated()
        .withExitCode(exitCode)
        .withMessage(words)
        .endTerminated()
        .endLastState()
        .endContainerStatus()
        .endStatus()
        .build();
  }

  private static Condition condition(InferenceDeploymentStatus status, String type) {
    return Objects.requireNonNull(status.conditions()).stream()
        .filter(c -> c.getType().equals(type))
        .findFirst()
        .orElseThrow(() -> new AssertionError(type + " is missing in " + status.conditions()));
  }

  private static String truth(InferenceDeploymentStatus status, String type) {
    return condition(status, type).getStatus();
  }
}
