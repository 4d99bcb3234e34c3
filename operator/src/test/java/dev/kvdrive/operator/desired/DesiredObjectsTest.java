package dev.kvdrive.operator.desired;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import dev.kvdrive.api.v1alpha1.InferenceClass;
import dev.kvdrive.api.v1alpha1.InferenceDeployment;
import dev.kvdrive.api.v1alpha1.ModelSpec;
import dev.kvdrive.api.v1alpha1.PullPolicy;
import dev.kvdrive.api.v1alpha1.RopeScaling;
import dev.kvdrive.feasibility.Assessment.Feasible;
import dev.kvdrive.feasibility.Assessor;
import dev.kvdrive.feasibility.GeometryCatalogue;
import dev.kvdrive.feasibility.OperatorDefaults;
import dev.kvdrive.feasibility.WrittenManifests;
import io.fabric8.kubernetes.api.model.Container;
import io.fabric8.kubernetes.api.model.EnvVar;
import io.fabric8.kubernetes.api.model.PodSpec;
import io.fabric8.kubernetes.api.model.Quantity;
import io.fabric8.kubernetes.api.model.Volume;
import io.fabric8.kubernetes.api.model.networking.v1.NetworkPolicyEgressRule;
import io.fabric8.kubernetes.api.model.networking.v1.NetworkPolicyPeer;
import io.fabric8.kubernetes.api.model.networking.v1.NetworkPolicySpec;
import io.fabric8.kubernetes.client.utils.Serialization;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.springframework.boot.env.YamlPropertySourceLoader;
import org.springframework.core.env.EnumerablePropertySource;
import org.springframework.core.env.PropertySource;
import org.springframework.core.io.ByteArrayResource;

class DesiredObjectsTest {
  private static final Assessor ASSESSOR =
      new Assessor(
          GeometryCatalogue.wellKnown(),
          new OperatorDefaults(
              "image", PullPolicy.NEVER, List.of("pull"), 65532L, Set.of("system", "monitoring")));

  @Test
  void theSameSpecificationAlwaysAsksForTheSameObjects() {
    String more = "runtime: {labels: {b: '2', a: '1'}, annotations: {z: y}}";

    assertThat(Serialization.asYaml(objects(more).deployment()))
        .isEqualTo(Serialization.asYaml(objects(more).deployment()));
  }

  @Test
  void memoryHeapVolumeAndConfigurationComeFromThePlan() {
    Feasible feasible =
        feasible(
            "concurrency: 2\nservedModelName: tiny\nclassName: c",
            WrittenManifests.clazz("c", "storage: {writesPerDay: 100Gi, encryption: AES_GCM}"));
    DesiredObjects objects = new DesiredObjects(feasible);
    var pod = feasible.plan().requirePod();
    Container container = container(objects);

    assertThat(container.getResources().getLimits().get("memory"))
        .isEqualTo(container.getResources().getRequests().get("memory"));
    assertThat(
            Quantity.getAmountInBytes(container.getResources().getLimits().get("memory"))
                .longValue())
        .isBetween(pod.memoryBytes(), pod.memoryBytes() + (1 << 20));
    assertThat(variable(container, "JAVA_TOOL_OPTIONS")).contains("-Xmx" + pod.heapBytes());
    assertThat(
            volume(objects, "nvme")
                .getEphemeral()
                .getVolumeClaimTemplate()
                .getSpec()
                .getResources()
                .getRequests())
        .containsEntry("storage", new Quantity("512Mi"));
    JsonNode configuration =
        Serialization.unmarshal(objects.configMap().getData().get("runtime.yaml"), JsonNode.class)
            .get("kvdrive");
    assertThat(configuration.get("context-length").asInt()).isEqualTo(16384);
    assertThat(configuration.get("concurrency").asInt()).isEqualTo(2);
    assertThat(configuration.get("policy").asText()).isEqualTo("kvdrive");
    assertThat(configuration.get("index").asText()).isEqualTo("planes-96+clusters-16x4");
    assertThat(configuration.get("kv-type").asText()).isEqualTo("bf16");
    assertThat(configuration.get("resident").asText()).isEqualTo("bf16");
    assertThat(configuration.get("backing").asText()).isEqualTo("int8");
    assertThat(configuration.at("/windows/division").asText()).isEqualTo("lent");
    assertThat(configuration.at("/windows/warm-up").asInt()).isEqualTo(16);
    assertThat(configuration.at("/windows/prefetch").asBoolean()).isFalse();
    assertThat(configuration.get("queue-limit").asInt()).isEqualTo(16);
    assertThat(configuration.get("served-model-name").asText()).isEqualTo("tiny");
    assertThat(configuration.at("/tiers/nvme-bytes").asLong()).isEqualTo(512L << 20);
    assertThat(configuration.at("/tiers/nvme-writes-per-day").asLong()).isEqualTo(100L << 30);
    assertThat(configuration.at("/tiers/nvme-encryption").asText()).isEqualTo("aes-gcm");
    assertThat(configuration.at("/model/planned/layers").asInt()).isEqualTo(6);
    assertThat(configuration.at("/model/planned/weight-bytes").asLong()).isEqualTo(7255040);
    assertThat(configuration.at("/model/planned/gpu-weight-bytes").asLong()).isEqualTo(7255040);
    assertThat(configuration.at("/model/planned/stated-in").asText())
        .isEqualTo("the models the operator knows");
  }

