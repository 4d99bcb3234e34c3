package dev.kvdrive.feasibility;

import dev.kvdrive.api.v1alpha1.InferenceClass;
import dev.kvdrive.api.v1alpha1.InferenceClassSpec;
import dev.kvdrive.api.v1alpha1.InferenceClassSpec.Limits;
import dev.kvdrive.api.v1alpha1.InferenceClassSpec.Tenant;
import dev.kvdrive.plan.ByteSize;
import dev.kvdrive.plan.TierBudgets;
import io.fabric8.kubernetes.api.model.Quantity;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/** What a class allows. Every check returns sentences; an empty list means allowed. */
final class ClassPolicy {
  /** Tier budgets of a deployment, all replicas together. */
  record Usage(long gpu, long dram, long nvme) {
    static Usage of(TierBudgets tiers, int replicas) {
      return new Usage(
          saturated(tiers.gpu(), replicas),
          saturated(tiers.dram(), replicas),
          saturated(tiers.nvme(), replicas));
    }

    Usage plus(Usage other) {
      return new Usage(sum(gpu, other.gpu), sum(dram, other.dram), sum(nvme, other.nvme));
    }

    private static long saturated(long bytes, int replicas) {
      return bytes > Long.MAX_VALUE / Math.max(1, replicas) ? Long.MAX_VALUE : bytes * replicas;
    }

    private static long sum(long a, long b) {
      return a > Long.MAX_VALUE - b ? Long.MAX_VALUE : a + b;
    }
  }

  private ClassPolicy() {}

  /** What {@code request} asks for that the class does not allow any deployment. */
  static List<String> violations(Request request, String className, InferenceClassSpec clazz) {
    List<String> found = new ArrayList<>();
    model(request, className, clazz).ifPresent(found::add);
    storage(request, className, clazz).ifPresent(found::add);
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
   * What {@code request} asks for beyond its namespace's quota.
   *
   * @param older usage of each deployment of this class and namespace that came first
   */
  static List<String> beyondQuota(
      Request request, String className, InferenceClassSpec clazz, List<Usage> older) {
    List<Tenant> tenants = clazz.tenants();
    if (tenants == null) {
      return List.of();
    }
    Optional<Tenant> tenant =
        tenants.stream().filter(t -> t.namespace().equals(request.namespace())).findFirst();
    if (tenant.isEmpty()) {
      throw new IllegalStateException("whether a class is open is judged before its quota");
    }
    List<String> found = new ArrayList<>();
    Integer most = tenant.get().deployments();
    if (most != null && older.size() + 1 > most) {
      found.add(
          "Namespace %s may have %d deployments of InferenceClass %s and has %d already."
              .formatted(request.namespace(), most, className, older.size()));
    }
    Usage total = older.stream().reduce(Usage.of(request.tiers(), request.replicas()), Usage::plus);
    String who =
        "InferenceClass %s allows namespace %s, whose %d older deployments count first,"
            .formatted(className, request.namespace(), older.size());
    bytesAtMost(found, "gpu", total.gpu(), tenant.get().gpu(), who);
    bytesAtMost(found, "dram", total.dram(), tenant.get().dram(), who);
    bytesAtMost(found, "nvme", total.nvme(), tenant.get().nvme(), who);
    return found;
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
            .formatted(className, uri, String.join(", ", prefixes)));
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
                className,
                asked == null ? "(the cluster's default)" : asked,
                String.join(", ", allowed)));
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
        && asked.getNumericalAmount().compareTo(most.getNumericalAmount()) > 0) {
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
