package dev.kvdrive.cli;

import static org.assertj.core.api.Assertions.assertThat;

import dev.kvdrive.api.v1alpha1.InferenceClass;
import dev.kvdrive.api.v1alpha1.InferenceDeployment;
import dev.kvdrive.api.v1alpha1.InferenceDeploymentStatus;
import dev.kvdrive.cli.cluster.TestCluster;
import dev.kvdrive.feasibility.WrittenManifests;
import dev.kvdrive.observed.Labels;
import io.fabric8.kubernetes.api.model.NodeBuilder;
import io.fabric8.kubernetes.api.model.rbac.PolicyRuleBuilder;
import io.fabric8.kubernetes.client.utils.KubernetesSerialization;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** {@code kubectl kvdrive plan} by what a real API server has. */
class PlanOfClusterTest {
  private static final String SIZES =
      """
      contextLength: 16384
      tiers:
        gpu: {memory: 64Mi}
        dram: {size: 64Mi}
        nvme: {size: 512Mi}
      """;

  private final TestCluster cluster = TestCluster.get();
  private final String namespace = cluster.newNamespace();

  @TempDir private Path folder;

  private static Ended planAs(String kubeconfig, String... more) {
    List<String> args = new ArrayList<>(List.of("plan", "--kubeconfig", kubeconfig));
    args.addAll(List.of(more));
    return Ended.of(args.toArray(String[]::new));
  }

  private Ended plan(String... more) {
    return planAs(cluster.kubeconfig(namespace), more);
  }

  private String manifest(String name, String spec) throws IOException {
    return Files.writeString(
            folder.resolve(name + ".yaml"),
            """
            apiVersion: kvdrive.dev/v1alpha1
            kind: InferenceDeployment
            metadata: {name: %s}
            spec:
              model: {uri: "builtin:kvdrive-tiny-32k"}
            """
                    .formatted(name)
                + spec.indent(2))
        .toString();
  }

  /** Names are of the whole cluster, which other tests share. */
  private InferenceClass clazz(String spec) {
    return cluster
        .client()
        .resource(WrittenManifests.clazz("class-of-" + namespace, spec))
        .create();
  }

  private String quota() {
    return clazz("tenants: [{namespace: %s, dram: 128Mi}]".formatted(namespace))
        .getMetadata()
        .getName();
  }

  @Test
  void aDeploymentOfTheClusterIsJudgedByItsClass() {
    String name = clazz("limits: {contextLength: 8192}").getMetadata().getName();
    cluster.apply(
        WrittenManifests.deployment("contracts", namespace, SIZES, "className: " + name + "\n"));

    Ended ended = plan("contracts");

    assertThat(ended.code()).as(ended.err()).isEqualTo(3);
    assertThat(ended.out())
        .contains("# " + namespace + "/contracts", "NotAllowed: ", "8,192")
        .contains("Note: No operator has judged it.");
  }

  @Test
  void whatFitsIsTheSamePlanAsThatOfItsManifest() throws IOException {
    cluster.apply(WrittenManifests.deployment("contracts", namespace, SIZES, ""));
    Ended stored = plan("contracts");
    Ended written = plan("--cluster", "-f", manifest("contracts", SIZES));
    assertThat(stored.code()).as(stored.err()).isZero();
    assertThat(written.out()).contains("fits:");
    assertThat(stored.out().lines().toList()).containsAll(written.out().lines().toList());
  }

  @Test
  void aVerdictThatIsNotTheOperatorsIsSaidToBe() {
    InferenceDeployment deployment = WrittenManifests.deployment("contracts", namespace, SIZES, "");
    deployment.setStatus(
        new KubernetesSerialization()
            .unmarshal(
                """
                conditions:
                - {type: Feasible, status: "False", reason: NameTaken, message: There is a Service of that name., observedGeneration: 1, lastTransitionTime: "2026-11-30T10:00:00Z"}
                """,
                InferenceDeploymentStatus.class));
    cluster.apply(deployment);
    Ended ended = plan("contracts");
    assertThat(ended.code()).isZero();
    assertThat(ended.out())
        .contains("Note: The operator says otherwise: NameTaken: There is a Service of that name.");
  }

  @Test
  void aManifestGetsTheClassesOfTheCluster() throws IOException {
    String limited = clazz("limits: {contextLength: 8192}").getMetadata().getName();
    String file = manifest("contracts", SIZES + "className: " + limited + "\n");
    assertThat(Ended.of("plan", "-f", file).code()).isEqualTo(1);
    Ended ended = plan("--cluster", "-f", file);
    assertThat(ended.code()).as(ended.err()).isEqualTo(3);
    assertThat(ended.out()).contains("# " + namespace + "/contracts", "NotAllowed");
    Ended none = plan("--cluster", "-f", manifest("odd", SIZES + "className: none\n"));
    assertThat(none.code()).isEqualTo(3);
    assertThat(none.out()).contains("ClassNotFound: There is no InferenceClass none");
  }

