package dev.kvdrive.e2e;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.awaitility.Awaitility.await;

import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.kvdrive.api.v1alpha1.InferenceClass;
import dev.kvdrive.api.v1alpha1.InferenceDeployment;
import dev.kvdrive.api.v1alpha1.InferenceDeploymentStatus;
import dev.kvdrive.api.v1alpha1.PlanStatus;
import io.fabric8.kubernetes.api.model.Condition;
import io.fabric8.kubernetes.api.model.GenericKubernetesResource;
import io.fabric8.kubernetes.api.model.NamespaceBuilder;
import io.fabric8.kubernetes.api.model.PersistentVolume;
import io.fabric8.kubernetes.api.model.PersistentVolumeBuilder;
import io.fabric8.kubernetes.api.model.Pod;
import io.fabric8.kubernetes.api.model.PodBuilder;
import io.fabric8.kubernetes.api.model.Quantity;
import io.fabric8.kubernetes.api.model.SecretBuilder;
import io.fabric8.kubernetes.client.KubernetesClient;
import io.fabric8.kubernetes.client.KubernetesClientBuilder;
import io.fabric8.kubernetes.client.KubernetesClientException;
import io.fabric8.kubernetes.client.dsl.Resource;
import io.fabric8.kubernetes.client.dsl.base.PatchContext;
import io.fabric8.kubernetes.client.dsl.base.PatchType;
import io.fabric8.kubernetes.client.utils.Serialization;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.TreeSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.MethodOrderer;
import org.junit.jupiter.api.Order;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestMethodOrder;
import org.junit.jupiter.api.extension.ExtendWith;

/**
 * The product as a platform team and its users meet it, on a real cluster: one story, whose
 * chapters build upon each other. All namespaces enforce the restricted Pod Security level.
 */
@DisplayName("On a real cluster")
@TestMethodOrder(MethodOrderer.OrderAnnotation.class)
@ExtendWith({Chronicle.class, Diagnosis.class})
class PlatformIT {
  private static final String OPERATOR_NAMESPACE = "kvdrive-system";
  private static final String USERS_NAMESPACE = "e2e-contracts";
  private static final String OTHERS_NAMESPACE = "e2e-drafts";
  private static final String RELEASE = "kvdrive";
  private static final String DEFINITION = "inferencedeployments.kvdrive.dev";

  private static final String BUNDLED = "kvdrive-tiny-32k-q8_0";

  /** For a specification: chunks twice as large as in int8, so that more NVMe is needed. */
  private static final String AS_COMPUTED = "  backing: BF16\n";

  /** Name of a volume, and of its class, that says it is larger than it is. */
  private static final String BOASTFUL = "e2e-boastful";

  /** Name of a class whose models lie in images. */
  private static final String IMAGES = "e2e-images";

  /** Name of a class whose pods ask for a card. */
  private static final String CARDS = "e2e-cards";

  /**
   * A pod has to start a JVM, load a model and warm up, on what may be a small machine that others
   * keep busy: the pods' share of it is a tenth then. What is waited for comes or does not; that it
   * comes late is no failure of these tests.
   */
  private static final Duration SERVING = Duration.ofMinutes(8);

  private static final Duration SAYING = Duration.ofMinutes(2);

  /** The operator reads the tiers' use once a minute. */
  private static final Duration METERED = Duration.ofMinutes(3);

  /** About 16,000 tokens with the bundled model's tokenizer. */
  private static final int SENTENCES = 720;

  private static final Settings SETTINGS = Settings.read();
  private static final KubernetesClient CLIENT = connect();
  private static final ClientPod USERS = new ClientPod(CLIENT, SETTINGS, USERS_NAMESPACE);
  private static final Waiting CONTRACTS = new Waiting(CLIENT, USERS_NAMESPACE);
  private static final Waiting DRAFTS = new Waiting(CLIENT, OTHERS_NAMESPACE);

  private static Set<String> before = Set.of();

  static KubernetesClient connect() {
    return new KubernetesClientBuilder().build();
  }

  static boolean isOurs(String namespace) {
    return Set.of(OPERATOR_NAMESPACE, USERS_NAMESPACE, OTHERS_NAMESPACE).contains(namespace);
  }

  @BeforeAll
  static void say() {
    System.out.printf(
        "end-to-end tests in %s mode, on Kubernetes %s with %d node(s), storage class %s%n",
        SETTINGS.mode(),
        CLIENT.getKubernetesVersion().getGitVersion(),
        CLIENT.nodes().list().getItems().size(),
        SETTINGS.storageClass());
    if (!SETTINGS.volumes().isEmpty()) {
      volumes("8", "1Gi");
      volumes("1", "64Mi");
    }
    before = Inventory.take(CLIENT);
    for (String namespace : List.of(OPERATOR_NAMESPACE, USERS_NAMESPACE, OTHERS_NAMESPACE)) {
      CLIENT
          .resource(
              new NamespaceBuilder()
                  .withNewMetadata()
                  .withName(namespace)
                  .addToLabels("pod-security.kubernetes.io/enforce", "restricted")
                  .endMetadata()
                  .build())
          .create();
    }
  }

