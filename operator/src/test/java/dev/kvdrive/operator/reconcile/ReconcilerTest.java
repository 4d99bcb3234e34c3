package dev.kvdrive.operator.reconcile;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.kvdrive.api.v1alpha1.InferenceClass;
import dev.kvdrive.api.v1alpha1.InferenceDeployment;
import dev.kvdrive.api.v1alpha1.InferenceDeploymentStatus;
import dev.kvdrive.feasibility.WrittenManifests;
import dev.kvdrive.operator.ApiServer;
import dev.kvdrive.operator.RunningOperator;
import io.fabric8.kubernetes.api.model.Condition;
import io.fabric8.kubernetes.api.model.ConfigMap;
import io.fabric8.kubernetes.api.model.ConfigMapBuilder;
import io.fabric8.kubernetes.api.model.DeletionPropagation;
import io.fabric8.kubernetes.api.model.EventBuilder;
import io.fabric8.kubernetes.api.model.HasMetadata;
import io.fabric8.kubernetes.api.model.IntOrString;
import io.fabric8.kubernetes.api.model.ObjectMeta;
import io.fabric8.kubernetes.api.model.PersistentVolumeClaim;
import io.fabric8.kubernetes.api.model.PersistentVolumeClaimBuilder;
import io.fabric8.kubernetes.api.model.PersistentVolumeClaimStatus;
import io.fabric8.kubernetes.api.model.Pod;
import io.fabric8.kubernetes.api.model.PodBuilder;
import io.fabric8.kubernetes.api.model.PodTemplateSpec;
import io.fabric8.kubernetes.api.model.Quantity;
import io.fabric8.kubernetes.api.model.ResourceQuota;
import io.fabric8.kubernetes.api.model.ResourceQuotaBuilder;
import io.fabric8.kubernetes.api.model.ResourceQuotaStatusBuilder;
import io.fabric8.kubernetes.api.model.Service;
import io.fabric8.kubernetes.api.model.ServiceAccount;
import io.fabric8.kubernetes.api.model.ServiceBuilder;
import io.fabric8.kubernetes.api.model.apps.Deployment;
import io.fabric8.kubernetes.api.model.apps.DeploymentBuilder;
import io.fabric8.kubernetes.api.model.apps.DeploymentStatus;
import io.fabric8.kubernetes.api.model.apps.StatefulSet;
import io.fabric8.kubernetes.api.model.apps.StatefulSetBuilder;
import io.fabric8.kubernetes.api.model.apps.StatefulSetStatus;
import io.fabric8.kubernetes.api.model.networking.v1.NetworkPolicy;
import io.fabric8.kubernetes.api.model.policy.v1.PodDisruptionBudget;
import io.fabric8.kubernetes.client.KubernetesClient;
import io.fabric8.kubernetes.client.KubernetesClientException;
import io.fabric8.kubernetes.client.dsl.base.PatchContext;
import io.fabric8.kubernetes.client.dsl.base.PatchType;
import io.micrometer.core.instrument.MeterRegistry;
import java.time.Duration;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.TreeMap;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/**
 * The loop against a real API server. There are no other controllers: what the kubelet and the
 * controllers of pods and volumes would write, the tests write.
 */
class ReconcilerTest {
  private static final Duration SOON = Duration.ofSeconds(30);
  private static final String NAME = "endpoint";
  private static final String RETAINED =
      """
      contextLength: 16384
      tiers:
        gpu: {memory: 64Mi}
        dram: {size: 64Mi}
        nvme: {size: 512Mi, reclaim: Retain}
      """;
  private static final List<Class<? extends HasMetadata>> KINDS =
      List.of(
          ConfigMap.class,
          ServiceAccount.class,
          Service.class,
          NetworkPolicy.class,
          Deployment.class,
          StatefulSet.class,
          PodDisruptionBudget.class);

  private static @Nullable RunningOperator operator;

  private final ApiServer server = ApiServer.get();
  private final KubernetesClient client = server.client();
  private String namespace = "";

  @BeforeAll
  static void start() {
    ApiServer server = ApiServer.get();
    operator =
        new RunningOperator(
            server.newClient(), RunningOperator.properties("kvdrive-system", false));
  }

  @AfterAll
  static void stop() {
    if (operator != null) {
      operator.close();
    }
  }

  @BeforeEach
  void namespace() {
    namespace = server.newNamespace();
  }

  @Test
  void aFeasibleDeploymentGetsItsObjectsEachOwnedByIt() {
    String uid = create("").getMetadata().getUid();

    awaitCondition("Feasible", "True");
    await().atMost(SOON).until(() -> objects().size() == 5);
    assertThat(objects().keySet())
        .containsExactly("ConfigMap", "Deployment", "NetworkPolicy", "Service", "ServiceAccount");
    assertThat(objects().values())
        .allSatisfy(
            object ->
                assertThat(object.getMetadata().getOwnerReferences())
                    .singleElement()
                    .satisfies(owner -> assertThat(owner.getUid()).isEqualTo(uid)));
    InferenceDeploymentStatus status = status();
    assertThat(status.url()).isEqualTo("http://%s.%s.svc".formatted(NAME, namespace));
    assertThat(status.observedGeneration()).isEqualTo(1);
    assertThat(Objects.requireNonNull(status.plan()).feasible()).isTrue();
    assertThat(Objects.requireNonNull(status.tiers()))
        .extracting(tier -> tier.name())
        .containsExactly("gpu", "dram", "nvme");
    assertThat(condition("Ready").getStatus()).isEqualTo("False");
    assertThat(condition("Reconciling").getStatus()).isEqualTo("True");
  }

  @Test
  void anInfeasibleDeploymentGetsNoObjectsAndAnExplanation() {
    client
        .resource(
            WrittenManifests.deployment(
                NAME,
                namespace,
                """
                contextLength: 32768
                concurrency: 64
                tiers:
                  gpu: {memory: 32Mi}
                  dram: {size: 64Mi}
                """,
                ""))
        .create();

    Condition stalled = awaitCondition("Stalled", "True");
    assertThat(stalled.getMessage()).contains("does not fit").contains("What would fit");
    assertThat(condition("Ready").getStatus()).isEqualTo("False");
    assertThat(condition("Ready").getReason()).isEqualTo("DoesNotFit");
    assertThat(Objects.requireNonNull(status().plan()).alternatives()).isNotEmpty();
    assertThat(status().url()).isNull();
    assertThat(objects()).isEmpty();
  }

  @Test
  void becomesFeasibleWhenItIsCorrected() {
    create("budget: 100%\nconcurrency: 512");
    awaitCondition("Stalled", "True");

    patch("{\"spec\":{\"concurrency\":1}}");

    awaitCondition("Feasible", "True");
    assertThat(status().conditions()).extracting(Condition::getType).doesNotContain("Stalled");
    await().atMost(SOON).until(() -> objects().containsKey("Deployment"));
  }