  @Test
  void ropeScalingIsThatOfTheRuntime() {
    InferenceDeployment deployment = WrittenManifests.deployment("endpoint", "tenant", "");
    deployment.setSpec(
        WrittenManifests.withModel(
            deployment.getSpec(),
            new ModelSpec(
                "builtin:kvdrive-tiny-32k",
                null,
                null,
                null,
                null,
                new RopeScaling(RopeScaling.Type.YARN, 4.0, 16384))));
    Feasible feasible = (Feasible) ASSESSOR.assess(deployment, null, List.of());
    JsonNode scaling =
        Serialization.unmarshal(
                new DesiredObjects(feasible).configMap().getData().get("runtime.yaml"),
                JsonNode.class)
            .at("/kvdrive/model/rope-scaling");
    assertThat(scaling.get("type").asText()).isEqualTo("yarn");
    assertThat(scaling.get("factor").asDouble()).isEqualTo(4);
    assertThat(scaling.get("original-context").asInt()).isEqualTo(16384);
  }

  @Test
  void thePodIsRestrictedAndHasNoCredentials() {
    PodSpec pod = pod(objects(""));
    Container container = pod.getContainers().getFirst();

    assertThat(pod.getAutomountServiceAccountToken()).isFalse();
    assertThat(pod.getSecurityContext().getRunAsNonRoot()).isTrue();
    assertThat(pod.getSecurityContext().getSeccompProfile().getType()).isEqualTo("RuntimeDefault");
    assertThat(container.getSecurityContext().getReadOnlyRootFilesystem()).isTrue();
    assertThat(container.getSecurityContext().getAllowPrivilegeEscalation()).isFalse();
    assertThat(container.getSecurityContext().getCapabilities().getDrop()).containsExactly("ALL");
    assertThat(pod.getVolumes())
        .filteredOn(volume -> volume.getEmptyDir() != null)
        .allSatisfy(volume -> assertThat(volume.getEmptyDir().getSizeLimit()).isNotNull());
  }

  @Test
  void requestsMayFinishBeforeAPodIsEnded() {
    assertThat(pod(objects("runtime: {drainSeconds: 60}")).getTerminationGracePeriodSeconds())
        .isGreaterThan(60);
  }

  @Test
  void usersLabelsStandBesideTheOperators() {
    assertThat(
            objects("runtime: {labels: {app.kubernetes.io/part-of: mine, team: a}}")
                .deployment()
                .getSpec()
                .getTemplate()
                .getMetadata()
                .getLabels())
        .containsEntry("app.kubernetes.io/name", "kvdrive-runtime")
        .containsEntry("app.kubernetes.io/part-of", "mine")
        .containsEntry("team", "a");
  }

  @Test
  void aChangedConfigurationChangesThePods() {
    assertThat(hash("")).isEqualTo(hash("")).isNotEqualTo(hash("budget: 100%"));
  }

  @Test
  void aChatTemplateReachesTheRuntimeAsAFileThatItsConfigurationNames() {
    InferenceDeployment deployment = WrittenManifests.deployment("endpoint", "legal", "");
    ModelSpec model = deployment.getSpec().model();
    deployment.setSpec(
        WrittenManifests.withModel(
            deployment.getSpec(),
            new ModelSpec(
                model.uri(), model.geometry(), null, null, "${HOME} {{ messages }}", null)));
    DesiredObjects objects =
        new DesiredObjects((Feasible) ASSESSOR.assess(deployment, null, List.of()));

    Map<String, String> files = objects.configMap().getData();
    assertThat(files).containsEntry("chat-template.jinja", "${HOME} {{ messages }}");
    assertThat(
            Serialization.unmarshal(files.get("runtime.yaml"), JsonNode.class)
                .at("/kvdrive/model/chat-template")
                .asText())
        .isEqualTo("/etc/kvdrive/chat-template.jinja");
    assertThat(volume(objects, "config").getConfigMap().getItems()).isEmpty();
    assertThat(objects.configName()).isNotEqualTo(objects("").configName());
  }

