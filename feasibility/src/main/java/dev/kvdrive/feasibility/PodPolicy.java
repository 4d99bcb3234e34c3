package dev.kvdrive.feasibility;

import static java.util.Objects.requireNonNullElse;

import dev.kvdrive.api.v1alpha1.InferenceClassSpec.Pods;
import dev.kvdrive.api.v1alpha1.InferenceDeployment;
import dev.kvdrive.api.v1alpha1.NodeRequirement;
import dev.kvdrive.api.v1alpha1.Rollout;
import dev.kvdrive.api.v1alpha1.RuntimeSpec;
import dev.kvdrive.api.v1alpha1.TopologySpread;
import io.fabric8.kubernetes.api.model.Toleration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.TreeSet;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/**
 * What deployments may say about their pods: what their class lists, and where it lists nothing, or
 * there is no class, what harms nobody else. Whoever leaves a class that is silent gains nothing by
 * it. Two things no class can allow, because the definition refuses them, too: a priority of
 * Kubernetes' own and a toleration of every taint. A class may give both by itself.
 */
final class PodPolicy {
  private static final Pods SILENT = new Pods(null, null, null, null, null, null);

  /** Keys that Kubernetes reserves for itself; app.kubernetes.io is meant for everybody. */
  private static final Pattern KUBERNETES_KEY =
      Pattern.compile("(?!app\\.kubernetes\\.io/)([^/]+\\.)?(kubernetes|k8s)\\.io/.*");

  /** What selects the pods, and would be overwritten. */
  private static final Set<String> OPERATORS_LABELS =
      Set.of(
          "app.kubernetes.io/name", "app.kubernetes.io/instance", "app.kubernetes.io/managed-by");

  private final Pods pods;
  private final @Nullable String className;
  private final List<String> found = new ArrayList<>();

  private PodPolicy(@Nullable Pods pods, @Nullable String className) {
    this.pods = requireNonNullElse(pods, SILENT);
    this.className = className;
  }

  /**
   * What {@code runtime} says that is not allowed, a sentence each; empty if all is.
   *
   * @param runtime the deployment's own words, not completed by its class
   * @param pods what the class allows; null if it says nothing or there is none
   * @param maxSurge what the class says of it; null if it says nothing or there is none
   * @param className for the sentences; null without a class
   */
  static List<String> violations(
      @Nullable RuntimeSpec runtime,
      @Nullable Pods pods,
      @Nullable Integer maxSurge,
      @Nullable String className) {
    if (runtime == null) {
      return List.of();
    }
    PodPolicy policy = new PodPolicy(pods, className);
    policy.priority(runtime.priorityClassName());
    requireNonNullElse(runtime.tolerations(), List.<Toleration>of()).forEach(policy::toleration);
    policy.keys(
        "nodeSelector",
        requireNonNullElse(runtime.nodeSelector(), Map.<String, String>of()).keySet(),
        policy.pods.allowedNodeSelectorKeys(),
        Match.WHOLE);
    policy.keys(
        "nodeAffinity",
        requireNonNullElse(runtime.nodeAffinity(), List.<NodeRequirement>of()).stream()
            .map(NodeRequirement::key)
            .toList(),
        policy.pods.allowedNodeSelectorKeys(),
        Match.WHOLE);
    policy.keys(
        "topologySpread",
        requireNonNullElse(runtime.topologySpread(), List.<TopologySpread>of()).stream()
            .map(TopologySpread::topologyKey)
            .toList(),
        policy.pods.allowedTopologyKeys(),
        Match.WHOLE);
    policy.rollout(runtime.rollout(), maxSurge);
    policy.keys(
        "labels",
        requireNonNullElse(runtime.labels(), Map.<String, String>of()).keySet(),
        policy.pods.allowedLabelPrefixes(),
        Match.START);
    policy.keys(
        "annotations",
        requireNonNullElse(runtime.annotations(), Map.<String, String>of()).keySet(),
        policy.pods.allowedAnnotationPrefixes(),
        Match.START);
    return policy.found;
  }

  private void rollout(@Nullable Rollout asked, @Nullable Integer maxSurge) {
    if (asked == Rollout.SURGE && maxSurge != null && maxSurge == 0) {
      found.add(
          "runtime.rollout is Surge; InferenceClass %s has no pod more than the replicas (runtime.maxSurge 0). Write InPlace or WhenIdle, or leave it out."
              .formatted(className));
    }
  }

