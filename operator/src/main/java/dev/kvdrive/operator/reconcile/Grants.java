package dev.kvdrive.operator.reconcile;

import dev.kvdrive.api.v1alpha1.InferenceDeployment;
import dev.kvdrive.feasibility.Assessment;
import dev.kvdrive.feasibility.Assessment.Feasible;
import dev.kvdrive.feasibility.Assessor;
import dev.kvdrive.feasibility.Usage;
import java.util.Collection;
import java.util.HashMap;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import java.util.function.Function;
import java.util.stream.Collectors;

/**
 * What deployments have been granted. Verdicts on the deployments of one namespace are reached one
 * after the other, and each sees the grants before it: two deployments cannot both be given the
 * same free part of a quota, however far the caches are behind what was applied.
 */
final class Grants {
  private record Grant(String className, Usage usage) {}

  private final Map<String, Map<String, Grant>> namespaces = new ConcurrentHashMap<>();

  /**
   * A verdict, and with it, if it is feasible, a grant.
   *
   * @param siblings all deployments of the namespace
   * @param seen what the cluster shows to run of the deployment's class, by name
   * @param judge from what runs, the grants included, to the verdict
   */
  Assessment judge(
      InferenceDeployment deployment,
      Collection<InferenceDeployment> siblings,
      Map<String, Usage> seen,
      Function<Map<String, Usage>, Assessment> judge) {
    String name = deployment.getMetadata().getName();
    String className = Assessor.className(deployment);
    Map<String, Grant> grants =
        namespaces.computeIfAbsent(
            deployment.getMetadata().getNamespace(), namespace -> new HashMap<>());
    synchronized (grants) {
      // What is gone counts for as long as its pods are seen.
      grants
          .keySet()
          .retainAll(
              siblings.stream().map(s -> s.getMetadata().getName()).collect(Collectors.toSet()));
      Map<String, Usage> running = new TreeMap<>(seen);
      grants.forEach(
          (who, grant) -> {
            if (grant.className().equals(className)) {
              running.merge(who, grant.usage(), Usage::max);
            }
          });
      Assessment verdict = judge.apply(running);
      // What is refused leaves the former grant: its pods go on.
      if (verdict instanceof Feasible feasible) {
        grants.put(
            name,
            new Grant(
                className, Usage.of(feasible.request().tiers(), feasible.request().replicas())));
      }
      return verdict;
    }
  }

  /** Takes a grant back that will not be used. */
  void release(InferenceDeployment deployment) {
    Map<String, Grant> grants = namespaces.get(deployment.getMetadata().getNamespace());
    if (grants != null) {
      synchronized (grants) {
        grants.remove(deployment.getMetadata().getName());
      }
    }
  }
}