  @Test
  void anInfeasibleChangeLeavesTheRunningPodsAlone() {
    create("");
    await().atMost(SOON).until(() -> objects().containsKey("Deployment"));
    workloadIs(1, 1, 1);
    awaitCondition("RuntimeReady", "True");
    long generation = deployment().getMetadata().getGeneration();

    patch("{\"spec\":{\"contextLength\":1000000}}");

    Condition stalled = awaitCondition("Stalled", "True");
    assertThat(stalled.getMessage()).contains("(1 pod that ran before keeps serving.)");
    assertThat(deployment().getMetadata().getGeneration()).isEqualTo(generation);
  }

  @Test
  void nothingIsWrittenWhenNothingChanged() {
    String clazz = "class-of-" + namespace;
    client
        .resource(
            WrittenManifests.clazz(
                clazz,
                "traces: {endpoint: 'https://collector.observability.svc:4318',"
                    + " headersSecret: {name: collector, key: headers},"
                    + " caBundle: {name: ca, key: ca.crt}, sampling: 10%}"))
        .create();
    create(
        "className: %s\nreplicas: 2\nruntime: {cpu: '1.5', tolerations: [{key: gpu, operator: Exists}]}"
            .formatted(clazz));
    await().atMost(SOON).until(() -> objects().size() == 6);
    awaitCondition("Feasible", "True");
    Map<String, String> before = versions();
    // What another controller does makes the operator look again.
    bind(claim("endpoint-x-nvme"), "512Mi");
    await()
        .atMost(SOON)
        .untilAsserted(() -> assertThat(condition("StorageBound").getMessage()).contains("1 of 2"));

    assertThat(versions()).isEqualTo(before);
    assertThat(get().getMetadata().getGeneration()).isEqualTo(1);
  }

  @Test
  void aDriftIsCorrected() {
    create("");
    await().atMost(SOON).until(() -> objects().containsKey("Service"));

    client
        .services()
        .inNamespace(namespace)
        .withName(NAME)
        .edit(
            service ->
                new ServiceBuilder(service)
                    .editSpec()
                    .editFirstPort()
                    .withTargetPort(new IntOrString("elsewhere"))
                    .endPort()
                    .endSpec()
                    .build());

    await()
        .atMost(SOON)
        .untilAsserted(
            () ->
                assertThat(
                        client
                            .services()
                            .inNamespace(namespace)
                            .withName(NAME)
                            .get()
                            .getSpec()
                            .getPorts()
                            .getFirst()
                            .getTargetPort()
                            .getStrVal())
                    .isEqualTo("http"));
  }

  @Test
  void whatOthersAddIsLeftAndNamed() {
    create("");
    await().atMost(SOON).until(() -> objects().containsKey("Deployment"));
    assertThat(status().conditions()).extracting(Condition::getType).doesNotContain("Altered");

    client
        .resource(deployment())
        .edit(
            found ->
                new DeploymentBuilder(found)
                    .editSpec()
                    .editTemplate()
                    .editSpec()
                    .addNewContainer()
                    .withName("sidecar")
                    .withImage("example.com/sidecar")
                    .endContainer()
                    .editFirstContainer()
                    .addNewEnv()
                    .withName("DEBUG")
                    .withValue("1")
                    .endEnv()
                    .endContainer()
                    .endSpec()
                    .endTemplate()
                    .endSpec()
                    .build());

    assertThat(awaitCondition("Altered", "True").getMessage())
        .contains("Deployment endpoint: spec.template.spec.containers[sidecar]")
        .contains("env[DEBUG]");
    assertThat(deployment().getSpec().getTemplate().getSpec().getContainers()).hasSize(2);

    client
        .resource(deployment())
        .edit(
            found -> {
              var pod = found.getSpec().getTemplate().getSpec();
              pod.getContainers().removeIf(c -> c.getName().equals("sidecar"));
              pod.getContainers().getFirst().getEnv().removeIf(e -> e.getName().equals("DEBUG"));
              return found;
            });

    await()
        .atMost(SOON)
        .untilAsserted(
            () ->
                assertThat(status().conditions())
                    .extracting(Condition::getType)
                    .doesNotContain("Altered"));
  }

  /** Of two deployments each grows into the room that it sees; only one can have it. */
  @Test
  void growingTheOlderDoesNotRunMoreThanTheQuota() {
    String clazz = "quota-of-" + namespace;
    client
        .resource(
            WrittenManifests.clazz(
                clazz, "tenants: [{namespace: %s, dram: 200Mi}]".formatted(namespace)))
        .create();
    String sizes =
        """
        contextLength: 8192
        tiers: {gpu: {memory: 64Mi}, dram: {size: 48Mi}, nvme: {size: 64Mi}}
        className: %s
        """
            .formatted(clazz);
    client.resource(WrittenManifests.deployment(NAME, namespace, sizes, "")).create();
    awaitCondition("Feasible", "True");
    client.resource(WrittenManifests.deployment("younger", namespace, sizes, "")).create();
    await().atMost(SOON).until(() -> dram("younger") == 48L << 20);
    patch("younger", "{\"spec\":{\"tiers\":{\"dram\":{\"size\":\"140Mi\"}}}}");
    await().atMost(SOON).until(() -> dram("younger") == 140L << 20);

    patch("{\"spec\":{\"tiers\":{\"dram\":{\"size\":\"200Mi\"}}}}");

    awaitReason("QuotaExceeded");
    assertThat(condition("Feasible").getMessage()).contains("200Mi").contains("340 MiB");
    assertThat(dram(NAME)).isEqualTo(48L << 20);
    assertThat(dram("younger")).isEqualTo(140L << 20);

    patch("{\"spec\":{\"tiers\":{\"dram\":{\"size\":\"60Mi\"}}}}");
    awaitCondition("Feasible", "True");
    await().atMost(SOON).until(() -> dram(NAME) == 60L << 20);
  }

  /** What the pods of an earlier specification have counts for as long as they are there. */
  @Test
  void whatAShrunkDeploymentFreesCanBeHadWhenItsPodsAreGone() {
    String clazz = "shrunk-of-" + namespace;
    client
        .resource(
            WrittenManifests.clazz(
                clazz, "tenants: [{namespace: %s, dram: 200Mi}]".formatted(namespace)))
        .create();
    String sizes =
        """
        contextLength: 8192
        tiers: {gpu: {memory: 64Mi}, dram: {size: 150Mi}, nvme: {size: 64Mi}}
        className: %s
        """
            .formatted(clazz);
    client.resource(WrittenManifests.deployment(NAME, namespace, sizes, "")).create();
    await().atMost(SOON).until(() -> objects().containsKey("Deployment"));
    Pod old = podOfTheTemplate("endpoint-old");
    patch("{\"spec\":{\"tiers\":{\"dram\":{\"size\":\"48Mi\"}}}}");
    await().atMost(SOON).until(() -> dram(NAME) == 48L << 20);

    client
        .resource(
            WrittenManifests.deployment("younger", namespace, sizes.replace("150Mi", "100Mi"), ""))
        .create();

    await().atMost(SOON).until(() -> Objects.equals(reason("younger"), "QuotaExceeded"));
    client.resource(old).withGracePeriod(0).delete();
    patch("younger", "{\"spec\":{\"runtime\":{\"labels\":{\"try\":\"again\"}}}}");
    await().atMost(SOON).until(() -> dram("younger") == 100L << 20);
  }

