package dev.kvdrive.e2e;

import io.fabric8.kubernetes.api.model.ConfigMapBuilder;
import io.fabric8.kubernetes.api.model.Pod;
import io.fabric8.kubernetes.api.model.PodBuilder;
import io.fabric8.kubernetes.api.model.Quantity;
import io.fabric8.kubernetes.client.KubernetesClient;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.jar.JarEntry;
import java.util.jar.JarOutputStream;
import java.util.stream.Stream;

/**
 * A pod that posts requests from inside the cluster, so that what is tested is the Service with its
 * name in DNS and its address in kube-proxy. It runs {@code Post} or {@code Load}, from a
 * ConfigMap, on the Java of the runtime image, within the restricted Pod Security level.
 */
final class ClientPod {
  private static final String FOLDER = "/client";

  private final KubernetesClient client;
  private final Settings settings;
  private final String namespace;
  private int made;

  ClientPod(KubernetesClient client, Settings settings, String namespace) {
    this.client = client;
    this.settings = settings;
    this.namespace = namespace;
  }

  /** Posts the bodies to the URL at the same moment and returns their answers, in their order. */
  List<Exchange> post(String url, List<String> bodies) {
    String name = start("Post", "64m", url, bodies);
    var pod = client.pods().inNamespace(namespace).withName(name);
    Pod ended =
        pod.waitUntilCondition(
            p -> p != null && Waiting.ENDED.contains(p.getStatus().getPhase()),
            15,
            TimeUnit.MINUTES);
    String log = pod.getLog();
    List<Exchange> exchanges = Exchange.readLog(log);
    if (exchanges.size() != bodies.size()) {
      throw new AssertionError(
          "the client pod ended as " + ended.getStatus().getPhase() + " and said:\n" + log);
    }
    pod.delete();
    client.configMaps().inNamespace(namespace).withName(name).delete();
    return exchanges;
  }

  /**
   * Starts users who send these bodies to the URL again and again until {@link #stop}.
   *
   * @return their pod's name, when it runs
   */
  String load(String url, List<String> bodies) {
    String name = start("Load", "96m", url, bodies);
    Pod running =
        client
            .pods()
            .inNamespace(namespace)
            .withName(name)
            .waitUntilCondition(
                p -> p != null && !p.getStatus().getPhase().equals("Pending"), 2, TimeUnit.MINUTES);
    if (!running.getStatus().getPhase().equals("Running")) {
      throw new AssertionError("the load is not running: " + running.getStatus());
    }
    return name;
  }

  /** What has become of the requests of a load so far. */
  List<Sent> sent(String load) {
    return Sent.readLog(client.pods().inNamespace(namespace).withName(load).getLog());
  }

  /** Ends a load, and what it is just asking. */
  void stop(String load) {
    client.pods().inNamespace(namespace).withName(load).delete();
    client.configMaps().inNamespace(namespace).withName(load).delete();
  }

  private String start(String program, String heap, String url, List<String> bodies) {
    String name = "client-" + ++made;
    List<String> command =
        new ArrayList<>(
            List.of("/opt/java/bin/java", "-Xmx" + heap, "-cp", FOLDER + "/client.jar"));
    command.add("dev.kvdrive.e2e.client." + program);
    command.add(url);
    ConfigMapBuilder files = new ConfigMapBuilder();
    files.withNewMetadata().withName(name).withNamespace(namespace).endMetadata();
    files.addToBinaryData("client.jar", Base64.getEncoder().encodeToString(jar()));
    for (int i = 0; i < bodies.size(); i++) {
      files.addToData("request-" + i + ".json", bodies.get(i));
      command.add(FOLDER + "/request-" + i + ".json");
    }
    client.resource(files.build()).create();
    client.resource(pod(name, command)).create();
    return name;
  }

  private Pod pod(String name, List<String> command) {
    return new PodBuilder()
        .withNewMetadata()
        .withName(name)
        .withNamespace(namespace)
        .addToLabels("app.kubernetes.io/name", "kvdrive-e2e-client")
        .endMetadata()
        .withNewSpec()
        .withRestartPolicy("Never")
        .withTerminationGracePeriodSeconds(0L)
        .withAutomountServiceAccountToken(false)
        .withNewSecurityContext()
        .withRunAsNonRoot(true)
        .withNewSeccompProfile()
        .withType("RuntimeDefault")
        .endSeccompProfile()
        .endSecurityContext()
        .addNewContainer()
        .withName("client")
        .withImage(settings.runtimeImage())
        .withImagePullPolicy(settings.pullPolicy())
        .withCommand(command)
        .withNewSecurityContext()
        .withAllowPrivilegeEscalation(false)
        .withReadOnlyRootFilesystem(true)
        .withNewCapabilities()
        .withDrop("ALL")
        .endCapabilities()
        .endSecurityContext()
        .withNewResources()
        .withRequests(Map.of("cpu", new Quantity("50m"), "memory", new Quantity("192Mi")))
        .withLimits(Map.of("memory", new Quantity("192Mi")))
        .endResources()
        .addNewVolumeMount()
        .withName("files")
        .withMountPath(FOLDER)
        .withReadOnly(true)
        .endVolumeMount()
        .endContainer()
        .addNewVolume()
        .withName("files")
        .withNewConfigMap()
        .withName(name)
        .endConfigMap()
        .endVolume()
        .endSpec()
        .build();
  }

  /** The classes of the module's main sources. */
  private byte[] jar() {
    Path classes = settings.root().resolve("e2e/target/classes");
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    try (JarOutputStream jar = new JarOutputStream(bytes);
        Stream<Path> files = Files.walk(classes)) {
      for (Path file : files.filter(f -> f.toString().endsWith(".class")).sorted().toList()) {
        jar.putNextEntry(new JarEntry(classes.relativize(file).toString()));
        jar.write(Files.readAllBytes(file));
        jar.closeEntry();
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    return bytes.toByteArray();
  }
}
