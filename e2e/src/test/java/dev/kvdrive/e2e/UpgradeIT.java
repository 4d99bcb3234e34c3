package dev.kvdrive.e2e;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.kvdrive.api.v1alpha1.InferenceDeployment;
import io.fabric8.kubernetes.api.model.GenericKubernetesResource;
import io.fabric8.kubernetes.api.model.NamespaceBuilder;
import io.fabric8.kubernetes.api.model.Pod;
import io.fabric8.kubernetes.client.KubernetesClient;
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
import java.util.TreeMap;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.MethodOrderer;
import org.junit.jupiter.api.Order;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestMethodOrder;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.io.TempDir;

/**
 * A recorded release is installed, serves users who never stop asking, is upgraded to what this
 * tree is and taken back. No request fails or is cut, and each is told what it was told before.
 */
@DisplayName("An upgrade under load")
@TestMethodOrder(MethodOrderer.OrderAnnotation.class)
@ExtendWith({Chronicle.class, Diagnosis.class})
class UpgradeIT {
  private static final String OPERATOR_NAMESPACE = "kvdrive-system";
  private static final String NAMESPACE = "e2e-contracts";
  private static final String RELEASE = "kvdrive";
  private static final String NAME = "smallest";
  private static final String ADDED = "addedLater";

  /**
   * Releases whose runtime, while it drains, refuses who keeps a connection, again and again.
   * Nothing else is forgiven them.
   */
  private static final Set<String> REFUSING_WHILE_DRAINING = Set.of("0.1.0");

  private static final Duration ROLLED = Duration.ofMinutes(8);
  private static final Duration ASKED = Duration.ofMinutes(3);

  private static final Settings SETTINGS = Settings.read();
  private static final Released RELEASED = Released.read();
  private static final KubernetesClient CLIENT = PlatformIT.connect();
  private static final ClientPod USERS = new ClientPod(CLIENT, SETTINGS, NAMESPACE);
  private static final Waiting DEPLOYMENTS = new Waiting(CLIENT, NAMESPACE);

  /** Of short and long answers, with and without a connection that is kept. */
  private static final List<String> BODIES =
      List.of(body(11, 40, 24), body(12, 40, 24), body(13, 60, 400), body(14, 20, 200));

  @TempDir private static Path folder;

  private static Map<Integer, String> before = Map.of();
  private static String load = "";

  /** Requests of the load that chapters so far have looked at. */
  private static int seen;