  @Test
  void itsConditionsAreGaugesForAsLongAsItIsThere() {
    create("");
    awaitCondition("Feasible", "True");
    MeterRegistry registry = Objects.requireNonNull(operator).registry();
    await().atMost(SOON).until(() -> gauge(registry, "Feasible", "true") == 1);
    assertThat(gauge(registry, "Ready", "true")).isZero();
    assertThat(gauge(registry, "Ready", "false")).isOne();
    assertThat(gauge(registry, "Stalled", "false")).isOne();

    patch("{\"spec\":{\"contextLength\":1000000}}");
    await().atMost(SOON).until(() -> gauge(registry, "Stalled", "true") == 1);
    assertThat(gauge(registry, "Feasible", "true")).isZero();
    assertThat(gauge(registry, "Feasible", "false")).isOne();

    client.resource(get()).delete();
    await()
        .atMost(SOON)
        .until(
            () ->
                registry
                    .find("kvdrive.deployment.condition")
                    .tag("namespace", namespace)
                    .gauges()
                    .isEmpty());
  }

  @Test
  void aChangedContextLengthRollsThePods() {
    create("");
    await().atMost(SOON).until(() -> objects().containsKey("Deployment"));
    String before = configHash();

    patch("{\"spec\":{\"contextLength\":8192}}");

    await().atMost(SOON).until(() -> !configHash().equals(before));
    assertThat(configuration(mountedConfig(deployment().getSpec().getTemplate())))
        .contains("context-length: 8192");
  }

  @Test
  void aPodOfAnEarlierSpecificationRestartsWithItsOwnConfiguration() {
    create("");
    await().atMost(SOON).until(() -> objects().containsKey("Deployment"));
    workloadIs(1, 1, 1);
    bind(claim("endpoint-old-nvme"), "512Mi");
    Pod old = client.resource(pod("endpoint-old")).create();
    String before = mountedConfig(deployment().getSpec().getTemplate());

    patch("{\"spec\":{\"contextLength\":8192}}");
    await()
        .atMost(SOON)
        .until(() -> !mountedConfig(deployment().getSpec().getTemplate()).equals(before));
    // The new pod does not get anywhere, and the old one may be made anew at any time.
    workloadIs(2, 1, 1);
    awaitReason("RollingOut");

    String after = mountedConfig(deployment().getSpec().getTemplate());
    assertThat(configuration(before)).contains("context-length: 16384");
    assertThat(configuration(after)).contains("context-length: 8192");
    assertThat(configs().values()).allSatisfy(c -> assertThat(c.getImmutable()).isTrue());

    workloadIs(1, 1, 1);
    awaitCondition("RuntimeReady", "True");
    assertThat(configs()).containsOnlyKeys(before, after);
    client.resource(old).delete();
    await().atMost(SOON).untilAsserted(() -> assertThat(configs()).containsOnlyKeys(after));
  }

  @Test
  void theConfigurationOfAnUndoneRolloutGoes() {
    create("");
    await().atMost(SOON).until(() -> objects().containsKey("Deployment"));
    workloadIs(1, 1, 1);
    String first = mountedConfig(deployment().getSpec().getTemplate());
    patch("{\"spec\":{\"contextLength\":8192}}");
    await().atMost(SOON).until(() -> configs().size() == 2);

    patch("{\"spec\":{\"contextLength\":16384}}");
    await()
        .atMost(SOON)
        .until(() -> mountedConfig(deployment().getSpec().getTemplate()).equals(first));
    workloadIs(1, 1, 1);

    await().atMost(SOON).untilAsserted(() -> assertThat(configs()).containsOnlyKeys(first));
  }

  @Test
  void retainedPodsRestartWithTheirOwnConfigurationToo() {
    client.resource(WrittenManifests.deployment(NAME, namespace, RETAINED, "")).create();
    await().atMost(SOON).until(() -> objects().containsKey("StatefulSet"));
    PodTemplateSpec template = statefulSet().getSpec().getTemplate();
    Pod old = client.resource(retainedPod("endpoint-0", template)).create();

    patch("{\"spec\":{\"contextLength\":8192}}");
    await()
        .atMost(SOON)
        .until(
            () ->
                !mountedConfig(statefulSet().getSpec().getTemplate())
                    .equals(mountedConfig(template)));

    setIs(1, 1, 1);
    awaitCondition("RuntimeReady", "True");
    assertThat(configuration(mountedConfig(template))).contains("context-length: 16384");
    client.resource(old).delete();
    await().atMost(SOON).until(() -> configs().size() == 1);
  }

  @Test
  void theConfigurationOfAnEarlierOperatorGoesWithItsLastPod() {
    create("");
    await().atMost(SOON).until(() -> objects().containsKey("Deployment"));
    String current = mountedConfig(deployment().getSpec().getTemplate());
    client
        .resource(
            new ConfigMapBuilder()
                .withMetadata(labelled(NAME + "-config"))
                .editMetadata()
                .withOwnerReferences(deployment().getMetadata().getOwnerReferences())
                .endMetadata()
                .addToData("runtime.yaml", "kvdrive: {}")
                .build())
        .create();
    Pod template = pod("endpoint-old");
    template
        .getSpec()
        .getVolumes()
        .forEach(
            volume -> {
              if (volume.getConfigMap() != null) {
                volume.getConfigMap().setName(NAME + "-config");
              }
            });
    Pod old = client.resource(template).create();
    workloadIs(1, 1, 1);
    awaitCondition("RuntimeReady", "True");

    assertThat(configuration(NAME + "-config")).isEqualTo("kvdrive: {}");
    client.resource(old).delete();
    await().atMost(SOON).untilAsserted(() -> assertThat(configs()).containsOnlyKeys(current));
  }

  @Test
  void aRetainedVolumeIsKeptByAStatefulSet() {
    client.resource(WrittenManifests.deployment(NAME, namespace, RETAINED, "replicas: 2")).create();

    await().atMost(SOON).until(() -> objects().containsKey("StatefulSet"));
    assertThat(objects()).containsKey("PodDisruptionBudget").doesNotContainKey("Deployment");
    StatefulSet set = client.apps().statefulSets().inNamespace(namespace).withName(NAME).get();
    assertThat(set.getSpec().getVolumeClaimTemplates())
        .singleElement()
        .satisfies(
            claim ->
                assertThat(claim.getSpec().getResources().getRequests())
                    .containsEntry("storage", new Quantity("512Mi")));
    long generation = set.getMetadata().getGeneration();
    bind(claim("nvme-endpoint-0"), "512Mi");
    await()
        .atMost(SOON)
        .untilAsserted(() -> assertThat(condition("StorageBound").getMessage()).contains("1 of 2"));
    assertThat(
            client
                .apps()
                .statefulSets()
                .inNamespace(namespace)
                .withName(NAME)
                .get()
                .getMetadata()
                .getGeneration())
        .isEqualTo(generation);
  }

