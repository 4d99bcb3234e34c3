package dev.kvdrive.cli.cluster;

import dev.kvdrive.api.v1alpha1.InferenceClass;
import dev.kvdrive.api.v1alpha1.InferenceDeployment;
import dev.kvdrive.feasibility.Assessor;
import dev.kvdrive.feasibility.GpuNode;
import dev.kvdrive.feasibility.Usage;
import dev.kvdrive.observed.Labels;
import dev.kvdrive.observed.Running;
import dev.kvdrive.observed.stored.UnreadableDeployment;
import io.fabric8.kubernetes.api.model.HasMetadata;
import io.fabric8.kubernetes.api.model.Node;
import io.fabric8.kubernetes.api.model.Pod;
import io.fabric8.kubernetes.client.KubernetesClient;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * What the operator judges a deployment by, besides the deployment: classes, what else is in its
 * namespace and what runs there, and the nodes with GPUs. Each is read once.
 */
public final class Surroundings {
  private final Cluster cluster;
  private final Map<String, Read<List<InferenceDeployment>>> siblings = new HashMap<>();
  private final Map<String, Read<Workloads>> workloads = new HashMap<>();
  private @Nullable Read<List<InferenceClass>> classes;
  private @Nullable Read<List<GpuNode>> nodes;

  private record Workloads(List<HasMetadata> objects, List<Pod> pods) {}

  public Surroundings(Cluster cluster) {
    this.cluster = cluster;
  }

  /** The classes, as far as they can be read. */
  public List<InferenceClass> classes() {
    return readClasses().orElse(List.of());
  }

  /** Why the classes could not be read; null if they were. */
  public @Nullable String classesFault() {
    return readClasses().fault();
  }

  private Read<List<InferenceClass>> readClasses() {
    if (classes == null) {
      classes =
          cluster.read(
              Ask.list(InferenceDeployment.GROUP, "inferenceclasses", null),
              () -> cluster.client().resources(InferenceClass.class).list().getItems());
    }
    return classes;
  }

  /** The deployments of a namespace that are specifications. */
  public List<InferenceDeployment> siblings(String namespace) {
    return readSiblings(namespace).orElse(List.of());
  }

  private Read<List<InferenceDeployment>> readSiblings(String namespace) {
    return siblings.computeIfAbsent(
        namespace,
        in ->
            cluster
                .read(
                    Ask.list(InferenceDeployment.GROUP, "inferencedeployments", in),
                    () ->
                        cluster
                            .client()
                            .resources(InferenceDeployment.class)
                            .inNamespace(in)
                            .list()
                            .getItems())
                .map(
                    all ->
                        all.stream().filter(d -> !(d instanceof UnreadableDeployment)).toList()));
  }

  /** What runs of the class of {@code deployment} in its namespace, by name of its deployment. */
  public Map<String, Usage> running(InferenceDeployment deployment) {
    Workloads found =
        readWorkloads(deployment.getMetadata().getNamespace())
            .orElse(new Workloads(List.of(), List.of()));
    return Running.of(Assessor.className(deployment), found.objects(), found.pods());
  }

  private Read<Workloads> readWorkloads(String namespace) {
    return workloads.computeIfAbsent(namespace, this::workloads);
  }

  private Read<Workloads> workloads(String in) {
    KubernetesClient client = cluster.client();
    List<HasMetadata> objects = new ArrayList<>();
    Read<List<HasMetadata>> deployments =
        cluster.read(
            Ask.list("apps", "deployments", in),
            () ->
                List.copyOf(
                    client
                        .apps()
                        .deployments()
                        .inNamespace(in)
                        .withLabel(Labels.MANAGED_BY, Labels.OPERATOR)
                        .list()
                        .getItems()));
    Read<List<HasMetadata>> sets =
        cluster.read(
            Ask.list("apps", "statefulsets", in),
            () ->
                List.copyOf(
                    client
                        .apps()
                        .statefulSets()
                        .inNamespace(in)
                        .withLabel(Labels.MANAGED_BY, Labels.OPERATOR)
                        .list()
                        .getItems()));
    Read<List<Pod>> pods =
        cluster.read(
            Ask.list("", "pods", in),
            () ->
                client
                    .pods()
                    .inNamespace(in)
                    .withLabel(Labels.MANAGED_BY, Labels.OPERATOR)
                    .list()
                    .getItems());
    for (Read<?> read : List.of(deployments, sets, pods)) {
      if (read.fault() != null) {
        return Read.not(read.fault());
      }
    }
    objects.addAll(deployments.orElse(List.of()));
    objects.addAll(sets.orElse(List.of()));
    return Read.of(new Workloads(objects, pods.orElse(List.of())));
  }

  /** The nodes with GPUs. */
  public List<GpuNode> nodes() {
    return readNodes().orElse(List.of());
  }

  private Read<List<GpuNode>> readNodes() {
    if (nodes == null) {
      nodes =
          cluster
              .read(
                  Ask.list("", "nodes", null),
                  () -> cluster.client().nodes().withLabel(GpuNode.PRODUCT).list().getItems())
              .map(
                  all ->
                      all.stream()
                          .map(Node::getMetadata)
                          .map(node -> new GpuNode(node.getName(), node.getLabels()))
                          .toList());
    }
    return nodes;
  }

  /**
   * What a verdict on {@code deployment} does not know that the operator does.
   *
   * @param clazz that it uses
   */
  public List<String> unknown(InferenceDeployment deployment, @Nullable InferenceClass clazz) {
    List<String> notes = new ArrayList<>();
    String namespace = deployment.getMetadata().getNamespace();
    boolean quotas = clazz != null && clazz.getSpec() != null && clazz.getSpec().tenants() != null;
    if (quotas) {
      note(
          notes,
          readSiblings(namespace).fault(),
          "The quota is judged without the namespace's other deployments");
      note(notes, readWorkloads(namespace).fault(), "The quota is judged without what runs");
    }
    if (Assessor.goesByNodes(clazz)) {
      note(
          notes,
          readNodes().fault(),
          "What the GPUs have is not known, as to an operator without watch.nodes");
      if (!nodes().isEmpty()) {
        notes.add(
            "The GPU tier is held to the labels of the nodes, as by an operator with watch.nodes.");
      }
    }
    return notes;
  }

  private static void note(List<String> notes, @Nullable String fault, String without) {
    if (fault != null) {
      notes.add(without + ": " + fault + ".");
    }
  }

  /** Whether there is a namespace of that name; null where nobody may tell. */
  public @Nullable Boolean hasNamespace(String name) {
    return cluster
        .read(
            Ask.get("", "namespaces", null),
            () -> cluster.client().namespaces().withName(name).get() != null)
        .value();
  }
}
