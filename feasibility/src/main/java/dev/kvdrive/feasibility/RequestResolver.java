package dev.kvdrive.feasibility;

import static java.util.Objects.requireNonNullElse;
import static java.util.Objects.requireNonNullElseGet;

import dev.kvdrive.api.v1alpha1.Access;
import dev.kvdrive.api.v1alpha1.ChunkFormat;
import dev.kvdrive.api.v1alpha1.Device;
import dev.kvdrive.api.v1alpha1.Downloads;
import dev.kvdrive.api.v1alpha1.GpuSpec;
import dev.kvdrive.api.v1alpha1.InferenceClassSpec;
import dev.kvdrive.api.v1alpha1.InferenceClassSpec.ClassRuntime;
import dev.kvdrive.api.v1alpha1.InferenceClassSpec.Limits;
import dev.kvdrive.api.v1alpha1.InferenceDeployment;
import dev.kvdrive.api.v1alpha1.InferenceDeploymentSpec;
import dev.kvdrive.api.v1alpha1.KvType;
import dev.kvdrive.api.v1alpha1.ModelSpec;
import dev.kvdrive.api.v1alpha1.NodeRequirement;
import dev.kvdrive.api.v1alpha1.NvmeEncryption;
import dev.kvdrive.api.v1alpha1.Reclaim;
import dev.kvdrive.api.v1alpha1.Rollout;
import dev.kvdrive.api.v1alpha1.Route;
import dev.kvdrive.api.v1alpha1.RuntimeSpec;
import dev.kvdrive.api.v1alpha1.Tiers;
import dev.kvdrive.api.v1alpha1.TraceCollector;
import dev.kvdrive.api.v1alpha1.Traces;
import dev.kvdrive.api.v1alpha1.WindowSpec;
import dev.kvdrive.feasibility.Request.PodSettings;
import dev.kvdrive.feasibility.Request.TraceSettings;
import dev.kvdrive.plan.Budget;
import dev.kvdrive.plan.DeviceKind;
import dev.kvdrive.plan.Formats;
import dev.kvdrive.plan.IndexShape;
import dev.kvdrive.plan.Load;
import dev.kvdrive.plan.PolicyShape;
import dev.kvdrive.plan.TierBudgets;
import dev.kvdrive.plan.WindowOptions;
import io.fabric8.kubernetes.api.model.Quantity;
import io.fabric8.kubernetes.api.model.Toleration;
import java.math.BigDecimal;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.TreeMap;
import java.util.TreeSet;
import org.jspecify.annotations.Nullable;

/** Completes a specification: the deployment's word first, then its class's, then the default. */
public final class RequestResolver {
  /** The defaults of the custom resource definition, for objects no API server has completed. */
  static final int DEFAULT_CONCURRENCY = 1;

  static final String DEFAULT_BUDGET = "6.25%";

  /** The budget that goes by a quality. */
  private static final String AUTO = "auto";

  static final int DEFAULT_REPLICAS = 1;
  static final int DEFAULT_DRAIN_SECONDS = 300;
  static final int DEFAULT_IDLE_TIMEOUT_SECONDS = 3600;

  static final InferenceClassSpec NO_CLASS =
      new InferenceClassSpec(null, null, null, null, null, null, null, null, null, null, null);
  private static final ClassRuntime NO_CLASS_RUNTIME =
      new ClassRuntime(null, null, null, null, null, null, null, null, null, null, null);
  private static final Limits NO_LIMITS =
      new Limits(null, null, null, null, null, null, null, null);
  private static final RuntimeSpec NO_RUNTIME =
      new RuntimeSpec(null, null, null, null, null, null, null, null, null, null, null, null, null);

  private RequestResolver() {}

