package dev.kvdrive.operator.status;

import static org.assertj.core.api.Assertions.assertThat;

import dev.kvdrive.api.v1alpha1.InferenceDeployment;
import dev.kvdrive.api.v1alpha1.InferenceDeploymentStatus;
import dev.kvdrive.feasibility.WrittenManifests;
import io.fabric8.kubernetes.api.model.ConditionBuilder;
import io.fabric8.kubernetes.api.model.Event;
import java.time.Instant;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.Test;

class AnnouncementTest {
  private final InferenceDeployment deployment =
      WrittenManifests.deployment("endpoint", "users", "");

  @Test
  void theFirstStatusIsAnnounced() {
    Event event = announced(ready("False", "Starting", "1 of 1 pods have been started.")).get();

    assertThat(event.getType()).isEqualTo("Normal");
    assertThat(event.getReason()).isEqualTo("Starting");
    assertThat(event.getMessage()).isEqualTo("1 of 1 pods have been started.");
    assertThat(event.getInvolvedObject().getKind()).isEqualTo("InferenceDeployment");
    assertThat(event.getInvolvedObject().getName()).isEqualTo("endpoint");
    assertThat(event.getMetadata().getNamespace()).isEqualTo("users");
    assertThat(event.getLastTimestamp()).isEqualTo("2026-11-24T12:00:00Z");
  }

  @Test
  void aMessageThatMovesOnWithinItsReasonIsNot() {
    deployment.setStatus(ready("False", "Starting", "0 of 2 pods have been started."));

    assertThat(announced(ready("False", "Starting", "1 of 2 pods have been started."))).isEmpty();
  }

  @Test
  void whatNeedsAPersonIsAWarning() {
    deployment.setStatus(ready("False", "Starting", "."));

    assertThat(announced(ready("False", "Unschedulable", "no node")))
        .map(Event::getType)
        .contains("Warning");
    assertThat(announced(ready("True", "PodsReady", "1 of 1 pods serve.")))
        .map(Event::getType)
        .contains("Normal");
  }

  @Test
  void aLongExplanationIsCutToWhatAnEventHolds() {
    Event event = announced(ready("False", "DoesNotFit", "x".repeat(2000))).get();

    assertThat(event.getMessage()).hasSize(1024).endsWith("…");
  }

  @Test
  void theSameStepHasTheSameName() {
    String first = announced(ready("False", "Starting", "0 of 1")).get().getMetadata().getName();
    String again = announced(ready("False", "Starting", "1 of 1")).get().getMetadata().getName();
    String other = announced(ready("True", "PodsReady", ".")).get().getMetadata().getName();
    deployment.setStatus(ready("True", "PodsReady", "."));
    String later = announced(ready("False", "Starting", "0 of 1")).get().getMetadata().getName();

    assertThat(first).startsWith("endpoint.").isEqualTo(again);
    assertThat(List.of(first, other, later)).doesNotHaveDuplicates();
  }

  private Optional<Event> announced(InferenceDeploymentStatus after) {
    return Announcement.of(
        deployment, after, "kvdrive-operator", Instant.parse("2026-11-24T12:00:00.9Z"));
  }

  private static InferenceDeploymentStatus ready(String status, String reason, String message) {
    return new InferenceDeploymentStatus(
        1L,
        List.of(
            new ConditionBuilder()
                .withType("Ready")
                .withStatus(status)
                .withReason(reason)
                .withMessage(message)
                .build()),
        null,
        null,
        null,
        null,
        null,
        null,
        null,
        null,
        null);
  }
}
