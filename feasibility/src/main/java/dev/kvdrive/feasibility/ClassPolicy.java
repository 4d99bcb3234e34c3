package dev.kvdrive.feasibility;

import dev.kvdrive.api.v1alpha1.Device;
import dev.kvdrive.api.v1alpha1.GpuSpec;
import dev.kvdrive.api.v1alpha1.InferenceClass;
import dev.kvdrive.api.v1alpha1.InferenceClassSpec;
import dev.kvdrive.api.v1alpha1.InferenceClassSpec.Limits;
import dev.kvdrive.api.v1alpha1.InferenceClassSpec.Routes;
import dev.kvdrive.api.v1alpha1.InferenceClassSpec.Tenant;
import dev.kvdrive.api.v1alpha1.ModelSpec;
import dev.kvdrive.api.v1alpha1.NvmeEncryption;
import dev.kvdrive.api.v1alpha1.Route;
import dev.kvdrive.api.v1alpha1.TraceCollector;
import dev.kvdrive.plan.ByteSize;
import io.fabric8.kubernetes.api.model.Quantity;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import java.util.function.BiFunction;
import org.jspecify.annotations.Nullable;

/** What a class allows. Every check returns sentences; an empty list means allowed. */
final class ClassPolicy {
  private ClassPolicy() {}

  /**
   * What is malformed in the class itself, as far as it concerns a deployment of {@code namespace}
   * that serves {@code model}: what concerns others only is theirs.
   */
  static List<String> faults(String namespace, ModelSpec model, InferenceClassSpec clazz) {
    List<String> found = new ArrayList<>();
    Limits limits = clazz.limits();
    if (limits != null) {
      fault(found, "limits.gpu", limits.gpu(), Quantities::bytes);
      fault(found, "limits.dram", limits.dram(), Quantities::bytes);
      fault(found, "limits.nvme", limits.nvme(), Quantities::bytes);
      fault(found, "limits.cpu", limits.cpu(), Quantities::processors);
    }
    if (clazz.storage() != null) {
      fault(
          found, "storage.writesPerDay", clazz.storage().writesPerDay(), Quantities::writesPerDay);
    }
    if (clazz.runtime() != null) {
      fault(found, "runtime.cpu", clazz.runtime().cpu(), Quantities::processors);
    }
    gpu(found, clazz);
    traces(found, clazz.traces());
    Tenant tenant = tenant(namespace, clazz);
    if (tenant != null) {
      String field = "tenants[%s].".formatted(namespace);
      fault(found, field + "gpu", tenant.gpu(), Quantities::bytes);
      fault(found, field + "dram", tenant.dram(), Quantities::bytes);
      fault(found, field + "nvme", tenant.nvme(), Quantities::bytes);
    }
    GeometryCatalogue.faultOfClass(model, clazz).ifPresent(found::add);
    return found;
  }

  /** What the definition refuses, too, for classes that no API server has seen. */
  private static void gpu(List<String> found, InferenceClassSpec clazz) {
    GpuSpec gpu = clazz.gpu();
    if (gpu == null) {
      return;
    }
    fault(found, "gpu.memory", gpu.memory(), Quantities::bytes);
    String resource = Objects.requireNonNullElse(gpu.resourceName(), GpuSpec.RESOURCE);
    if (clazz.device() != Device.CUDA) {
      found.add(GpuSpec.OF_CUDA);
    }
    if (gpu.claim() != null && (gpu.resourceName() != null || gpu.count() != null)) {
      found.add("gpu: " + GpuSpec.CLAIM_OR_RESOURCE);
    }
    if (gpu.count() != null
        && gpu.count() > 1
        && (resource.equals(GpuSpec.RESOURCE) || resource.startsWith("nvidia.com/mig-"))) {
      found.add("gpu.count: " + GpuSpec.ONE_CARD);
    }
    if (Boolean.TRUE.equals(gpu.matchMemory())
        && (gpu.claim() != null || !resource.startsWith("nvidia.com/"))) {
      found.add("gpu.matchMemory: " + GpuSpec.NO_LABEL);
    }
  }

  /** As {@link #gpu}. */
  private static void traces(List<String> found, @Nullable TraceCollector collector) {
    if (collector != null) {
      collector.faults().forEach(fault -> found.add("traces: " + fault));
    }
  }

  private static void fault(
      List<String> found,
      String field,
      @Nullable Quantity quantity,
      BiFunction<String, Quantity, ? extends Number> reader) {
    if (quantity != null) {
      try {
        var _ = reader.apply(field, quantity);
      } catch (IllegalArgumentException e) {
        found.add(String.valueOf(e.getMessage()));
      }
    }
  }

