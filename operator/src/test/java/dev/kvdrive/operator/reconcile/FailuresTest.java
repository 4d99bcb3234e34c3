package dev.kvdrive.operator.reconcile;

import static org.assertj.core.api.Assertions.assertThat;

import dev.kvdrive.api.v1alpha1.InferenceDeployment;
import dev.kvdrive.feasibility.WrittenManifests;
import dev.kvdrive.operator.ApiServer;
import io.fabric8.kubernetes.client.KubernetesClient;
import io.fabric8.kubernetes.client.KubernetesClientException;
import org.assertj.core.api.Assertions;
import org.junit.jupiter.api.Test;

class FailuresTest {
  private final ApiServer server = ApiServer.get();
  private final KubernetesClient client = server.client();
  private final String namespace = server.newNamespace();

  @Test
  void aStatusThatFindsNoDeploymentMeansThatItIsGone() {
    InferenceDeployment gone = WrittenManifests.deployment("gone", namespace, "");

    KubernetesClientException failure =
        Assertions.catchThrowableOfType(
            KubernetesClientException.class, () -> client.resource(gone).patchStatus());

    assertThat(Failures.meansGone(failure, gone)).isTrue();
    assertThat(Failures.meansGone(failure, WrittenManifests.deployment("other", namespace, "")))
        .isFalse();
  }

  @Test
  void anotherObjectThatIsMissingDoesNot() {
    KubernetesClientException failure =
        Assertions.catchThrowableOfType(
            KubernetesClientException.class,
            () ->
                client
                    .services()
                    .inNamespace(namespace)
                    .withName("endpoint")
                    .edit(service -> service));

    assertThat(Failures.meansGone(failure, WrittenManifests.deployment("endpoint", namespace, "")))
        .isFalse();
  }
}
