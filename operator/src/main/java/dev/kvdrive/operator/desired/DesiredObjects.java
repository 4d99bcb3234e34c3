package dev.kvdrive.operator.desired;

import dev.kvdrive.api.v1alpha1.Access;
import dev.kvdrive.api.v1alpha1.InferenceDeployment;
import dev.kvdrive.api.v1alpha1.Route;
import dev.kvdrive.feasibility.Assessment.Feasible;
import dev.kvdrive.feasibility.Request;
import dev.kvdrive.observed.Labels;
import io.fabric8.kubernetes.api.model.ConfigMap;
import io.fabric8.kubernetes.api.model.ConfigMapBuilder;
import io.fabric8.kubernetes.api.model.HasMetadata;
import io.fabric8.kubernetes.api.model.IntOrString;
import io.fabric8.kubernetes.api.model.ObjectMeta;
import io.fabric8.kubernetes.api.model.ObjectMetaBuilder;
import io.fabric8.kubernetes.api.model.Pod;
import io.fabric8.kubernetes.api.model.PodTemplateSpec;
import io.fabric8.kubernetes.api.model.Service;
import io.fabric8.kubernetes.api.model.ServiceAccount;
import io.fabric8.kubernetes.api.model.ServiceAccountBuilder;
import io.fabric8.kubernetes.api.model.ServiceBuilder;
import io.fabric8.kubernetes.api.model.apps.Deployment;
import io.fabric8.kubernetes.api.model.apps.DeploymentBuilder;
import io.fabric8.kubernetes.api.model.apps.StatefulSet;
import io.fabric8.kubernetes.api.model.apps.StatefulSetBuilder;
import io.fabric8.kubernetes.api.model.gatewayapi.v1.HTTPRoute;
import io.fabric8.kubernetes.api.model.networking.v1.NetworkPolicy;
import io.fabric8.kubernetes.api.model.policy.v1.PodDisruptionBudget;
import io.fabric8.kubernetes.api.model.policy.v1.PodDisruptionBudgetBuilder;
import io.fabric8.kubernetes.client.utils.Serialization;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.OptionalInt;

/** The objects that run a feasible deployment. */
public final class DesiredObjects {
  /** Port of the Service. */
  public static final int SERVICE_PORT = 80;

  /** Port of the Service of a deployment with TLS. */
  public static final int TLS_SERVICE_PORT = 443;

  /** Port of health and metrics in every pod, and of the API in those without TLS. */
  public static final int RUNTIME_PORT = 8080;

  /** Port of the API in pods with TLS. */
  public static final int TLS_RUNTIME_PORT = 8443;

  private final Request request;
  private final Map<String, String> configuration;
  private final String configHash;
  private final String configName;
  private final RuntimePod pod;

  public DesiredObjects(Feasible feasible) {
    this.request = feasible.request();
    this.configuration = RuntimeConfiguration.files(feasible);
    // The runtime is told a path only, which images have in common.
    Map<String, String> hashed = new LinkedHashMap<>(configuration);
    request.modelImage().ifPresent(image -> hashed.put("image of the model", image));
    this.configHash = RuntimeConfiguration.hash(hashed);
    this.configName = request.name() + "-config-" + configHash;
    this.pod = new RuntimePod(feasible, configName, configHash);
  }

  /** The completed specification the objects come from. */
  public Request request() {
    return request;
  }

  /** Name of the ConfigMap: another configuration has another. */
  public String configName() {
    return configName;
  }

  /** Whether {@code pod} runs with this configuration, and so with its model. */
  public boolean configures(Pod pod) {
    Map<String, String> annotations = pod.getMetadata().getAnnotations();
    return annotations != null && configHash.equals(annotations.get(Labels.CONFIG_HASH));
  }

  /**
   * Whether {@code template}, which the API server keeps, is of this configuration but lost the
   * image with the model: a server without the feature ImageVolume drops it without a word.
   */
  public boolean lostItsModel(PodTemplateSpec template) {
    return request.modelImage().isPresent()
        && template.getMetadata() != null
        && template.getSpec() != null
        && configHash.equals(
            Objects.requireNonNullElse(template.getMetadata().getAnnotations(), Map.of())
                .get(Labels.CONFIG_HASH))
        && template.getSpec().getVolumes().stream().noneMatch(v -> v.getImage() != null);
  }

  /** Which replica a retained claim of {@code deployment} belongs to, by the claim's name. */
  public static OptionalInt ordinal(String deployment, String claim) {
    String prefix = RuntimePod.NVME_VOLUME + "-" + deployment + "-";
    String ordinal = claim.startsWith(prefix) ? claim.substring(prefix.length()) : "";
    return ordinal.matches("\\d{1,9}")
        ? OptionalInt.of(Integer.parseInt(ordinal))
        : OptionalInt.empty();
  }

  /** Address of a deployment's API inside the cluster. */
  public static String url(InferenceDeployment deployment) {
    Access access = deployment.getSpec().access();
    return "%s://%s.%s.svc"
        .formatted(
            access != null && access.tls() != null ? "https" : "http",
            deployment.getMetadata().getName(),
            deployment.getMetadata().getNamespace());
  }

  /**
   * The configuration, which never changes under its name: a pod of an earlier specification that
   * restarts reads what it was planned with.
   */
  public ConfigMap configMap() {
    return new ConfigMapBuilder()
        .withMetadata(metadata(configName))
        .withImmutable(true)
        .addToData(configuration)
        .build();
  }

  /** An account without any rights, so that no other account's rights reach the pods. */
  public ServiceAccount serviceAccount() {
    return new ServiceAccountBuilder()
        .withMetadata(metadata(request.name()))
        .withAutomountServiceAccountToken(false)
        .build();
  }