  /** What {@code request} asks for that the class does not allow any deployment. */
  static List<String> violations(Request request, String className, InferenceClassSpec clazz) {
    List<String> found = new ArrayList<>();
    model(request, className, clazz).ifPresent(found::add);
    storage(request, className, clazz).ifPresent(found::add);
    writes(request, className, clazz).ifPresent(found::add);
    encryption(request, className, clazz).ifPresent(found::add);
    route(found, request, className, clazz.routes());
    Limits limits = clazz.limits();
    if (limits != null) {
      atMost(found, "contextLength", request.contextLength(), limits.contextLength(), className);
      atMost(found, "concurrency", request.concurrency(), limits.concurrency(), className);
      atMost(found, "replicas", request.replicas(), limits.replicas(), className);
      Usage usage = Usage.of(request.tiers(), request.replicas());
      String who = "InferenceClass %s allows a deployment".formatted(className);
      bytesAtMost(found, "gpu", usage.gpu(), limits.gpu(), who);
      bytesAtMost(found, "dram", usage.dram(), limits.dram(), who);
      bytesAtMost(found, "nvme", usage.nvme(), limits.nvme(), who);
      atMost(
          found, "runtime.drainSeconds", request.drainSeconds(), limits.drainSeconds(), className);
      cpuAtMost(found, request.pod().cpu(), limits.cpu(), className);
    }
    return found;
  }

  /** The names of the classes among {@code classes} that deployments of a namespace may use. */
  static List<String> openTo(String namespace, Collection<InferenceClass> classes) {
    return classes.stream()
        .filter(clazz -> clazz.getSpec() != null && isOpenTo(namespace, clazz.getSpec()))
        .map(clazz -> clazz.getMetadata().getName())
        .sorted()
        .toList();
  }

  static boolean isOpenTo(String namespace, InferenceClassSpec clazz) {
    return clazz.tenants() == null
        || clazz.tenants().stream().anyMatch(tenant -> tenant.namespace().equals(namespace));
  }

  /**
   * What {@code request} asks for beyond its namespace's quota. It may always have what it has
   * already, and of each tier what the others leave.
   *
   * @param own what the deployment itself runs; null if it runs nothing
   * @param others what counts of each other deployment of this class and namespace
   * @param running how many of them run; the rest was there before and waits
   */
  static List<String> beyondQuota(
      Request request,
      String className,
      InferenceClassSpec clazz,
      @Nullable Usage own,
      Collection<Usage> others,
      int running) {
    Tenant tenant = tenant(request.namespace(), clazz);
    if (tenant == null) {
      return List.of();
    }
    List<String> found = new ArrayList<>();
    Integer most = tenant.deployments();
    if (most != null && own == null && others.size() + 1 > most) {
      found.add(
          "Namespace %s may have %s of InferenceClass %s and has %s."
              .formatted(
                  request.namespace(),
                  most == 1 ? "1 deployment" : most + " deployments",
                  className,
                  standing(others.size(), running)));
    }
    Usage has = own == null ? Usage.NONE : own;
    Usage asked = Usage.of(request.tiers(), request.replicas());
    Usage total = others.stream().reduce(asked, Usage::plus);
    String who =
        "InferenceClass %s allows namespace %s, in which %s,"
            .formatted(
                className,
                request.namespace(),
                switch (others.size()) {
                      case 0 -> "no other deployment counts";
                      case 1 -> "1 other deployment counts";
                      default -> others.size() + " other deployments count";
                    }
                    + (running < others.size()
                        ? " (%d that waited before among them)".formatted(others.size() - running)
                        : ""));
    if (asked.gpu() > has.gpu()) {
      bytesAtMost(found, "gpu", total.gpu(), tenant.gpu(), who);
    }
    if (asked.dram() > has.dram()) {
      bytesAtMost(found, "dram", total.dram(), tenant.dram(), who);
    }
    if (asked.nvme() > has.nvme()) {
      bytesAtMost(found, "nvme", total.nvme(), tenant.nvme(), who);
    }
    return found;
  }

  /** How many there are before a newcomer: those that run, and those that wait for longer. */
  private static String standing(int all, int running) {
    int waiting = all - running;
    return waiting <= 0
        ? "%d already".formatted(all)
        : "%d already, and %d that waited before".formatted(running, waiting);
  }

  /** Whether {@code asked} alone, in an empty namespace, would keep to the quota. */
  static boolean couldEverRun(String namespace, InferenceClassSpec clazz, Usage asked) {
    Tenant tenant = tenant(namespace, clazz);
    List<String> found = new ArrayList<>();
    if (tenant != null) {
      bytesAtMost(found, "gpu", asked.gpu(), tenant.gpu(), "");
      bytesAtMost(found, "dram", asked.dram(), tenant.dram(), "");
      bytesAtMost(found, "nvme", asked.nvme(), tenant.nvme(), "");
    }
    return found.isEmpty();
  }

  /** The namespace as a tenant of the class; null where the class has no tenants. */
  private static @Nullable Tenant tenant(String namespace, InferenceClassSpec clazz) {
    List<Tenant> tenants = clazz.tenants();
    if (tenants == null) {
      return null;
    }
    return tenants.stream()
        .filter(t -> t.namespace().equals(namespace))
        .findFirst()
        .orElseThrow(
            () -> new IllegalStateException("whether a class is open is judged before its quota"));
  }