  /** Drafts end with their chapter, however it ended. */
  @AfterEach
  void dropDrafts() {
    if (CLIENT.apiextensions().v1().customResourceDefinitions().withName(DEFINITION).get()
        == null) {
      return;
    }
    CLIENT.resources(InferenceDeployment.class).inNamespace(OTHERS_NAMESPACE).delete();
    await("the end of the drafts' pods")
        .atMost(SAYING)
        .until(() -> CLIENT.pods().inNamespace(OTHERS_NAMESPACE).list().getItems().isEmpty());
    CLIENT.persistentVolumes().withName(BOASTFUL).delete();
    for (String of : List.of(CARDS, IMAGES)) {
      CLIENT.resources(InferenceClass.class).withName(of).delete();
    }
    if (!SETTINGS.volumes().isEmpty()) {
      volumes("--recycle");
    }
  }

  @AfterAll
  static void disconnect() {
    CLIENT.close();
  }

  @Test
  @Order(1)
  void helmInstallsTheOperator() {
    List<String> install = new ArrayList<>(List.of("install", RELEASE));
    install.addAll(SETTINGS.chart());
    install.addAll(
        List.of(
            "--namespace",
            OPERATOR_NAMESPACE,
            "--set",
            "operator.image.reference=" + SETTINGS.operatorImage(),
            "--set",
            "operator.image.pullPolicy=" + SETTINGS.pullPolicy(),
            "--set",
            "runtime.image.reference=" + SETTINGS.runtimeImage(),
            "--set",
            "runtime.image.pullPolicy=" + SETTINGS.pullPolicy(),
            "--wait",
            "--timeout",
            "5m"));
    helm(install.toArray(String[]::new));

    assertThat(CLIENT.pods().inNamespace(OPERATOR_NAMESPACE).list().getItems())
        .isNotEmpty()
        .allSatisfy(pod -> assertThat(pod.getStatus().getPhase()).isEqualTo("Running"));
  }

  @Test
  @Order(2)
  void theSmallestExampleBecomesReady() throws IOException {
    applyStrictly(Files.readString(example("smallest.yaml")), USERS_NAMESPACE);

    CONTRACTS.forCondition(smallest(), "Ready", "True", SERVING);
    assertThat(List.of("Feasible", "ModelAvailable", "StorageBound", "RuntimeReady"))
        .allSatisfy(
            type ->
                assertThat(CONTRACTS.condition(smallest(), type).map(Condition::getStatus))
                    .as(type)
                    .contains("True"));
    assertThat(status().url()).startsWith("http://");
    assertThat(Objects.requireNonNull(status().plan()).demands()).isNotEmpty();
  }

  /** Which shows that the level is enforced, and that the pods so far were held to it. */
  @Test
  @Order(3)
  void itsNamespaceRefusesAPodThatIsNotRestricted() {
    Pod ordinary =
        new PodBuilder()
            .withNewMetadata()
            .withName("ordinary")
            .withNamespace(USERS_NAMESPACE)
            .endMetadata()
            .withNewSpec()
            .addNewContainer()
            .withName("ordinary")
            .withImage(SETTINGS.runtimeImage())
            .endContainer()
            .endSpec()
            .build();

    assertThatThrownBy(() -> CLIENT.resource(ordinary).create())
        .isInstanceOf(KubernetesClientException.class)
        .hasMessageContaining("violates PodSecurity \"restricted");
  }

  @Test
  @Order(4)
  void aLongDocumentIsAnsweredThroughTheServiceOutOfThreeTiers() {
    NumbersDocument document = NumbersDocument.of(20_260_301, SENTENCES, 0.37);

    Exchange exchange;
    Map<String, Double> peaks;
    try (TierWatch watch = TierWatch.start(PlatformIT::metrics)) {
      exchange = USERS.post(completions(), List.of(question(document))).getFirst();
      peaks = watch.peaks();
    }

    assertThat(exchange.status()).as(exchange.toString()).isEqualTo(200);
    System.out.printf("      answer: %s%n      usage: %s%n", exchange.text(), exchange.usage());
    System.out.printf(
        "      most MiB of keys and values in each tier: %s%n",
        peaks.entrySet().stream()
            .map(tier -> "%s %.1f".formatted(tier.getKey(), tier.getValue() / (1 << 20)))
            .toList());
    assertThat(exchange.promptTokens()).isBetween(15_500, 17_000);
    assertThat(exchange.text()).contains(document.answer());
    assertThat(peaks).containsOnlyKeys("gpu", "dram", "nvme");
    assertThat(peaks).allSatisfy((tier, bytes) -> assertThat(bytes).as(tier).isPositive());
    Exposition metrics = metrics();
    assertThat(metrics.sum("kvdrive_window_hits_total", Map.of()).orElse(0)).isPositive();
    assertThat(List.of("dram", "nvme"))
        .allSatisfy(
            tier ->
                assertThat(
                        metrics.sum("kvdrive_fetched_bytes_total", Map.of("tier", tier)).orElse(0))
                    .as("bytes fetched from " + tier)
                    .isPositive());
  }

