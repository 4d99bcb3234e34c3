package dev.kvdrive.e2e;

import dev.kvdrive.api.v1alpha1.InferenceDeployment;
import io.fabric8.kubernetes.api.model.Event;
import io.fabric8.kubernetes.api.model.Pod;
import io.fabric8.kubernetes.client.KubernetesClient;
import io.fabric8.kubernetes.client.KubernetesClientException;
import io.fabric8.kubernetes.client.utils.Serialization;
import java.util.Comparator;
import java.util.Optional;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.extension.ExtensionContext;
import org.junit.jupiter.api.extension.TestWatcher;

/** Prints what a person would look at first, when a test has failed. */
final class Diagnosis implements TestWatcher {
  private static final int LOG_LINES = 60;
  private static final int EVENTS = 40;

  @Override
  public void testFailed(ExtensionContext context, @Nullable Throwable cause) {
    StringBuilder said = new StringBuilder("\n==== " + context.getDisplayName() + " failed\n");
    try (KubernetesClient client = PlatformIT.connect()) {
      for (InferenceDeployment deployment :
          client.resources(InferenceDeployment.class).inAnyNamespace().list().getItems()) {
        deployment.getMetadata().setManagedFields(null);
        said.append(Serialization.asYaml(deployment)).append('\n');
      }
      for (Pod pod : client.pods().inAnyNamespace().list().getItems()) {
        if (!PlatformIT.isOurs(pod.getMetadata().getNamespace())) {
          continue;
        }
        said.append("---- pod ").append(pod.getMetadata().getNamespace()).append('/');
        said.append(pod.getMetadata().getName()).append(' ');
        said.append(Serialization.asYaml(pod.getStatus())).append('\n').append(log(client, pod));
      }
      said.append("---- events\n");
      client.v1().events().inAnyNamespace().list().getItems().stream()
          .filter(event -> PlatformIT.isOurs(event.getMetadata().getNamespace()))
          .sorted(Comparator.comparing(Diagnosis::time).reversed())
          .limit(EVENTS)
          .forEach(event -> said.append(line(event)));
    } catch (KubernetesClientException e) {
      said.append("the cluster does not answer: ").append(e.getMessage());
    }
    System.err.println(said);
  }

  private static String log(KubernetesClient client, Pod pod) {
    try {
      return client.pods().resource(pod).tailingLines(LOG_LINES).getLog() + "\n";
    } catch (KubernetesClientException e) {
      return "no log: " + e.getMessage() + "\n";
    }
  }

  private static String time(Event event) {
    return Optional.ofNullable(event.getLastTimestamp())
        .orElse(event.getMetadata().getCreationTimestamp());
  }

  private static String line(Event event) {
    return "%s %s %s/%s %s: %s%n"
        .formatted(
            time(event),
            event.getType(),
            event.getInvolvedObject().getKind(),
            event.getInvolvedObject().getName(),
            event.getReason(),
            event.getMessage());
  }
}
