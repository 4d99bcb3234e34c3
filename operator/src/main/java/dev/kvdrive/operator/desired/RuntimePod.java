package dev.kvdrive.operator.desired;

import dev.kvdrive.api.v1alpha1.NodeRequirement;
import dev.kvdrive.api.v1alpha1.SecretKey;
import dev.kvdrive.api.v1alpha1.Tls;
import dev.kvdrive.api.v1alpha1.TopologySpread;
import dev.kvdrive.api.v1alpha1.TopologySpread.WhenUnsatisfiable;
import dev.kvdrive.feasibility.Assessment.Feasible;
import dev.kvdrive.feasibility.GpuRequest;
import dev.kvdrive.feasibility.Quantities;
import dev.kvdrive.feasibility.Request;
import dev.kvdrive.observed.Labels;
import dev.kvdrive.observed.RuntimeContainer;
import dev.kvdrive.plan.ByteSize;
import dev.kvdrive.plan.PodSizes;
import io.fabric8.kubernetes.api.model.Affinity;
import io.fabric8.kubernetes.api.model.AffinityBuilder;
import io.fabric8.kubernetes.api.model.Container;
import io.fabric8.kubernetes.api.model.ContainerBuilder;
import io.fabric8.kubernetes.api.model.ContainerPort;
import io.fabric8.kubernetes.api.model.ContainerPortBuilder;
import io.fabric8.kubernetes.api.model.EnvVar;
import io.fabric8.kubernetes.api.model.EnvVarBuilder;
import io.fabric8.kubernetes.api.model.LocalObjectReference;
import io.fabric8.kubernetes.api.model.NodeSelectorRequirement;
import io.fabric8.kubernetes.api.model.PersistentVolumeClaimSpec;
import io.fabric8.kubernetes.api.model.PersistentVolumeClaimSpecBuilder;
import io.fabric8.kubernetes.api.model.PodResourceClaim;
import io.fabric8.kubernetes.api.model.PodResourceClaimBuilder;
import io.fabric8.kubernetes.api.model.PodSecurityContext;
import io.fabric8.kubernetes.api.model.PodSecurityContextBuilder;
import io.fabric8.kubernetes.api.model.PodTemplateSpec;
import io.fabric8.kubernetes.api.model.PodTemplateSpecBuilder;
import io.fabric8.kubernetes.api.model.Probe;
import io.fabric8.kubernetes.api.model.ProbeBuilder;
import io.fabric8.kubernetes.api.model.Quantity;
import io.fabric8.kubernetes.api.model.ResourceRequirements;
import io.fabric8.kubernetes.api.model.ResourceRequirementsBuilder;
import io.fabric8.kubernetes.api.model.TopologySpreadConstraint;
import io.fabric8.kubernetes.api.model.TopologySpreadConstraintBuilder;
import io.fabric8.kubernetes.api.model.Volume;
import io.fabric8.kubernetes.api.model.VolumeBuilder;
import io.fabric8.kubernetes.api.model.VolumeMount;
import io.fabric8.kubernetes.api.model.VolumeMountBuilder;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/**
 * The pod that runs the runtime: its memory, volume, heap and configuration come from the one plan.
 * It satisfies the restricted Pod Security Standard and has no API server credentials.
 */
final class RuntimePod {
  static final String TLS_PORT_NAME = "https";
  static final String NVME_VOLUME = "nvme";

  /** Name of the volume with the model, where that is a claim or an image. */
  static final String MODEL_VOLUME = "model";

  /** Labels that controllers give the pods of one template. */
  static final String DEPLOYMENTS_HASH = "pod-template-hash";

  static final String STATEFUL_SETS_HASH = "controller-revision-hash";

  /** Name of the claim of the GPU inside the pod. */
  private static final String GPU_CLAIM = "gpu";

  /** A pod may use what its node has to spare unless processors are asked for. */
  private static final Quantity LEAST_CPU = new Quantity("250", "m");

