package dev.kvdrive.operator.status;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.tuple;

import dev.kvdrive.api.v1alpha1.InferenceClass;
import dev.kvdrive.api.v1alpha1.InferenceDeployment;
import dev.kvdrive.api.v1alpha1.InferenceDeploymentSpec;
import dev.kvdrive.api.v1alpha1.InferenceDeploymentStatus;
import dev.kvdrive.api.v1alpha1.ModelSpec;
import dev.kvdrive.api.v1alpha1.PullPolicy;
import dev.kvdrive.feasibility.Assessment;
import dev.kvdrive.feasibility.Assessment.Feasible;
import dev.kvdrive.feasibility.Assessor;
import dev.kvdrive.feasibility.GeometryCatalogue;
import dev.kvdrive.feasibility.OperatorDefaults;
import dev.kvdrive.feasibility.WrittenManifests;
import dev.kvdrive.observed.usage.TierUsage;
import dev.kvdrive.operator.desired.DesiredObjects;
import dev.kvdrive.operator.status.Observation.Workload;
import io.fabric8.kubernetes.api.model.Condition;
import io.fabric8.kubernetes.api.model.PersistentVolumeClaim;
import io.fabric8.kubernetes.api.model.PersistentVolumeClaimBuilder;
import io.fabric8.kubernetes.api.model.Pod;
import io.fabric8.kubernetes.api.model.PodBuilder;
import io.fabric8.kubernetes.api.model.Quantity;
import io.fabric8.kubernetes.api.model.Status;
import io.fabric8.kubernetes.api.model.StatusBuilder;
import io.fabric8.kubernetes.client.KubernetesClientException;
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
import org.junit.jupiter.params.provider.ValueSource;

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
  void podsThatAreStillThereAreSaidWhenNoneAreAskedFor() {
    InferenceDeploymentStatus status =
        status(deployment("replicas: 0"), seen(new Workload(2, 2, 2, true, null)));

    assertThat(condition(status, "Ready").getReason()).isEqualTo("RollingOut");
    assertThat(condition(status, "Ready").getMessage())
        .isEqualTo("No replicas are asked for; 2 are still there.");
  }

  @Test
  void whatIsBeingReplacedIsNoTroubleOfWhatReplacesIt() {
    Pod earlier = ended("ModelDiffers: the sizes are not those that were planned with", 1, 1);
    Pod current = ready("endpoint-2", currentHash());
    current.getStatus().setConditions(List.of());

    InferenceDeploymentStatus status =
        status(
            deployment,
            seen(new Workload(2, 0, 1, true, null), List.of(earlier, current), bound("512Mi")));

    assertThat(condition(status, "Ready").getReason()).isEqualTo("Starting");
    assertThat(status.conditions()).noneMatch(c -> c.getType().equals("Stalled"));
    InferenceDeploymentStatus alone =
        status(
            deployment, seen(new Workload(1, 0, 0, true, null), List.of(earlier), bound("512Mi")));
    assertThat(condition(alone, "Ready").getReason())
        .as("as long as there is no other, it stands in the way")
        .isEqualTo("ModelDiffers");
  }

  @Test
  void aPodOfAnEarlierImageIsNoTroubleEither() {
    Pod earlier = ready("endpoint-1", currentHash());
    earlier.getMetadata().getLabels().put("pod-template-hash", "one");
    earlier.getMetadata().setCreationTimestamp("2026-01-01T00:00:00Z");
    earlier.setStatus(ended("Whatever: it failed", 1, 1).getStatus());
    Pod current = ready("endpoint-2", currentHash());
    current.getMetadata().getLabels().put("pod-template-hash", "two");
    current.getMetadata().setCreationTimestamp("2026-01-02T00:00:00Z");
    current.getStatus().setConditions(List.of());

    InferenceDeploymentStatus status =
        status(
            deployment,
            seen(new Workload(2, 0, 1, true, null), List.of(earlier, current), bound("512Mi")));

    assertThat(condition(status, "Ready").getReason()).isEqualTo("Starting");
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
  void aModelThatOnlyAnEarlierSpecificationsPodHasLoadedIsNotLoaded() {
    fromClaim();
    Pod earlier = ready("endpoint-1", "another");

    InferenceDeploymentStatus status =
        status(
            deployment, seen(new Workload(2, 1, 1, true, null), List.of(earlier), bound("512Mi")));

    assertThat(truth(status, "ModelAvailable")).isEqualTo("Unknown");
    assertThat(condition(status, "ModelAvailable").getReason()).isEqualTo("Loading");
    assertThat(condition(status, "ModelAvailable").getMessage()).contains("meanwhile 1 pod serves");
  }

  @Test
  void aModelThatAPodOfTheCurrentSpecificationHasLoadedIsLoaded() {
    fromClaim();

    InferenceDeploymentStatus status =
        status(deployment, seen(SERVING, List.of(ready("endpoint-1", currentHash()))));

    assertThat(condition(status, "ModelAvailable").getReason()).isEqualTo("Loaded");
  }

  @Test
  void aPodThatFailsDoesNotHideThatAnotherServes() {
    InferenceDeploymentStatus status =
        status(
            deployment,
            seen(
                new Workload(2, 1, 1, true, null),
                List.of(ended("ModelNotFound: no such repository", 1, 1)),
                bound("512Mi")));

    assertThat(condition(status, "Ready").getMessage())
        .contains("no such repository")
        .endsWith("(meanwhile 1 pod serves)");
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
            Map.of(
                "PersistentVolumeClaim/claim",
                List.of(warning("ProvisioningFailed", "no room on any node", 0))),
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
            new ModelSpec(
                "pvc://models/tiny", WrittenManifests.geometry(2), null, null, null, null)));
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

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "ImagePullBackOff     | Back-off pulling image \"registry.example.com/tiny:1\": ErrImagePull: 401 | ModelAvailable | ModelImageUnavailable",
        "ErrImagePull         | failed to pull \"registry.example.com/tiny:1\": not found | ModelAvailable | ModelImageUnavailable",
        "RegistryUnavailable  | image pull failed for registry.example.com/tiny:1 because the registry is unavailable: no answer | ModelAvailable | ModelImageUnavailable",
        "SignatureValidationFailed | image pull failed for registry.example.com/tiny:1 because the signature validation failed: no key | ModelAvailable | ModelImageUnavailable",
        "ImageInspectError    | Failed to inspect image \"registry.example.com/tiny:1\": away | ModelAvailable | ModelImageUnavailable",
        "RegistryUnavailable  | image pull failed for kvdrive/runtime:test because the registry is unavailable: no answer | RuntimeReady | RegistryUnavailable",
        "CreateContainerError | ImageVolumeMountFailed: no such layer | ModelAvailable | ModelImageUnavailable",
        "ErrImagePull         | failed to pull \"registry.example.com/tiny:1.1\" | RuntimeReady | ErrImagePull",
        "ErrImagePull         | failed to pull \"kvdrive/runtime:test\" | RuntimeReady | ErrImagePull",
      })
  void anImageOfTheModelConcernsTheModel(String waits, String words, String type, String reason) {
    deployment.setSpec(inImage());

    InferenceDeploymentStatus status =
        status(deployment, seen(STARTING, List.of(waiting(waits, words)), bound("512Mi")));

    assertThat(condition(status, type).getReason()).isEqualTo(reason);
    assertThat(condition(status, type).getMessage()).contains(words);
    assertThat(condition(status, "Ready").getReason()).isEqualTo(reason);
  }

  @Test
  void aKubeletThatMountsNoImagesIsNamedWithTheWayOut() {
    deployment.setSpec(inImage());
    Recorded failed =
        warning(
            "FailedMount",
            "Unable to attach or mount volumes: unmounted volumes=[model], unattached volumes=[],"
                + " failed to process volumes=[model]: context deadline exceeded",
            10);

    InferenceDeploymentStatus status =
        status(deployment, recorded(creating(), bound("512Mi"), failed));

    assertThat(condition(status, "ModelAvailable").getReason())
        .isEqualTo("ImageVolumesUnsupported");
    assertThat(condition(status, "ModelAvailable").getMessage())
        .contains("kubelet", "--feature-gates=ImageVolume=true", "pvc://CLAIM/PATH");
  }

  private InferenceDeploymentSpec inImage() {
    return WrittenManifests.withModel(
        deployment.getSpec(),
        new ModelSpec(
            "oci://registry.example.com/tiny:1#model.gguf",
            WrittenManifests.geometry(2),
            null,
            null,
            null,
            null));
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

  @ParameterizedTest
  @ValueSource(
      strings = {
        "0/3 nodes are available: 3 Insufficient nvidia.com/gpu.",
        "0/3 nodes are available: 1 Insufficient cpu, 2 Insufficient memory.",
        "0/1 nodes are available: 1 node(s) had untolerated taint {gpu: true}."
      })
  void aClaimThatWaitsForItsPodIsNoReason(String words) {
    // Every class that waits for the first consumer leaves the claim pending then.
    Observation observed =
        recorded(
            unscheduled(words),
            claim("endpoint-1-nvme", "Pending", null),
            normal("WaitForPodScheduled", 5),
            warning("ProvisioningFailed", "of a time that is over", 0));

    InferenceDeploymentStatus status = status(deployment, observed);

    assertThat(condition(status, "Ready").getReason()).isEqualTo("Unschedulable");
    assertThat(condition(status, "Ready").getMessage()).contains(words);
    assertThat(truth(status, "StorageBound")).isEqualTo("Unknown");
    assertThat(condition(status, "StorageBound").getReason()).isEqualTo("WaitsForPod");
  }

  @Test
  void aPodThatCannotBeScheduledForItsVolumeConcernsStorage() {
    Observation observed =
        recorded(
            unscheduled("0/1 nodes are available: 1 node(s) did not have enough free storage."),
            claim("endpoint-1-nvme", "Pending", null));

    Condition bound = condition(status(deployment, observed), "StorageBound");

    assertThat(bound.getStatus()).isEqualTo("False");
    assertThat(bound.getReason()).isEqualTo("Unschedulable");
  }

  @Test
  void aFailureToProvideAVolumeIsForgottenOnceTheClaimWaitsAnew() {
    PersistentVolumeClaim claim = claim("claim", "Pending", null);
    Recorded missing =
        warning("ProvisioningFailed", "storageclass.storage.k8s.io \"fast\" not found", 0);

    assertThat(reasonOf(claim, missing, normal("WaitForFirstConsumer", 15)))
        .isEqualTo("StorageClassNotFound");
    assertThat(reasonOf(claim, missing, normal("WaitForFirstConsumer", 900)))
        .isEqualTo("VolumePending");
    assertThat(reasonOf(claim, missing, normal("ExternalProvisioning", 900)))
        .isEqualTo("StorageClassNotFound");
  }

  @Test
  void volumesOfPodsThatMayNotBeMadeAreNoReason() {
    InferenceDeploymentStatus status =
        status(deployment, seen(new Workload(0, 0, 0, true, "exceeded quota: cpu")));

    assertThat(condition(status, "Ready").getReason()).isEqualTo("PodsRejected");
    assertThat(condition(status, "Ready").getMessage()).contains("exceeded quota: cpu");
  }

  @Test
  void aClaimThatMayNotBeMadeIsNamed() {
    Pod pod =
        unscheduled(
            "0/1 nodes are available: waiting for ephemeral volume controller to create the"
                + " persistentvolumeclaim \"endpoint-1-nvme\".");
    Observation observed =
        new Observation(
            Optional.of(STARTING),
            List.of(pod),
            List.of(),
            Map.of(
                "Pod/endpoint-1",
                List.of(
                    warning(
                        "FailedBinding",
                        "ephemeral volume nvme: create PVC: exceeded quota: requests.storage",
                        0))),
            TierUsage.UNKNOWN);

    Condition bound = condition(status(deployment, observed), "StorageBound");

    assertThat(bound.getReason()).isEqualTo("VolumeRejected");
    assertThat(bound.getMessage()).contains("exceeded quota");
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "MountVolume.SetUp failed for volume \"api-keys\" : secret \"nope\" not found"
            + " | SecretNotFound | Secret nope | keys",
        "MountVolume.SetUp failed for volume \"api-keys\" : references non-existent secret key: keys"
            + " | SecretKeyNotFound | Secret nope | keys",
        "MountVolume.SetUp failed for volume \"ca\" : configmap \"roots\" not found"
            + " | ConfigMapNotFound | ConfigMap roots | roots",
        "MountVolume.SetUp failed for volume \"ca\" : configmap references non-existent config key: ca.crt"
            + " | ConfigMapKeyNotFound | ConfigMap roots | ca.crt",
        "MountVolume.MountDevice failed for volume \"x\" : wrong fs type"
            + " | FailedMount | wrong fs type | endpoint-1",
      })
  void aPodThatCannotBeSetUpSaysWhatIsMissing(
      String words, String reason, String object, String key) {
    Observation observed =
        recorded(
            creating(),
            bound("512Mi"),
            warning("FailedScheduling", "0/1 nodes are available", 0),
            normal("Scheduled", 1),
            warning("FailedMount", words, 2),
            warning(
                "FailedMount", "Unable to attach or mount volumes: unmounted volumes=[x]", 130));

    InferenceDeploymentStatus status = status(deployment, observed);

    assertThat(condition(status, "Ready").getReason()).isEqualTo(reason);
    assertThat(condition(status, "Ready").getMessage()).contains(object).contains(key);
    assertThat(truth(status, "RuntimeReady")).isEqualTo("False");
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "secret \"hub\" not found                      | SecretNotFound",
        "couldn't find key token in Secret legal/hub   | SecretKeyNotFound",
      })
  void aMissingTokenConcernsTheModel(String words, String reason) {
    InferenceDeploymentStatus status =
        status(deployment, recorded(waiting("CreateContainerConfigError", words), bound("512Mi")));

    assertThat(condition(status, "ModelAvailable").getReason()).isEqualTo(reason);
    assertThat(condition(status, "Ready").getMessage()).contains("hub").contains("token");
    assertThat(truth(status, "Stalled")).isEqualTo("True");
  }

  @Test
  void aMissingPullSecretIsNamedWithTheImageThatCouldNotBePulled() {
    Recorded missing =
        warning(
            "FailedToRetrieveImagePullSecret",
            "Unable to retrieve some image pull secrets (registry); attempting to pull the image"
                + " may not succeed.",
            10);
    Pod pod = waiting("ImagePullBackOff", "Back-off pulling image \"r/kvdrive:1\"");
    Recorded failed = warning("Failed", "Failed to pull image \"r/kvdrive:1\": 401", 11);

    InferenceDeploymentStatus status =
        status(deployment, recorded(pod, bound("512Mi"), missing, normal("Pulling", 11), failed));
    InferenceDeploymentStatus later =
        status(deployment, recorded(pod, bound("512Mi"), missing, normal("Pulling", 300), failed));

    assertThat(condition(status, "Ready").getReason()).isEqualTo("ImagePullBackOff");
    assertThat(condition(status, "Ready").getMessage()).contains("registry").contains("401");
    assertThat(condition(later, "Ready").getMessage()).contains("401").doesNotContain("registry");
  }

  @Test
  void whatAPodHasGotOverIsNotSaid() {
    Observation pulling =
        recorded(
            creating(),
            bound("512Mi"),
            warning("FailedMount", "secret \"nope\" not found", 0),
            normal("Pulling", 60));
    Observation attached =
        recorded(
            creating(),
            bound("512Mi"),
            warning("FailedAttachVolume", "Multi-Attach error for volume \"pv\"", 0),
            normal("SuccessfulAttachVolume", 60));
    Observation running =
        recorded(running(), bound("512Mi"), warning("FailedMount", "secret \"nope\" not found", 0));

    assertThat(List.of(pulling, attached, running))
        .allSatisfy(
            observed ->
                assertThat(condition(status(deployment, observed), "Ready").getReason())
                    .isEqualTo("Starting"));
  }

  @Test
  void aVolumeThatCannotBeAttachedConcernsStorage() {
    PersistentVolumeClaim claim =
        new PersistentVolumeClaimBuilder(bound("512Mi"))
            .withNewSpec()
            .withVolumeName("pvc-7")
            .endSpec()
            .build();
    Observation observed =
        recorded(
            creating(),
            claim,
            warning("FailedAttachVolume", "Multi-Attach error for volume \"pvc-7\"", 0));

    assertThat(condition(status(deployment, observed), "StorageBound").getReason())
        .isEqualTo("FailedAttachVolume");
  }

  @Test
  void aSandboxThatCannotBeMadeIsNamed() {
    Observation observed =
        recorded(
            creating(),
            bound("512Mi"),
            warning("FailedCreatePodSandBox", "no RuntimeClass handler kata", 0));

    assertThat(condition(status(deployment, observed), "Ready").getReason())
        .isEqualTo("FailedCreatePodSandBox");
  }

  @Test
  void claimsOfReplicasThatAreNoLongerAskedForAreNoReason() {
    InferenceDeployment retained = retained("replicas: 1");
    Observation observed =
        seen(
            SERVING,
            claim("nvme-endpoint-0", "Bound", new Quantity("512Mi")),
            claim("nvme-endpoint-1", "Pending", null),
            claim("nvme-endpoint-2", "Bound", new Quantity("1Mi")));

    InferenceDeploymentStatus status = status(retained, observed);

    assertThat(truth(status, "Ready")).isEqualTo("True");
    assertThat(condition(status, "StorageBound").getMessage())
        .contains("volume of 512 MiB is bound")
        .contains("2 more kept");
    assertThat(truth(status(retained("replicas: 2"), observed), "StorageBound")).isEqualTo("False");
  }

  @Test
  void retainedVolumesKeepTheirClassAndSaySo() {
    InferenceDeployment retained = retained("");
    PersistentVolumeClaim old =
        new PersistentVolumeClaimBuilder(claim("nvme-endpoint-0", "Bound", new Quantity("512Mi")))
            .withNewSpec()
            .withStorageClassName("slow")
            .endSpec()
            .build();

    Assessment assessment =
        new Assessor(
                GeometryCatalogue.wellKnown(),
                new OperatorDefaults("i", PullPolicy.NEVER, List.of(), null, Set.of()))
            .assess(
                retained,
                WrittenManifests.clazz("default", "storage: {defaultClassName: fast}"),
                List.of());
    InferenceDeploymentStatus status =
        aggregator(NOW).aggregate(retained, assessment, seen(SERVING, old));

    assertThat(truth(status, "Ready")).isEqualTo("True");
    assertThat(condition(status, "StorageBound").getMessage())
        .contains("keep storage class slow")
        .contains("would get fast");
  }

  @Test
  void aDiskThatFailsIsNotReadyAndRecovers() {
    Observation failing =
        new Observation(
            Optional.of(STARTING),
            List.of(running()),
            List.of(bound("512Mi")),
            Map.of(),
            new TierUsage(
                Map.of(),
                Map.of(),
                Map.of(),
                new TierUsage.Prefetched(0, 0),
                new TierUsage.Accuracy(0, 0, 0),
                new TierUsage.Attended(0, 0),
                Map.of(),
                Map.of("endpoint-1", "8 reads failed: EIO"),
                Map.of(),
                Map.of()));

    InferenceDeploymentStatus status = status(deployment, failing);

    assertThat(condition(status, "StorageBound").getReason()).isEqualTo("NvmeFailing");
    assertThat(condition(status, "RuntimeReady").getReason()).isEqualTo("NvmeFailing");
    assertThat(condition(status, "Ready").getMessage())
        .contains("endpoint-1")
        .contains("8 reads failed: EIO");
    assertThat(truth(status, "Reconciling")).isEqualTo("True");
    assertThat(truth(status(deployment, seen(SERVING, bound("512Mi"))), "Ready")).isEqualTo("True");
  }

  /** The scheduler's words, and what a GPU class makes of them. */
  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "{}                                      | 0/3 nodes are available: 3 Insufficient nvidia.com/gpu. | NoGpuFree | has nvidia.com/gpu left: end what holds it, add a node",
        "{resourceName: nvidia.com/mig-1g.5gb}   | 0/3 nodes are available: 1 node(s) had untolerated taint {a: b}, 2 Insufficient nvidia.com/mig-1g.5gb. | NoGpuFree | InferenceClass cards selects has nvidia.com/mig-1g.5gb left",
        "{claim: {templateName: whole}}          | 0/2 nodes are available: 2 cannot allocate all claims. | NoGpuFree | has a device of ResourceClaimTemplate whole left",
        "{resourceName: nvidia.com/mig-1g.5gb}   | 0/3 nodes are available: 3 Insufficient nvidia.com/mig-1g.5gbx. | Unschedulable | Insufficient",
        "{}                                      | 0/3 nodes are available: 3 Insufficient memory. | Unschedulable | Insufficient memory",
      })
  void noGpuThatIsFreeIsAReasonOfItsOwn(String gpu, String words, String reason, String said) {
    InferenceDeploymentStatus status =
        onGpu(gpu, seen(STARTING, List.of(unscheduled(words)), bound("512Mi")));

    assertThat(condition(status, "RuntimeReady").getReason()).isEqualTo(reason);
    assertThat(condition(status, "Ready").getMessage()).contains(words).contains(said);
    assertThat(truth(status, "Reconciling")).isEqualTo("True");
  }

  @Test
  void aClaimTemplateThatIsNotThereIsNamed() {
    Pod pod = pod().withNewStatus().withPhase("Pending").endStatus().build();
    Observation observed =
        recorded(
            pod,
            bound("512Mi"),
            warning(
                "FailedResourceClaimCreation",
                "PodResourceClaim gpu: resource claim template \"whole\":"
                    + " resourceclaimtemplate.resource.k8s.io \"whole\" not found",
                0));

    InferenceDeploymentStatus status = onGpu("{claim: {templateName: whole}}", observed);

    assertThat(condition(status, "Ready").getReason()).isEqualTo("ClaimTemplateNotFound");
    assertThat(condition(status, "Ready").getMessage())
        .contains("\"whole\" not found", "must be in the namespace of the deployment");
  }

  /** As the runtime writes them when it cannot start, or has ended with its engine. */
  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "GpuUnusable: device cuda cannot be used: there is no CUDA driver  | GpuUnusable  | Reconciling",
        "GpuTooSmall: a GPU tier of 2 GiB was asked for, but it has 1 GiB   | GpuTooSmall  | Stalled",
        "GpuFailed: cuStreamSynchronize: CUDA_ERROR_ILLEGAL_ADDRESS (700)   | GpuFailed    | Reconciling",
        "EngineFailed: the engine thread has ended                         | EngineFailed | Reconciling",
      })
  void whatAGpuDoesIsAReasonOfItsOwn(String words, String reason, String summary) {
    InferenceDeploymentStatus status =
        onGpu("{}", seen(STARTING, List.of(ended(words, 1, 1)), bound("512Mi")));

    assertThat(condition(status, "RuntimeReady").getReason()).isEqualTo(reason);
    assertThat(condition(status, "Ready").getMessage())
        .isEqualTo("Pod endpoint-1: " + words.substring(words.indexOf(' ') + 1));
    assertThat(truth(status, summary)).isEqualTo("True");
  }

  /** Before the kubelet ends the pod, and the same afterwards. */
  @Test
  void anEngineThatHasFailedIsToldByThePodItself() {
    String words = "GpuFailed: cuMemcpy: CUDA_ERROR_UNKNOWN (999). The process must be restarted";
    Observation failed =
        new Observation(
            Optional.of(STARTING),
            List.of(running()),
            List.of(bound("512Mi")),
            Map.of(),
            new TierUsage(
                Map.of(),
                Map.of(),
                Map.of(),
                new TierUsage.Prefetched(0, 0),
                new TierUsage.Accuracy(0, 0, 0),
                new TierUsage.Attended(0, 0),
                Map.of(),
                Map.of(),
                Map.of("endpoint-1", words),
                Map.of()));

    Condition before = condition(onGpu("{}", failed), "Ready");
    Condition after =
        condition(
            onGpu("{}", seen(STARTING, List.of(ended(words, 143, 1)), bound("512Mi"))), "Ready");

    assertThat(before.getReason()).isEqualTo("GpuFailed");
    assertThat(before.getMessage()).isEqualTo(after.getMessage());
    assertThat(after.getReason()).isEqualTo("GpuFailed");
  }

  /** As the kubelet reports them of resources and of claims. */
  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "{}                                    | nvidia.com/gpu        | Unhealthy | GpuFailed",
        "{resourceName: nvidia.com/mig-1g.5gb} | nvidia.com/mig-1g.5gb | Unhealthy | GpuFailed",
        "{claim: {templateName: whole}}        | claim:gpu/card        | Unhealthy | GpuFailed",
        "{}                                    | nvidia.com/gpu        | Healthy   | GpuUnusable",
        "{}                                    | example.com/nic       | Unhealthy | GpuUnusable",
        "{claim: {templateName: whole}}        | nvidia.com/gpu        | Unhealthy | GpuUnusable",
      })
  void aLostCardIsAReasonBeforeWhatItsPodMakesOfIt(
      String gpu, String resource, String health, String reason) {
    Pod pod =
        new PodBuilder(ended("GpuUnusable: no GPU is to be seen", 1, 1))
            .editStatus()
            .editFirstContainerStatus()
            .addNewAllocatedResourcesStatus()
            .withName(resource)
            .addNewResource(health, "card-7")
            .endAllocatedResourcesStatus()
            .endContainerStatus()
            .endStatus()
            .build();

    Condition ready =
        condition(onGpu(gpu, seen(STARTING, List.of(pod), bound("512Mi"))), "RuntimeReady");

    assertThat(ready.getReason()).isEqualTo(reason);
    assertThat(ready.getMessage()).endsWith("Pod endpoint-1: no GPU is to be seen");
    if (reason.equals("GpuFailed")) {
      assertThat(ready.getMessage())
          .contains(resource + " card-7")
          .contains("kubectl delete pod endpoint-1 --namespace legal.");
    }
  }

  /** A device plugin that restarts calls its cards unhealthy for a moment. */
  @Test
  void aPodThatServesHasNoLostCard() {
    Pod serving =
        new PodBuilder(onLostCard())
            .editStatus()
            .addNewCondition()
            .withType("Ready")
            .withStatus("True")
            .endCondition()
            .endStatus()
            .build();

    assertThat(reasonOf(onLostCard())).isEqualTo("GpuFailed");
    assertThat(reasonOf(serving)).isEqualTo("Starting");
  }

  @Test
  void aPodThatGoesTakesItsLostCardWithIt() {
    Pod going =
        new PodBuilder(onLostCard())
            .editMetadata()
            .withDeletionTimestamp("2026-11-24T12:00:00Z")
            .endMetadata()
            .build();

    assertThat(reasonOf(going)).isEqualTo("Starting");
  }

  private static Pod onLostCard() {
    return new PodBuilder(running())
        .editStatus()
        .editFirstContainerStatus()
        .addNewAllocatedResourcesStatus()
        .withName("nvidia.com/gpu")
        .addNewResource("Unhealthy", "card-7")
        .endAllocatedResourcesStatus()
        .endContainerStatus()
        .endStatus()
        .build();
  }

  private static String reasonOf(Pod onGpu) {
    return condition(onGpu("{}", seen(STARTING, List.of(onGpu), bound("512Mi"))), "RuntimeReady")
        .getReason();
  }

  private static InferenceDeploymentStatus onGpu(String gpu, Observation observed) {
    InferenceDeployment asked =
        WrittenManifests.deployment(
            "endpoint",
            "legal",
            """
            className: cards
            contextLength: 16384
            tiers: {gpu: {memory: 2Gi}, dram: {size: 64Mi}, nvme: {size: 512Mi}}
            """,
            "");
    Assessment verdict =
        assess(asked, WrittenManifests.clazz("cards", "device: CUDA\ngpu: " + gpu));
    return aggregator(NOW).aggregate(asked, verdict, observed);
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

  private static final String SPENT =
      "4.00 MiB may have to be written to NVMe and 1.00 MiB of 8.00 MiB are left of what may be"
          + " written in 24 hours; try again after 2026-11-25T13:00:00Z";

  @Test
  void tiersShowWhatPodsSay() {
    Observation observed =
        new Observation(
            Optional.of(SERVING),
            List.of(),
            List.of(bound("512Mi")),
            Map.of(),
            new TierUsage(
                Map.of("gpu", 1L << 20, "dram", 100L),
                Map.of("gpu", 80L, "dram", 20L),
                Map.of("nvme", 5L << 20),
                new TierUsage.Prefetched(40, 30),
                new TierUsage.Accuracy(8, 0.08, 0.4),
                new TierUsage.Attended(625, 10_000),
                Map.of("endpoint-1", SPENT, "endpoint-2", "later"),
                Map.of(),
                Map.of(),
                Map.of()));

    assertThat(status(deployment, observed).attended()).isEqualTo("6.3%");
    Condition spent = condition(status(deployment, observed), "WritesSpent");
    assertThat(spent.getStatus()).isEqualTo("True");
    assertThat(spent.getMessage()).isEqualTo("Pod endpoint-1: " + SPENT);
    assertThat(truth(status(deployment, observed), "Ready")).isEqualTo("True");
    assertThat(status(deployment, seen(SERVING, bound("512Mi"))).conditions())
        .noneMatch(condition -> condition.getType().equals("WritesSpent"));
    var accuracy = Objects.requireNonNull(status(deployment, observed).accuracy());
    assertThat(accuracy.massMissed()).isEqualTo("1.0%");
    assertThat(accuracy.outputError()).isEqualTo("5.0%");
    var tiers = Objects.requireNonNull(status(deployment, observed).tiers());

    assertThat(tiers.get(0).used()).isEqualTo(new Quantity("1Mi"));
    assertThat(tiers.get(0).hitRate()).isEqualTo("80%");
    assertThat(tiers.get(0).prefetchUse()).isEqualTo("75%");
    assertThat(tiers.get(1).prefetchUse()).isNull();
    assertThat(tiers.get(1).used()).isEqualTo(new Quantity("1Mi"));
    assertThat(tiers.get(1).hitRate()).isEqualTo("20%");
    assertThat(tiers.get(2).used()).isNull();
    assertThat(tiers.get(2).writtenLastDay()).isEqualTo(new Quantity("5Mi"));
  }

  @Test
  void aClaimThatIsDeletedWhileItsPodUsesItIsNamed() {
    PersistentVolumeClaim leaving = claim("endpoint-1-nvme", "Bound", new Quantity("512Mi"));
    leaving.getMetadata().setDeletionTimestamp("2026-11-24T12:00:00Z");

    Condition storage =
        condition(
            status(deployment, seen(SERVING, List.of(pod().build()), leaving)), "StorageBound");

    assertThat(storage.getReason()).isEqualTo("VolumeDeleted");
    assertThat(storage.getMessage()).contains("endpoint-1-nvme").contains("delete the pod");
  }

  @Test
  void aFailureOfTheOperatorIsNoFailureOfTheDeployment() {
    deployment.setStatus(status(deployment, seen(SERVING, bound("512Mi"))));

    InferenceDeploymentStatus status =
        aggregator(LATER)
            .failed(
                deployment,
                Optional.of(assess(deployment)),
                List.of(),
                List.of(new IllegalStateException("no connection")));

    assertThat(condition(status, "Ready").getReason()).isEqualTo("ReconcileFailed");
    assertThat(condition(status, "Ready").getMessage()).contains("no connection");
    assertThat(truth(status, "Feasible")).isEqualTo("True");
    assertThat(status.url()).isNotNull();
  }

  @Test
  void aFailureLeavesNoConditionOutAndNoneAsItWas() {
    deployment.setStatus(status(deployment, seen(SERVING, bound("512Mi"))));
    deployment.getMetadata().setGeneration(8L);

    InferenceDeploymentStatus status =
        aggregator(LATER)
            .failed(
                deployment, Optional.empty(), List.of(), List.of(new IllegalStateException("no")));

    assertThat(status.conditions())
        .extracting(Condition::getType, Condition::getStatus, Condition::getObservedGeneration)
        .containsExactly(
            tuple("Ready", "False", 8L),
            tuple("Feasible", "Unknown", 8L),
            tuple("ModelAvailable", "Unknown", 8L),
            tuple("StorageBound", "Unknown", 8L),
            tuple("RuntimeReady", "Unknown", 8L),
            tuple("Reconciling", "True", 8L));
  }

  @Test
  void whatOthersPutThereIsNamedAsAPossibleCauseOfARefusal() {
    Status invalid =
        new StatusBuilder().withCode(422).withReason("Invalid").withMessage("no").build();

    InferenceDeploymentStatus status =
        aggregator(LATER)
            .failed(
                deployment,
                Optional.of(assess(deployment)),
                List.of("Service endpoint: spec.ports[8081,TCP] (by kubectl-patch)"),
                List.of(new KubernetesClientException(invalid)));

    assertThat(condition(status, "Stalled").getMessage())
        .contains("Service endpoint: spec.ports[8081,TCP] (by kubectl-patch)")
        .contains("kubectl delete");
    assertThat(condition(status, "Altered").getStatus()).isEqualTo("True");
  }

  @Test
  void whatTheApiServerRefusesIsSaidInItsOwnWords() {
    Status quota =
        new StatusBuilder()
            .withCode(403)
            .withReason("Forbidden")
            .withMessage("services \"endpoint\" is forbidden: exceeded quota: small")
            .build();
    Status webhook =
        new StatusBuilder()
            .withCode(400)
            .withMessage("admission webhook \"policy\" denied the request")
            .withNewDetails()
            .addNewCause("spec.template", "no owner label", "FieldValueInvalid")
            .endDetails()
            .build();

    Condition ready =
        condition(
            aggregator(NOW)
                .failed(
                    deployment,
                    Optional.empty(),
                    List.of(),
                    List.of(
                        new KubernetesClientException(quota),
                        new KubernetesClientException(webhook),
                        new KubernetesClientException(quota))),
            "Ready");

    assertThat(ready.getReason()).isEqualTo("ReconcileFailed");
    assertThat(ready.getMessage())
        .containsOnlyOnce("Forbidden: services \"endpoint\" is forbidden: exceeded quota: small")
        .contains("status 400: admission webhook \"policy\" denied the request")
        .contains("spec.template: no owner label")
        .doesNotContain("Exception");
  }

  private static InferenceDeployment deployment(String more) {
    InferenceDeployment deployment = WrittenManifests.deployment("endpoint", "legal", more);
    deployment.getMetadata().setGeneration(7L);
    return deployment;
  }

  private void fromClaim() {
    deployment.setSpec(
        WrittenManifests.withModel(
            deployment.getSpec(),
            new ModelSpec(
                "pvc://models/tiny", WrittenManifests.geometry(2), null, null, null, null)));
  }

  private String currentHash() {
    return Objects.requireNonNull(
        new DesiredObjects((Feasible) assess(deployment))
            .deployment()
            .getSpec()
            .getTemplate()
            .getMetadata()
            .getAnnotations()
            .get("kvdrive.dev/config-hash"));
  }

  private static Pod ready(String name, String configHash) {
    return new PodBuilder()
        .withNewMetadata()
        .withName(name)
        .addToAnnotations("kvdrive.dev/config-hash", configHash)
        .endMetadata()
        .withNewStatus()
        .addNewCondition()
        .withType("Ready")
        .withStatus("True")
        .endCondition()
        .endStatus()
        .build();
  }

  private static Assessment assess(InferenceDeployment deployment) {
    return assess(deployment, null);
  }

  private static Assessment assess(InferenceDeployment deployment, @Nullable InferenceClass clazz) {
    return new Assessor(
            GeometryCatalogue.wellKnown(),
            new OperatorDefaults("i", PullPolicy.NEVER, List.of(), null, Set.of()))
        .assess(deployment, clazz, List.of());
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

  private static Recorded warning(String reason, String message, int second) {
    return new Recorded(reason, message, true, NOW.plusSeconds(second));
  }

  private static Recorded normal(String reason, int second) {
    return new Recorded(reason, "under way", false, NOW.plusSeconds(second));
  }

  private static PersistentVolumeClaim bound(String capacity) {
    return claim("Bound", new Quantity(capacity));
  }

  private static PersistentVolumeClaim claim(String phase, @Nullable Quantity capacity) {
    return claim("claim", phase, capacity);
  }

  private static PersistentVolumeClaim claim(
      String name, String phase, @Nullable Quantity capacity) {
    return new PersistentVolumeClaimBuilder()
        .withNewMetadata()
        .withName(name)
        .endMetadata()
        .withNewStatus()
        .withPhase(phase)
        .withCapacity(capacity == null ? Map.of() : Map.of("storage", capacity))
        .endStatus()
        .build();
  }

  /** One pod, one claim, and what was recorded about both. */
  private static Observation recorded(Pod pod, PersistentVolumeClaim claim, Recorded... recorded) {
    return new Observation(
        Optional.of(STARTING),
        List.of(pod),
        List.of(claim),
        Map.of(Observation.key(pod), List.of(recorded), Observation.key(claim), List.of(recorded)),
        TierUsage.UNKNOWN);
  }

  private String reasonOf(PersistentVolumeClaim claim, Recorded... recorded) {
    Observation observed =
        new Observation(
            Optional.of(STARTING),
            List.of(),
            List.of(claim),
            Map.of(Observation.key(claim), List.of(recorded)),
            TierUsage.UNKNOWN);
    return condition(status(deployment, observed), "StorageBound").getReason();
  }

  private static InferenceDeployment retained(String more) {
    InferenceDeployment deployment =
        WrittenManifests.deployment(
            "endpoint",
            "legal",
            """
            contextLength: 16384
            tiers:
              gpu: {memory: 64Mi}
              dram: {size: 64Mi}
              nvme: {size: 512Mi, reclaim: Retain}
            """,
            more);
    deployment.getMetadata().setGeneration(7L);
    return deployment;
  }

  /** A pod with a Secret and a ConfigMap as volumes, a token, and an ephemeral NVMe volume. */
  private static PodBuilder pod() {
    return new PodBuilder()
        .withNewMetadata()
        .withName("endpoint-1")
        .endMetadata()
        .withNewSpec()
        .addNewVolume()
        .withName("api-keys")
        .withNewSecret()
        .withSecretName("nope")
        .addNewItem("keys", null, "api-keys")
        .endSecret()
        .endVolume()
        .addNewVolume()
        .withName("ca")
        .withNewConfigMap()
        .withName("roots")
        .endConfigMap()
        .endVolume()
        .addNewVolume()
        .withName("nvme")
        .withNewEphemeral()
        .endEphemeral()
        .endVolume()
        .addNewContainer()
        .withName("runtime")
        .addNewEnv()
        .withName("HF_TOKEN")
        .withNewValueFrom()
        .withNewSecretKeyRef("token", "hub", null)
        .endValueFrom()
        .endEnv()
        .endContainer()
        .endSpec();
  }

  private static Pod unscheduled(String words) {
    return pod()
        .withNewStatus()
        .withPhase("Pending")
        .addNewCondition()
        .withType("PodScheduled")
        .withStatus("False")
        .withReason("Unschedulable")
        .withMessage(words)
        .endCondition()
        .endStatus()
        .build();
  }

  private static Pod creating() {
    return new PodBuilder(waiting("ContainerCreating", null))
        .editSpec()
        .withNodeName("node")
        .endSpec()
        .build();
  }

  private static Pod waiting(String reason, @Nullable String words) {
    return pod()
        .withNewStatus()
        .withPhase("Pending")
        .addNewContainerStatus()
        .withName("runtime")
        .withReady(false)
        .withNewState()
        .withNewWaiting(words, reason)
        .endState()
        .endContainerStatus()
        .endStatus()
        .build();
  }

  private static Pod running() {
    return pod()
        .editSpec()
        .withNodeName("node")
        .endSpec()
        .withNewStatus()
        .withPhase("Running")
        .addNewContainerStatus()
        .withName("runtime")
        .withReady(false)
        .withNewState()
        .withNewRunning("2026-11-24T12:00:00Z")
        .endState()
        .endContainerStatus()
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