  @Test
  void aBudgetForDisruptionsComesAndGoesWithTheSecondReplica() {
    create("replicas: 2");
    await().atMost(SOON).until(() -> objects().containsKey("PodDisruptionBudget"));

    patch("{\"spec\":{\"replicas\":1}}");

    await().atMost(SOON).until(() -> !objects().containsKey("PodDisruptionBudget"));
  }

  @Test
  void isReadyWhenPodsServeAndVolumesAreBound() {
    create("");
    await().atMost(SOON).until(() -> objects().containsKey("Deployment"));
    bind(claim("endpoint-x-nvme"), "512Mi");
    workloadIs(1, 1, 1);

    awaitCondition("Ready", "True");

    assertThat(status().readyReplicas()).isEqualTo(1);
    assertThat(status().conditions())
        .extracting(Condition::getType)
        .containsExactly("Ready", "Feasible", "ModelAvailable", "StorageBound", "RuntimeReady");
  }

  @Test
  void aVolumeThatIsTooSmallIsNamed() {
    create("");
    await().atMost(SOON).until(() -> objects().containsKey("Deployment"));

    bind(claim("endpoint-x-nvme"), "100Mi");

    await()
        .atMost(SOON)
        .untilAsserted(
            () -> assertThat(condition("StorageBound").getReason()).isEqualTo("VolumeTooSmall"));
    assertThat(condition("Ready").getMessage()).contains("100Mi").contains("512 MiB");
  }

  @Test
  void aMissingStorageClassIsNamed() {
    create("");
    await().atMost(SOON).until(() -> objects().containsKey("Deployment"));

    warn(
        claim("endpoint-x-nvme"),
        "ProvisioningFailed",
        "storageclass.storage.k8s.io \"fast\" not found");

    await()
        .atMost(SOON)
        .untilAsserted(
            () ->
                assertThat(condition("StorageBound").getReason())
                    .isEqualTo("StorageClassNotFound"));
    assertThat(condition("Stalled").getMessage()).contains("\"fast\" not found");
  }

  @Test
  void theRuntimesLastWordsReachTheCondition() {
    create("");
    await().atMost(SOON).until(() -> objects().containsKey("Deployment"));

    Pod pod = client.resource(pod("endpoint-abc")).create();
    ended(pod, "the machine does not have what the plan promises. NVMe volume: too little.");

    await()
        .atMost(SOON)
        .untilAsserted(
            () -> assertThat(condition("Ready").getReason()).isEqualTo("VolumeInsufficient"));
    assertThat(condition("StorageBound").getMessage()).contains("what the plan promises");
    assertThat(condition("Stalled").getStatus()).isEqualTo("True");
  }

  @Test
  void aMissingSecretIsNamedAndItsComingIsSeen() {
    create("access: {apiKeysSecret: {name: nope, key: keys}}");
    await().atMost(SOON).until(() -> objects().containsKey("Deployment"));
    bind(claim("endpoint-abc-nvme"), "512Mi");
    Pod pod = client.resource(pod("endpoint-abc")).create();
    warn(
        pod,
        "FailedMount",
        "MountVolume.SetUp failed for volume \"api-keys\" : secret \"nope\" not found");

    creating(pod);

    awaitReason("SecretNotFound");
    assertThat(condition("Ready").getMessage()).contains("Secret nope").contains("keys");
    workloadIs(1, 1, 1);
    runs(pod);
    awaitCondition("Ready", "True");
  }

  @Test
  void aMissingCertificateIsNamedAndTheUrlSaysHttps() {
    create("access: {tls: {secretName: cert}}");
    await().atMost(SOON).until(() -> objects().containsKey("Deployment"));
    bind(claim("endpoint-abc-nvme"), "512Mi");
    Pod pod = client.resource(pod("endpoint-abc")).create();
    warn(
        pod,
        "FailedMount",
        "MountVolume.SetUp failed for volume \"tls\" : secret \"cert\" not found");

    creating(pod);

    awaitReason("SecretNotFound");
    assertThat(condition("Ready").getMessage())
        .contains("Secret cert")
        .contains("tls.crt, tls.key");
    assertThat(status().url()).isEqualTo("https://%s.%s.svc".formatted(NAME, namespace));
  }

  @Test
  void aPodWithoutANodeIsTheReasonAndNotItsClaim() {
    create("");
    await().atMost(SOON).until(() -> objects().containsKey("Deployment"));
    claim("endpoint-abc-nvme");
    Pod pod = client.resource(pod("endpoint-abc")).create();

    status(
        pod,
        p ->
            p.setStatus(
                new PodBuilder()
                    .withNewStatus()
                    .withPhase("Pending")
                    .addNewCondition()
                    .withType("PodScheduled")
                    .withStatus("False")
                    .withReason("Unschedulable")
                    .withMessage("0/1 nodes are available: 1 Insufficient nvidia.com/gpu.")
                    .endCondition()
                    .endStatus()
                    .build()
                    .getStatus()));

    awaitReason("Unschedulable");
    assertThat(condition("Ready").getMessage()).contains("nvidia.com/gpu");
  }

  @Test
  void isReadyAgainWhenReplicasWithoutVolumesAreNoLongerAskedFor() {
    client.resource(WrittenManifests.deployment(NAME, namespace, RETAINED, "replicas: 2")).create();
    await().atMost(SOON).until(() -> objects().containsKey("StatefulSet"));
    bind(claim("nvme-endpoint-0"), "512Mi");
    claim("nvme-endpoint-1");
    setIs(2, 2, 1);
    awaitReason("VolumePending");

    patch("{\"spec\":{\"replicas\":1}}");
    await().atMost(SOON).until(() -> statefulSet().getSpec().getReplicas() == 1);
    setIs(1, 1, 1);

    awaitCondition("Ready", "True");
    assertThat(condition("StorageBound").getMessage()).contains("1 more kept");
  }

