package dev.kvdrive.operator;

import static org.assertj.core.api.Assertions.assertThat;

import dev.kvdrive.operator.Helm.Outcome;
import io.fabric8.kubernetes.api.model.HasMetadata;
import io.fabric8.kubernetes.client.dsl.FieldValidateable.Validation;
import java.io.ByteArrayInputStream;
import java.nio.charset.StandardCharsets;
import org.junit.jupiter.api.Test;

class ChartTest {
  @Test
  void passesHelmsLint() {
    Outcome lint =
        Helm.run("helm", "lint", "--strict", "--kube-version", "1.34.4", Helm.CHART.toString());

    assertThat(lint.exitCode()).as(lint.output()).isZero();
  }

  @Test
  void passesItsUnitTests() {
    Outcome tests = Helm.run("helm-unittest", "--strict", Helm.CHART.toString());

    assertThat(tests.exitCode()).as(tests.output()).isZero();
    assertThat(tests.output()).containsPattern("Tests:\\s+[1-9]");
  }

  @Test
  void everythingInItIsAcceptedUnderStrictValidation() {
    ApiServer server = ApiServer.get();
    String namespace = server.newNamespace();
    server.ensureNamespace("watched");
    Outcome rendered =
        Helm.run(
            "helm",
            "template",
            "strict",
            Helm.CHART.toString(),
            "--namespace",
            namespace,
            "--kube-version",
            "1.34.4",
            "--set",
            "watch.namespaces={watched}");
    assertThat(rendered.exitCode()).as(rendered.output()).isZero();

    for (HasMetadata object :
        server
            .client()
            .load(new ByteArrayInputStream(rendered.output().getBytes(StandardCharsets.UTF_8)))
            .items()) {
      server
          .client()
          .resource(object)
          .fieldValidation(Validation.STRICT)
          .forceConflicts()
          .serverSideApply();
    }
  }
}