  @Test
  @Order(5)
  void twoUsersAreStreamedToAtTheSameTime() {
    List<String> requests =
        List.of(
            longStream(NumbersDocument.of(1, 40, 0.2)), longStream(NumbersDocument.of(2, 40, 0.8)));

    List<Exchange> together = USERS.post(completions(), requests);

    assertThat(together).allSatisfy(e -> assertThat(e.status()).as("" + e).isEqualTo(200));
    Exchange one = together.get(0);
    Exchange two = together.get(1);
    // Each had its first piece of text before the other had its last.
    assertThat(one.firstTextMillis()).isLessThan(two.lastTextMillis());
    assertThat(two.firstTextMillis()).isLessThan(one.lastTextMillis());
    // And each was told what it would have been told alone.
    for (int i = 0; i < requests.size(); i++) {
      Exchange alone = USERS.post(completions(), List.of(requests.get(i))).getFirst();
      assertThat(together.get(i).text()).isEqualTo(alone.text());
    }
  }

  @Test
  @Order(6)
  void theStatusSaysWhatTheTiersDid() {
    await("the use of the tiers in the status")
        .atMost(METERED)
        .untilAsserted(
            () ->
                assertThat(Objects.requireNonNull(status().tiers()))
                    .allSatisfy(tier -> assertThat(tier.used()).as(tier.name()).isNotNull())
                    .allSatisfy(tier -> assertThat(tier.hitRate()).as(tier.name()).isNotNull()));

    Objects.requireNonNull(status().tiers())
        .forEach(
            tier ->
                System.out.printf(
                    "      %s: %s of %s in use, %s of the selected chunks found there%n",
                    tier.name(), tier.used(), tier.budget(), tier.hitRate()));
  }

  @Test
  @Order(7)
  void afterItsPodWasKilledTheDeploymentServesAgain() {
    Pod killed = servingPod();
    CLIENT.pods().resource(killed).withGracePeriod(0).delete();

    await("another pod that is ready")
        .atMost(SERVING)
        .until(
            () ->
                readyPods().stream()
                    .map(pod -> pod.getMetadata().getUid())
                    .anyMatch(uid -> !uid.equals(killed.getMetadata().getUid())));
    CONTRACTS.forCondition(smallest(), "Ready", "True", SERVING);
    assertIsServed(3);
  }

  @Test
  @Order(8)
  void aChangedContextLengthRollsThePods() {
    Pod old = servingPod();
    InferenceDeployment deployment = Objects.requireNonNull(CONTRACTS.get(smallest()));
    int shorter = deployment.getSpec().contextLength() / 2;
    patch(smallest(), "{\"spec\":{\"contextLength\":" + shorter + "}}");

    await("a new pod instead of the old one")
        .atMost(SERVING)
        .until(
            () -> {
              List<String> uids =
                  runtimePods().stream().map(pod -> pod.getMetadata().getUid()).toList();
              return !uids.isEmpty() && !uids.contains(old.getMetadata().getUid());
            });
    CONTRACTS.forCondition(smallest(), "Ready", "True", SERVING);
    assertIsServed(4);
    NumbersDocument tooLong = NumbersDocument.of(5, SENTENCES * 2, 0.5);
    Exchange refused = USERS.post(completions(), List.of(question(tooLong))).getFirst();
    assertThat(refused.status()).as(refused.toString()).isBetween(400, 413);
    assertThat(refused.toString()).contains(Integer.toString(shorter));
  }

  @Test
  @Order(9)
  void anInfeasibleManifestIsExplainedAndMakesNoPod() {
    applyStrictly(
        manifest("impossible", 32_768, "16Mi", "32Mi", "32Mi", SETTINGS.storageClass()),
        OTHERS_NAMESPACE);

    Condition feasible = DRAFTS.forCondition("impossible", "Feasible", "False", SAYING);
    DRAFTS.forCondition("impossible", "Stalled", "True", SAYING);
    Condition ready = DRAFTS.forCondition("impossible", "Ready", "False", SAYING);
    System.out.println("      infeasible: " + ready.getMessage());
    assertThat(feasible.getMessage()).isNotBlank();
    InferenceDeployment deployment = Objects.requireNonNull(DRAFTS.get("impossible"));
    List<String> alternatives =
        Objects.requireNonNull(deployment.getStatus().plan()).alternatives();
    System.out.println("      alternatives: " + alternatives);
    assertThat(alternatives).isNotEmpty();
    assertThat(CLIENT.pods().inNamespace(OTHERS_NAMESPACE).list().getItems()).isEmpty();
  }

