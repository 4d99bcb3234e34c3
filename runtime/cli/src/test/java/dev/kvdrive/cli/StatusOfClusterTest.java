package dev.kvdrive.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import com.sun.net.httpserver.HttpServer;
import dev.kvdrive.api.v1alpha1.InferenceDeployment;
import dev.kvdrive.api.v1alpha1.InferenceDeploymentStatus;
import dev.kvdrive.cli.cluster.TestCluster;
import dev.kvdrive.feasibility.WrittenManifests;
import io.fabric8.kubernetes.api.model.ContainerStatus;
import io.fabric8.kubernetes.api.model.ContainerStatusBuilder;
import io.fabric8.kubernetes.api.model.EventBuilder;
import io.fabric8.kubernetes.api.model.GenericKubernetesResource;
import io.fabric8.kubernetes.api.model.apiextensions.v1.CustomResourceDefinition;
import io.fabric8.kubernetes.api.model.rbac.PolicyRule;
import io.fabric8.kubernetes.api.model.rbac.PolicyRuleBuilder;
import io.fabric8.kubernetes.client.utils.KubernetesSerialization;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.net.Inet4Address;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.NetworkInterface;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import picocli.CommandLine;

/** {@code kubectl kvdrive status} against a real API server, as people of several rights run it. */
class StatusOfClusterTest {
  private static final Duration SOON = Duration.ofSeconds(30);
  private static final KubernetesSerialization YAML = new KubernetesSerialization();

  private static final String SERVING =
      """
      observedGeneration: 1
      replicas: 2
      readyReplicas: 2
      url: http://contracts.legal.svc/v1
      operator: kvdrive-system/kvdrive
      conditions:
      - {type: Ready, status: "True", reason: Serving, message: It serves., lastTransitionTime: "2026-11-30T10:00:00Z"}
      - {type: Feasible, status: "True", reason: Fits, message: It fits., lastTransitionTime: "2026-11-30T10:00:00Z"}
      plan:
        feasible: true
        geometrySource: the bundled model
        budget: 6.25 %
        denseBelow: 512
        memory: 1Gi
        heap: 300Mi
        volume: 512Mi
        demands:
        - {tier: gpu, item: weights, size: 11.0 MiB, arithmetic: all weights}
        - {tier: dram, item: frames, size: 20.0 MiB, arithmetic: 640 frames}
      tiers:
      - {name: gpu, budget: 64Mi, planned: 60Mi, used: 58Mi, hitRate: 93%}
      - {name: dram, budget: 64Mi, planned: 50Mi, used: 12Mi}
      """;

  private static final String STUCK =
      """
      observedGeneration: 1
      replicas: 1
      readyReplicas: 0
      conditions:
      - {type: Ready, status: "False", reason: NvmeFailing, message: "Pod p-0: reads of extents fail", lastTransitionTime: "2026-11-30T10:00:00Z"}
      - {type: Feasible, status: "True", reason: Fits, message: It fits., lastTransitionTime: "2026-11-30T10:00:00Z"}
      - {type: StorageBound, status: "False", reason: NvmeFailing, message: "Pod p-0: reads of extents fail", lastTransitionTime: "2026-11-30T10:00:00Z"}
      - {type: Stalled, status: "True", reason: NvmeFailing, message: "Pod p-0: reads of extents fail", lastTransitionTime: "2026-11-30T10:00:00Z"}
      """;

  private static final String ANYTHING_GOES =
      """
      apiVersion: apiextensions.k8s.io/v1
      kind: CustomResourceDefinition
      metadata: {name: inferencedeployments.kvdrive.dev}
      spec:
        group: kvdrive.dev
        scope: Namespaced
        names: {kind: InferenceDeployment, plural: inferencedeployments, singular: inferencedeployment}
        versions:
        - name: v1alpha1
          served: true
          storage: true
          schema:
            openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}
      """;

  private static final String METRICS =
      """
      # TYPE kvdrive_completion_tokens_total counter
      kvdrive_completion_tokens_total 12345.0
      kvdrive_prompt_tokens_total 987654.0
      kvdrive_requests_running 2.0
      kvdrive_requests_waiting 1.0
      kvdrive_window_hits_total 90.0
      kvdrive_window_misses_total{tier="dram"} 10.0
      kvdrive_tier_kv_bytes{tier="gpu"} 1048576.0
      kvdrive_tier_kv_bytes{tier="dram"} 2097152.0
      kvdrive_accuracy_samples_total{kv_head="0",layer="1"} 4.0
      kvdrive_mass_missed_total{kv_head="0",layer="1"} 0.04
      """;