  /**
   * The request of {@code deployment}.
   *
   * @param clazz the class it uses, if any
   * @throws IllegalArgumentException if a value is malformed; the message names the field
   */
  public static Request resolve(
      InferenceDeployment deployment,
      @Nullable InferenceClassSpec clazz,
      OperatorDefaults defaults) {
    InferenceDeploymentSpec spec = deployment.getSpec();
    InferenceClassSpec from = requireNonNullElse(clazz, NO_CLASS);
    RuntimeSpec runtime = requireNonNullElse(spec.runtime(), NO_RUNTIME);
    Tiers.@Nullable Nvme nvme = spec.tiers().nvme();
    int concurrency = requireNonNullElse(spec.concurrency(), DEFAULT_CONCURRENCY);
    String name = deployment.getMetadata().getName();
    checkPath(spec.model().uri());
    Budget budget = budget(spec);
    var kvType =
        dev.kvdrive.plan.KvType.valueOf(requireNonNullElse(spec.kvType(), KvType.BF16).name());
    return new Request(
        name,
        deployment.getMetadata().getNamespace(),
        Assessor.className(deployment),
        spec.model(),
        requireNonNullElse(spec.servedModelName(), name),
        spec.contextLength(),
        concurrency,
        budget,
        spec.denseBelow(),
        policy(spec.policy()),
        index(spec.index()),
        kvType,
        formats(spec, kvType, budget.share(), device(from)),
        meter(spec.meter()),
        windows(spec.windows()),
        tiers(spec.tiers(), from),
        nvme == null ? Reclaim.EPHEMERAL : requireNonNullElse(nvme.reclaim(), Reclaim.EPHEMERAL),
        storageClassName(nvme, from),
        requireNonNullElse(spec.replicas(), DEFAULT_REPLICAS),
        requireNonNullElse(runtime.queueLimit(), Load.DEFAULT_QUEUE_PER_SEAT * concurrency),
        requireNonNullElse(runtime.keepPrompts(), true),
        drainSeconds(runtime, requireNonNullElse(from.limits(), NO_LIMITS)),
        device(from),
        requireNonNullElseGet(spec.access(), () -> new Access(null, null, null, null)),
        route(spec),
        pod(runtime, from, defaults, traces(spec.traces(), from, defaults)));
  }

  private static @Nullable Route route(InferenceDeploymentSpec spec) {
    Route route = spec.route();
    if (route == null) {
      return null;
    }
    if (new HashSet<>(route.parentRefs()).size() < route.parentRefs().size()) {
      throw new IllegalArgumentException(
          "spec.route.parentRefs: two of them name the same Gateway and listener; leave one out");
    }
    if (route.inferencePool() != null && spec.access() != null && spec.access().tls() != null) {
      throw new IllegalArgumentException("spec.route.inferencePool: " + Route.POOL_WITHOUT_TLS);
    }
    return route;
  }

  /** Who says nothing gets the default, or what the class allows at most. */
  private static int drainSeconds(RuntimeSpec runtime, Limits limits) {
    return requireNonNullElseGet(
        runtime.drainSeconds(),
        () ->
            Math.min(
                DEFAULT_DRAIN_SECONDS,
                requireNonNullElse(limits.drainSeconds(), DEFAULT_DRAIN_SECONDS)));
  }

  /** Processors nobody has set a number for are bounded by the class's limit, if it has one. */
  private static @Nullable Quantity cpu(RuntimeSpec runtime, ClassRuntime clazz, Limits limits) {
    Quantity cpu = runtime.cpu();
    if (cpu == null) {
      cpu = clazz.cpu() != null ? clazz.cpu() : limits.cpu();
    }
    if (cpu != null) {
      Quantities.processors("runtime.cpu", cpu);
    }
    return cpu;
  }