  @Test
  @Order(10)
  void aMissingStorageClassIsNamed() {
    applyStrictly(
        manifest("classless", 8192, "64Mi", "64Mi", "128Mi", "no-such-class"), OTHERS_NAMESPACE);

    Condition bound =
        DRAFTS.forMessage(
            "classless",
            "StorageBound",
            "False",
            Pattern.compile("no-such-class.*not found"),
            SAYING);
    System.out.println("      missing class: " + bound.getMessage());
    assertThat(DRAFTS.condition("classless", "Ready").map(Condition::getStatus)).contains("False");
  }

  @Test
  @Order(11)
  void aVolumeThatHoldsLessThanItSaysIsReported() {
    org.junit.jupiter.api.Assumptions.assumeFalse(
        SETTINGS.volumes().isEmpty(), "only where the harness makes the volumes");
    PersistentVolume small = CLIENT.persistentVolumes().withName("local-nvme-64mi-1").get();
    PersistentVolume boastful =
        new PersistentVolumeBuilder()
            .withNewMetadata()
            .withName(BOASTFUL)
            .endMetadata()
            .withSpec(small.getSpec())
            .editSpec()
            .withStorageClassName(BOASTFUL)
            .withCapacity(Map.of("storage", new Quantity("8Gi")))
            .withClaimRef(null)
            .endSpec()
            .build();
    CLIENT.resource(boastful).create();
    applyStrictly(
        manifest("deceived", 32_768, "64Mi", "64Mi", "512Mi", BOASTFUL) + AS_COMPUTED,
        OTHERS_NAMESPACE);

    Condition bound =
        DRAFTS.forMessage(
            "deceived",
            "StorageBound",
            "False",
            Pattern.compile("extents need .* has room for"),
            SERVING);
    System.out.println("      small volume: " + bound.getMessage());
    assertThat(DRAFTS.condition("deceived", "Ready").map(Condition::getStatus)).contains("False");
  }

  @Test
  @Order(12)
  void noVolumeOfTheSizeIsReported() {
    applyStrictly(
        manifest("greedy", 8192, "64Mi", "64Mi", "900Gi", SETTINGS.storageClass()),
        OTHERS_NAMESPACE);

    Condition bound =
        DRAFTS.forMessage(
            "greedy",
            "StorageBound",
            "False",
            Pattern.compile("persistent volumes to bind"),
            SAYING);
    System.out.println("      no such volume: " + bound.getMessage());
    assertThat(DRAFTS.condition("greedy", "Ready").map(Condition::getStatus)).contains("False");
  }

  @Test
  @Order(13)
  void aRolloutThatCannotGoOnLeavesWhatServesAlone() {
    Pod old = servingPod();
    String before = configOf(old);
    int context = Objects.requireNonNull(CONTRACTS.get(smallest())).getSpec().contextLength();
    patch(
        smallest(),
        "{\"spec\":{\"contextLength\":%d,\"runtime\":{\"nodeSelector\":{\"e2e\":\"nowhere\"}}}}"
            .formatted(context / 2));

    Condition ready =
        CONTRACTS.forMessage(
            smallest(), "Ready", "False", Pattern.compile("cannot be scheduled"), SAYING);
    System.out.println("      no node: " + ready.getMessage());
    assertThat(ready.getReason()).isEqualTo("Unschedulable");
    assertThat(servingPod().getMetadata().getUid()).isEqualTo(old.getMetadata().getUid());
    assertThat(
            CLIENT
                .configMaps()
                .inNamespace(USERS_NAMESPACE)
                .withName(before)
                .get()
                .getData()
                .get("runtime.yaml"))
        .contains("context-length: " + context);
    assertIsServed(6);

    patch(
        smallest(),
        "{\"spec\":{\"contextLength\":%d,\"runtime\":{\"nodeSelector\":null}}}".formatted(context));
    CONTRACTS.forCondition(smallest(), "Ready", "True", SERVING);
    assertThat(servingPod().getMetadata().getUid()).isEqualTo(old.getMetadata().getUid());
    await("the end of the configuration that nobody got to use")
        .atMost(METERED)
        .untilAsserted(
            () ->
                assertThat(
                        CLIENT
                            .configMaps()
                            .inNamespace(USERS_NAMESPACE)
                            .withLabelSelector(Objects.requireNonNull(status().selector()))
                            .list()
                            .getItems())
                    .extracting(c -> c.getMetadata().getName())
                    .containsExactly(before));
  }