  private final TestCluster cluster = TestCluster.get();
  private final String namespace = cluster.newNamespace();

  @TempDir private Path folder;

  private Ended status(String... more) {
    return run("status", more);
  }

  private Ended run(String command, String... more) {
    String[] args = new String[more.length + 3];
    args[0] = command;
    args[1] = "--kubeconfig";
    args[2] = cluster.kubeconfig(namespace);
    System.arraycopy(more, 0, args, 3, more.length);
    return Ended.of(args);
  }

  private InferenceDeployment with(String name, String more, @Nullable String status) {
    InferenceDeployment deployment = WrittenManifests.deployment(name, namespace, more);
    if (status != null) {
      deployment.setStatus(YAML.unmarshal(status, InferenceDeploymentStatus.class));
    }
    return cluster.apply(deployment);
  }

  private static ContainerStatus container(boolean ready, int restarts) {
    ContainerStatusBuilder status =
        new ContainerStatusBuilder()
            .withName("runtime")
            .withImage("kvdrive/runtime:test")
            .withImageID("")
            .withReady(ready)
            .withRestartCount(restarts)
            .withNewState()
            .withNewRunning("2026-11-30T10:00:00Z")
            .endState();
    if (restarts > 0) {
      status
          .withNewLastState()
          .withNewTerminated()
          .withReason("OOMKilled")
          .withExitCode(137)
          .withFinishedAt("2026-11-30T10:00:00Z")
          .endTerminated()
          .endLastState();
    }
    return status.build();
  }

  /** Servers may proxy to no loopback address; this machine's own leads to itself all the same. */
  private static InetAddress ownAddress() throws IOException {
    return NetworkInterface.networkInterfaces()
        .flatMap(NetworkInterface::inetAddresses)
        .filter(a -> a instanceof Inet4Address && !a.isLoopbackAddress() && !a.isLinkLocalAddress())
        .findFirst()
        .orElseGet(
            () -> {
              Assumptions.abort("this machine has no address that a server may proxy to");
              throw new AssertionError();
            });
  }

  @Test
  void aLineSaysHowEachDeploymentStands() {
    with("contracts", "replicas: 2", SERVING);
    with("mail", "index: two-bit", STUCK);
    with("new", "", null);

    Ended ended = status();

    assertThat(ended.code()).as(ended.err()).isZero();
    List<String> lines = ended.out().lines().toList();
    assertThat(lines.getFirst())
        .matches(
            "NAME +READY +STATE +REASON +MODEL +CONTEXT +INDEX +GPU +DRAM +NVME +HITS +AGE +URL");
    assertThat(lines.get(1))
        .matches(
            "contracts +2/2 +Ready +- +builtin:kvdrive-tiny-32k +16,384 x 1 +planes-\\S+ +58Mi/2x64Mi +12Mi/2x64Mi +512Mi +93% +\\S+ s +http://contracts.legal.svc/v1");
    assertThat(lines.get(2)).matches("mail +0/1 +Stalled +NvmeFailing .* two-bit .*");
    assertThat(lines.get(3)).matches("new +0/1 +Unjudged +NoOperator .*");
  }

  @Test
  void allNamespacesAreToldApart() {
    with("contracts", "", null);
    Ended ended = status("-A");
    assertThat(ended.out().lines().toList())
        .anySatisfy(line -> assertThat(line).startsWith("NAMESPACE "))
        .anySatisfy(line -> assertThat(line).matches(namespace + " +contracts .*"));
    assertThat(status("-A", "contracts").code()).isEqualTo(2);
  }

  @Test
  void whereThereIsNoneThatIsSaidBesideTheOutput() {
    Ended ended = status();
    assertThat(ended.code()).isZero();
    assertThat(ended.err())
        .isEqualTo(
            "There are no InferenceDeployments in namespace %s; -A shows those of all namespaces.%n"
                .formatted(namespace));
  }