  static TierBudgets tiers(Tiers tiers, InferenceClassSpec from) {
    Tiers.@Nullable Nvme nvme = tiers.nvme();
    return new TierBudgets(
        Quantities.bytes("spec.tiers.gpu.memory", tiers.gpu().memory()),
        Quantities.bytes("spec.tiers.dram.size", tiers.dram().size()),
        nvme == null ? 0 : Quantities.bytes("spec.tiers.nvme.size", nvme.size()),
        nvme == null ? 0 : writesPerDay(nvme, from),
        nvme == null ? dev.kvdrive.plan.NvmeEncryption.NONE : encryption(nvme, from));
  }

  /** Who says nothing gets what the class wants. */
  private static dev.kvdrive.plan.NvmeEncryption encryption(
      Tiers.Nvme nvme, InferenceClassSpec from) {
    NvmeEncryption ofClass = from.storage() == null ? null : from.storage().encryption();
    NvmeEncryption asked = nvme.encryption() == null ? ofClass : nvme.encryption();
    return dev.kvdrive.plan.NvmeEncryption.valueOf(
        requireNonNullElse(asked, NvmeEncryption.NONE).name());
  }

  /** Who says nothing may write what the class allows at most. */
  private static long writesPerDay(Tiers.Nvme nvme, InferenceClassSpec from) {
    if (nvme.writesPerDay() != null) {
      return Quantities.writesPerDay("spec.tiers.nvme.writesPerDay", nvme.writesPerDay());
    }
    Quantity most = from.storage() == null ? null : from.storage().writesPerDay();
    return most == null ? 0 : Quantities.writesPerDay("storage.writesPerDay", most);
  }

  private static DeviceKind device(InferenceClassSpec from) {
    return DeviceKind.valueOf(requireNonNullElse(from.device(), Device.CPU).name());
  }

  private static Formats formats(
      InferenceDeploymentSpec spec,
      dev.kvdrive.plan.KvType kvType,
      double budget,
      DeviceKind device) {
    try {
      Formats formats =
          Formats.of(kvType, budget, device, format(spec.resident()), format(spec.backing()));
      formats.check(kvType);
      return formats;
    } catch (IllegalArgumentException e) {
      throw new IllegalArgumentException("spec.resident, spec.backing: " + e.getMessage(), e);
    }
  }

  /** What the API server refuses is refused by whoever plans: prefixes that are allowed hold. */
  private static void checkPath(String uri) {
    if ((uri.startsWith(Request.CLAIM_SCHEME) || uri.startsWith(Request.IMAGE_SCHEME))
        && uri.contains("..")) {
      throw new IllegalArgumentException(
          "spec.model.uri: %s: %s".formatted(uri, ModelSpec.LEAVES_VOLUME));
    }
  }

  private static Budget budget(InferenceDeploymentSpec spec) {
    String asked = requireNonNullElse(spec.budget(), DEFAULT_BUDGET);
    String quality = spec.quality();
    String bound = spec.budgetBound();
    if (asked.equals(AUTO)) {
      double kept = quality == null ? Budget.DEFAULT_QUALITY : share("spec.quality", quality);
      try {
        return new Budget(
            bound == null ? Budget.DEFAULT_BOUND : share("spec.budgetBound", bound), kept);
      } catch (IllegalArgumentException e) {
        throw new IllegalArgumentException("spec.quality: " + e.getMessage(), e);
      }
    }
    if (quality != null || bound != null) {
      throw new IllegalArgumentException(
          "spec."
              + (quality != null
                  ? InferenceDeploymentSpec.QUALITY_WITHOUT_AUTO
                  : InferenceDeploymentSpec.BOUND_WITHOUT_AUTO));
    }
    return Budget.of(share("spec.budget", asked));
  }

  /** A share that may be nothing; null if it was not said. */
  private static @Nullable Double meter(@Nullable String share) {
    if (share == null) {
      return null;
    }
    return shareOrNothing("spec.meter", share);
  }

  /** A share that may be nothing. */
  static double shareOrNothing(String field, String share) {
    return share.matches("0{1,2}(\\.0*)?%") ? 0.0 : share(field, share);
  }

