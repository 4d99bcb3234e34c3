package dev.kvdrive.operator.reconcile;

import static org.assertj.core.api.Assertions.assertThat;

import dev.kvdrive.api.v1alpha1.InferenceDeployment;
import dev.kvdrive.feasibility.WrittenManifests;
import dev.kvdrive.operator.ApiServer;
import io.fabric8.kubernetes.api.model.ConfigMap;
import io.fabric8.kubernetes.api.model.ConfigMapBuilder;
import io.fabric8.kubernetes.api.model.StatusBuilder;
import io.fabric8.kubernetes.client.KubernetesClient;
import io.fabric8.kubernetes.client.KubernetesClientException;
import io.javaoperatorsdk.operator.AggregatedOperatorException;
import io.javaoperatorsdk.operator.OperatorException;
import java.io.IOException;
import java.util.List;
import java.util.Map;
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

    assertThat(Failures.meansGone(List.of(failure), gone)).isTrue();
    assertThat(
            Failures.meansGone(
                List.of(failure), WrittenManifests.deployment("other", namespace, "")))
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

    assertThat(
            Failures.meansGone(
                List.of(failure), WrittenManifests.deployment("endpoint", namespace, "")))
        .isFalse();
  }

  @Test
  void whatWasChangedMeanwhileIsARace() {
    ConfigMap first =
        client
            .resource(
                new ConfigMapBuilder()
                    .withNewMetadata()
                    .withName("changed")
                    .withNamespace(namespace)
                    .endMetadata()
                    .build())
            .create();
    client.resource(first).edit(map -> new ConfigMapBuilder(map).addToData("a", "b").build());

    KubernetesClientException failure =
        Assertions.catchThrowableOfType(
            KubernetesClientException.class,
            () ->
                client
                    .resource(new ConfigMapBuilder(first).addToData("c", "d").build())
                    .lockResourceVersion(first.getMetadata().getResourceVersion())
                    .update());

    assertThat(Failures.meansChanged(List.of(failure))).isTrue();
    assertThat(Failures.meansChanged(List.of(failure, refused("exceeded quota")))).isFalse();
  }

  /** Without the controller that would end it, the namespace stays as it is being deleted. */
  @Test
  void aNamespaceThatGoesIsNoFailure() {
    String going = server.newNamespace();
    client.namespaces().withName(going).delete();

    KubernetesClientException failure =
        Assertions.catchThrowableOfType(
            KubernetesClientException.class,
            () ->
                client
                    .resource(
                        new ConfigMapBuilder()
                            .withNewMetadata()
                            .withName("late")
                            .withNamespace(going)
                            .endMetadata()
                            .build())
                    .create());

    assertThat(Failures.meansGoing(List.of(failure))).isTrue();
    assertThat(Failures.meansGoing(List.of(refused("exceeded quota")))).isFalse();
  }

  @Test
  void everyRefusalIsFoundHoweverDeepItIsWrapped() {
    KubernetesClientException quota = refused("exceeded quota");
    KubernetesClientException webhook = refused("denied the request");
    AggregatedOperatorException several =
        new AggregatedOperatorException(
            "workflow",
            Map.of(
                "service", new KubernetesClientException("Operation: [patch] failed.", quota),
                "config", webhook,
                "account", new IllegalStateException("of no interest")));

    assertThat(Failures.causes(new OperatorException(several)))
        .containsExactlyInAnyOrder(quota, webhook);
  }

  @Test
  void whatAStopBrokeOffIsKnown() {
    KubernetesClientException interrupted =
        new KubernetesClientException("Operation: [patch] failed.", new InterruptedException());

    assertThat(
            Failures.meansStopped(
                new AggregatedOperatorException("workflow", Map.of("service", interrupted))))
        .isTrue();
    assertThat(Failures.meansStopped(new KubernetesClientException("x", new IOException("y"))))
        .isFalse();
  }

  @Test
  void withoutARefusalTheLastCauseSpeaks() {
    IOException connection = new IOException("connection refused");

    assertThat(Failures.causes(new KubernetesClientException("Operation failed.", connection)))
        .containsExactly(connection);
  }

  private static KubernetesClientException refused(String message) {
    return new KubernetesClientException(
        new StatusBuilder().withCode(403).withReason("Forbidden").withMessage(message).build());
  }
}