  @Test
  void aChangedDefaultOfTheClassLeavesRetainedVolumesInTheirs() {
    String clazz = "class-of-" + namespace;
    client.resource(WrittenManifests.clazz(clazz, "storage: {defaultClassName: slow}")).create();
    client
        .resource(WrittenManifests.deployment(NAME, namespace, RETAINED, "className: " + clazz))
        .create();
    await().atMost(SOON).until(() -> objects().containsKey("StatefulSet"));

    client
        .resource(WrittenManifests.clazz(clazz, "storage: {defaultClassName: fast}"))
        .forceConflicts()
        .serverSideApply();
    patch("{\"spec\":{\"contextLength\":8192}}");

    await().atMost(SOON).until(() -> configs().size() == 2);
    await().atMost(SOON).until(() -> statefulSet().getMetadata().getGeneration() == 2);
    assertThat(
            statefulSet()
                .getSpec()
                .getVolumeClaimTemplates()
                .getFirst()
                .getSpec()
                .getStorageClassName())
        .isEqualTo("slow");
    assertThat(condition("Feasible").getStatus()).isEqualTo("True");
    assertThat(condition("Ready").getReason()).isEqualTo("VolumePending");
    String version = statefulSet().getMetadata().getResourceVersion();
    bind(claim("nvme-endpoint-0"), "512Mi");
    await()
        .atMost(SOON)
        .untilAsserted(() -> assertThat(condition("StorageBound").getReason()).isEqualTo("Bound"));
    assertThat(statefulSet().getMetadata().getResourceVersion()).isEqualTo(version);
  }

  @Test
  void aFieldThatCannotChangeIsNamedAndWhatRunsIsKept() {
    String clazz = "class-of-" + namespace;
    InferenceDeployment deployment =
        client
            .resource(WrittenManifests.deployment(NAME, namespace, RETAINED, "className: " + clazz))
            .create();
    awaitReason("ClassNotFound");
    // As an operator that planned smaller volumes would have made it.
    StatefulSet smaller =
        new StatefulSetBuilder()
            .withMetadata(labelled(NAME))
            .editMetadata()
            .addNewOwnerReference()
            .withApiVersion(deployment.getApiVersion())
            .withKind(deployment.getKind())
            .withName(NAME)
            .withUid(deployment.getMetadata().getUid())
            .endOwnerReference()
            .endMetadata()
            .withNewSpec()
            .withReplicas(1)
            .withServiceName(NAME)
            .withPodManagementPolicy("Parallel")
            .withNewSelector()
            .addToMatchLabels("app.kubernetes.io/name", "kvdrive-runtime")
            .addToMatchLabels("app.kubernetes.io/instance", NAME)
            .endSelector()
            .withNewTemplate()
            .withMetadata(labelled(NAME))
            .withNewSpec()
            .addNewContainer()
            .withName("runtime")
            .withImage("kvdrive/runtime:test")
            .endContainer()
            .endSpec()
            .endTemplate()
            .withVolumeClaimTemplates(
                new PersistentVolumeClaimBuilder()
                    .withNewMetadata()
                    .withName("nvme")
                    .endMetadata()
                    .withNewSpec()
                    .withAccessModes("ReadWriteOnce")
                    .withNewResources()
                    .addToRequests("storage", new Quantity("100Mi"))
                    .endResources()
                    .endSpec()
                    .build())
            .endSpec()
            .build();
    client.resource(smaller).create();

    client.resource(WrittenManifests.clazz(clazz, "device: CPU")).create();

    awaitReason("ImmutableField");
    assertThat(condition("Stalled").getMessage())
        .contains("spec.volumeClaimTemplates")
        .contains("100Mi")
        .contains("512Mi")
        .contains("kubectl delete statefulset endpoint");
    assertThat(statefulSet().getMetadata().getGeneration()).isEqualTo(1);
  }

  @Test
  void podsThatASetMayNotMakeAreExplained() {
    client.resource(WrittenManifests.deployment(NAME, namespace, RETAINED, "")).create();
    await().atMost(SOON).until(() -> objects().containsKey("StatefulSet"));
    warn(
        statefulSet(),
        "FailedCreate",
        "create Pod endpoint-0 in StatefulSet endpoint failed error: exceeded quota: small");

    setIs(0, 0, 0);

    awaitReason("PodsRejected");
    assertThat(condition("Ready").getMessage()).contains("exceeded quota: small");
    // The controller makes the claim before the pod.
    claim("nvme-endpoint-0");
    await()
        .atMost(SOON)
        .untilAsserted(
            () -> assertThat(condition("StorageBound").getMessage()).contains("nvme-endpoint-0"));
    awaitReason("PodsRejected");
    assertThat(condition("StorageBound").getReason()).isEqualTo("WaitsForPod");
  }

  @Test
  void aPausedRolloutIsNamedWithTheWayOut() {
    create("");
    await().atMost(SOON).until(() -> objects().containsKey("Deployment"));
    client
        .resource(deployment())
        .patch(PatchContext.of(PatchType.JSON_MERGE), "{\"spec\":{\"paused\":true}}");
    patch("{\"spec\":{\"contextLength\":8192}}");

    awaitReason("Paused");

    assertThat(condition("Stalled").getMessage())
        .contains("kubectl rollout resume deployment/endpoint");
  }

  /** When there are replicas again they are of the specification before the pause. */
  @Test
  void theConfigurationBeforeAPauseStaysWhenNothingRuns() {
    create("");
    await().atMost(SOON).until(() -> objects().containsKey("Deployment"));
    workloadIs(1, 1, 1);
    String before = mountedConfig(deployment().getSpec().getTemplate());
    client
        .resource(deployment())
        .patch(PatchContext.of(PatchType.JSON_MERGE), "{\"spec\":{\"paused\":true}}");
    patch("{\"spec\":{\"contextLength\":8192,\"replicas\":0}}");
    await().atMost(SOON).until(() -> configs().size() == 2);

    workloadIs(0, 0, 0);

    awaitReason("ScaledToZero");
    assertThat(configs()).containsKey(before);
  }

  @Test
  void whileItsSpecificationIsRefusedWhatItsPodsRunWithIsMadeAgain() {
    String clazz = "class-of-" + namespace;
    InferenceClass open =
        client.resource(WrittenManifests.clazz(clazz, "limits: {contextLength: 16384}")).create();
    create("replicas: 2\nclassName: " + clazz);
    await().atMost(SOON).until(() -> objects().size() == 6);
    awaitCondition("Feasible", "True");
    workloadIs(2, 2, 2);
    awaitCondition("RuntimeReady", "True");
    client.resource(open).delete();
    awaitReason("ClassNotFound");
    Map<String, HasMetadata> before = objects();

    before.values().stream()
        .filter(object -> !object.getKind().equals("Deployment"))
        .forEach(object -> client.resource(object).delete());

    await()
        .atMost(SOON)
        .untilAsserted(
            () ->
                assertThat(objects())
                    .containsOnlyKeys(before.keySet())
                    .allSatisfy(
                        (kind, object) -> {
                          assertThat(object.getMetadata().getName())
                              .isEqualTo(
                                  Objects.requireNonNull(before.get(kind)).getMetadata().getName());
                          assertThat(object.getMetadata().getOwnerReferences()).hasSize(1);
                        }));
    assertThat(configs().values())
        .singleElement()
        .satisfies(
            c ->
                assertThat(c.getData())
                    .isEqualTo(
                        ((ConfigMap) Objects.requireNonNull(before.get("ConfigMap"))).getData()));
    assertThat(objects().get("NetworkPolicy"))
        .satisfies(
            n ->
                assertThat(((NetworkPolicy) n).getSpec())
                    .isEqualTo(
                        ((NetworkPolicy) Objects.requireNonNull(before.get("NetworkPolicy")))
                            .getSpec()));
    assertThat(condition("Ready").getReason()).isEqualTo("ClassNotFound");
  }