  /** How many of the requests are traced where a deployment does not say it. */
  static double most(TraceCollector collector) {
    return collector.sampling() == null
        ? 1
        : shareOrNothing("traces.sampling", collector.sampling());
  }

  /** The collector that the class decides on, or else the operator. */
  static TraceCollector collector(InferenceClassSpec from, OperatorDefaults defaults) {
    return requireNonNullElse(from.traces(), TraceCollector.UNSAID).orElse(defaults.traces());
  }

  private static @Nullable TraceSettings traces(
      @Nullable Traces asked, InferenceClassSpec from, OperatorDefaults defaults) {
    TraceCollector collector = collector(from, defaults);
    String share = asked == null ? null : asked.sampling();
    boolean off = asked != null && Boolean.FALSE.equals(asked.enabled());
    if (off && share != null) {
      throw new IllegalArgumentException("spec.traces: " + Traces.SHARE_OF_NOTHING);
    }
    double wanted = share == null ? most(collector) : shareOrNothing("spec.traces.sampling", share);
    return off || !collector.named()
        ? null
        : new TraceSettings(
            Objects.requireNonNull(collector.endpoint()),
            collector.headersSecret(),
            collector.caBundle(),
            wanted);
  }

  private static WindowOptions windows(@Nullable WindowSpec given) {
    WindowOptions usual = WindowOptions.DEFAULT;
    if (given == null) {
      return usual;
    }
    try {
      return new WindowOptions(
          given.division() == null
              ? usual.division()
              : WindowOptions.Division.valueOf(given.division().name()),
          requireNonNullElse(given.warmUpTokens(), usual.warmUpTokens()),
          requireNonNullElse(given.prefetch(), usual.prefetch()));
    } catch (IllegalArgumentException e) {
      throw new IllegalArgumentException("spec.windows.warmUpTokens: " + e.getMessage(), e);
    }
  }

  private static dev.kvdrive.plan.@Nullable ChunkFormat format(@Nullable ChunkFormat given) {
    return given == null ? null : dev.kvdrive.plan.ChunkFormat.valueOf(given.name());
  }

  private static String policy(@Nullable String name) {
    try {
      return name == null ? PolicyShape.KVDRIVE.name() : PolicyShape.named(name).name();
    } catch (IllegalArgumentException e) {
      throw new IllegalArgumentException("spec.policy: " + e.getMessage(), e);
    }
  }

  private static @Nullable IndexShape index(@Nullable String word) {
    try {
      return word == null ? null : IndexShape.parse(word);
    } catch (IllegalArgumentException e) {
      throw new IllegalArgumentException("spec.index: " + e.getMessage(), e);
    }
  }

  /** A share from a percentage such as {@code 6.25%}. */
  static double share(String field, String percentage) {
    try {
      double share = new BigDecimal(percentage.replace("%", "")).movePointLeft(2).doubleValue();
      if (percentage.endsWith("%") && share > 0 && share <= 1) {
        return share;
      }
    } catch (NumberFormatException e) {
      throw new IllegalArgumentException(notAShare(field, percentage), e);
    }
    throw new IllegalArgumentException(notAShare(field, percentage));
  }

  private static String notAShare(String field, String percentage) {
    return "%s: '%s' is not a share above 0%% and at most 100%%".formatted(field, percentage);
  }

  private static @Nullable String storageClassName(
      Tiers.@Nullable Nvme nvme, InferenceClassSpec from) {
    if (nvme != null && nvme.storageClassName() != null) {
      return nvme.storageClassName();
    }
    return from.storage() == null ? null : from.storage().defaultClassName();
  }

  /** The deployment's word, then the class's; who says nothing waits for no GPU that is taken. */
  private static int maxSurge(@Nullable Rollout rollout, @Nullable Integer clazz, Device device) {
    if (rollout == Rollout.IN_PLACE) {
      return 0;
    }
    if (clazz != null) {
      return clazz;
    }
    return rollout == Rollout.SURGE || device != Device.CUDA ? 1 : 0;
  }