  @Test
  void aClusterWithoutTheDefinitionsIsTold() {
    try (TestCluster empty = TestCluster.startEmpty()) {
      String kubeconfig = empty.kubeconfig("default");
      for (String[] args :
          List.of(
              new String[] {"status", "--kubeconfig", kubeconfig},
              new String[] {"status", "contracts", "--kubeconfig", kubeconfig},
              new String[] {"logs", "contracts", "--kubeconfig", kubeconfig},
              new String[] {"plan", "contracts", "--kubeconfig", kubeconfig})) {
        Ended ended = Ended.of(args);
        assertThat(ended.code()).isEqualTo(1);
        assertThat(ended.err())
            .startsWith("kvdrive: the API server ")
            .contains(
                " of context test has no InferenceDeployments: their definition"
                    + " (inferencedeployments.kvdrive.dev) is not installed; install the chart");
      }
      oneThatIsNoSpecificationHidesNoOther(empty, kubeconfig);
    }
  }

  /** As one that was stored under an earlier definition. */
  private static void oneThatIsNoSpecificationHidesNoOther(TestCluster cluster, String kubeconfig) {
    cluster.install(YAML.unmarshal(ANYTHING_GOES, CustomResourceDefinition.class));
    for (String lines :
        List.of("{name: contracts}\nspec: {%s}", "{name: odd}\nspec: {%s, kvType: FP4}")) {
      cluster
          .client()
          .resource(
              YAML.unmarshal(
                  "apiVersion: kvdrive.dev/v1alpha1\nkind: InferenceDeployment\nmetadata: "
                      + lines.formatted(
                          "model: {uri: 'builtin:kvdrive-tiny-32k'}, contextLength: 16384, tiers: {gpu: {memory: 64Mi}, dram: {size: 64Mi}}"),
                  GenericKubernetesResource.class))
          .inNamespace("default")
          .create();
    }
    Ended table = Ended.of("status", "--kubeconfig", kubeconfig);
    assertThat(table.code()).as(table.err()).isZero();
    assertThat(table.out())
        .containsPattern("(?m)^contracts +0/1 +Unjudged .* 16,384 x 1 ")
        .containsPattern("(?m)^odd +0/1 +Unjudged +NoOperator +- +- ");
    assertThat(Ended.of("status", "odd", "--kubeconfig", kubeconfig).out())
        .contains("What is stored is not a specification: ", "spec.kvType");
    Ended plan = Ended.of("plan", "odd", "--kubeconfig", kubeconfig);
    assertThat(plan.code()).isEqualTo(3);
    assertThat(plan.out()).contains("InvalidSpec: What is stored is not a specification: ");
  }

  @Test
  void aReportHasConditionsPlanPodsFiguresAndEvents() throws IOException {
    with("contracts", "replicas: 2", SERVING);
    InetAddress own = ownAddress();
    HttpServer runtime = HttpServer.create(new InetSocketAddress(own, 0), 0);
    runtime.createContext(
        "/metrics",
        exchange -> {
          byte[] text = METRICS.getBytes(StandardCharsets.UTF_8);
          exchange.sendResponseHeaders(200, text.length);
          exchange.getResponseBody().write(text);
          exchange.close();
        });
    runtime.start();
    try {
      int port = runtime.getAddress().getPort();
      cluster.pod(
          namespace,
          "contracts",
          "contracts-a",
          "node-1",
          port,
          own.getHostAddress(),
          container(true, 3),
          Map.of());
      cluster.pod(
          namespace,
          "contracts",
          "contracts-b",
          "node-2",
          1,
          own.getHostAddress(),
          container(true, 0),
          Map.of());
      event("contracts", "Ready", "It serves.\u001b[31m");

      Ended ended = status("contracts");

      assertThat(ended.code()).as(ended.err()).isZero();
      assertThat(ended.out())
          .contains(
              namespace + "/contracts: Ready, 2/2 pods ready",
              "url       http://contracts.legal.svc/v1",
              "operator  kvdrive-system/kvdrive",
              "budget    6.25 %",
              "dense     up to 512 tokens",
              "memory 1Gi, heap 300Mi, volume 512Mi",
              "of 64Mi budgeted, used 58Mi by all pods, 93% of the selected chunks found here")
          .containsPattern("index +planes-")
          .containsPattern("Ready +it serves \\(Serving, ")
          .containsPattern("gpu +weights +11.0 MiB +all weights")
          .containsPattern("contracts-a +node-1 +yes +Running +3 +OOMKilled \\(137\\), ")
          .containsPattern(
              "contracts-a +2 +1 +12,345 +- +987,654 +90.0% +1.0% +1.00 MiB +2.00 MiB +-")
          .containsPattern("Not read: metrics of contracts-b: ")
          .contains("Normal Ready deployment: It serves.")
          .doesNotContain("\u001b");
    } finally {
      runtime.stop(0);
    }
  }

