package dev.kvdrive.operator.reconcile;

import static org.assertj.core.api.Assertions.assertThat;

import dev.kvdrive.api.v1alpha1.InferenceDeployment;
import dev.kvdrive.api.v1alpha1.InferenceDeploymentStatus;
import dev.kvdrive.feasibility.WrittenManifests;
import dev.kvdrive.operator.ApiServer;
import io.fabric8.kubernetes.api.model.coordination.v1.LeaseBuilder;
import java.time.Clock;
import java.time.Instant;
import java.time.ZoneOffset;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class ServingTest {
  private static final Instant NOW = Instant.parse("2026-11-24T12:00:00Z");

  private final ApiServer server = ApiServer.get();
  private final String other = server.newNamespace();
  private final Serving serving =
      new Serving("mine", "kvdrive", false, Clock.fixed(NOW, ZoneOffset.UTC));

  @ParameterizedTest
  @CsvSource({
    "pod-1, 15, false", // works
    "pod-1, 300, false", // its node may have failed
    "pod-1, 660, true",
    "'', 30, false", // its next version is about to start
    "'', 90, true"
  })
  void anOperatorIsGoneWhenItHasNotRenewedItsLease(String holder, int seconds, boolean gone) {
    renewed(holder, seconds);

    assertThat(serving.claim(servedBy(other + "/kvdrive"), server.client()).mayTake())
        .isEqualTo(gone);
  }

  @ParameterizedTest
  @CsvSource({
    "pod-1, 15, false, ", // works
    "pod-1, 300, true, 300",
    "'', 30, false, 30", // a restart is nothing to speak of
  })
  void aClaimOfWhoIsNotHeardOfSaysWhenItEnds(
      String holder, int seconds, boolean silent, @Nullable Integer left) {
    renewed(holder, seconds);

    Serving.Claim claim = serving.claim(servedBy(other + "/kvdrive"), server.client());

    assertThat(claim.isSilent(NOW)).isEqualTo(silent);
    assertThat(claim.until()).isEqualTo(left == null ? null : NOW.plusSeconds(left));
  }

  @Test
  void anOperatorWithoutALeaseIsGone() {
    assertThat(serving.claim(servedBy(other + "/kvdrive"), server.client()).mayTake()).isTrue();
  }

  @Test
  void whoMayNotLookDoesNotTake() {
    assertThat(
            serving
                .claim(
                    servedBy(other + "/kvdrive"), server.newClientAs("default", "nobody-special"))
                .mayTake())
        .isFalse();
  }

  @Test
  void whatNobodyOrAnotherNameInTheSameNamespaceServesMayBeTaken() {
    assertThat(serving.claim(servedBy(null), server.client()).mayTake()).isTrue();
    assertThat(serving.claim(servedBy("mine/older-name"), server.client()).mayTake()).isTrue();
    assertThat(serving.isOurs(servedBy("mine/older-name"))).isFalse();
    assertThat(serving.isOurs(servedBy("mine/kvdrive"))).isTrue();
  }

  private void renewed(String holder, int seconds) {
    server
        .client()
        .resource(
            new LeaseBuilder()
                .withNewMetadata()
                .withName(Serving.LEASE)
                .withNamespace(other)
                .endMetadata()
                .withNewSpec()
                .withHolderIdentity(holder.isEmpty() ? null : holder)
                .withLeaseDurationSeconds(15)
                .withRenewTime(NOW.minusSeconds(seconds).atZone(ZoneOffset.UTC))
                .endSpec()
                .build())
        .create();
  }

  private static InferenceDeployment servedBy(@Nullable String operator) {
    InferenceDeployment deployment = WrittenManifests.deployment("endpoint", "legal", "");
    deployment.setStatus(
        new InferenceDeploymentStatus(
            null, null, null, null, null, null, null, null, null, null, operator));
    return deployment;
  }
}