  /** Room for native libraries and temporary files. */
  private static final long TMP_BYTES = 512 * ByteSize.MIB;

  /** A download keeps a partial file beside a finished one for a moment. */
  private static final double MODEL_CACHE_FACTOR = 1.25;

  private static final long MODEL_CACHE_BASE = 256 * ByteSize.MIB;

  /** Slowest source of weights that the startup probe waits for. */
  private static final long SLOWEST_LOAD_BYTES_PER_SECOND = 20 * ByteSize.MIB;

  private static final int STARTUP_PERIOD_SECONDS = 5;
  private static final int STARTUP_BASE_SECONDS = 300;

  /** Time for the endpoint to leave the Services before the runtime stops admitting. */
  private static final long PRE_STOP_SECONDS = 5;

  private static final int STOP_MARGIN_SECONDS = 20;

  private final Request request;
  private final RuntimeDownloads downloads;
  private final RuntimeTraces traces;
  private final PodSizes sizes;
  private final long weightBytes;
  private final String configName;
  private final String configHash;

  RuntimePod(Feasible feasible, String configName, String configHash) {
    this.request = feasible.request();
    this.downloads = new RuntimeDownloads(request);
    this.traces = new RuntimeTraces(request);
    this.sizes = feasible.plan().requirePod();
    this.weightBytes = feasible.plan().request().model().weightBytes();
    this.configName = configName;
    this.configHash = configHash;
  }

  /**
   * The pod template, with an ephemeral NVMe volume unless the volume is retained.
   *
   * @param templateHash label that the pods of one template have in common
   */
  PodTemplateSpec template(String templateHash) {
    Map<String, String> annotations = new TreeMap<>(request.pod().annotations());
    annotations.put(Labels.CONFIG_HASH, configHash);
    annotations.put(Labels.CLASS, request.className());
    annotations.put(Labels.GPU_BYTES, Long.toString(request.tiers().gpu()));
    annotations.put(Labels.DRAM_BYTES, Long.toString(request.tiers().dram()));
    annotations.put(Labels.NVME_BYTES, Long.toString(request.tiers().nvme()));
    return new PodTemplateSpecBuilder()
        .withNewMetadata()
        .withLabels(Labels.ofPods(request))
        .withAnnotations(annotations)
        .endMetadata()
        .withNewSpec()
        .withServiceAccountName(request.name())
        .withAutomountServiceAccountToken(false)
        .withEnableServiceLinks(false)
        .withSecurityContext(podSecurity())
        .withTerminationGracePeriodSeconds(
            request.drainSeconds() + PRE_STOP_SECONDS + STOP_MARGIN_SECONDS)
        .withImagePullSecrets(
            request.pod().imagePullSecrets().stream().map(LocalObjectReference::new).toList())
        .withNodeSelector(
            request.pod().nodeSelector().isEmpty() ? null : request.pod().nodeSelector())
        .withAffinity(affinity())
        .withTopologySpreadConstraints(
            request.pod().topologySpread().stream().map(s -> spread(s, templateHash)).toList())
        .withTolerations(request.pod().tolerations())
        .withPriorityClassName(request.pod().priorityClassName())
        .withRuntimeClassName(request.pod().runtimeClassName())
        .withResourceClaims(claims())
        .withContainers(container())
        .withVolumes(volumes())
        .endSpec()
        .build();
  }