  @Test
  void fewerReplicasAreHadWhateverElseIsRefused() {
    create("replicas: 3");
    await().atMost(SOON).until(() -> objects().containsKey("Deployment"));
    patch("{\"spec\":{\"contextLength\":1000000}}");
    awaitReason("DoesNotFit");

    patch("{\"spec\":{\"replicas\":1}}");
    await().atMost(SOON).until(() -> deployment().getSpec().getReplicas() == 1);
    patch("{\"spec\":{\"replicas\":0}}");
    await().atMost(SOON).until(() -> deployment().getSpec().getReplicas() == 0);
    long generation = deployment().getMetadata().getGeneration();
    patch("{\"spec\":{\"replicas\":2}}");

    await()
        .atMost(SOON)
        .untilAsserted(
            () ->
                assertThat(condition("Ready").getObservedGeneration())
                    .isEqualTo(get().getMetadata().getGeneration()));
    assertThat(deployment().getMetadata().getGeneration()).isEqualTo(generation);
  }

  @Test
  void allConditionsAreThereWhenAnObjectIsRefused() {
    create("");
    await().atMost(SOON).until(() -> objects().containsKey("Deployment"));
    patch("{\"spec\":{\"runtime\":{\"labels\":{\"team\":\"not a label value!\"}}}}");

    awaitReason("ObjectRefused");

    assertThat(status().conditions())
        .extracting(Condition::getType)
        .containsExactly(
            "Ready", "Feasible", "ModelAvailable", "StorageBound", "RuntimeReady", "Stalled");
    assertThat(status().conditions()).extracting(Condition::getObservedGeneration).containsOnly(2L);
    assertThat(condition("Feasible").getStatus()).isEqualTo("True");
    assertThat(condition("RuntimeReady").getStatus()).isEqualTo("Unknown");
  }

  @Test
  void aQuotaOfTheNamespaceIsToldInTheApiServersWords() {
    ResourceQuota quota =
        client
            .resource(
                new ResourceQuotaBuilder()
                    .withNewMetadata()
                    .withName("no-services")
                    .withNamespace(namespace)
                    .endMetadata()
                    .withNewSpec()
                    .addToHard("services", new Quantity("0"))
                    .endSpec()
                    .build())
            .create();
    status(
        quota,
        q ->
            q.setStatus(
                new ResourceQuotaStatusBuilder()
                    .addToHard("services", new Quantity("0"))
                    .addToUsed("services", new Quantity("0"))
                    .build()));
    await().atMost(SOON).until(this::aServiceIsRefused);

    create("");

    awaitReason("ReconcileFailed");
    assertThat(condition("Ready").getMessage())
        .contains("Forbidden")
        .contains("exceeded quota: no-services")
        .doesNotContain("https://")
        .doesNotContain("Exception");
    client.resource(quota).delete();
    await().atMost(SOON).until(() -> objects().containsKey("Service"));
  }

  @Test
  void eventsTellHowReadyCameAbout() {
    create("");
    PersistentVolumeClaim claim = claim("endpoint-1-nvme");
    bind(claim, "512Mi");
    await().atMost(SOON).until(() -> objects().containsKey("Deployment"));
    workloadIs(1, 1, 1);
    awaitCondition("Ready", "True");
    patch("{\"spec\":{\"tiers\":{\"gpu\":{\"memory\":\"1Mi\"}}}}");
    awaitReason("DoesNotFit");

    await()
        .atMost(SOON)
        .untilAsserted(
            () ->
                assertThat(events())
                    .containsSubsequence("Normal PodsReady", "Warning DoesNotFit")
                    .doesNotHaveDuplicates());
  }

  @Test
  void aClassIsWaitedForAndItsLimitsHold() {
    String clazz = "class-of-" + namespace;
    create("className: " + clazz);
    assertThat(awaitCondition("Stalled", "True").getReason()).isEqualTo("ClassNotFound");

    client.resource(WrittenManifests.clazz(clazz, "limits: {contextLength: 8192}")).create();
    awaitReason("NotAllowed");

    client
        .resource(WrittenManifests.clazz(clazz, "limits: {contextLength: 16384}"))
        .forceConflicts()
        .serverSideApply();
    awaitCondition("Feasible", "True");
  }

  /** When a deployment was deleted without its objects, and its Service since. */
  @Test
  void aWorkloadOfTheOtherKindThatServesBesideIsNamed() {
    create("");
    await().atMost(SOON).until(() -> objects().containsKey("Deployment"));
    Deployment left = new DeploymentBuilder(deployment()).build();
    client.resource(get()).delete();
    objects().values().forEach(object -> client.resource(object).delete());
    left.getMetadata().setOwnerReferences(List.of());
    left.getMetadata().setResourceVersion(null);
    left.getMetadata().setManagedFields(null);
    await().atMost(SOON).until(() -> deployment() == null);
    client.resource(left).create();

    client.resource(WrittenManifests.deployment(NAME, namespace, RETAINED, "")).create();

    awaitReason("NameTaken");
    assertThat(condition("Stalled").getMessage())
        .contains("kubectl delete deployment endpoint --namespace " + namespace);
    client.resource(deployment()).delete();
    patch("{\"spec\":{\"contextLength\":8192}}");
    await().atMost(SOON).until(() -> objects().containsKey("StatefulSet"));
  }

  @Test
  void aWorkloadOfTheOtherKindThatWasKeptOnPurposeIsNotDeleted() {
    create("");
    await().atMost(SOON).until(() -> objects().containsKey("Deployment"));
    client.resource(get()).withPropagationPolicy(DeletionPropagation.ORPHAN).delete();
    client
        .resource(deployment())
        .edit(
            kept -> {
              kept.getMetadata().setOwnerReferences(List.of());
              return kept;
            });
    patch("{\"metadata\":{\"finalizers\":null}}");
    await().atMost(SOON).until(() -> get() == null);

    client.resource(WrittenManifests.deployment(NAME, namespace, RETAINED, "")).create();

    awaitReason("NameTaken");
    assertThat(condition("Stalled").getMessage())
        .contains("kubectl delete deployment endpoint --namespace " + namespace);
    assertThat(deployment()).isNotNull();
  }

