package dev.kvdrive.operator;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.kvdrive.api.v1alpha1.ConfigMapKey;
import dev.kvdrive.api.v1alpha1.Downloads;
import dev.kvdrive.api.v1alpha1.PullPolicy;
import dev.kvdrive.api.v1alpha1.SecretKey;
import dev.kvdrive.api.v1alpha1.TraceCollector;
import dev.kvdrive.operator.Helm.Outcome;
import io.fabric8.kubernetes.api.model.ConfigMap;
import io.fabric8.kubernetes.api.model.HasMetadata;
import io.fabric8.kubernetes.client.dsl.FieldValidateable.Validation;
import io.fabric8.kubernetes.client.utils.KubernetesSerialization;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.springframework.boot.context.properties.bind.Binder;
import org.springframework.boot.context.properties.source.ConfigurationPropertySources;
import org.springframework.boot.env.YamlPropertySourceLoader;
import org.springframework.core.io.ByteArrayResource;

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

  /** What the chart writes is what the operator reads: a misspelt name would bind to nothing. */
  @Test
  void theOperatorReadsTheConfigurationThatTheChartWrites() throws IOException {
    String rendered =
        Helm.template(
            "kvdrive",
            "kvdrive-system",
            "--show-only",
            "templates/config.yaml",
            "--set",
            "classes.required=true",
            "--set",
            "watch.takeOver=true",
            "--set",
            "routes.enabled=false",
            "--set",
            "runtime.downloads.endpoint=https://mirror.example",
            "--set",
            "runtime.downloads.httpsProxy=http://proxy.example:3128",
            "--set",
            "runtime.downloads.httpProxy=http://proxy.example:3129",
            "--set",
            "runtime.downloads.noProxy={.example,10.0.0.0/8}",
            "--set",
            "runtime.downloads.proxyCredentialsSecret.name=proxy",
            "--set",
            "runtime.downloads.proxyCredentialsSecret.key=login",
            "--set",
            "runtime.downloads.caBundle.name=ca",
            "--set",
            "runtime.downloads.caBundle.key=ca.crt",
            "--set",
            "runtime.traces.endpoint=https://collector.example:4318",
            "--set",
            "runtime.traces.headersSecret.name=collector",
            "--set",
            "runtime.traces.headersSecret.key=headers",
            "--set",
            "runtime.traces.caBundle.name=ca",
            "--set",
            "runtime.traces.caBundle.key=collector.crt",
            "--set",
            "runtime.traces.sampling=12.5%");
    ConfigMap map = new KubernetesSerialization().unmarshal(rendered, ConfigMap.class);
    byte[] file = map.getData().getOrDefault("operator.yaml", "").getBytes(StandardCharsets.UTF_8);

    OperatorProperties properties =
        new Binder(
                ConfigurationPropertySources.from(
                    new YamlPropertySourceLoader().load("chart", new ByteArrayResource(file))))
            .bind("kvdrive.operator", OperatorProperties.class)
            .get();

    assertThat(properties.classRequired()).isTrue();
    assertThat(properties.release()).isEqualTo("kvdrive");
    assertThat(properties.takeOver()).isTrue();
    assertThat(properties.routes()).isFalse();
    assertThat(properties.runtime().downloads())
        .isEqualTo(
            new Downloads(
                "https://mirror.example",
                "http://proxy.example:3128",
                "http://proxy.example:3129",
                List.of(".example", "10.0.0.0/8"),
                new SecretKey("proxy", "login"),
                new ConfigMapKey("ca", "ca.crt")));
    assertThat(properties.runtime().traces())
        .isEqualTo(
            new TraceCollector(
                "https://collector.example:4318",
                new SecretKey("collector", "headers"),
                new ConfigMapKey("ca", "collector.crt"),
                "12.5%"));
  }

  @Test
  void theOperatorRefusesToSendWhatIsSecretInPlain() {
    TraceCollector plain =
        new TraceCollector(
            "http://collector.example:4318", new SecretKey("collector", "headers"), null, null);

    assertThatThrownBy(
            () ->
                new OperatorProperties.RuntimePods(
                    "image", null, PullPolicy.NEVER, List.of(), null, null, plain))
        .hasMessage("kvdrive.operator.runtime.traces: " + TraceCollector.IN_PLAIN);
  }
}
