package dev.kvdrive.operator.status;

import static org.assertj.core.api.Assertions.assertThat;

import io.fabric8.kubernetes.api.model.HasMetadata;
import io.fabric8.kubernetes.api.model.apps.Deployment;
import io.fabric8.kubernetes.client.utils.KubernetesSerialization;
import org.junit.jupiter.api.Test;

class ForeignFieldsTest {
  private static final String OURS =
      """
      - manager: kvdrive-operator
        operation: Apply
        fieldsV1:
          f:spec:
            f:replicas: {}
            f:template:
              f:spec:
                f:containers:
                  k:{"name":"runtime"}:
                    .: {}
                    f:image: {}
                    f:env:
                      k:{"name":"JAVA_TOOL_OPTIONS"}: {.: {}, f:name: {}, f:value: {}}
      """;

  @Test
  void namesWhatAnotherManagerAddedAtItsTopAndWho() {
    assertThat(
            ForeignFields.of(
                object(
                    """
                    - manager: kubectl-edit
                      operation: Update
                      fieldsV1:
                        f:spec:
                          f:template:
                            f:spec:
                              f:containers:
                                k:{"name":"sidecar"}: {.: {}, f:image: {}, f:name: {}}
                                k:{"name":"runtime"}:
                                  f:env:
                                    k:{"name":"DEBUG"}: {.: {}, f:name: {}}
                              f:hostNetwork: {}
                    """)))
        .containsExactly(
            "spec.template.spec.containers[runtime].env[DEBUG] (by kubectl-edit)",
            "spec.template.spec.containers[sidecar] (by kubectl-edit)",
            "spec.template.spec.hostNetwork (by kubectl-edit)");
  }

  @Test
  void whatTheApiServerFillsInOrAttributesToTheOperatorIsNotForeign() {
    assertThat(
            ForeignFields.of(
                object(
                    """
                    - manager: kvdrive-operator
                      operation: Update
                      fieldsV1:
                        f:spec:
                          f:template:
                            f:spec:
                              f:containers:
                                k:{"name":"injected-by-a-webhook"}: {.: {}}
                    - manager: kube-controller-manager
                      operation: Update
                      subresource: status
                      fieldsV1: {f:status: {f:replicas: {}}}
                    """)))
        .isEmpty();
  }

  /** The API server keeps entries of fields that it took out again itself. */
  @Test
  void whatTheObjectHasNotIsNotNamed() {
    assertThat(
            ForeignFields.of(
                object(
                    """
                    - manager: kubectl-patch
                      operation: Update
                      fieldsV1:
                        f:spec:
                          f:paused: {}
                          f:template:
                            f:spec:
                              f:containers:
                                k:{"name":"gone"}: {.: {}, f:image: {}}
                                k:{"name":"runtime"}:
                                  f:args: {}
                                  f:env:
                                    k:{"name":"GONE"}: {.: {}, f:name: {}}
                    """)))
        .isEmpty();
  }

  @Test
  void aScaleAndARequestToRestartAreEverybodys() {
    assertThat(
            ForeignFields.of(
                object(
                    """
                    - manager: kubectl-rollout
                      operation: Update
                      fieldsV1:
                        f:spec:
                          f:replicas: {}
                          f:template:
                            f:metadata:
                              f:annotations: {f:kubectl.kubernetes.io/restartedAt: {}}
                    """)))
        .isEmpty();
  }

  private static HasMetadata object(String others) {
    return new KubernetesSerialization()
        .unmarshal(
            """
            apiVersion: apps/v1
            kind: Deployment
            spec:
              replicas: 2
              template:
                metadata: {annotations: {kubectl.kubernetes.io/restartedAt: now}}
                spec:
                  hostNetwork: true
                  containers:
                    - name: sidecar
                      image: example.com/x
                    - name: injected-by-a-webhook
                    - name: runtime
                      image: example.com/r
                      env: [{name: JAVA_TOOL_OPTIONS, value: x}, {name: DEBUG}]
            metadata:
              name: endpoint
              managedFields:
            """
                + (OURS + others).indent(4),
            Deployment.class);
  }
}