  @BeforeAll
  static void namespaces() {
    System.out.printf(
        "upgrade of release %s in %s mode, on Kubernetes %s%n",
        RELEASED.version(), SETTINGS.mode(), CLIENT.getKubernetesVersion().getGitVersion());
    if (!SETTINGS.volumes().isEmpty()) {
      List<String> volumes = new ArrayList<>(SETTINGS.volumes());
      volumes.addAll(List.of("8", "1Gi"));
      Program.run(SETTINGS.root(), volumes);
    }
    for (String namespace : List.of(OPERATOR_NAMESPACE, NAMESPACE)) {
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

  @AfterAll
  static void disconnect() {
    CLIENT.close();
  }

  @Test
  @Order(1)
  void theReleaseIsInstalledAndServesItsSmallestExample() throws IOException {
    List<String> install =
        new ArrayList<>(List.of("install", RELEASE, RELEASED.chart().toString()));
    install.addAll(images(RELEASED.operatorImage(), RELEASED.runtimeImage()));
    helm(install);
    Path example =
        SETTINGS.root().resolve("releases").resolve(RELEASED.version()).resolve("examples");
    CLIENT
        .resource(
            Serialization.unmarshal(
                Files.readString(example.resolve(NAME + ".yaml")), GenericKubernetesResource.class))
        .inNamespace(NAMESPACE)
        .create();

    DEPLOYMENTS.forCondition(NAME, "Ready", "True", ROLLED);
    assertThat(servingImages()).containsExactly(RELEASED.runtimeImage());
    Map<Integer, String> answers = new TreeMap<>();
    for (int user = 0; user < BODIES.size(); user++) {
      Exchange exchange = USERS.post(url(), List.of(BODIES.get(user))).getFirst();
      assertThat(exchange.status()).as(exchange.toString()).isEqualTo(200);
      answers.put(user, exchange.text());
    }
    before = answers;
  }

  @Test
  @Order(2)
  void itsUsersAreToldUnderLoadWhatEachWasToldAlone() {
    load = USERS.load(url(), BODIES);
    assertWholeAndAsBefore(fromNowOn(3));
  }

  /**
   * The chart has a field more than this tree's, so that it is seen where definitions come from.
   */
  @Test
  @Order(3)
  void anUpgradeUnderLoadFailsNoRequest() throws IOException {
    List<String> upgrade = new ArrayList<>(List.of("upgrade", RELEASE, nextChart().toString()));
    upgrade.add("--reset-then-reuse-values");
    upgrade.addAll(images(SETTINGS.operatorImage(), SETTINGS.runtimeImage()));
    helm(upgrade);

    rolledTo(SETTINGS.operatorImage(), SETTINGS.runtimeImage());
    List<Sent> sent = new ArrayList<>(fromNowOn(3));
    if (REFUSING_WHILE_DRAINING.contains(RELEASED.version())) {
      sent.removeIf(UpgradeIT::isRefusedOverAKeptConnection);
    }
    assertWholeAndAsBefore(sent);
  }

  @Test
  @Order(4)
  void theDefinitionsAreUpgradedWithIt() {
    patch("{\"spec\":{\"" + ADDED + "\":true}}");
    assertThat(stored()).containsEntry(ADDED, true);
  }

  @Test
  @Order(5)
  void aRollbackUnderLoadFailsNoRequest() {
    helm(List.of("rollback", RELEASE, "1"));

    rolledTo(RELEASED.operatorImage(), RELEASED.runtimeImage());
    assertWholeAndAsBefore(fromNowOn(3));
  }

  @Test
  @Order(6)
  void theDefinitionsAreTakenBackWithItAndWhatIsStoredStays() {
    patch("{\"metadata\":{\"annotations\":{\"example.com/note\":\"written after the rollback\"}}}");
    assertThat(stored()).doesNotContainKey(ADDED).containsKeys("model", "tiers", "contextLength");
    DEPLOYMENTS.forCondition(NAME, "Ready", "True", ROLLED);
    USERS.stop(load);
  }

  /** The last chapter: the cluster is as it was. */
  @Test
  @Order(7)
  void itAllGoes() {
    CLIENT.resources(InferenceDeployment.class).inNamespace(NAMESPACE).delete();
    await("no pods")
        .atMost(ASKED)
        .until(() -> CLIENT.pods().inNamespace(NAMESPACE).list().getItems().isEmpty());
    helm(List.of("uninstall", RELEASE));
    for (String definition : List.of("inferenceclasses", "inferencedeployments")) {
      CLIENT
          .apiextensions()
          .v1()
          .customResourceDefinitions()
          .withName(definition + ".kvdrive.dev")
          .delete();
    }
    for (String namespace : List.of(OPERATOR_NAMESPACE, NAMESPACE)) {
      CLIENT.namespaces().withName(namespace).delete();
    }
  }

  // --- the words of the story ---------------------------------------------------

  private static String url() {
    return Objects.requireNonNull(DEPLOYMENTS.get(NAME)).getStatus().url() + "/v1/chat/completions";
  }

  private static String body(long seed, int sentences, int tokens) {
    ObjectNode body = Json.object();
    body.put("model", NAME);
    body.putArray("messages")
        .addObject()
        .put("role", "user")
        .put("content", NumbersDocument.of(seed, sentences, 0.5).prompt());
    body.put("max_tokens", tokens);
    body.put("temperature", 0);
    body.put("ignore_eos", true);
    body.put("stream", true);
    return body.toString();
  }

  private static List<String> images(String operator, String runtime) {
    return List.of(
        "--set",
        "operator.image.reference=" + operator,
        "--set",
        "operator.image.pullPolicy=" + SETTINGS.pullPolicy(),
        "--set",
        "runtime.image.reference=" + runtime,
        "--set",
        "runtime.image.pullPolicy=" + SETTINGS.pullPolicy());
  }

  private static void helm(List<String> arguments) {
    List<String> command = new ArrayList<>(List.of(SETTINGS.helm().toString()));
    command.addAll(arguments);
    command.addAll(List.of("--namespace", OPERATOR_NAMESPACE, "--wait", "--timeout", "5m"));
    Program.run(SETTINGS.root(), command);
  }

  private static Path nextChart() throws IOException {
    Path chart = SETTINGS.root().resolve("helm/kvdrive");
    Path copy = folder.resolve("chart");
    try (Stream<Path> files = Files.walk(chart)) {
      for (Path file : files.toList()) {
        Path to = copy.resolve(chart.relativize(file).toString());
        if (Files.isDirectory(file)) {
          Files.createDirectories(to);
        } else {
          Files.copy(file, to);
        }
      }
    }
    Path definition = copy.resolve("templates/crds/inferencedeployments.yaml");
    String text = Files.readString(definition);
    String spec = "\n            spec:\n              properties:\n";
    assertThat(text).containsOnlyOnce(spec);
    Files.writeString(
        definition, text.replace(spec, spec + "                " + ADDED + ": {type: boolean}\n"));
    return copy;
  }

  /** Waits until nothing runs but these, and all is ready. */
  private static void rolledTo(String operator, String runtime) {
    await("operator pods of " + operator)
        .atMost(ROLLED)
        .untilAsserted(
            () ->
                assertThat(CLIENT.pods().inNamespace(OPERATOR_NAMESPACE).list().getItems())
                    .isNotEmpty()
                    .allSatisfy(pod -> assertThat(image(pod)).isEqualTo(operator)));
    await("runtime pods of " + runtime)
        .atMost(ROLLED)
        .untilAsserted(
            () ->
                assertThat(runtimePods())
                    .isNotEmpty()
                    .allSatisfy(pod -> assertThat(image(pod)).isEqualTo(runtime))
                    .allSatisfy(pod -> assertThat(isReady(pod)).isTrue()));
    DEPLOYMENTS.forCondition(NAME, "Ready", "True", ROLLED);
  }

  private static List<Pod> runtimePods() {
    return CLIENT
        .pods()
        .inNamespace(NAMESPACE)
        .withLabelSelector(
            Objects.requireNonNull(
                Objects.requireNonNull(DEPLOYMENTS.get(NAME)).getStatus().selector()))
        .list()
        .getItems();
  }

  private static List<String> servingImages() {
    return runtimePods().stream().filter(UpgradeIT::isReady).map(UpgradeIT::image).toList();
  }

  private static String image(Pod pod) {
    return pod.getSpec().getContainers().getFirst().getImage();
  }

  private static boolean isReady(Pod pod) {
    return pod.getStatus().getContainerStatuses().stream()
        .anyMatch(status -> Boolean.TRUE.equals(status.getReady()));
  }

  /** The requests since the last chapter, once each user has had so many answers from now on. */
  private static List<Sent> fromNowOn(int answers) {
    List<Sent> so = USERS.sent(load);
    long now = so.stream().mapToLong(Sent::ended).max().orElse(0);
    List<Sent> all =
        await("%d answers more for each of %d users".formatted(answers, BODIES.size()))
            .atMost(ASKED)
            .until(() -> USERS.sent(load), sent -> eachHas(answers, now, sent));
    List<Sent> since = all.subList(seen, all.size());
    seen = all.size();
    System.out.printf(
        "      %d requests in %d s; of each user: %s%n      refused: %d, cut or otherwise failed: %d%n",
        since.size(),
        (since.getLast().ended() - since.getFirst().began()) / 1000,
        new TreeMap<>(
            since.stream().collect(Collectors.groupingBy(Sent::user, Collectors.counting()))),
        since.stream().filter(UpgradeIT::isRefusedOverAKeptConnection).count(),
        since.stream().filter(one -> !one.whole() && !isRefusedOverAKeptConnection(one)).count());
    return since;
  }

  private static boolean eachHas(int answers, long since, List<Sent> sent) {
    Map<Integer, Long> counts =
        sent.stream()
            .filter(one -> one.began() >= since && one.whole())
            .collect(Collectors.groupingBy(Sent::user, Collectors.counting()));
    return counts.size() == BODIES.size()
        && counts.values().stream().allMatch(count -> count >= answers);
  }

  private static boolean isRefusedOverAKeptConnection(Sent sent) {
    return sent.user() % 2 == 0 && !sent.whole() && sent.said().contains("\"shutting_down\"");
  }

  private static void assertWholeAndAsBefore(List<Sent> sent) {
    assertThat(sent.stream().filter(one -> !one.whole())).isEmpty();
    assertThat(sent)
        .allSatisfy(
            one ->
                assertThat(Json.text(one.said()))
                    .as("user %d, request %d", one.user(), one.number())
                    .isEqualTo(before.get(one.user())));
  }

  private static void patch(String merge) {
    CLIENT
        .genericKubernetesResources("kvdrive.dev/v1alpha1", "InferenceDeployment")
        .inNamespace(NAMESPACE)
        .withName(NAME)
        .patch(PatchContext.of(PatchType.JSON_MERGE), merge);
  }

  @SuppressWarnings("unchecked")
  private static Map<String, Object> stored() {
    return (Map<String, Object>)
        Objects.requireNonNull(
            CLIENT
                .genericKubernetesResources("kvdrive.dev/v1alpha1", "InferenceDeployment")
                .inNamespace(NAMESPACE)
                .withName(NAME)
                .get()
                .getAdditionalProperties()
                .get("spec"));
  }
}