  @Test
  void aModelInAClaimIsMountedReadOnly() {
    InferenceDeployment deployment = WrittenManifests.deployment("endpoint", "legal", "");
    deployment.setSpec(
        WrittenManifests.withModel(deployment.getSpec(), "pvc://models/tiny/model.gguf"));
    InferenceClass clazz =
        WrittenManifests.clazz(
            "default",
            """
            models:
              catalogue:
                - uri: pvc://models/tiny/model.gguf
                  geometry: {layers: 2, hidden: 64, heads: 4, kvHeads: 2, headDim: 16, \
            feedForward: 128, vocabulary: 1000, maxContext: 65536, weights: 4Mi}
            """);
    DesiredObjects objects =
        new DesiredObjects((Feasible) ASSESSOR.assess(deployment, clazz, List.of()));

    assertThat(objects.configMap().getData().get("runtime.yaml"))
        .contains("/var/lib/kvdrive/model/tiny/model.gguf");
    Volume model = volume(objects, "model");
    assertThat(model.getPersistentVolumeClaim().getClaimName()).isEqualTo("models");
    assertThat(model.getPersistentVolumeClaim().getReadOnly()).isTrue();
  }

  @ParameterizedTest
  @CsvSource({
    "oci://registry.example.com:5000/models/tiny:q8#tiny/model.gguf, registry.example.com:5000/models/tiny:q8, /var/lib/kvdrive/model/tiny/model.gguf",
    "oci://registry.example.com/tiny:1, registry.example.com/tiny:1, /var/lib/kvdrive/model",
  })
  void aModelInAnImageIsMountedReadOnly(String uri, String image, String path) {
    InferenceDeployment deployment = WrittenManifests.deployment("endpoint", "legal", "");
    deployment.setSpec(
        WrittenManifests.withModel(
            deployment.getSpec(),
            new ModelSpec(uri, WrittenManifests.geometry(2), null, null, null, null)));
    DesiredObjects objects =
        new DesiredObjects((Feasible) ASSESSOR.assess(deployment, null, List.of()));

    assertThat(
            Serialization.unmarshal(
                    objects.configMap().getData().get("runtime.yaml"), JsonNode.class)
                .at("/kvdrive/model/uri")
                .asText())
        .isEqualTo(path);
    assertThat(volume(objects, "model").getImage().getReference()).isEqualTo(image);

    deployment.setSpec(
        WrittenManifests.withModel(
            deployment.getSpec(),
            new ModelSpec(
                uri.replaceFirst("tiny:", "tiny:2-"),
                WrittenManifests.geometry(2),
                null,
                null,
                null,
                null)));
    assertThat(
            new DesiredObjects((Feasible) ASSESSOR.assess(deployment, null, List.of()))
                .configName())
        .as("another image is another configuration")
        .isNotEqualTo(objects.configName());
    assertThat(
            objects
                .deployment()
                .getSpec()
                .getTemplate()
                .getSpec()
                .getContainers()
                .getFirst()
                .getVolumeMounts())
        .anySatisfy(
            mount -> {
              assertThat(mount.getName()).isEqualTo("model");
              assertThat(mount.getMountPath()).isEqualTo("/var/lib/kvdrive/model");
              assertThat(mount.getReadOnly()).isTrue();
            });
  }

  @Test
  void secretsAreMountedAndNeverRead() {
    DesiredObjects objects = objects("access: {apiKeysSecret: {name: keys, key: current}}");

    assertThat(volume(objects, "api-keys").getSecret().getItems().getFirst().getKey())
        .isEqualTo("current");
    assertThat(objects.configMap().getData().get("runtime.yaml"))
        .contains("api-keys-file: \"/etc/kvdrive-keys/api-keys\"");
  }

  @Test
  void aPageIsServedOnlyWhereItIsAskedFor() {
    assertThat(objects("access: {ui: true}").configMap().getData().get("runtime.yaml"))
        .contains("  http:\n    ui: true\n");
    assertThat(objects("access: {ui: false}").configMap().getData().get("runtime.yaml"))
        .doesNotContain("ui:");
    assertThat(objects("").configMap().getData().get("runtime.yaml")).doesNotContain("ui:");
  }