  @Test
  void somebodyElsesServiceIsNotTakenOver() {
    client
        .services()
        .inNamespace(namespace)
        .resource(
            new ServiceBuilder()
                .withNewMetadata()
                .withName(NAME)
                .endMetadata()
                .withNewSpec()
                .addNewPort()
                .withPort(5432)
                .endPort()
                .endSpec()
                .build())
        .create();

    create("");

    Condition stalled = awaitCondition("Stalled", "True");
    assertThat(stalled.getReason()).isEqualTo("NameTaken");
    assertThat(stalled.getMessage()).contains("Service").contains(NAME);
    assertThat(
            client
                .services()
                .inNamespace(namespace)
                .withName(NAME)
                .get()
                .getMetadata()
                .getOwnerReferences())
        .isEmpty();
  }

  @Test
  void whatTheApiServerRefusesIsShownAndStalls() {
    create("runtime: {labels: {team: 'not a label value!'}}");

    Condition stalled = awaitCondition("Stalled", "True");
    assertThat(stalled.getReason()).isEqualTo("ObjectRefused");
    assertThat(stalled.getMessage()).contains("not a label value!").doesNotContain("https://");

    patch("{\"spec\":{\"runtime\":{\"labels\":{\"team\":\"legal\"}}}}");
    await().atMost(SOON).until(() -> objects().containsKey("Deployment"));
    await()
        .atMost(SOON)
        .untilAsserted(
            () ->
                assertThat(status().conditions())
                    .extracting(Condition::getType)
                    .doesNotContain("Stalled"));
  }

  @Test
  void theRestrictedLevelAdmitsThePods() {
    create("runtime: {cpu: '1'}\naccess: {apiKeysSecret: {name: keys, key: keys}}");
    await().atMost(SOON).until(() -> objects().containsKey("Deployment"));
    client
        .serviceAccounts()
        .inNamespace(namespace)
        .withName(NAME)
        .waitUntilCondition(Objects::nonNull, 10, TimeUnit.SECONDS);

    PodTemplateSpec template = deployment().getSpec().getTemplate();
    Pod pod =
        client
            .resource(
                new PodBuilder()
                    .withNewMetadata()
                    .withName("admitted")
                    .withNamespace(namespace)
                    .endMetadata()
                    .withSpec(template.getSpec())
                    .build())
            .create();

    assertThat(pod.getMetadata().getUid()).isNotEmpty();
  }

  // --- the words of the tests -------------------------------------------------------------------

  private InferenceDeployment create(String more) {
    return client.resource(WrittenManifests.deployment(NAME, namespace, more)).create();
  }

  private void patch(String merge) {
    client
        .resources(InferenceDeployment.class)
        .inNamespace(namespace)
        .withName(NAME)
        .patch(PatchContext.of(PatchType.JSON_MERGE), merge);
  }

  private void patch(String name, String merge) {
    client
        .resources(InferenceDeployment.class)
        .inNamespace(namespace)
        .withName(name)
        .patch(PatchContext.of(PatchType.JSON_MERGE), merge);
  }

  private double gauge(MeterRegistry registry, String condition, String status) {
    return registry
        .get("kvdrive.deployment.condition")
        .tags("namespace", namespace, "name", NAME, "condition", condition, "status", status)
        .gauge()
        .value();
  }

  private @Nullable String reason(String name) {
    InferenceDeployment deployment =
        client.resources(InferenceDeployment.class).inNamespace(namespace).withName(name).get();
    return deployment.getStatus() == null
        ? null
        : Objects.requireNonNull(deployment.getStatus().conditions()).getFirst().getReason();
  }

  /** DRAM of each pod of a deployment's workload; 0 without one. */
  private long dram(String name) {
    Deployment workload = client.apps().deployments().inNamespace(namespace).withName(name).get();
    return workload == null
        ? 0
        : Long.parseLong(
            workload
                .getSpec()
                .getTemplate()
                .getMetadata()
                .getAnnotations()
                .get("kvdrive.dev/dram-bytes"));
  }

  /** A pod as the controllers would make it, with all the template has. */
  private Pod podOfTheTemplate(String name) {
    PodTemplateSpec template = deployment().getSpec().getTemplate();
    return client
        .resource(
            new PodBuilder()
                .withMetadata(labelled(name))
                .editMetadata()
                .withAnnotations(template.getMetadata().getAnnotations())
                .endMetadata()
                .withSpec(template.getSpec())
                .build())
        .create();
  }

  private InferenceDeployment get() {
    return client.resources(InferenceDeployment.class).inNamespace(namespace).withName(NAME).get();
  }

  private InferenceDeploymentStatus status() {
    return get().getStatus();
  }

  private Condition awaitCondition(String type, String status) {
    await()
        .atMost(SOON)
        .untilAsserted(() -> assertThat(condition(type).getStatus()).isEqualTo(status));
    return condition(type);
  }

  private void awaitReason(String reason) {
    await()
        .atMost(SOON)
        .untilAsserted(() -> assertThat(condition("Ready").getReason()).isEqualTo(reason));
  }

  private Condition condition(String type) {
    InferenceDeploymentStatus status = status();
    assertThat(status).isNotNull();
    List<Condition> conditions = Objects.requireNonNull(status.conditions());
    assertThat(conditions).extracting(Condition::getType).contains(type);
    return conditions.stream().filter(c -> c.getType().equals(type)).findFirst().orElseThrow();
  }

  /** Type and reason of the events about the deployment, as they came. */
  private List<String> events() {
    return client
        .v1()
        .events()
        .inNamespace(namespace)
        .withField("involvedObject.uid", get().getMetadata().getUid())
        .list()
        .getItems()
        .stream()
        .sorted(Comparator.comparingLong(e -> Long.parseLong(e.getMetadata().getResourceVersion())))
        .map(event -> event.getType() + " " + event.getReason())
        .toList();
  }

  private Map<String, HasMetadata> objects() {
    Map<String, HasMetadata> objects = new TreeMap<>();
    for (Class<? extends HasMetadata> kind : KINDS) {
      client
          .resources(kind)
          .inNamespace(namespace)
          .withLabel("app.kubernetes.io/instance", NAME)
          .list()
          .getItems()
          .forEach(object -> objects.put(object.getKind(), object));
    }
    return objects;
  }

  private Map<String, String> versions() {
    Map<String, String> versions = new TreeMap<>();
    objects()
        .forEach((kind, object) -> versions.put(kind, object.getMetadata().getResourceVersion()));
    return versions;
  }

  private Deployment deployment() {
    return client.apps().deployments().inNamespace(namespace).withName(NAME).get();
  }

  private StatefulSet statefulSet() {
    return client.apps().statefulSets().inNamespace(namespace).withName(NAME).get();
  }

  /** The ConfigMaps of the deployment by name. */
  private Map<String, ConfigMap> configs() {
    return client
        .configMaps()
        .inNamespace(namespace)
        .withLabel("app.kubernetes.io/instance", NAME)
        .list()
        .getItems()
        .stream()
        .collect(Collectors.toMap(c -> c.getMetadata().getName(), c -> c));
  }

