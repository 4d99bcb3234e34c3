package dev.kvdrive.feasibility;

import dev.kvdrive.api.v1alpha1.Access;
import dev.kvdrive.api.v1alpha1.ConfigMapKey;
import dev.kvdrive.api.v1alpha1.Downloads;
import dev.kvdrive.api.v1alpha1.ModelSpec;
import dev.kvdrive.api.v1alpha1.NodeRequirement;
import dev.kvdrive.api.v1alpha1.PullPolicy;
import dev.kvdrive.api.v1alpha1.Reclaim;
import dev.kvdrive.api.v1alpha1.Route;
import dev.kvdrive.api.v1alpha1.SecretKey;
import dev.kvdrive.api.v1alpha1.TopologySpread;
import dev.kvdrive.plan.Budget;
import dev.kvdrive.plan.DeviceKind;
import dev.kvdrive.plan.Formats;
import dev.kvdrive.plan.IndexShape;
import dev.kvdrive.plan.KvType;
import dev.kvdrive.plan.RopeScaling;
import dev.kvdrive.plan.TierBudgets;
import dev.kvdrive.plan.WindowOptions;
import io.fabric8.kubernetes.api.model.Quantity;
import io.fabric8.kubernetes.api.model.Toleration;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * A specification with nothing left open: the deployment's word first, then its class's, then the
 * operator's default.
 *
 * @param name name of the deployment and of most of its objects
 * @param namespace its namespace
 * @param className InferenceClass it counts against, whether there is one of that name or not
 * @param model what is served
 * @param servedModelName its name in the API
 * @param contextLength tokens of prompt and answer together
 * @param concurrency requests at once, of one replica
 * @param budget how much of the context is attended per step
 * @param denseBelow tokens up to which a sequence attends everything; null as long as it is not
 *     planned, which decides where nobody has
 * @param policy what is attended and what stays in GPU memory
 * @param index what chunks are chosen by; null as long as the model is not known, which decides
 *     where nobody has
 * @param kvType element type of cached keys and values
 * @param formats of closed chunks
 * @param meter share of the time of all steps that measuring their accuracy may take; null for the
 *     runtime's own
 * @param windows how windows are divided and filled
 * @param tiers byte budgets of one replica
 * @param reclaim how long an NVMe volume lives
 * @param storageClassName storage class of the volume; null for the cluster's default
 * @param replicas pods
 * @param queueLimit requests that may wait in one pod
 * @param keepPrompts whether what was made of prompts stays for others that begin alike
 * @param drainSeconds time that running requests are given when a pod stops
 * @param device where the runtime computes
 * @param access who may call
 * @param route how Gateways reach the API; null without one
 * @param pod how the pods run
 */