  @Test
  void tlsIsOnAPortOfItsOwnAndHealthStaysWhereItWas() {
    DesiredObjects objects =
        objects(
            "access: {tls: {secretName: cert, clientCaSecret: {name: clients, key: bundle.pem}}}");

    assertThat(volume(objects, "tls").getSecret().getSecretName()).isEqualTo("cert");
    assertThat(volume(objects, "tls").getSecret().getItems())
        .extracting(item -> item.getKey() + " as " + item.getPath())
        .containsExactly("tls.crt as tls.crt", "tls.key as tls.key");
    assertThat(volume(objects, "client-ca").getSecret().getItems())
        .extracting(item -> item.getKey() + " as " + item.getPath())
        .containsExactly("bundle.pem as ca.crt");
    assertThat(container(objects).getVolumeMounts())
        .filteredOn(mount -> List.of("tls", "client-ca").contains(mount.getName()))
        .extracting(mount -> mount.getMountPath() + mount.getReadOnly())
        .containsExactly("/etc/kvdrive-tlstrue", "/etc/kvdrive-client-catrue");
    JsonNode yaml =
        Serialization.unmarshal(objects.configMap().getData().get("runtime.yaml"), JsonNode.class);
    assertThat(yaml.at("/server/port").asInt()).isEqualTo(8443);
    assertThat(yaml.at("/kvdrive/tls/certificate").asText()).isEqualTo("/etc/kvdrive-tls/tls.crt");
    assertThat(yaml.at("/kvdrive/tls/key").asText()).isEqualTo("/etc/kvdrive-tls/tls.key");
    assertThat(yaml.at("/kvdrive/tls/client-ca").asText())
        .isEqualTo("/etc/kvdrive-client-ca/ca.crt");
    assertThat(yaml.at("/kvdrive/tls/health-port").asInt()).isEqualTo(8080);
    assertThat(container(objects).getPorts())
        .extracting(port -> port.getName() + " " + port.getContainerPort())
        .containsExactly("http 8080", "https 8443");
    assertThat(container(objects).getReadinessProbe().getHttpGet().getPort().getStrVal())
        .isEqualTo("http");
    assertThat(objects.service().getSpec().getPorts())
        .extracting(
            port -> port.getName() + " " + port.getPort() + " " + port.getTargetPort().getStrVal())
        .containsExactly("https 443 https");
    assertThat(objects.networkPolicy().getSpec().getIngress())
        .extracting(
            rule -> rule.getPorts().getFirst().getPort().getStrVal() + " " + rule.getFrom().size())
        .containsExactly("https 3", "http 2");
  }

  @Test
  void withoutTlsThereIsNothingOfIt() {
    DesiredObjects objects = objects("");

    assertThat(objects.configMap().getData().get("runtime.yaml")).doesNotContain("tls", "server");
    assertThat(container(objects).getPorts())
        .extracting(port -> port.getName() + " " + port.getContainerPort())
        .containsExactly("http 8080");
    assertThat(objects.service().getSpec().getPorts())
        .extracting(port -> port.getName() + " " + port.getPort())
        .containsExactly("http 80");
    assertThat(objects.networkPolicy().getSpec().getIngress())
        .singleElement()
        .satisfies(
            rule -> assertThat(rule.getPorts().getFirst().getPort().getStrVal()).isEqualTo("http"));
  }

  @Test
  void onlyTheNamespaceAndWhomItNamesMayConnect() {
    NetworkPolicySpec policy =
        objects("access: {fromNamespaces: [frontend]}").networkPolicy().getSpec();

    assertThat(policy.getIngress().getFirst().getFrom())
        .extracting(
            peer ->
                peer.getNamespaceSelector() == null
                    ? "own"
                    : peer.getNamespaceSelector()
                        .getMatchLabels()
                        .get("kubernetes.io/metadata.name"))
        .containsExactly("own", "frontend", "monitoring", "system");
    assertThat(policy.getEgress()).isEmpty();
    assertThat(policy.getPolicyTypes()).containsExactly("Ingress", "Egress");
  }

  @Test
  void theNamespacesOfItsGatewaysMayConnect() {
    assertThat(
            objects("route: {parentRefs: [{name: own}, {name: public, namespace: gateways}]}")
                .networkPolicy()
                .getSpec()
                .getIngress()
                .getFirst()
                .getFrom())
        .extracting(
            peer ->
                peer.getNamespaceSelector() == null
                    ? "own"
                    : peer.getNamespaceSelector()
                        .getMatchLabels()
                        .get("kubernetes.io/metadata.name"))
        .containsExactly("own", "gateways", "monitoring", "system");
  }

  @Test
  void aRouteLeadsToTheApiAndNothingElseOfThePods() {
    DesiredObjects objects = objects("route: {parentRefs: [{name: public}]}");

    assertThat(objects.isPooled()).isFalse();
    assertThat(objects.httpRoute().getSpec().getHostnames()).isEmpty();
    assertThat(objects.httpRoute().getSpec().getRules())
        .singleElement()
        .satisfies(
            rule -> {
              assertThat(rule.getMatches())
                  .extracting(match -> match.getPath().getType() + " " + match.getPath().getValue())
                  .containsExactly("PathPrefix /v1");
              assertThat(rule.getFilters()).isEmpty();
            });
  }

