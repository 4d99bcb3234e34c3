package dev.kvdrive.operator.reconcile;

import static org.assertj.core.api.Assertions.assertThat;

import io.fabric8.kubernetes.api.model.ConfigMap;
import io.fabric8.kubernetes.api.model.ConfigMapBuilder;
import io.fabric8.kubernetes.api.model.Pod;
import io.fabric8.kubernetes.api.model.PodBuilder;
import java.util.List;
import java.util.Set;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

class PastConfigurationsTest {
  private static final List<ConfigMap> TWENTY =
      IntStream.range(0, 20).mapToObj(PastConfigurationsTest::configuration).toList();

  @Test
  void nothingGoesWhileARolloutMayHaveToGoBack() {
    assertThat(names(TWENTY.subList(0, PastConfigurations.HISTORY), "other", Set.of(), false))
        .isEmpty();
  }

  @Test
  void whatNoPodUsesGoesOnceARolloutIsComplete() {
    assertThat(names(TWENTY.subList(0, 4), "c03", Set.of("c01"), true))
        .containsExactly("c00", "c02");
  }

  @Test
  void manyAttemptsLeaveTheOldestAndTheNewest() {
    assertThat(names(TWENTY, "c19", Set.of(), false))
        .containsExactly("c01", "c02", "c03", "c04", "c05", "c06", "c07", "c08", "c09");
  }

  @Test
  void whatIsUsedNeverGoes() {
    assertThat(names(TWENTY, "c19", Set.of("c05"), false)).doesNotContain("c05", "c19");
  }

  @Test
  void aPodThatHasEndedUsesNothing() {
    assertThat(
            PastConfigurations.mounted(
                List.of(pod("a", "Running"), pod("b", "Failed"), pod("c", "Pending"))))
        .containsExactlyInAnyOrder("a", "c");
  }

  private static List<String> names(
      List<ConfigMap> own, String current, Set<String> mounted, boolean complete) {
    return PastConfigurations.dispensable(own.reversed(), current, mounted, complete).stream()
        .map(c -> c.getMetadata().getName())
        .toList();
  }

  private static ConfigMap configuration(int age) {
    return new ConfigMapBuilder()
        .withNewMetadata()
        .withName("c%02d".formatted(age))
        .withCreationTimestamp("2026-11-24T12:00:%02dZ".formatted(age))
        .endMetadata()
        .build();
  }

  private static Pod pod(String configuration, String phase) {
    return new PodBuilder()
        .withNewSpec()
        .addNewVolume()
        .withName("tmp")
        .endVolume()
        .addNewVolume()
        .withName("config")
        .withNewConfigMap()
        .withName(configuration)
        .endConfigMap()
        .endVolume()
        .endSpec()
        .withNewStatus()
        .withPhase(phase)
        .endStatus()
        .build();
  }
}