  private String configuration(String config) {
    ConfigMap found = Objects.requireNonNull(configs().get(config), config);
    return Objects.requireNonNull(found.getData().get("runtime.yaml"));
  }

  private static String mountedConfig(PodTemplateSpec template) {
    return template.getSpec().getVolumes().stream()
        .filter(volume -> volume.getConfigMap() != null)
        .map(volume -> volume.getConfigMap().getName())
        .findFirst()
        .orElseThrow();
  }

  private String configHash() {
    return Objects.requireNonNull(
        deployment()
            .getSpec()
            .getTemplate()
            .getMetadata()
            .getAnnotations()
            .get("kvdrive.dev/config-hash"));
  }

  private void workloadIs(int pods, int updated, int ready) {
    Deployment deployment = deployment();
    status(
        deployment,
        d -> {
          var status = new DeploymentStatus();
          status.setObservedGeneration(deployment.getMetadata().getGeneration());
          status.setReplicas(pods);
          status.setUpdatedReplicas(updated);
          status.setReadyReplicas(ready);
          status.setAvailableReplicas(ready);
          d.setStatus(status);
        });
  }

  private void setIs(int pods, int updated, int ready) {
    StatefulSet set = statefulSet();
    status(
        set,
        s -> {
          var status = new StatefulSetStatus();
          status.setObservedGeneration(set.getMetadata().getGeneration());
          status.setReplicas(pods);
          status.setUpdatedReplicas(updated);
          status.setReadyReplicas(ready);
          status.setAvailableReplicas(ready);
          s.setStatus(status);
        });
  }

  private <T extends HasMetadata> void status(T object, Consumer<T> change) {
    // What it was when the test got it may have changed since.
    client
        .resource(client.resource(object).get())
        .editStatus(
            found -> {
              change.accept(found);
              return found;
            });
  }

  private ObjectMeta labelled(String name) {
    ObjectMeta metadata = new ObjectMeta();
    metadata.setName(name);
    metadata.setNamespace(namespace);
    metadata.setLabels(
        Map.of(
            "app.kubernetes.io/managed-by", "kvdrive-operator",
            "app.kubernetes.io/name", "kvdrive-runtime",
            "app.kubernetes.io/instance", NAME));
    return metadata;
  }

  /** A claim as the controllers make it from the operator's template. */
  private PersistentVolumeClaim claim(String name) {
    return client
        .resource(
            new PersistentVolumeClaimBuilder()
                .withMetadata(labelled(name))
                .withNewSpec()
                .withAccessModes("ReadWriteOnce")
                .withNewResources()
                .addToRequests("storage", new Quantity("512Mi"))
                .endResources()
                .endSpec()
                .build())
        .create();
  }

  private void bind(PersistentVolumeClaim claim, String capacity) {
    status(
        claim,
        c -> {
          var status = new PersistentVolumeClaimStatus();
          status.setPhase("Bound");
          status.setCapacity(Map.of("storage", new Quantity(capacity)));
          c.setStatus(status);
        });
  }

  private boolean aServiceIsRefused() {
    try {
      client
          .resource(
              new ServiceBuilder()
                  .withNewMetadata()
                  .withName("probe")
                  .withNamespace(namespace)
                  .endMetadata()
                  .withNewSpec()
                  .addNewPort()
                  .withPort(80)
                  .endPort()
                  .endSpec()
                  .build())
          .dryRun()
          .create();
      return false;
    } catch (KubernetesClientException e) {
      return e.getCode() == 403;
    }
  }

  private void creating(Pod pod) {
    status(
        pod,
        p ->
            p.setStatus(
                new PodBuilder()
                    .withNewStatus()
                    .withPhase("Pending")
                    .addNewCondition()
                    .withType("PodScheduled")
                    .withStatus("True")
                    .endCondition()
                    .addNewContainerStatus()
                    .withName("runtime")
                    .withImage("kvdrive/runtime:test")
                    .withImageID("")
                    .withReady(false)
                    .withRestartCount(0)
                    .withNewState()
                    .withNewWaiting(null, "ContainerCreating")
                    .endState()
                    .endContainerStatus()
                    .endStatus()
                    .build()
                    .getStatus()));
  }

  private void runs(Pod pod) {
    status(
        pod,
        p ->
            p.setStatus(
                new PodBuilder()
                    .withNewStatus()
                    .withPhase("Running")
                    .addNewContainerStatus()
                    .withName("runtime")
                    .withImage("kvdrive/runtime:test")
                    .withImageID("")
                    .withReady(true)
                    .withRestartCount(0)
                    .withNewState()
                    .withNewRunning("2026-11-24T12:00:00Z")
                    .endState()
                    .endContainerStatus()
                    .endStatus()
                    .build()
                    .getStatus()));
  }

  private void warn(HasMetadata about, String reason, String message) {
    client
        .resource(
            new EventBuilder()
                .withNewMetadata()
                .withName(about.getMetadata().getName() + ".1")
                .withNamespace(namespace)
                .endMetadata()
                .withNewInvolvedObject()
                .withKind(about.getKind())
                .withName(about.getMetadata().getName())
                .withNamespace(namespace)
                .withUid(about.getMetadata().getUid())
                .endInvolvedObject()
                .withType("Warning")
                .withReason(reason)
                .withMessage(message)
                .withLastTimestamp("2026-11-24T12:00:00Z")
                .build())
        .create();
  }

  private Pod pod(String name) {
    return pod(name, deployment().getSpec().getTemplate());
  }

  private Pod pod(String name, PodTemplateSpec template) {
    return new PodBuilder().withMetadata(labelled(name)).withSpec(template.getSpec()).build();
  }

  /** A pod as the controller of StatefulSets makes it: with its own claim. */
  private Pod retainedPod(String name, PodTemplateSpec template) {
    return new PodBuilder(pod(name, template))
        .editSpec()
        .addNewVolume()
        .withName("nvme")
        .withNewPersistentVolumeClaim("nvme-" + name, false)
        .endVolume()
        .endSpec()
        .build();
  }

  private void ended(Pod pod, String lastWords) {
    status(
        pod,
        p ->
            p.setStatus(
                new PodBuilder()
                    .withNewStatus()
                    .withPhase("Running")
                    .addNewContainerStatus()
                    .withName("runtime")
                    .withImage("kvdrive/runtime:test")
                    .withImageID("")
                    .withReady(false)
                    .withRestartCount(1)
                    .withNewState()
                    .withNewWaiting("back-off", "CrashLoopBackOff")
                    .endState()
                    .withNewLastState()
                    .withNewTerminated()
                    .withExitCode(1)
                    .withReason("Error")
                    .withMessage(lastWords)
                    .endTerminated()
                    .endLastState()
                    .endContainerStatus()
                    .endStatus()
                    .build()
                    .getStatus()));
  }
}