  @Test
  void aRouteToPodsWithTlsLeadsToTheirPort() {
    assertThat(
            objects("access: {tls: {secretName: s}}\nroute: {parentRefs: [{name: public}]}")
                .httpRoute()
                .getSpec()
                .getRules()
                .getFirst()
                .getBackendRefs())
        .extracting(backend -> backend.getKind() + " " + backend.getPort())
        .containsExactly("Service 443");
  }

  @Test
  void aPoolSelectsThePodsAndFailsAsAsked() {
    String route =
        "route: {parentRefs: [{name: g}], inferencePool: {endpointPickerRef: {name: e, port: 9002%s}}}";
    DesiredObjects objects = objects(route.formatted(""));

    InferencePool.PoolSpec pool = objects.inferencePool().getSpec();
    assertThat(Objects.requireNonNull(pool.selector()).matchLabels())
        .isEqualTo(objects.service().getSpec().getSelector());
    assertThat(pool.targetPorts()).containsExactly(new InferencePool.Port(8080));
    assertThat(Objects.requireNonNull(pool.endpointPickerRef()).failureMode())
        .isEqualTo("FailClose");
    assertThat(
            Objects.requireNonNull(
                    objects(route.formatted(", failureMode: FailOpen"))
                        .inferencePool()
                        .getSpec()
                        .endpointPickerRef())
                .failureMode())
        .isEqualTo("FailOpen");
  }

  @Test
  void aStarLetsEveryoneConnect() {
    assertThat(
            objects("access: {fromNamespaces: ['*']}")
                .networkPolicy()
                .getSpec()
                .getIngress()
                .getFirst()
                .getFrom())
        .isEmpty();
  }

  private static final String THROUGH_A_PROXY =
      """
      downloads:
        endpoint: https://mirror.example:8443
        httpsProxy: http://proxy.example:3128
        noProxy: [.internal.example, 10.0.0.0/8]
        proxyCredentialsSecret: {name: proxy, key: login}
        caBundle: {name: company-ca, key: bundle.pem}
      """;

  @Test
  void theWayToTheHubReachesThePodThatDownloads() {
    DesiredObjects objects = downloading(THROUGH_A_PROXY);
    Container container = container(objects);

    assertThat(variable(container, "HF_ENDPOINT")).isEqualTo("https://mirror.example:8443");
    assertThat(variable(container, "HTTPS_PROXY"))
        .isEqualTo("http://$(KVDRIVE_PROXY_CREDENTIALS)@proxy.example:3128");
    assertThat(variable(container, "NO_PROXY")).isEqualTo(".internal.example,10.0.0.0/8");
    assertThat(variable(container, "SSL_CERT_FILE")).isEqualTo("/etc/kvdrive-ca/ca.crt");
    assertThat(container.getEnv())
        .extracting(EnvVar::getName)
        .containsSubsequence("KVDRIVE_PROXY_CREDENTIALS", "HTTPS_PROXY")
        .doesNotContain("HTTP_PROXY");
    assertThat(container.getVolumeMounts())
        .anySatisfy(
            mount -> {
              assertThat(mount.getName()).isEqualTo("ca");
              assertThat(mount.getMountPath()).isEqualTo("/etc/kvdrive-ca");
              assertThat(mount.getReadOnly()).isTrue();
            });
    assertThat(volume(objects, "ca").getConfigMap())
        .satisfies(
            map -> {
              assertThat(map.getName()).isEqualTo("company-ca");
              assertThat(map.getItems().getFirst().getKey()).isEqualTo("bundle.pem");
              assertThat(map.getItems().getFirst().getPath()).isEqualTo("ca.crt");
            });
  }

