package dev.kvdrive.e2e;

import static org.awaitility.Awaitility.await;

import dev.kvdrive.api.v1alpha1.InferenceDeployment;
import io.fabric8.kubernetes.api.model.Condition;
import io.fabric8.kubernetes.client.KubernetesClient;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.function.Predicate;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/** Waits for what an InferenceDeployment's status says. */
final class Waiting {
  /** Phases in which a pod runs no more. */
  static final Set<String> ENDED = Set.of("Succeeded", "Failed");

  private static final Duration POLL = Duration.ofMillis(500);

  private final KubernetesClient client;
  private final String namespace;

  Waiting(KubernetesClient client, String namespace) {
    this.client = client;
    this.namespace = namespace;
  }

  /** Waits until the condition has the status and speaks of the present generation. */
  Condition forCondition(String name, String type, String status, Duration limit) {
    return forMessage(name, type, status, Pattern.compile(""), limit);
  }

  /** Waits, moreover, until its message contains a match. */
  Condition forMessage(String name, String type, String status, Pattern message, Duration limit) {
    return until(
        name,
        type,
        status,
        "saying '%s'".formatted(message),
        condition -> message.matcher(condition.getMessage()).find(),
        limit);
  }

  /** Waits until the condition has the status for the reason. */
  Condition forReason(String name, String type, String status, String reason, Duration limit) {
    return until(
        name,
        type,
        status,
        "for " + reason,
        condition -> condition.getReason().equals(reason),
        limit);
  }

  private Condition until(
      String name,
      String type,
      String status,
      String more,
      Predicate<Condition> as,
      Duration limit) {
    return await("%s=%s of %s/%s %s".formatted(type, status, namespace, name, more))
        .atMost(limit)
        .pollInterval(POLL)
        .until(
            () -> condition(name, type),
            found -> found.filter(c -> c.getStatus().equals(status)).filter(as).isPresent())
        .orElseThrow();
  }

  /** The condition as it stands, when the status speaks of the present generation. */
  Optional<Condition> condition(String name, String type) {
    InferenceDeployment deployment = get(name);
    if (deployment == null || deployment.getStatus() == null) {
      return Optional.empty();
    }
    Long observed = deployment.getStatus().observedGeneration();
    List<Condition> conditions = deployment.getStatus().conditions();
    if (conditions == null || !deployment.getMetadata().getGeneration().equals(observed)) {
      return Optional.empty();
    }
    return conditions.stream().filter(c -> c.getType().equals(type)).findFirst();
  }

  @Nullable InferenceDeployment get(String name) {
    return client.resources(InferenceDeployment.class).inNamespace(namespace).withName(name).get();
  }
}