  @Test
  void aQuotaCountsWhatRunsAndWhatIsOlder() throws IOException {
    String name = quota();
    String file = manifest("mail", SIZES + "className: " + name + "\n");
    assertThat(plan("--cluster", "-f", file).code()).isZero();

    cluster.apply(
        WrittenManifests.deployment("contracts", namespace, SIZES, "className: " + name + "\n"));
    assertThat(plan("--cluster", "-f", file).code()).isZero();

    cluster.pod(
        namespace,
        "contracts",
        "contracts-a",
        "node-1",
        8080,
        null,
        null,
        Map.of(Labels.CLASS, name, Labels.DRAM_BYTES, Long.toString(100L << 20)));
    Ended beyond = plan("--cluster", "-f", file);
    assertThat(beyond.code()).as(beyond.out()).isEqualTo(3);
    assertThat(beyond.out()).contains("QuotaExceeded");
    // The older one has what it runs with, and is not pushed out by what would come.
    assertThat(plan("contracts").code()).isZero();
  }

  @Test
  void severalManifestsAreJudgedAsIfAllWereApplied() throws IOException {
    String name = quota();
    String clazz = "className: " + name + "\n";
    Ended ended =
        plan(
            "--cluster",
            "-f",
            manifest("a", SIZES + clazz),
            "-f",
            manifest("b", SIZES + clazz),
            "-f",
            manifest("c", SIZES + clazz));
    assertThat(ended.code()).isEqualTo(3);
    assertThat(ended.out())
        .containsOnlyOnce("QuotaExceeded")
        .containsPattern("(?s)# \\S+/c\\RQuotaExceeded");
  }

  @Test
  void whatGpusHaveIsThatOfTheNodes() throws IOException {
    cluster
        .client()
        .resource(
            new NodeBuilder()
                .withNewMetadata()
                .withName("gpu-of-" + namespace)
                .withLabels(
                    Map.of(
                        "nvidia.com/gpu.product", "NVIDIA-TEST",
                        "nvidia.com/gpu.memory", "8192",
                        "pool", namespace))
                .endMetadata()
                .build())
        .create();
    String name =
        clazz("device: CUDA\nruntime: {nodeSelector: {pool: %s}}".formatted(namespace))
            .getMetadata()
            .getName();
    Ended ended =
        plan(
            "--cluster",
            "-f",
            manifest(
                "contracts",
                SIZES.replace("gpu: {memory: 64Mi}", "gpu: {memory: 16Gi}")
                    + "className: "
                    + name
                    + "\n"));
    assertThat(ended.code()).as(ended.err()).isEqualTo(3);
    assertThat(ended.out())
        .contains("GpuTooSmall: ", "as by an operator with watch.nodes")
        .doesNotContain("could not be read");
  }

  @Test
  void withoutTheClassesThereIsNoVerdictButTheirOwnManifests() throws IOException {
    String name = quota();
    String reader =
        cluster.kubeconfigOf(
            namespace,
            new PolicyRuleBuilder()
                .withApiGroups("kvdrive.dev")
                .withResources("inferencedeployments")
                .withVerbs("get", "list")
                .build());
    String file = manifest("contracts", SIZES + "className: " + name + "\n");
    Ended ended = planAs(reader, "--cluster", "-f", file);
    assertThat(ended.code()).isEqualTo(1);
    assertThat(ended.err())
        .startsWith("kvdrive: InferenceClass %s could not be read".formatted(name))
        .contains(
            "you may not list inferenceclasses.kvdrive.dev in the whole cluster",
            "Give the class with -f instead");

    Path given =
        Files.writeString(
            folder.resolve("class.yaml"),
            """
            apiVersion: kvdrive.dev/v1alpha1
            kind: InferenceClass
            metadata: {name: %s}
            spec: {tenants: [{namespace: %s, dram: 128Mi}]}
            """
                .formatted(name, namespace));
    Ended judged = planAs(reader, "--cluster", "-f", file, "-f", given.toString());
    assertThat(judged.code()).as(judged.err()).isZero();
    assertThat(judged.out())
        .contains("Note: The quota is judged without what runs: you may not list deployments.apps");
  }

  @Test
  void aNamespaceThatIsNotThereIsNamed() throws IOException {
    Ended ended = plan("--cluster", "-n", "none-such", "-f", manifest("contracts", SIZES));
    assertThat(ended.code()).isZero();
    assertThat(ended.out())
        .contains("Note: There is no namespace none-such: kubectl create namespace none-such");
  }

  @Test
  void whatDoesNotGoTogetherIsWrongUsage() throws IOException {
    String file = manifest("contracts", SIZES);
    assertThat(plan("contracts", "-f", file).err()).contains("leave one out");
    assertThat(plan("-f", file).err()).contains("--kubeconfig says which cluster; add --cluster");
    assertThat(Ended.of("plan", "--cluster").err()).contains("--cluster is about manifests");
    assertThat(Ended.of("plan", "--kube-context", "x", "-f", file).err())
        .contains("--kube-context says which cluster; add --cluster");
    assertThat(plan("contracts", "--gpu", "1Gi").err())
        .contains("--gpu and contracts exclude each other: the cluster describes the deployment");
  }
}