  private @Nullable Affinity affinity() {
    List<NodeSelectorRequirement> required = new ArrayList<>();
    for (NodeRequirement one : request.pod().nodeAffinity()) {
      required.add(
          new NodeSelectorRequirement(
              one.key(),
              one.operator().text(),
              Objects.requireNonNullElse(one.values(), List.of())));
    }
    GpuRequest gpu = request.pod().gpu();
    if (gpu != null && gpu.matchMemory()) {
      // Kubernetes compares strictly, and whole numbers only.
      long less = GpuRequest.mebibytes(request.tiers().gpu()) - 1;
      required.add(
          new NodeSelectorRequirement(gpu.memoryLabel(), "Gt", List.of(Long.toString(less))));
    }
    return required.isEmpty()
        ? null
        : new AffinityBuilder()
            .withNewNodeAffinity()
            .withNewRequiredDuringSchedulingIgnoredDuringExecution()
            .addNewNodeSelectorTerm()
            .withMatchExpressions(required)
            .endNodeSelectorTerm()
            .endRequiredDuringSchedulingIgnoredDuringExecution()
            .endNodeAffinity()
            .build();
  }

  /** Pods of an earlier template do not count: they go. */
  private TopologySpreadConstraint spread(TopologySpread spread, String templateHash) {
    return new TopologySpreadConstraintBuilder()
        .withTopologyKey(spread.topologyKey())
        .withMaxSkew(Objects.requireNonNullElse(spread.maxSkew(), 1))
        .withWhenUnsatisfiable(
            Objects.requireNonNullElse(
                    spread.whenUnsatisfiable(), WhenUnsatisfiable.SCHEDULE_ANYWAY)
                .text())
        .withNewLabelSelector()
        .withMatchLabels(Labels.selector(request.name()))
        .endLabelSelector()
        .withMatchLabelKeys(templateHash)
        .build();
  }

  private List<PodResourceClaim> claims() {
    GpuRequest gpu = request.pod().gpu();
    return gpu == null || gpu.claimTemplate() == null
        ? List.of()
        : List.of(
            new PodResourceClaimBuilder()
                .withName(GPU_CLAIM)
                .withResourceClaimTemplateName(gpu.claimTemplate())
                .build());
  }

  /** The claim of one pod's NVMe volume. */
  PersistentVolumeClaimSpec nvmeClaim() {
    return new PersistentVolumeClaimSpecBuilder()
        .withAccessModes("ReadWriteOnce")
        .withStorageClassName(request.storageClassName())
        .withNewResources()
        .addToRequests("storage", Quantities.ofBytes(sizes.volumeBytes()))
        .endResources()
        .withVolumeMode("Filesystem")
        .build();
  }

  private Container container() {
    return new ContainerBuilder()
        .withName(RuntimeContainer.NAME)
        .withImage(request.pod().image())
        .withImagePullPolicy(request.pod().imagePullPolicy().text())
        .withPorts(ports())
        .withEnv(environment())
        .withResources(resources())
        .withVolumeMounts(mounts())
        .withStartupProbe(startup())
        .withReadinessProbe(probe("/health/ready").withFailureThreshold(2).build())
        .withLivenessProbe(probe("/health/live").withFailureThreshold(6).build())
        .withNewLifecycle()
        .withNewPreStop()
        .withNewSleep(PRE_STOP_SECONDS)
        .endPreStop()
        .endLifecycle()
        .withTerminationMessagePolicy("FallbackToLogsOnError")
        .withNewSecurityContext()
        .withAllowPrivilegeEscalation(false)
        .withReadOnlyRootFilesystem(true)
        .withNewCapabilities()
        .withDrop("ALL")
        .endCapabilities()
        .endSecurityContext()
        .build();
  }

  /** Name of the port with the API. */
  static String apiPort(Request request) {
    return request.access().tls() == null ? RuntimeContainer.PORT_NAME : TLS_PORT_NAME;
  }

  private List<ContainerPort> ports() {
    List<ContainerPort> ports = new ArrayList<>();
    ports.add(port(RuntimeContainer.PORT_NAME, DesiredObjects.RUNTIME_PORT));
    if (request.access().tls() != null) {
      ports.add(port(TLS_PORT_NAME, DesiredObjects.TLS_RUNTIME_PORT));
    }
    return ports;
  }

  private static ContainerPort port(String name, int number) {
    return new ContainerPortBuilder()
        .withName(name)
        .withContainerPort(number)
        .withProtocol("TCP")
        .build();
  }

