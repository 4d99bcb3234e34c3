package dev.kvdrive.operator.reconcile;

import static org.assertj.core.api.Assertions.assertThat;

import dev.kvdrive.api.v1alpha1.InferenceDeployment;
import io.fabric8.kubernetes.api.model.ObjectMetaBuilder;
import org.junit.jupiter.api.Test;

class MemoryTest {
  private final Memory memory = new Memory();

  @Test
  void aStepIsAnnouncedOnceUntilAnotherIs() {
    Memory.OfOne one = memory.of(deployment("one"));
    assertThat(one.isNewStep("Normal Starting")).isTrue();
    assertThat(one.isNewStep("Normal PodsReady")).isTrue();
    assertThat(one.isNewStep("Normal PodsReady")).as("seen from a cache that is behind").isFalse();
    assertThat(memory.of(deployment("other")).isNewStep("Normal PodsReady")).isTrue();
    assertThat(one.isNewStep("Warning DoesNotFit")).isTrue();
    assertThat(one.isNewStep("Normal PodsReady")).isTrue();
  }

  @Test
  void aDeploymentThatEndedIsForgotten() {
    InferenceDeployment deployment = deployment("one");
    assertThat(memory.of(deployment).isNewStep("Normal Starting")).isTrue();
    memory.onResourceDeleted(deployment);
    assertThat(memory.of(deployment).isNewStep("Normal Starting")).isTrue();
  }

  private static InferenceDeployment deployment(String name) {
    InferenceDeployment deployment = new InferenceDeployment();
    deployment.setMetadata(new ObjectMetaBuilder().withName(name).withNamespace("tests").build());
    return deployment;
  }
}