  @Test
  @Order(14)
  void aMissingSecretIsNamedAndWaitedFor() {
    applyStrictly(
        manifest("keyless", 8192, "64Mi", "64Mi", "128Mi", SETTINGS.storageClass())
            + "  access: {apiKeysSecret: {name: clients, key: keys}}\n",
        OTHERS_NAMESPACE);

    Condition ready =
        DRAFTS.forMessage(
            "keyless", "Ready", "False", Pattern.compile("Secret clients.*key keys"), SERVING);
    System.out.println("      no secret: " + ready.getMessage());
    assertThat(ready.getReason()).isEqualTo("SecretNotFound");
    CLIENT
        .resource(
            new SecretBuilder()
                .withNewMetadata()
                .withName("clients")
                .withNamespace(OTHERS_NAMESPACE)
                .endMetadata()
                .addToStringData("keys", "a-key-of-the-tests")
                .build())
        .create();
    DRAFTS.forCondition("keyless", "Ready", "True", SERVING);
    CLIENT.secrets().inNamespace(OTHERS_NAMESPACE).withName("clients").delete();
  }

  /** On a volume of exactly that size, with the defaults of its filesystem. */
  @Test
  @Order(15)
  void whatThePlanSaysToAddIsEnough() {
    org.junit.jupiter.api.Assumptions.assumeFalse(
        SETTINGS.volumes().isEmpty(), "only where the harness makes the volumes");
    applyStrictly(
        manifest("lacking", 32_768, "64Mi", "64Mi", "32Mi", SETTINGS.storageClass()) + AS_COMPUTED,
        OTHERS_NAMESPACE);
    DRAFTS.forCondition("lacking", "Feasible", "False", SAYING);
    InferenceDeployment lacking = Objects.requireNonNull(DRAFTS.get("lacking"));
    PlanStatus plan = Objects.requireNonNull(Objects.requireNonNull(lacking.getStatus()).plan());
    String toAdd = Objects.requireNonNull(plan.alternatives()).getLast();
    Matcher size = Pattern.compile("with (\\d+Mi) of NVMe$").matcher(toAdd);
    assertThat(size.find()).as(toAdd).isTrue();
    System.out.println("      to be added: " + toAdd);
    Set<String> without = Inventory.take(CLIENT);
    volumes("1", size.group(1));
    Set<String> offered = new TreeSet<>(Inventory.take(CLIENT));
    offered.removeAll(without);
    offered.addAll(before);
    before = offered; // the harness keeps its volumes

    applyStrictly(
        manifest("enough", 32_768, "64Mi", "64Mi", size.group(1), SETTINGS.storageClass())
            + AS_COMPUTED,
        OTHERS_NAMESPACE);
    DRAFTS.forCondition("enough", "Ready", "True", SERVING);
  }

  @Test
  @Order(16)
  void theOnlyCardGoesToOnePodAndThenToTheNext() {
    try (Cards cards = Cards.one(SETTINGS, "nvidia.com/gpu")) {
      classOf(cards);
      applyStrictly(onCard("first"), OTHERS_NAMESPACE);
      Condition unusable =
          DRAFTS.forReason("first", "RuntimeReady", "False", "GpuUnusable", SERVING);
      System.out.println("      no CUDA: " + unusable.getMessage());
      assertThat(cards.given(podOf("first"))).isEqualTo("gpu-0");
      awaitEvent("first", "GpuUnusable");

      applyStrictly(onCard("second"), OTHERS_NAMESPACE);
      Condition waits = DRAFTS.forReason("second", "RuntimeReady", "False", "NoGpuFree", SAYING);
      System.out.println("      no card: " + waits.getMessage());
      assertThat(waits.getMessage()).contains("Insufficient nvidia.com/gpu", CARDS);
      awaitEvent("second", "NoGpuFree");
      assertThat(cards.given(podOf("second"))).isEmpty();

      draft("first").delete();
      DRAFTS.forReason("second", "RuntimeReady", "False", "GpuUnusable", SERVING);
      assertThat(cards.given(podOf("second"))).isEqualTo("gpu-0");
    }
  }

  /** And a part of a card is a resource like a whole one. */
  @Test
  @Order(17)
  void aCardThatIsLostIsTold() {
    try (Cards cards = Cards.one(SETTINGS, "nvidia.com/mig-1g.5gb")) {
      classOf(cards);
      applyStrictly(onCard("bereft"), OTHERS_NAMESPACE);
      DRAFTS.forReason("bereft", "RuntimeReady", "False", "GpuUnusable", SERVING);
      String pod = podOf("bereft");
      assertThat(cards.given(pod)).isEqualTo("mig-1g.5gb-0");

      cards.lost(true);
      Condition lost = DRAFTS.forReason("bereft", "RuntimeReady", "False", "GpuFailed", SAYING);
      System.out.println("      lost card: " + lost.getMessage());
      assertThat(lost.getMessage()).contains(pod, "nvidia.com/mig-1g.5gb mig-1g.5gb-0");
      awaitEvent("bereft", "GpuFailed");

      // As the message says. Its successor finds no card, and has this one when it is back.
      await("a node without a card").atMost(SAYING).until(() -> offered(cards.resource()) == 0);
      CLIENT.pods().inNamespace(OTHERS_NAMESPACE).withName(pod).delete();
      Condition waits = DRAFTS.forReason("bereft", "RuntimeReady", "False", "NoGpuFree", SAYING);
      assertThat(waits.getMessage()).contains("Insufficient nvidia.com/mig-1g.5gb");
      cards.lost(false);
      DRAFTS.forReason("bereft", "RuntimeReady", "False", "GpuUnusable", SERVING);
      assertThat(podOf("bereft")).isNotEqualTo(pod);
      assertThat(cards.given(podOf("bereft"))).isEqualTo("mig-1g.5gb-0");
    }
  }