  private void priority(@Nullable String asked) {
    if (asked == null) {
      return;
    }
    if (asked.startsWith("system-")) {
      found.add(
          "runtime.priorityClassName is %s: %s.".formatted(asked, RuntimeSpec.SYSTEM_PRIORITY));
    } else if (pods.allowedPriorityClassNames() != null
        && !pods.allowedPriorityClassNames().contains(asked)) {
      found.add(
          "runtime.priorityClassName is %s; %s."
              .formatted(asked, allows(pods.allowedPriorityClassNames())));
    }
  }

  private void toleration(Toleration asked) {
    List<Toleration> allowed = pods.allowedTolerations();
    if (isEmpty(asked.getKey())) {
      found.add("runtime.tolerations: %s.".formatted(RuntimeSpec.CATCH_ALL));
    } else if (allowed != null) {
      if (allowed.stream().noneMatch(one -> covers(one, asked))) {
        found.add(
            "runtime.tolerations has %s; %s."
                .formatted(text(asked), allows(allowed.stream().map(PodPolicy::text).toList())));
      }
    } else if (isKubernetes(asked.getKey())) {
      found.add(
          "runtime.tolerations has %s: with this taint Kubernetes protects nodes, and %s."
              .formatted(text(asked), onlyByName("pods.allowedTolerations")));
    }
  }

  private enum Match {
    WHOLE,
    START
  }

  private void keys(
      String field, Collection<String> asked, @Nullable List<String> allowed, Match match) {
    for (String key : new TreeSet<>(asked)) {
      if (match == Match.START && isOperators(key)) {
        found.add(
            "runtime.%s has %s: the operator sets it by itself; leave it out."
                .formatted(field, key));
      } else if (allowed != null) {
        boolean listed =
            allowed.stream()
                .anyMatch(one -> match == Match.WHOLE ? key.equals(one) : key.startsWith(one));
        if (!listed) {
          found.add("runtime.%s has %s; %s.".formatted(field, key, allows(allowed)));
        }
      } else if (match == Match.START && isKubernetes(key)) {
        found.add(
            "runtime.%s has %s: such keys are Kubernetes' own, and %s."
                .formatted(
                    field,
                    key,
                    onlyByName(
                        field.equals("labels")
                            ? "pods.allowedLabelPrefixes"
                            : "pods.allowedAnnotationPrefixes")));
      }
    }
  }

  private String allows(List<String> allowed) {
    return "InferenceClass %s allows %s"
        .formatted(className, allowed.isEmpty() ? "none" : String.join(", ", allowed));
  }

  private String onlyByName(String list) {
    return className == null
        ? "only an InferenceClass can allow it (%s), and none governs this deployment"
            .formatted(list)
        : "InferenceClass %s does not list it in %s".formatted(className, list);
  }

  private static boolean isOperators(String key) {
    return OPERATORS_LABELS.contains(key) || key.startsWith(InferenceDeployment.GROUP + "/");
  }

  private static boolean isKubernetes(String key) {
    return KUBERNETES_KEY.matcher(key).matches();
  }

  /** Whether every taint that {@code asked} tolerates is one that {@code allowed} tolerates. */
  private static boolean covers(Toleration allowed, Toleration asked) {
    boolean effect =
        isEmpty(allowed.getEffect()) || Objects.equals(allowed.getEffect(), asked.getEffect());
    boolean time =
        allowed.getTolerationSeconds() == null
            || (asked.getTolerationSeconds() != null
                && asked.getTolerationSeconds() <= allowed.getTolerationSeconds());
    boolean anyKey = isEmpty(allowed.getKey()) && operator(allowed).equals("Exists");
    boolean key = Objects.equals(allowed.getKey(), asked.getKey());
    boolean value =
        operator(allowed).equals("Exists")
            || (operator(allowed).equals(operator(asked))
                && requireNonNullElse(allowed.getValue(), "")
                    .equals(requireNonNullElse(asked.getValue(), "")));
    return effect && time && (anyKey || (key && value));
  }

  private static String operator(Toleration toleration) {
    return isEmpty(toleration.getOperator()) ? "Equal" : toleration.getOperator();
  }

  /** As {@code kubectl} writes taints: key=value:effect. */
  private static String text(Toleration toleration) {
    String value =
        operator(toleration).equals("Exists")
            ? ""
            : "=" + requireNonNullElse(toleration.getValue(), "");
    String key = isEmpty(toleration.getKey()) ? "any key" : toleration.getKey();
    return key + value + (isEmpty(toleration.getEffect()) ? "" : ":" + toleration.getEffect());
  }

  private static boolean isEmpty(@Nullable String text) {
    return text == null || text.isEmpty();
  }
}
