package dev.kvdrive.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.kvdrive.api.v1alpha1.InferenceDeployment;
import dev.kvdrive.cli.cluster.Kubelet;
import dev.kvdrive.cli.cluster.TestCluster;
import dev.kvdrive.feasibility.WrittenManifests;
import io.fabric8.kubernetes.api.model.ContainerStatus;
import io.fabric8.kubernetes.api.model.ContainerStatusBuilder;
import io.fabric8.kubernetes.api.model.Pod;
import io.fabric8.kubernetes.api.model.rbac.PolicyRuleBuilder;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import picocli.CommandLine;

/** {@code kubectl kvdrive logs} through a real API server from a kubelet that the test plays. */
class LogsOfClusterTest {
  private static final Duration SOON = Duration.ofSeconds(30);

  private final TestCluster cluster = TestCluster.get();
  private final String namespace = cluster.newNamespace();
  private Kubelet kubelet;

  @BeforeEach
  void start() throws IOException, InterruptedException {
    kubelet = new Kubelet("node-of-" + namespace, cluster.client());
    cluster.apply(WrittenManifests.deployment("contracts", namespace, ""));
  }

  @AfterEach
  void stop() {
    kubelet.close();
  }

  private List<String> args(String... more) {
    List<String> args =
        new ArrayList<>(
            List.of("logs", "contracts", "--kubeconfig", cluster.kubeconfig(namespace)));
    args.addAll(List.of(more));
    return args;
  }

  private Ended logs(String... more) {
    return Ended.of(args(more).toArray(String[]::new));
  }

  private static ContainerStatus running(int restarts) {
    return new ContainerStatusBuilder()
        .withName("runtime")
        .withImage("kvdrive/runtime:test")
        .withImageID("")
        .withReady(true)
        .withRestartCount(restarts)
        .withNewState()
        .withNewRunning("2026-11-30T10:00:00Z")
        .endState()
        .build();
  }

  private Pod pod(String name) {
    return cluster.pod(
        namespace, "contracts", name, kubelet.node(), 8080, null, running(0), Map.of());
  }

  @Test
  void theLogOfOnePodIsWhatItWrote() {
    pod("contracts-a");
    kubelet.write(namespace, "contracts-a", "first", "second \u001b[31mred");
    Ended ended = logs();
    assertThat(ended.code()).as(ended.err()).isZero();
    assertThat(ended.out().lines()).containsExactly("first", "second \\u001b[31mred");
    assertThat(ended.err()).isEmpty();
  }

  @Test
  void severalPodsAreToldApart() {
    pod("contracts-a");
    pod("contracts-b");
    kubelet.write(namespace, "contracts-a", "one");
    kubelet.write(namespace, "contracts-b", "two");
    assertThat(logs().out().lines()).containsExactly("[contracts-a] one", "[contracts-b] two");
  }

  @Test
  void whatPartIsAskedForTheKubeletGetsToKnow() {
    pod("contracts-a");
    kubelet.write(namespace, "contracts-a", "line");
    assertThat(logs("--tail", "5", "--since", "9m", "--previous").code()).isZero();
    assertThat(kubelet.asked().getLast())
        .contains("tailLines=5", "sinceSeconds=540", "previous=true");
    assertThat(logs("--follow", "--previous").code()).isEqualTo(2);
    assertThat(logs("--tail", "few").code()).isEqualTo(2);
  }

  @Test
  void aPodWithoutALogIsNamedAndTheOthersAreShown() {
    pod("contracts-a");
    pod("contracts-b");
    kubelet.write(namespace, "contracts-a", "one");
    Ended some = logs();
    assertThat(some.code()).isZero();
    assertThat(some.out()).contains("[contracts-a] one");
    assertThat(some.err()).startsWith("kvdrive: no log of pod contracts-b: ");
  }

  @Test
  void withoutPodsAndWithoutRightsItFails() {
    Ended none = logs();
    assertThat(none.code()).isEqualTo(1);
    assertThat(none.err())
        .isEqualTo(
            "kvdrive: there are no pods of contracts in namespace %s; status contracts says why%n"
                .formatted(namespace));
    pod("contracts-a");
    String reader =
        cluster.kubeconfigOf(
            namespace,
            new PolicyRuleBuilder()
                .withApiGroups("kvdrive.dev", "")
                .withResources("inferencedeployments", "pods")
                .withVerbs("get", "list")
                .build());
    Ended forbidden = Ended.of("logs", "contracts", "--kubeconfig", reader);
    assertThat(forbidden.code()).isEqualTo(1);
    assertThat(forbidden.err())
        .startsWith("kvdrive: no log of pod contracts-a: you may not get pods/log in namespace ");
  }

  @Test
  void followingGoesOnOverBrokenConnectionsRestartsAndSuccessors() throws InterruptedException {
    Pod first = pod("contracts-a");
    kubelet.write(namespace, "contracts-a", "one");
    StringWriter out = new StringWriter();
    StringWriter err = new StringWriter();
    Thread follower =
        Thread.ofVirtual()
            .start(
                () -> {
                  CommandLine line = KubectlKvDrive.commandLine();
                  line.setOut(new PrintWriter(out, true));
                  line.setErr(new PrintWriter(err, true));
                  line.execute(args("-f").toArray(String[]::new));
                });
    try {
      await().atMost(SOON).until(() -> out.toString().contains("one"));
      kubelet.write(namespace, "contracts-a", "two");
      await().atMost(SOON).until(() -> out.toString().contains("two"));
      kubelet.breakOff(namespace, "contracts-a");
      kubelet.write(namespace, "contracts-a", "three");
      await().atMost(SOON).until(() -> out.toString().contains("three"));

      kubelet.restart(namespace, "contracts-a");
      cluster.setStatus(first, "Running", null, running(1));
      kubelet.write(namespace, "contracts-a", "again");
      await().atMost(SOON).until(() -> out.toString().contains("again"));

      kubelet.restart(namespace, "contracts-a");
      cluster.client().resource(first).withGracePeriod(0).delete();
      pod("contracts-b");
      kubelet.write(namespace, "contracts-b", "successor");
      await().atMost(SOON).until(() -> out.toString().contains("successor"));
    } finally {
      follower.interrupt();
      follower.join(SOON);
    }
    assertThat(out.toString().lines())
        .containsExactly("one", "two", "three", "again", "[contracts-b] successor");
  }

  @Test
  void followingWaitsForAPodAndEndsWithItsDeployment() throws InterruptedException {
    StringWriter err = new StringWriter();
    int[] code = {-1};
    Thread follower =
        Thread.ofVirtual()
            .start(
                () -> {
                  CommandLine line = KubectlKvDrive.commandLine();
                  line.setOut(new PrintWriter(new StringWriter()));
                  line.setErr(new PrintWriter(err, true));
                  code[0] = line.execute(args("-f").toArray(String[]::new));
                });
    await().atMost(SOON).until(() -> err.toString().contains("no pod of contracts has started"));
    cluster
        .client()
        .resources(InferenceDeployment.class)
        .inNamespace(namespace)
        .withName("contracts")
        .delete();
    follower.join(SOON);
    assertThat(code[0]).isZero();
    assertThat(err.toString()).contains("contracts is gone");
  }
}