  private static GpuRequest gpu(@Nullable GpuSpec spec) {
    if (spec == null) {
      return GpuRequest.CARD;
    }
    Quantity memory = spec.memory();
    return new GpuRequest(
        requireNonNullElse(spec.resourceName(), GpuSpec.RESOURCE),
        requireNonNullElse(spec.count(), 1),
        spec.claim() == null ? null : spec.claim().templateName(),
        memory == null ? null : Quantities.bytes("gpu.memory", memory),
        Boolean.TRUE.equals(spec.matchMemory()));
  }

  private static List<NodeRequirement> affinity(
      String field, @Nullable List<NodeRequirement> given) {
    for (NodeRequirement one : requireNonNullElse(given, List.<NodeRequirement>of())) {
      if (!one.hasItsValues()) {
        throw new IllegalArgumentException(
            "%s: %s %s: %s"
                .formatted(field, one.key(), one.operator().text(), NodeRequirement.VALUES));
      }
    }
    return requireNonNullElse(given, List.of());
  }

  private static PodSettings pod(
      RuntimeSpec runtime,
      InferenceClassSpec from,
      OperatorDefaults defaults,
      @Nullable TraceSettings traces) {
    ClassRuntime clazz = requireNonNullElse(from.runtime(), NO_CLASS_RUNTIME);
    List<Toleration> tolerations = new ArrayList<>();
    tolerations.addAll(requireNonNullElse(clazz.tolerations(), List.of()));
    tolerations.addAll(requireNonNullElse(runtime.tolerations(), List.of()));
    // The class comes last: a deployment must not leave the nodes the platform team gave it.
    Map<String, String> nodeSelector =
        new TreeMap<>(requireNonNullElse(runtime.nodeSelector(), Map.of()));
    nodeSelector.putAll(requireNonNullElse(clazz.nodeSelector(), Map.of()));
    List<NodeRequirement> nodeAffinity = new ArrayList<>();
    nodeAffinity.addAll(affinity("runtime.nodeAffinity", clazz.nodeAffinity()));
    nodeAffinity.addAll(affinity("spec.runtime.nodeAffinity", runtime.nodeAffinity()));
    Device device = requireNonNullElse(from.device(), Device.CPU);
    return new PodSettings(
        requireNonNullElse(clazz.image(), defaults.images().of(device)),
        requireNonNullElse(clazz.imagePullPolicy(), defaults.imagePullPolicy()),
        requireNonNullElse(clazz.imagePullSecrets(), defaults.imagePullSecrets()),
        cpu(runtime, clazz, requireNonNullElse(from.limits(), NO_LIMITS)),
        maxSurge(runtime.rollout(), clazz.maxSurge(), device),
        runtime.rollout() == Rollout.WHEN_IDLE
            ? requireNonNullElse(runtime.idleTimeoutSeconds(), DEFAULT_IDLE_TIMEOUT_SECONDS)
            : null,
        device == Device.CUDA ? gpu(from.gpu()) : null,
        new TreeMap<>(requireNonNullElse(runtime.labels(), Map.of())),
        new TreeMap<>(requireNonNullElse(runtime.annotations(), Map.of())),
        nodeSelector,
        List.copyOf(nodeAffinity),
        List.copyOf(
            requireNonNullElse(
                runtime.topologySpread(), requireNonNullElse(clazz.topologySpread(), List.of()))),
        List.copyOf(tolerations),
        runtime.priorityClassName() == null
            ? clazz.priorityClassName()
            : runtime.priorityClassName(),
        clazz.runtimeClassName(),
        defaults.userId(),
        List.copyOf(new TreeSet<>(defaults.callers())),
        requireNonNullElse(from.downloads(), Downloads.UNSAID).orElse(defaults.downloads()),
        traces);
  }
}