  /** The second pod starts while the registry is away; what is not on the node says so. */
  @Test
  @Order(18)
  void aModelsImageIsPulledOnceANode() {
    String run = "tiny-" + Long.toString(System.currentTimeMillis(), 36);
    String repository = "models/" + run;
    String spoiled = repository + "-spoiled";
    Path model =
        SETTINGS.root().resolve("runtime/model/src/main/resources/models/" + BUNDLED + ".gguf");
    NumbersDocument document = NumbersDocument.of(6, 40, 0.5);
    try (Registry registry = Registry.start(SETTINGS)) {
      registry.push(model, run, repository, "1");
      registry.push(model, run + "-spoiled", spoiled, "1");
      registry.spoil(spoiled);
      classOf(registry);
      String image = registry.name() + "/" + repository;
      applyStrictly(inImage("puller", image + ":1"), OTHERS_NAMESPACE);
      applyStrictly(inImage("absent", image + ":2"), OTHERS_NAMESPACE);
      applyStrictly(inImage("damaged", registry.name() + "/" + spoiled + ":1"), OTHERS_NAMESPACE);

      assertModelImageUnavailable("absent", "has no such image");
      assertModelImageUnavailable("damaged", "is not what the digest says");
      DRAFTS.forCondition("puller", "Ready", "True", SERVING);
      List<String> pulled = registry.given(repository);
      System.out.println("      pulled: " + pulled);
      // Index, manifest, configuration and layer, each once.
      assertThat(pulled).hasSize(4).allMatch(line -> line.startsWith("1 sha256:"));
      draft("absent").delete();
      draft("damaged").delete();

      registry.stop();
      applyStrictly(inImage("neighbour", image + ":1"), OTHERS_NAMESPACE);
      applyStrictly(inImage("cut-off", image + ":3"), OTHERS_NAMESPACE);
      assertModelImageUnavailable("cut-off", "does not reach registry");
      DRAFTS.forCondition("neighbour", "Ready", "True", SERVING);
      assertThat(registry.given(repository)).isEqualTo(pulled);
      String url = draft("neighbour").get().getStatus().url() + "/v1/chat/completions";
      ObjectNode body = request(document, 24);
      body.put("model", "neighbour");
      Exchange exchange = USERS.post(url, List.of(body.toString())).getFirst();
      assertThat(exchange.status()).as(exchange.toString()).isEqualTo(200);
      assertThat(exchange.text()).contains(document.answer());
    }
  }

  @Test
  @Order(19)
  void deletingTheDeploymentLeavesNothingInItsNamespace() {
    CLIENT
        .resources(InferenceDeployment.class)
        .inNamespace(USERS_NAMESPACE)
        .withName(smallest())
        .delete();

    await("nothing left in " + USERS_NAMESPACE)
        .atMost(SAYING)
        .untilAsserted(
            () ->
                assertThat(Inventory.take(CLIENT))
                    .filteredOn(object -> object.contains(" " + USERS_NAMESPACE + "/"))
                    .filteredOn(object -> !isOfEveryNamespace(object))
                    .isEmpty());
  }

  @Test
  @Order(20)
  void uninstallingLeavesNothingButTheDefinitions() {
    helm("uninstall", RELEASE, "--namespace", OPERATOR_NAMESPACE, "--wait");
    // Who provides volumes takes its time to remove them.
    await("nothing left but the definitions")
        .atMost(SAYING)
        .untilAsserted(
            () ->
                assertThat(leftBehind())
                    .filteredOn(object -> !object.contains(" " + OPERATOR_NAMESPACE + "/"))
                    .filteredOn(object -> !object.startsWith("/namespaces "))
                    .filteredOn(object -> !isOfEveryNamespace(object))
                    .containsExactlyInAnyOrder(
                        "apiextensions.k8s.io/customresourcedefinitions"
                            + " /inferenceclasses.kvdrive.dev",
                        "apiextensions.k8s.io/customresourcedefinitions"
                            + " /inferencedeployments.kvdrive.dev",
                        "apiregistration.k8s.io/apiservices /v1alpha1.kvdrive.dev"));

    for (String definition : List.of("inferenceclasses", "inferencedeployments")) {
      CLIENT
          .apiextensions()
          .v1()
          .customResourceDefinitions()
          .withName(definition + ".kvdrive.dev")
          .delete();
    }
    for (String namespace : List.of(OPERATOR_NAMESPACE, USERS_NAMESPACE, OTHERS_NAMESPACE)) {
      CLIENT.namespaces().withName(namespace).delete();
    }
    await("the cluster as it was")
        .atMost(SAYING)
        .untilAsserted(() -> assertThat(leftBehind()).isEmpty());
  }