  private static Optional<String> model(
      Request request, String className, InferenceClassSpec clazz) {
    List<String> prefixes = clazz.models() == null ? null : clazz.models().allowedPrefixes();
    String uri = request.model().uri();
    if (prefixes == null || prefixes.stream().anyMatch(uri::startsWith)) {
      return Optional.empty();
    }
    return Optional.of(
        "InferenceClass %s does not allow model %s; it allows %s."
            .formatted(className, uri, listed(prefixes)));
  }

  private static Optional<String> storage(
      Request request, String className, InferenceClassSpec clazz) {
    List<String> allowed = clazz.storage() == null ? null : clazz.storage().allowedClassNames();
    String asked = request.storageClassName();
    if (request.tiers().nvme() == 0
        || allowed == null
        || (asked != null && allowed.contains(asked))
        || (asked != null
            && asked.equals(Objects.requireNonNull(clazz.storage()).defaultClassName()))) {
      return Optional.empty();
    }
    return Optional.of(
        "InferenceClass %s does not allow storage class %s; it allows %s."
            .formatted(
                className, asked == null ? "(the cluster's default)" : asked, listed(allowed)));
  }

  private static Optional<String> writes(
      Request request, String className, InferenceClassSpec clazz) {
    Quantity most = clazz.storage() == null ? null : clazz.storage().writesPerDay();
    long asked = request.tiers().nvmeWritesPerDay();
    return most == null || asked <= Quantities.bytes("storage.writesPerDay", most)
        ? Optional.empty()
        : Optional.of(
            "tiers.nvme.writesPerDay is %s; InferenceClass %s allows at most %s."
                .formatted(ByteSize.human(asked), className, most));
  }

  private static Optional<String> encryption(
      Request request, String className, InferenceClassSpec clazz) {
    NvmeEncryption wanted = clazz.storage() == null ? null : clazz.storage().encryption();
    return wanted != NvmeEncryption.AES_GCM
            || request.tiers().nvme() == 0
            || request.tiers().nvmeEncryption().encrypts()
        ? Optional.empty()
        : Optional.of(
            "tiers.nvme.encryption is NONE; InferenceClass %s wants %s, which a deployment has that leaves it out."
                .formatted(className, wanted));
  }

  private static void route(
      List<String> found, Request request, String className, @Nullable Routes allowed) {
    Route route = request.route();
    if (route == null || allowed == null) {
      return;
    }
    List<String> gateways = allowed.allowedGateways();
    if (gateways != null) {
      for (Route.Parent parent : route.parentRefs()) {
        String gateway =
            Objects.requireNonNullElse(parent.namespace(), request.namespace())
                + "/"
                + parent.name();
        if (!gateways.contains(gateway)) {
          found.add(
              "route.parentRefs has %s; InferenceClass %s allows %s."
                  .formatted(gateway, className, listed(gateways)));
        }
      }
    }
    List<String> hostnames = allowed.allowedHostnames();
    if (hostnames != null) {
      List<String> asked = Objects.requireNonNullElse(route.hostnames(), List.of());
      if (asked.isEmpty()) {
        found.add(
            "route.hostnames is missing; InferenceClass %s allows %s."
                .formatted(className, listed(hostnames)));
      }
      asked.stream()
          .filter(name -> hostnames.stream().noneMatch(one -> covers(one, name)))
          .forEach(
              name ->
                  found.add(
                      "route.hostnames has %s; InferenceClass %s allows %s."
                          .formatted(name, className, listed(hostnames))));
    }
  }

  /** Whether every name that {@code asked} stands for is one that {@code allowed} stands for. */
  private static boolean covers(String allowed, String asked) {
    return asked.equals(allowed)
        || (allowed.startsWith("*.") && asked.endsWith(allowed.substring(1)));
  }

  private static String listed(List<String> allowed) {
    return allowed.isEmpty() ? "none" : String.join(", ", allowed);
  }

  private static void atMost(
      List<String> found, String field, int asked, @Nullable Integer most, String className) {
    if (most != null && asked > most) {
      found.add(
          "%s is %,d; InferenceClass %s allows at most %,d."
              .formatted(field, asked, className, most));
    }
  }

  private static void cpuAtMost(
      List<String> found, @Nullable Quantity asked, @Nullable Quantity most, String className) {
    if (asked != null
        && most != null
        && Quantities.amount("runtime.cpu", asked).compareTo(Quantities.amount("limits.cpu", most))
            > 0) {
      found.add(
          "runtime.cpu is %s; InferenceClass %s allows at most %s a pod."
              .formatted(asked, className, most));
    }
  }

  private static void bytesAtMost(
      List<String> found, String tier, long asked, @Nullable Quantity most, String who) {
    if (most != null && asked > Quantities.bytes("limits." + tier, most)) {
      found.add(
          "%s at most %s of the %s tier; together it is %s."
              .formatted(who, most, tier, ByteSize.human(asked)));
    }
  }
}