  private PodSecurityContext podSecurity() {
    PodSecurityContextBuilder security =
        new PodSecurityContextBuilder()
            .withRunAsNonRoot(true)
            .withNewSeccompProfile()
            .withType("RuntimeDefault")
            .endSeccompProfile();
    Long user = request.pod().userId();
    if (user != null) {
      security
          .withRunAsUser(user)
          .withRunAsGroup(user)
          .withFsGroup(user)
          .withFsGroupChangePolicy("OnRootMismatch");
    }
    return security.build();
  }

  private List<EnvVar> environment() {
    List<EnvVar> environment = new ArrayList<>();
    environment.add(
        variable(
            "SPRING_CONFIG_ADDITIONAL_LOCATION",
            "file:" + RuntimeConfiguration.DIRECTORY + "/" + RuntimeConfiguration.FILE));
    environment.add(variable("JAVA_TOOL_OPTIONS", jvmOptions()));
    environment.addAll(downloads.environment());
    environment.addAll(traces.environment());
    return environment;
  }

  private String jvmOptions() {
    return "-Xmx%d -XX:MaxDirectMemorySize=%d -XX:+ExitOnOutOfMemoryError"
        .formatted(sizes.heapBytes(), sizes.directBytes());
  }

  private ResourceRequirements resources() {
    Quantity memory = Quantities.ofBytes(Math.ceilDiv(sizes.memoryBytes(), ByteSize.MIB) << 20);
    Quantity cpu = request.pod().cpu();
    ResourceRequirementsBuilder resources =
        new ResourceRequirementsBuilder()
            .addToRequests("memory", memory)
            .addToLimits("memory", memory)
            .addToRequests("cpu", cpu == null ? LEAST_CPU : cpu);
    if (cpu != null) {
      resources.addToLimits("cpu", cpu);
    }
    GpuRequest gpu = request.pod().gpu();
    if (gpu != null && gpu.claimTemplate() != null) {
      resources.addNewClaim().withName(GPU_CLAIM).endClaim();
    } else if (gpu != null) {
      Quantity count = new Quantity(Integer.toString(gpu.count()));
      resources.addToLimits(gpu.resourceName(), count);
      resources.addToRequests(gpu.resourceName(), count);
    }
    return resources.build();
  }

  private Probe startup() {
    long seconds = STARTUP_BASE_SECONDS + weightBytes / SLOWEST_LOAD_BYTES_PER_SECOND;
    return probe("/health/startup")
        .withPeriodSeconds(STARTUP_PERIOD_SECONDS)
        .withFailureThreshold(Math.toIntExact(seconds / STARTUP_PERIOD_SECONDS))
        .build();
  }

  private static ProbeBuilder probe(String path) {
    return new ProbeBuilder()
        .withNewHttpGet()
        .withPath(path)
        .withNewPort(RuntimeContainer.PORT_NAME)
        .withScheme("HTTP")
        .endHttpGet()
        .withPeriodSeconds(10)
        .withTimeoutSeconds(5);
  }

  private List<VolumeMount> mounts() {
    List<VolumeMount> mounts = new ArrayList<>();
    mounts.add(mount("config", RuntimeConfiguration.DIRECTORY, true));
    mounts.add(mount("tmp", "/tmp", false));
    mounts.add(mount("models", RuntimeConfiguration.MODEL_CACHE, false));
    downloads.mount().ifPresent(mounts::add);
    traces.mount().ifPresent(mounts::add);
    if (request.modelPath().isPresent()) {
      mounts.add(mount(MODEL_VOLUME, RuntimeConfiguration.MODEL_VOLUME, true));
    }
    if (request.access().apiKeysSecret() != null) {
      mounts.add(mount("api-keys", RuntimeConfiguration.API_KEYS_DIRECTORY, true));
    }
    Tls tls = request.access().tls();
    if (tls != null) {
      mounts.add(mount("tls", RuntimeConfiguration.TLS_DIRECTORY, true));
      if (tls.clientCaSecret() != null) {
        mounts.add(mount("client-ca", RuntimeConfiguration.CLIENT_CA_DIRECTORY, true));
      }
    }
    if (sizes.volumeBytes() > 0) {
      mounts.add(mount(NVME_VOLUME, RuntimeConfiguration.NVME, false));
    }
    return mounts;
  }