  // --- the words of the story ---------------------------------------------------

  private static String smallest() {
    return "smallest";
  }

  private static Path example(String name) {
    return SETTINGS.root().resolve("examples").resolve(name);
  }

  private static InferenceDeploymentStatus status() {
    return Objects.requireNonNull(CONTRACTS.get(smallest())).getStatus();
  }

  private static String completions() {
    return status().url() + "/v1/chat/completions";
  }

  private static String question(NumbersDocument document) {
    return request(document, 24).toString();
  }

  /** A question whose answer is streamed, and goes on for long after it has been answered. */
  private static String longStream(NumbersDocument document) {
    ObjectNode body = request(document, 700);
    body.put("ignore_eos", true);
    body.put("stream", true);
    body.putObject("stream_options").put("include_usage", true);
    return body.toString();
  }

  private static ObjectNode request(NumbersDocument document, int tokens) {
    ObjectNode body = Json.object();
    body.put("model", smallest());
    body.putArray("messages").addObject().put("role", "user").put("content", document.prompt());
    body.put("max_tokens", tokens);
    body.put("temperature", 0);
    return body;
  }

  private static void assertIsServed(long seed) {
    NumbersDocument document = NumbersDocument.of(seed, SENTENCES / 8, 0.5);
    Exchange exchange = USERS.post(completions(), List.of(question(document))).getFirst();
    assertThat(exchange.status()).as(exchange.toString()).isEqualTo(200);
    assertThat(exchange.text()).contains(document.answer());
  }

  private static List<Pod> runtimePods() {
    return CLIENT
        .pods()
        .inNamespace(USERS_NAMESPACE)
        .withLabelSelector(Objects.requireNonNull(status().selector()))
        .list()
        .getItems();
  }

  private static List<Pod> readyPods() {
    return runtimePods().stream()
        .filter(pod -> pod.getMetadata().getDeletionTimestamp() == null)
        .filter(
            pod ->
                pod.getStatus().getConditions().stream()
                    .anyMatch(c -> c.getType().equals("Ready") && c.getStatus().equals("True")))
        .toList();
  }

  private static Pod servingPod() {
    return readyPods().getFirst();
  }

  private static String configOf(Pod pod) {
    return pod.getSpec().getVolumes().stream()
        .filter(volume -> volume.getConfigMap() != null)
        .map(volume -> volume.getConfigMap().getName())
        .findFirst()
        .orElseThrow();
  }

  private static Exposition metrics() {
    Pod pod = servingPod();
    String path =
        "/api/v1/namespaces/%s/pods/%s:8080/proxy/metrics"
            .formatted(pod.getMetadata().getNamespace(), pod.getMetadata().getName());
    return Exposition.parse(Objects.requireNonNull(CLIENT.raw(path), path));
  }

  /** An InferenceDeployment of the bundled model. */
  private static String manifest(
      String name, int context, String gpu, String dram, String nvme, String storageClass) {
    return """
    apiVersion: kvdrive.dev/v1alpha1
    kind: InferenceDeployment
    metadata: {name: %s}
    spec:
      model: {uri: "builtin:kvdrive-tiny-32k"}
      contextLength: %d
      concurrency: 1
      tiers:
        gpu: {memory: %s}
        dram: {size: %s}
        nvme: {size: %s, storageClassName: %s}
    """
        .formatted(name, context, gpu, dram, nvme, storageClass);
  }

  /** A class of models in images of that registry. */
  private static void classOf(Registry registry) {
    CLIENT
        .resource(
            Serialization.unmarshal(
                """
                apiVersion: kvdrive.dev/v1alpha1
                kind: InferenceClass
                metadata: {name: %s}
                spec:
                  device: CPU
                  models: {allowedPrefixes: ["oci://%s/models/"]}
                """
                    .formatted(IMAGES, registry.name()),
                GenericKubernetesResource.class))
        .create();
  }

  /** An InferenceDeployment of the bundled model, as if it were not, in an image. */
  private static String inImage(String name, String image) {
    return """
    apiVersion: kvdrive.dev/v1alpha1
    kind: InferenceDeployment
    metadata: {name: %s}
    spec:
      className: %s
      model:
        uri: "oci://%s"
        geometry:
          {layers: 6, hidden: 256, heads: 4, kvHeads: 2, headDim: 64, feedForward: 768, vocabulary: 8192,
           maxContext: 32768, weights: "7255040", gpuWeights: "7255040"}
      contextLength: 8192
      concurrency: 1
      tiers:
        gpu: {memory: 64Mi}
        dram: {size: 64Mi}
    """
        .formatted(name, IMAGES, image);
  }