  /** Port of the Service. */
  static int servicePort(Request request) {
    return request.access().tls() == null ? SERVICE_PORT : TLS_SERVICE_PORT;
  }

  public Service service() {
    return new ServiceBuilder()
        .withMetadata(metadata(request.name()))
        .withNewSpec()
        .withType("ClusterIP")
        .withSelector(Labels.selector(request.name()))
        .addNewPort()
        .withName(RuntimePod.apiPort(request))
        .withPort(servicePort(request))
        .withProtocol("TCP")
        .withTargetPort(new IntOrString(RuntimePod.apiPort(request)))
        .endPort()
        .endSpec()
        .build();
  }

  /** The workload of a deployment whose volumes live as long as their pods. */
  public Deployment deployment() {
    int surge = request.pod().maxSurge();
    PodTemplateSpec template = pod.template(RuntimePod.DEPLOYMENTS_HASH);
    return new DeploymentBuilder()
        .withMetadata(workloadMetadata(template))
        .withNewSpec()
        .withReplicas(request.replicas())
        .withNewSelector()
        .withMatchLabels(Labels.selector(request.name()))
        .endSelector()
        .withNewStrategy()
        .withType("RollingUpdate")
        .withNewRollingUpdate()
        .withMaxSurge(new IntOrString(surge))
        .withMaxUnavailable(new IntOrString(surge == 0 ? 1 : 0))
        .endRollingUpdate()
        .endStrategy()
        .withTemplate(template)
        .endSpec()
        .build();
  }

  /**
   * The workload of a deployment that retains its volumes. They go when the deployment goes.
   *
   * @param running the one there is, whose claim templates no API server lets anyone change: what a
   *     class says of new volumes does not concern them
   */
  public StatefulSet statefulSet(Optional<StatefulSet> running) {
    StatefulSet wanted = statefulSet();
    running.ifPresent(
        set -> wanted.getSpec().setVolumeClaimTemplates(set.getSpec().getVolumeClaimTemplates()));
    return wanted;
  }

  private StatefulSet statefulSet() {
    PodTemplateSpec template = pod.template(RuntimePod.STATEFUL_SETS_HASH);
    return new StatefulSetBuilder()
        .withMetadata(workloadMetadata(template))
        .withNewSpec()
        .withReplicas(request.replicas())
        .withServiceName(request.name())
        .withPodManagementPolicy("Parallel")
        .withNewSelector()
        .withMatchLabels(Labels.selector(request.name()))
        .endSelector()
        .withNewUpdateStrategy()
        .withType("RollingUpdate")
        .endUpdateStrategy()
        .withNewPersistentVolumeClaimRetentionPolicy()
        .withWhenDeleted("Delete")
        .withWhenScaled("Retain")
        .endPersistentVolumeClaimRetentionPolicy()
        .withTemplate(template)
        .addNewVolumeClaimTemplate()
        .withNewMetadata()
        .withName(RuntimePod.NVME_VOLUME)
        .withLabels(Labels.of(request))
        .endMetadata()
        .withSpec(pod.nvmeClaim())
        .endVolumeClaimTemplate()
        .endSpec()
        .build();
  }

  /**
   * Whether pods of a workload that runs would be replaced. Of one that no operator has marked,
   * which an earlier version made, nothing is known.
   */
  public boolean replacesPodsOf(HasMetadata workload) {
    Map<String, String> annotations = workload.getMetadata().getAnnotations();
    String before = annotations == null ? null : annotations.get(Labels.TEMPLATE_HASH);
    PodTemplateSpec template =
        pod.template(
            workload instanceof StatefulSet
                ? RuntimePod.STATEFUL_SETS_HASH
                : RuntimePod.DEPLOYMENTS_HASH);
    return before != null && !before.equals(hash(template));
  }

  private ObjectMeta workloadMetadata(PodTemplateSpec template) {
    return new ObjectMetaBuilder(metadata(request.name()))
        .addToAnnotations(Labels.TEMPLATE_HASH, hash(template))
        .build();
  }

  private static String hash(PodTemplateSpec template) {
    return RuntimeConfiguration.hash(Map.of("template", Serialization.asJson(template)));
  }

  public NetworkPolicy networkPolicy() {
    return RuntimeNetwork.policy(metadata(request.name()), request);
  }

  /** Keeps all but one pod during drains. With one pod it would only block them. */
  public PodDisruptionBudget podDisruptionBudget() {
    return new PodDisruptionBudgetBuilder()
        .withMetadata(metadata(request.name()))
        .withNewSpec()
        .withMaxUnavailable(new IntOrString(1))
        .withNewSelector()
        .withMatchLabels(Labels.selector(request.name()))
        .endSelector()
        .endSpec()
        .build();
  }

  /** Whether Gateways shall reach the API. */
  public boolean isRouted() {
    return request.route() != null;
  }

  /** Whether an endpoint picker shall choose pods. */
  public boolean isPooled() {
    Route route = request.route();
    return route != null && route.inferencePool() != null;
  }

  /** How Gateways reach the API, of a deployment that {@link #isRouted}. */
  public HTTPRoute httpRoute() {
    return RuntimeRoute.httpRoute(
        metadata(request.name()), request, Objects.requireNonNull(request.route()));
  }

  /** What an endpoint picker chooses from, of a deployment that {@link #isPooled}. */
  public InferencePool inferencePool() {
    return RuntimeRoute.pool(
        metadata(request.name()),
        request,
        Objects.requireNonNull(Objects.requireNonNull(request.route()).inferencePool()));
  }

  private ObjectMeta metadata(String name) {
    return new ObjectMetaBuilder()
        .withName(name)
        .withNamespace(request.namespace())
        .withLabels(Labels.of(request))
        .build();
  }
}