  private List<Volume> volumes() {
    List<Volume> volumes = new ArrayList<>();
    volumes.add(volume("config").withNewConfigMap().withName(configName).endConfigMap().build());
    volumes.add(emptyDir("tmp", TMP_BYTES));
    volumes.add(modelCache());
    downloads.volume().ifPresent(volumes::add);
    traces.volume().ifPresent(volumes::add);
    request
        .modelClaim()
        .ifPresent(
            claim ->
                volumes.add(
                    volume(MODEL_VOLUME).withNewPersistentVolumeClaim(claim, true).build()));
    request
        .modelImage()
        .ifPresent(
            image ->
                volumes.add(
                    volume(MODEL_VOLUME).withNewImage().withReference(image).endImage().build()));
    SecretKey keys = request.access().apiKeysSecret();
    if (keys != null) {
      volumes.add(secret("api-keys", keys, RuntimeConfiguration.API_KEYS_FILE));
    }
    Tls tls = request.access().tls();
    if (tls != null) {
      volumes.add(
          volume("tls")
              .withNewSecret()
              .withSecretName(tls.secretName())
              .addNewItem(
                  RuntimeConfiguration.TLS_CERTIFICATE, null, RuntimeConfiguration.TLS_CERTIFICATE)
              .addNewItem(RuntimeConfiguration.TLS_KEY, null, RuntimeConfiguration.TLS_KEY)
              .endSecret()
              .build());
      SecretKey clientCa = tls.clientCaSecret();
      if (clientCa != null) {
        volumes.add(secret("client-ca", clientCa, RuntimeConfiguration.CLIENT_CA));
      }
    }
    if (sizes.volumeBytes() > 0 && !request.retainsVolume()) {
      volumes.add(
          volume(NVME_VOLUME)
              .withNewEphemeral()
              .withNewVolumeClaimTemplate()
              .withNewMetadata()
              .withLabels(Labels.of(request))
              .endMetadata()
              .withSpec(nvmeClaim())
              .endVolumeClaimTemplate()
              .endEphemeral()
              .build());
    }
    return volumes;
  }

  private static Volume secret(String volume, SecretKey secret, String file) {
    return volume(volume)
        .withNewSecret()
        .withSecretName(secret.name())
        .addNewItem(secret.key(), null, file)
        .endSecret()
        .build();
  }

  private Volume modelCache() {
    String claim = request.model().cacheClaimName();
    if (claim != null) {
      return volume("models").withNewPersistentVolumeClaim(claim, false).build();
    }
    long bytes = MODEL_CACHE_BASE + (long) (MODEL_CACHE_FACTOR * weightBytes);
    return emptyDir("models", Math.ceilDiv(bytes, ByteSize.MIB) << 20);
  }

  private static Volume emptyDir(String name, long bytes) {
    return volume(name)
        .withNewEmptyDir()
        .withSizeLimit(Quantities.ofBytes(bytes))
        .endEmptyDir()
        .build();
  }

  private static VolumeBuilder volume(String name) {
    return new VolumeBuilder().withName(name);
  }

  private static VolumeMount mount(String name, String path, boolean readOnly) {
    return new VolumeMountBuilder()
        .withName(name)
        .withMountPath(path)
        .withReadOnly(readOnly ? true : null)
        .build();
  }

  private static EnvVar variable(String name, String value) {
    return new EnvVarBuilder().withName(name).withValue(value).build();
  }
}