public record Request(
    String name,
    String namespace,
    String className,
    ModelSpec model,
    String servedModelName,
    int contextLength,
    int concurrency,
    Budget budget,
    @Nullable Integer denseBelow,
    String policy,
    @Nullable IndexShape index,
    KvType kvType,
    Formats formats,
    @Nullable Double meter,
    WindowOptions windows,
    TierBudgets tiers,
    Reclaim reclaim,
    @Nullable String storageClassName,
    int replicas,
    int queueLimit,
    boolean keepPrompts,
    int drainSeconds,
    DeviceKind device,
    Access access,
    @Nullable Route route,
    PodSettings pod) {

  /**
   * How the pods run.
   *
   * @param image runtime image
   * @param imagePullPolicy when it is pulled
   * @param imagePullSecrets names of pull secrets
   * @param cpu processors, request and limit; null for what the node has to spare
   * @param maxSurge pods beyond the replicas while a rollout lasts; with 0 an old one goes first
   * @param idleTimeoutSeconds how long a changed specification waits for pods without requests;
   *     null if it does not wait
   * @param gpu the GPU of a pod; null where the device is none
   * @param labels added to the pods
   * @param annotations added to the pods
   * @param nodeSelector node labels the pods need
   * @param nodeAffinity what other node labels must be
   * @param topologySpread how the pods spread
   * @param tolerations taints the pods tolerate
   * @param priorityClassName priority of the pods
   * @param runtimeClassName RuntimeClass of the pods
   * @param userId user and group; null leaves both to the image
   * @param callers namespaces whose pods may always connect
   * @param downloads how the pods reach the model hub
   * @param traces where the pods send traces; null where nothing is traced
   */
  public record PodSettings(
      String image,
      PullPolicy imagePullPolicy,
      List<String> imagePullSecrets,
      @Nullable Quantity cpu,
      int maxSurge,
      @Nullable Integer idleTimeoutSeconds,
      @Nullable GpuRequest gpu,
      Map<String, String> labels,
      Map<String, String> annotations,
      Map<String, String> nodeSelector,
      List<NodeRequirement> nodeAffinity,
      List<TopologySpread> topologySpread,
      List<Toleration> tolerations,
      @Nullable String priorityClassName,
      @Nullable String runtimeClassName,
      @Nullable Long userId,
      List<String> callers,
      Downloads downloads,
      @Nullable TraceSettings traces) {}

  /**
   * Where traces go.
   *
   * @param endpoint address of the collector, as it was written
   * @param headersSecret headers for it; null for none
   * @param caBundle authorities it is trusted by; null for the public ones
   * @param share of the requests, from 0 to 1
   */
  public record TraceSettings(
      String endpoint,
      @Nullable SecretKey headersSecret,
      @Nullable ConfigMapKey caBundle,
      double share) {}

  /** Scheme of a model that lies in a claim. */
  public static final String CLAIM_SCHEME = "pvc://";

  /** Name of the claim that holds the model, if its uri names one. */
  public Optional<String> modelClaim() {
    if (!model.uri().startsWith(CLAIM_SCHEME)) {
      return Optional.empty();
    }
    String rest = model.uri().substring(CLAIM_SCHEME.length());
    int slash = rest.indexOf('/');
    return Optional.of(slash < 0 ? rest : rest.substring(0, slash));
  }

  /** Scheme of a model that lies in an image. */
  public static final String IMAGE_SCHEME = "oci://";

  /** What pulls the image that holds the model, as registries write it, if its uri names one. */
  public Optional<String> modelImage() {
    if (!model.uri().startsWith(IMAGE_SCHEME)) {
      return Optional.empty();
    }
    String rest = model.uri().substring(IMAGE_SCHEME.length());
    int path = rest.indexOf('#');
    return Optional.of(path < 0 ? rest : rest.substring(0, path));
  }

  /**
   * Where the model lies in the claim or the image that its uri names: empty for its root, else a
   * path that begins with a slash. Nothing where the uri names neither.
   */
  public Optional<String> modelPath() {
    return modelClaim()
        .map(claim -> model.uri().substring(CLAIM_SCHEME.length() + claim.length()))
        .or(
            () ->
                modelImage()
                    .map(image -> model.uri().substring(IMAGE_SCHEME.length() + image.length()))
                    .map(path -> path.replaceFirst("^#", "/")));
  }

  /**
   * How the context of a model is to be extended, or null.
   *
   * @throws IllegalArgumentException if a value is out of bounds
   */
  public static @Nullable RopeScaling ropeScaling(ModelSpec model) {
    dev.kvdrive.api.v1alpha1.@Nullable RopeScaling given = model.ropeScaling();
    if (given == null) {
      return null;
    }
    try {
      return new RopeScaling(
          RopeScaling.Type.valueOf(given.type().name()), given.factor(), given.originalContext());
    } catch (IllegalArgumentException e) {
      throw new IllegalArgumentException("spec.model.ropeScaling: " + e.getMessage(), e);
    }
  }

  /** The same with what a plan has decided where nobody else has. */
  Request planned(int dense, @Nullable IndexShape format) {
    return new Request(
        name,
        namespace,
        className,
        model,
        servedModelName,
        contextLength,
        concurrency,
        budget,
        dense,
        policy,
        format,
        kvType,
        formats,
        meter,
        windows,
        tiers,
        reclaim,
        storageClassName,
        replicas,
        queueLimit,
        keepPrompts,
        drainSeconds,
        device,
        access,
        route,
        pod);
  }

  /** Whether a StatefulSet keeps the NVMe volumes across restarts. */
  public boolean retainsVolume() {
    return tiers.nvme() > 0 && reclaim == Reclaim.RETAIN;
  }
}