  @Test
  void aPodThatDownloadsNothingHasNoneOfIt() {
    DesiredObjects objects =
        new DesiredObjects(feasible("", WrittenManifests.clazz("default", THROUGH_A_PROXY)));

    assertThat(container(objects).getEnv())
        .extracting(EnvVar::getName)
        .doesNotContain("HTTPS_PROXY", "SSL_CERT_FILE", "HF_ENDPOINT");
    assertThat(pod(objects).getVolumes()).extracting(Volume::getName).doesNotContain("ca");
    assertThat(objects.networkPolicy().getSpec().getEgress()).isEmpty();
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "                                                              | 443",
        "endpoint: https://mirror.example:8443                         | 443 8443",
        "endpoint: http://mirror.example                               | 80 443",
        "httpsProxy: http://proxy.example:3128                         | 3128",
        "httpsProxy: http://proxy.example                              | 80",
        "httpsProxy: http://proxy.example:3128, noProxy: [mirror.example] | 443 3128",
        "endpoint: http://mirror.example:8080, httpsProxy: http://proxy.example:3128 | 3128 8080",
      })
  void thePodMayConnectToWhatTheWayToTheHubNeeds(@Nullable String downloads, String ports) {
    DesiredObjects objects =
        downloading("downloads: {%s}".formatted(downloads == null ? "" : downloads));

    assertThat(objects.networkPolicy().getSpec().getEgress().getLast().getPorts())
        .extracting(port -> port.getPort().getIntVal().toString())
        .containsExactly(ports.split(" "));
  }

  private static final String TRACED =
      """
      traces:
        endpoint: https://collector.example:4318/
        headersSecret: {name: collector, key: headers}
        caBundle: {name: company-ca, key: bundle.pem}
        sampling: 50%
      """;

  @Test
  void tracesGoToTheCollectorOfTheClass() {
    DesiredObjects objects =
        new DesiredObjects(
            feasible("traces: {sampling: 12.5%}", WrittenManifests.clazz("default", TRACED)));
    String configuration = objects.configMap().getData().getOrDefault("runtime.yaml", "");
    Map<String, Object> settings = settings(configuration);

    assertThat(settings)
        .containsEntry(
            "management.opentelemetry.tracing.export.otlp.endpoint",
            "https://collector.example:4318/v1/traces")
        .containsEntry("management.opentelemetry.tracing.export.otlp.ssl.bundle", "traces")
        .containsEntry(
            "spring.ssl.bundle.pem.traces.truststore.certificate",
            "file:/etc/kvdrive-traces-ca/ca.crt")
        .containsEntry("management.tracing.sampling.probability", 0.125)
        .containsEntry("management.opentelemetry.resource-attributes.service.name", "endpoint")
        .containsEntry("management.opentelemetry.resource-attributes.service.namespace", "legal")
        .containsEntry(
            "management.opentelemetry.resource-attributes.k8s.pod.name", "${KVDRIVE_POD_NAME}");
    assertThat(container(objects).getEnv())
        .anySatisfy(
            variable -> {
              assertThat(variable.getName()).isEqualTo("KVDRIVE_POD_NAME");
              assertThat(variable.getValueFrom().getFieldRef().getFieldPath())
                  .isEqualTo("metadata.name");
            })
        .anySatisfy(
            variable -> {
              assertThat(variable.getName()).isEqualTo("OTEL_EXPORTER_OTLP_HEADERS");
              assertThat(variable.getValue()).isNull();
              assertThat(variable.getValueFrom().getSecretKeyRef().getName())
                  .isEqualTo("collector");
              assertThat(variable.getValueFrom().getSecretKeyRef().getKey()).isEqualTo("headers");
            });
    assertThat(volume(objects, "traces-ca").getConfigMap().getItems().getFirst().getKey())
        .isEqualTo("bundle.pem");
    assertThat(container(objects).getVolumeMounts())
        .anySatisfy(
            mount -> {
              assertThat(mount.getName()).isEqualTo("traces-ca");
              assertThat(mount.getMountPath()).isEqualTo("/etc/kvdrive-traces-ca");
              assertThat(mount.getReadOnly()).isTrue();
            });
  }

  @Test
  void aDeploymentThatIsNotTracedHasNoneOfIt() {
    DesiredObjects objects =
        new DesiredObjects(
            feasible("traces: {enabled: false}", WrittenManifests.clazz("default", TRACED)));

    assertThat(Serialization.asYaml(pod(objects)))
        .isEqualTo(Serialization.asYaml(pod(objects(""))));
    assertThat(objects.configMap()).isEqualTo(objects("").configMap());
    assertThat(objects.networkPolicy().getSpec().getEgress()).isEmpty();
  }

  @Test
  void podsAreReplacedWhereTracesGoElsewhere() {
    DesiredObjects before =
        new DesiredObjects(feasible("", WrittenManifests.clazz("default", TRACED)));

    for (String other :
        List.of(
            TRACED.replace("4318", "4319"),
            TRACED.replace("key: headers", "key: others"),
            TRACED.replace("50%", "51%"))) {
      DesiredObjects after =
          new DesiredObjects(feasible("", WrittenManifests.clazz("default", other)));
      assertThat(after.replacesPodsOf(before.deployment())).as(other).isTrue();
    }
    assertThat(before.replacesPodsOf(before.deployment())).isFalse();
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      nullValues = "anyone",
      value = {
        "http://otel-collector:4318                            | 4318 | its own",
        "http://otel-collector.observability.svc:4318          | 4318 | observability",
        "http://c.observability.svc.cluster.local/v1/traces    | 80   | observability",
        "https://traces.example.com                            | 443  | anyone",
        "http://10.1.2.3:4318                                  | 4318 | anyone",
        "http://[fd00::1]:4318                                 | 4318 | anyone",
      })
  void thePodMayConnectToTheCollector(String endpoint, int port, @Nullable String namespace) {
    DesiredObjects objects =
        new DesiredObjects(
            feasible(
                "",
                WrittenManifests.clazz("default", "traces: {endpoint: '%s'}".formatted(endpoint))));
    List<NetworkPolicyEgressRule> egress = objects.networkPolicy().getSpec().getEgress();

    assertThat(egress).hasSize(2);
    assertThat(egress.getFirst().getPorts())
        .extracting(p -> p.getPort().getIntVal())
        .containsExactly(53, 53);
    assertThat(egress.getLast().getPorts())
        .extracting(p -> p.getPort().getIntVal())
        .containsExactly(port);
    List<NetworkPolicyPeer> peers = egress.getLast().getTo();
    if (namespace == null) {
      assertThat(peers).isEmpty();
    } else if (namespace.equals("its own")) {
      assertThat(peers)
          .singleElement()
          .satisfies(
              peer -> {
                assertThat(peer.getPodSelector()).isNotNull();
                assertThat(peer.getNamespaceSelector()).isNull();
              });
    } else {
      assertThat(peers)
          .singleElement()
          .satisfies(
              peer ->
                  assertThat(peer.getNamespaceSelector().getMatchLabels())
                      .containsEntry("kubernetes.io/metadata.name", namespace));
    }
  }

  /** The properties that the runtime reads, by their whole names. */
  private static Map<String, Object> settings(String yaml) {
    try {
      Map<String, Object> settings = new TreeMap<>();
      for (PropertySource<?> source :
          new YamlPropertySourceLoader()
              .load("runtime", new ByteArrayResource(yaml.getBytes(StandardCharsets.UTF_8)))) {
        for (String name : ((EnumerablePropertySource<?>) source).getPropertyNames()) {
          settings.put(name, Objects.requireNonNull(source.getProperty(name)));
        }
      }
      return settings;
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static DesiredObjects downloading(String clazz) {
    InferenceDeployment deployment = WrittenManifests.deployment("endpoint", "legal", "");
    deployment.setSpec(
        WrittenManifests.withModel(
            deployment.getSpec(),
            new ModelSpec("hf://acme/tiny", WrittenManifests.geometry(2), null, null, null, null)));
    return new DesiredObjects(
        (Feasible)
            ASSESSOR.assess(deployment, WrittenManifests.clazz("default", clazz), List.of()));
  }

  @Test
  void aCudaDeviceIsAskedFor() {
    InferenceClass clazz = WrittenManifests.clazz("default", "device: CUDA");
    // A GPU takes most of a gibibyte for itself.
    String sizes =
        """
        contextLength: 16384
        tiers:
          gpu: {memory: 2Gi}
          dram: {size: 64Mi}
          nvme: {size: 512Mi}
        """;

    DesiredObjects objects =
        new DesiredObjects(
            (Feasible)
                ASSESSOR.assess(
                    WrittenManifests.deployment("endpoint", "legal", sizes, ""), clazz, List.of()));
    Container container = container(objects);

    assertThat(container.getResources().getLimits())
        .containsEntry("nvidia.com/gpu", new Quantity("1"));
    // Otherwise the pod would hold a GPU and compute on the CPU.
    assertThat(objects.configMap().getData().get("runtime.yaml")).contains("device: \"cuda\"");
    long withoutArena =
        Quantity.getAmountInBytes(container.getResources().getLimits().get("memory")).longValue();
    long withArena =
        Quantity.getAmountInBytes(container(objects("")).getResources().getLimits().get("memory"))
            .longValue();
    assertThat(withoutArena).isLessThan(withArena);
  }

  private static DesiredObjects onGpu(String clazz, String more) {
    String sizes =
        """
        contextLength: 16384
        tiers:
          gpu: {memory: 2Gi}
          dram: {size: 64Mi}
          nvme: {size: 512Mi, reclaim: %s}
        """
            .formatted(more.contains("Retain") ? "Retain" : "Ephemeral");
    return new DesiredObjects(
        (Feasible)
            ASSESSOR.assess(
                WrittenManifests.deployment("endpoint", "legal", sizes, more.replace("Retain", "")),
                WrittenManifests.clazz("default", "device: CUDA\n" + clazz),
                List.of()));
  }

  @Test
  void theClassSaysWhatIsAskedForOfWhichNodes() {
    DesiredObjects objects =
        onGpu(
            """
            gpu: {resourceName: nvidia.com/mig-1g.5gb, matchMemory: true}
            runtime:
              runtimeClassName: nvidia
              nodeSelector: {gpu: "yes"}
              nodeAffinity: [{key: zone, operator: NotIn, values: [a, b]}]
            """,
            "runtime: {nodeAffinity: [{key: fast, operator: Exists}]}");
    PodSpec pod = pod(objects);

    assertThat(pod.getContainers().getFirst().getResources().getLimits())
        .containsEntry("nvidia.com/mig-1g.5gb", new Quantity("1"))
        .doesNotContainKey("nvidia.com/gpu");
    assertThat(pod.getRuntimeClassName()).isEqualTo("nvidia");
    assertThat(pod.getNodeSelector()).containsEntry("gpu", "yes");
    assertThat(
            pod.getAffinity()
                .getNodeAffinity()
                .getRequiredDuringSchedulingIgnoredDuringExecution()
                .getNodeSelectorTerms())
        .singleElement()
        .satisfies(
            term ->
                assertThat(term.getMatchExpressions())
                    .extracting(e -> e.getKey() + " " + e.getOperator() + " " + e.getValues())
                    .containsExactly(
                        "zone NotIn [a, b]",
                        "fast Exists []",
                        // Strictly more than 2047 MiB: what has 2048 has the tier.
                        "nvidia.com/mig-1g.5gb.memory Gt [2047]"));
  }

  @Test
  void aClaimTakesThePlaceOfTheResource() {
    PodSpec pod = pod(onGpu("gpu: {claim: {templateName: whole}}", ""));

    assertThat(pod.getResourceClaims())
        .singleElement()
        .satisfies(
            claim -> {
              assertThat(claim.getName()).isEqualTo("gpu");
              assertThat(claim.getResourceClaimTemplateName()).isEqualTo("whole");
            });
    var resources = pod.getContainers().getFirst().getResources();
    assertThat(resources.getClaims()).extracting(c -> c.getName()).containsExactly("gpu");
    assertThat(resources.getLimits()).containsOnlyKeys("memory");
  }

  @Test
  void podsOfOneTemplateSpread() {
    String spread = "runtime: {topologySpread: [{topologyKey: zone, maxSkew: 2}]}";

    assertThat(pod(onGpu("", spread)).getTopologySpreadConstraints())
        .singleElement()
        .satisfies(
            constraint -> {
              assertThat(constraint.getTopologyKey()).isEqualTo("zone");
              assertThat(constraint.getMaxSkew()).isEqualTo(2);
              assertThat(constraint.getWhenUnsatisfiable()).isEqualTo("ScheduleAnyway");
              assertThat(constraint.getLabelSelector().getMatchLabels())
                  .containsEntry("app.kubernetes.io/instance", "endpoint");
              assertThat(constraint.getMatchLabelKeys()).containsExactly("pod-template-hash");
            });
    assertThat(
            onGpu("", spread + "\n# Retain")
                .statefulSet(Optional.empty())
                .getSpec()
                .getTemplate()
                .getSpec()
                .getTopologySpreadConstraints())
        .singleElement()
        .satisfies(
            c -> assertThat(c.getMatchLabelKeys()).containsExactly("controller-revision-hash"));
  }

  @Test
  void onlyWhoAsksForItHasAPodMoreOnGpus() {
    assertThat(rollingUpdate(onGpu("", ""))).isEqualTo("surge 0, unavailable 1");
    assertThat(rollingUpdate(onGpu("runtime: {maxSurge: 2}", "")))
        .isEqualTo("surge 2, unavailable 0");
    assertThat(rollingUpdate(onGpu("", "runtime: {rollout: Surge}")))
        .isEqualTo("surge 1, unavailable 0");
    assertThat(rollingUpdate(objects(""))).isEqualTo("surge 1, unavailable 0");
  }

  private static String rollingUpdate(DesiredObjects objects) {
    var update = objects.deployment().getSpec().getStrategy().getRollingUpdate();
    return "surge %s, unavailable %s"
        .formatted(update.getMaxSurge().getIntVal(), update.getMaxUnavailable().getIntVal());
  }

  private static DesiredObjects objects(String more) {
    return new DesiredObjects(feasible(more, null));
  }

  private static Feasible feasible(String more, @Nullable InferenceClass clazz) {
    return (Feasible)
        ASSESSOR.assess(WrittenManifests.deployment("endpoint", "legal", more), clazz, List.of());
  }

  private static PodSpec pod(DesiredObjects objects) {
    return objects.deployment().getSpec().getTemplate().getSpec();
  }

  private static Container container(DesiredObjects objects) {
    return pod(objects).getContainers().getFirst();
  }

  private static Volume volume(DesiredObjects objects, String name) {
    return pod(objects).getVolumes().stream()
        .filter(volume -> volume.getName().equals(name))
        .findFirst()
        .orElseThrow();
  }

  private static String variable(Container container, String name) {
    return container.getEnv().stream()
        .filter(variable -> variable.getName().equals(name))
        .map(EnvVar::getValue)
        .findFirst()
        .orElseThrow();
  }

  private static String hash(String more) {
    Map<String, String> annotations =
        objects(more).deployment().getSpec().getTemplate().getMetadata().getAnnotations();
    return annotations.getOrDefault("kvdrive.dev/config-hash", "");
  }
}