  private static void assertModelImageUnavailable(String name, String words) {
    Condition model =
        DRAFTS.forMessage(
            name, "ModelAvailable", "False", Pattern.compile(Pattern.quote(words)), SAYING);
    System.out.println("      " + name + ": " + model.getMessage());
    assertThat(model.getReason()).isEqualTo("ModelImageUnavailable");
    DRAFTS.forReason(name, "Ready", "False", "ModelImageUnavailable", SAYING);
  }

  /** A class of GPUs, with the image that has no CUDA: there is no driver either. */
  private static void classOf(Cards cards) {
    CLIENT
        .resource(
            Serialization.unmarshal(
                """
                apiVersion: kvdrive.dev/v1alpha1
                kind: InferenceClass
                metadata: {name: %s}
                spec:
                  device: CUDA
                  gpu: {resourceName: %s}
                  runtime: {image: "%s", imagePullPolicy: %s}
                """
                    .formatted(
                        CARDS, cards.resource(), SETTINGS.runtimeImage(), SETTINGS.pullPolicy()),
                GenericKubernetesResource.class))
        .create();
  }

  /** An InferenceDeployment of that class. */
  private static String onCard(String name) {
    return """
    apiVersion: kvdrive.dev/v1alpha1
    kind: InferenceDeployment
    metadata: {name: %s}
    spec:
      className: %s
      model: {uri: "builtin:kvdrive-tiny-32k"}
      contextLength: 8192
      concurrency: 1
      tiers:
        gpu: {memory: 2Gi}
        dram: {size: 128Mi}
    """
        .formatted(name, CARDS);
  }

  private static Resource<InferenceDeployment> draft(String name) {
    return CLIENT.resources(InferenceDeployment.class).inNamespace(OTHERS_NAMESPACE).withName(name);
  }

  /** Sums up what the nodes have to give of a resource, as the scheduler sees it. */
  private static int offered(String resource) {
    return CLIENT.nodes().list().getItems().stream()
        .map(node -> node.getStatus().getAllocatable().get(resource))
        .filter(Objects::nonNull)
        .mapToInt(quantity -> Integer.parseInt(quantity.getAmount()))
        .sum();
  }

  /** The pod of a draft that has only one that stays. */
  private static String podOf(String name) {
    return CLIENT
        .pods()
        .inNamespace(OTHERS_NAMESPACE)
        .withLabelSelector(Objects.requireNonNull(draft(name).get().getStatus().selector()))
        .list()
        .getItems()
        .stream()
        .filter(pod -> pod.getMetadata().getDeletionTimestamp() == null)
        .map(pod -> pod.getMetadata().getName())
        .findFirst()
        .orElseThrow();
  }

  /** Waits for the event that tells of a draft's Ready condition with a reason. */
  private static void awaitEvent(String name, String reason) {
    await("an event %s of %s".formatted(reason, name))
        .atMost(SAYING)
        .until(
            () ->
                CLIENT.v1().events().inNamespace(OTHERS_NAMESPACE).list().getItems().stream()
                    .filter(e -> e.getInvolvedObject().getKind().equals("InferenceDeployment"))
                    .filter(e -> e.getInvolvedObject().getName().equals(name))
                    .anyMatch(e -> e.getReason().equals(reason)));
  }

  private static void applyStrictly(String yaml, String namespace) {
    GenericKubernetesResource resource =
        Serialization.unmarshal(yaml, GenericKubernetesResource.class);
    CLIENT
        .resource(resource)
        .inNamespace(namespace)
        .fieldValidation(io.fabric8.kubernetes.client.dsl.FieldValidateable.Validation.STRICT)
        .create();
  }

  private static void patch(String name, String merge) {
    CLIENT
        .resources(InferenceDeployment.class)
        .inNamespace(USERS_NAMESPACE)
        .withName(name)
        .patch(PatchContext.of(PatchType.JSON_MERGE), merge);
  }

  private static void helm(String... arguments) {
    List<String> command = new ArrayList<>(List.of(SETTINGS.helm().toString()));
    command.addAll(List.of(arguments));
    Program.run(SETTINGS.root(), command);
  }

  private static void volumes(String... arguments) {
    List<String> command = new ArrayList<>(SETTINGS.volumes());
    command.addAll(List.of(arguments));
    Program.run(SETTINGS.root(), command);
  }

  private static Set<String> leftBehind() {
    Set<String> left = new TreeSet<>(Inventory.take(CLIENT));
    left.removeAll(before);
    return left;
  }

  private static boolean isOfEveryNamespace(String object) {
    return (object.startsWith("/configmaps ") && object.endsWith("/kube-root-ca.crt"))
        || (object.startsWith("/serviceaccounts ") && object.endsWith("/default"));
  }
}