  private void event(String object, String reason, String message) {
    cluster
        .client()
        .resource(
            new EventBuilder()
                .withNewMetadata()
                .withName(object + ".1")
                .withNamespace(namespace)
                .endMetadata()
                .withNewInvolvedObject()
                .withKind("InferenceDeployment")
                .withName(object)
                .withNamespace(namespace)
                .endInvolvedObject()
                .withType("Normal")
                .withReason(reason)
                .withMessage(message)
                .withLastTimestamp("2026-11-30T10:00:00Z")
                .build())
        .create();
  }

  @Test
  void aTroubleIsToldOnceWithTheWayOut() {
    with("mail", "", STUCK);
    Ended ended = status("mail");
    assertThat(ended.out())
        .contains(namespace + "/mail: Stalled (NvmeFailing), 0/1 pods ready")
        .containsPattern("StorageBound +a volume is not as it must be \\(NvmeFailing")
        .containsPattern("Stalled +waiting will not help")
        .containsOnlyOnce("Pod p-0: reads of extents fail")
        .containsOnlyOnce("Way out: replace the disk; Ready comes back by itself.")
        .contains("There are none.");
  }

  private static PolicyRule may(String group, String resource, String... verbs) {
    return new PolicyRuleBuilder()
        .withApiGroups(group)
        .withResources(resource)
        .withVerbs(verbs)
        .build();
  }

  @Test
  void whatMayNotBeReadIsNamedAndLeftOut() {
    with("contracts", "replicas: 2", SERVING);
    cluster.pod(
        namespace,
        "contracts",
        "contracts-a",
        "node-1",
        1,
        "192.0.2.1",
        container(true, 0),
        Map.of());
    String reader =
        cluster.kubeconfigOf(namespace, may("kvdrive.dev", "inferencedeployments", "get"));
    Ended ended = Ended.of("status", "contracts", "--kubeconfig", reader);
    assertThat(ended.code()).as(ended.err()).isZero();
    assertThat(ended.out().replaceAll("\\s+", " "))
        .contains(
            "Not read: pods: you may not list pods in namespace " + namespace,
            "(RBAC: verb list on resource pods is missing)",
            "(RBAC: verb list on resource events is missing)");

    String withPods =
        cluster.kubeconfigOf(
            namespace,
            may("kvdrive.dev", "inferencedeployments", "get"),
            may("", "pods", "get", "list"));
    Ended some = Ended.of("status", "contracts", "--kubeconfig", withPods);
    assertThat(some.code()).isZero();
    assertThat(some.out().replaceAll("\\s+", " "))
        .contains("contracts-a node-1 yes Running")
        .contains(
            "Not read: metrics of contracts-a: you may not get pods/proxy in namespace "
                + namespace);
  }

  @Test
  void whoMayReadNoDeploymentIsToldWhichRightIsMissing() {
    with("contracts", "", null);
    String nothing = cluster.kubeconfigOf(namespace, may("", "pods", "list"));
    for (String[] args :
        List.of(
            new String[] {"status", "--kubeconfig", nothing},
            new String[] {"status", "contracts", "--kubeconfig", nothing},
            new String[] {"logs", "contracts", "--kubeconfig", nothing},
            new String[] {"plan", "contracts", "--kubeconfig", nothing})) {
      Ended ended = Ended.of(args);
      assertThat(ended.code()).isEqualTo(1);
      assertThat(ended.err().lines().toList()).hasSize(1);
      assertThat(ended.err())
          .startsWith("kvdrive: you may not ")
          .contains(
              " inferencedeployments.kvdrive.dev in namespace " + namespace, "kubectl auth whoami");
    }
  }

  @Test
  void aNameThatIsNotThereBringsThoseThatAreLikeIt() {
    with("contracts", "", null);
    with("mail", "", null);
    Ended ended = status("contract");
    assertThat(ended.code()).isEqualTo(1);
    assertThat(ended.err())
        .isEqualTo(
            "kvdrive: there is no InferenceDeployment contract in namespace %s; there are contracts, mail%n"
                .formatted(namespace));
    String other = cluster.newNamespace();
    assertThat(status("contracts", "-n", other).err())
        .contains("there is no InferenceDeployment contracts in namespace " + other)
        .contains("; there is one with ")
        .contains("-n " + namespace);
  }

  @Test
  void aClusterThatCannotBeReachedIsNamedWithItsContext() {
    Ended ended = Ended.of("status", "--kubeconfig", cluster.kubeconfigOf("https://127.0.0.1:1"));
    assertThat(ended.code()).isEqualTo(1);
    assertThat(ended.err())
        .startsWith(
            "kvdrive: the API server https://127.0.0.1:1/ of context test cannot be reached: ")
        .contains("--kubeconfig");
    Ended unknown =
        Ended.of("status", "--kubeconfig", cluster.kubeconfigOf("https://none.invalid:6443"));
    assertThat(unknown.code()).isEqualTo(1);
    assertThat(unknown.err()).contains("cannot be reached: ");
  }

  @Test
  void credentialsThatNobodyKnowsAreSaidToBe() {
    Ended ended = Ended.of("status", "--kubeconfig", cluster.kubeconfigOfNobody());
    assertThat(ended.code()).isEqualTo(1);
    assertThat(ended.err()).contains("does not know you (401 Unauthorized)", "log in again");
  }

  @Test
  void aKubeconfigOrContextThatIsNotThereIsWrongUsage() throws IOException {
    Ended noFile = Ended.of("status", "--kubeconfig", "none/config");
    assertThat(noFile.code()).isEqualTo(2);
    assertThat(noFile.err())
        .startsWith("kvdrive: --kubeconfig none/config: there is no such file")
        .endsWith("See 'kubectl kvdrive status --help'.%n".formatted());
    Ended noContext = status("--context", "tets");
    assertThat(noContext.code()).isEqualTo(2);
    assertThat(noContext.err())
        .contains("there is no context 'tets' in the kubeconfig; it has test");
    Path odd = Files.writeString(folder.resolve("odd"), "{{ no yaml");
    Ended unreadable = Ended.of("status", "--kubeconfig", odd.toString());
    assertThat(unreadable.code()).isEqualTo(1);
    assertThat(unreadable.err()).contains(odd + " is no kubeconfig: ");
  }

  @Test
  void withoutAnyKubeconfigTheWayToOneIsSaid() {
    System.setProperty("kubeconfig", folder.resolve("none").toString());
    try {
      Ended ended = Ended.of("status");
      assertThat(ended.code()).isEqualTo(1);
      assertThat(ended.err())
          .isEqualTo(
              "kvdrive: there is no kubeconfig: %s is not there. Name one with --kubeconfig, or set KUBECONFIG to it%n"
                  .formatted(folder.resolve("none")));
    } finally {
      System.clearProperty("kubeconfig");
    }
  }

  @Test
  void aWatchShowsWhatHasChangedAndNothingElse() throws InterruptedException {
    with("contracts", "replicas: 2", null);
    StringWriter out = new StringWriter();
    Thread watch =
        Thread.ofVirtual()
            .start(
                () -> {
                  CommandLine line = KubectlKvDrive.commandLine();
                  line.setOut(new PrintWriter(out, true));
                  line.setErr(new PrintWriter(new StringWriter()));
                  line.execute("status", "-w", "--kubeconfig", cluster.kubeconfig(namespace));
                });
    try {
      await().atMost(SOON).until(() -> out.toString().contains("Unjudged"));
      InferenceDeployment stored =
          Objects.requireNonNull(
              cluster
                  .client()
                  .resources(InferenceDeployment.class)
                  .inNamespace(namespace)
                  .withName("contracts")
                  .get());
      stored.setStatus(YAML.unmarshal(SERVING, InferenceDeploymentStatus.class));
      cluster.client().resource(stored).updateStatus();
      await().atMost(SOON).until(() -> out.toString().contains("2/2"));
    } finally {
      watch.interrupt();
      watch.join(SOON);
    }
    assertThat(out.toString().lines().filter(line -> line.startsWith("NAME ")).count())
        .isEqualTo(2);
  }
}
