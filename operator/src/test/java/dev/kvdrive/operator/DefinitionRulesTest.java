package dev.kvdrive.operator;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.kvdrive.api.v1alpha1.Geometry;
import dev.kvdrive.api.v1alpha1.InferenceDeployment;
import dev.kvdrive.feasibility.WrittenManifests;
import io.fabric8.kubernetes.api.model.autoscaling.v1.Scale;
import io.fabric8.kubernetes.client.KubernetesClient;
import io.fabric8.kubernetes.client.KubernetesClientException;
import io.fabric8.kubernetes.client.dsl.FieldValidateable.Validation;
import io.fabric8.kubernetes.client.dsl.base.PatchContext;
import io.fabric8.kubernetes.client.dsl.base.PatchType;
import java.io.ByteArrayInputStream;
import java.nio.charset.StandardCharsets;
import java.util.Objects;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** What the API server itself refuses, says and completes. */
class DefinitionRulesTest {
  private static final String SIZES =
      """
      contextLength: 16384
      tiers:
        gpu: {memory: 64Mi}
        dram: {size: 64Mi}
        nvme: {size: 512Mi, reclaim: %s}
      """;

  private final ApiServer server = ApiServer.get();
  private final KubernetesClient client = server.client();
  private String namespace = "";

  @BeforeEach
  void namespace() {
    namespace = server.newNamespace();
  }

  @Test
  void completesWhatIsLeftOut() {
    create("plain", "", "");

    var spec = get("plain").getSpec();
    assertThat(spec.concurrency()).isEqualTo(1);
    assertThat(spec.replicas()).isEqualTo(1);
    assertThat(spec.budget()).isEqualTo("6.25%");
    assertThat(Objects.requireNonNull(spec.kvType()).name()).isEqualTo("BF16");
    assertThat(Objects.requireNonNull(spec.tiers().nvme()).reclaim()).isNotNull();
  }

  @Test
  void takesAnIndexWithItsEstimate() {
    create("estimated", "", "index: planes-96+clusters-64");

    assertThat(get("estimated").getSpec().index()).isEqualTo("planes-96+clusters-64");
  }

  @Test
  void refusesAFieldThatDoesNotExist() {
    assertThatThrownBy(() -> create("misspelt", "", "contextLenght: 5"))
        .isInstanceOf(KubernetesClientException.class)
        .hasMessageContaining("contextLenght");
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "-starts",
        "Upper",
        "1digit",
        "dotted.name",
        "a-name-that-is-so-long-that-no-label-could-hold-it-any-more"
      })
  void refusesANameThatNoServiceCouldHave(String name) {
    assertThatThrownBy(() -> create(name, "", ""))
        .isInstanceOf(KubernetesClientException.class)
        .hasMessageContaining("metadata.name");
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "contextLength: 16           | greater than or equal to 256",
        "concurrency: 0              | greater than or equal to 1",
        "budget: '0.5'               | spec.budget",
        "budget: 200%                | spec.budget",
        "budget: much                | spec.budget",
        "quality: 99%                | quality is of budget auto; write budget: auto, or leave it out",
        "budgetBound: 50%            | budgetBound is of budget auto; write budget: auto, or leave it out",
        "quality: 100%               | spec.quality",
        "meter: often                | spec.meter",
        "replicas: -1                | greater than or equal to 0",
        "kvType: FP4                 | spec.kvType",
        "index: two bits             | spec.index",
        "policy: Quest!              | spec.policy",
        "model: {uri: '/etc/passwd'} | spec.model.uri",
        "model: {uri: 'pvc://c/../x y'} | spec.model.uri",
        "model: {uri: 'builtin:x', tokenSecret: {name: a, key: b}} | tokenSecret is only used",
        "model: {uri: 'builtin:x', cacheClaimName: c} | cacheClaimName is only used",
        "model: {uri: 'pvc://claim/../x'} | has no ..",
        "model: {uri: 'oci://registry.example.com'} | spec.model.uri",
        "model: {uri: 'oci://registry.example.com/Models/x:1'} | spec.model.uri",
        "model: {uri: 'oci://registry.example.com/x@sha256:12'} | spec.model.uri",
        "model: {uri: 'oci://registry.example.com/x:1#/etc'} | spec.model.uri",
        "model: {uri: 'oci://registry.example.com/x:1#a/../../b'} | has no ..",
        "model: {uri: 'oci://registry.example.com/x:1', cacheClaimName: c} | cacheClaimName is only used",
        "traces: {enabled: false, sampling: 10%} | enabled: false traces nothing; leave one of them out",
        "traces: {sampling: '0.1'}    | spec.traces.sampling",
        "traces: {endpoint: 'http://c:4318'} | spec.traces.endpoint",
        "access: {fromNamespaces: ['Not One']} | spec.access.fromNamespaces",
        "access: {apiKeysSecret: {name: 'Bad Name', key: k}} | spec.access.apiKeysSecret.name",
        "access: {apiKeysSecret: {name: n, key: '../x'}} | spec.access.apiKeysSecret.key",
        "access: {apiKeysSecret: {name: n, key: 'a b'}} | spec.access.apiKeysSecret.key",
        "access: {apiKeysSecret: {name: n, key: '..'}} | spec.access.apiKeysSecret.key",
        "access: {apiKeysSecret: {name: n, key: '.'}} | spec.access.apiKeysSecret.key",
        "access: {tls: {secretName: 'Bad Name'}} | spec.access.tls.secretName",
        "access: {tls: {clientCaSecret: {name: n, key: k}}} | spec.access.tls.secretName",
        "access: {tls: {secretName: n, clientCaSecret: {name: n, key: '../x'}}} | spec.access.tls.clientCaSecret.key",
        "model: {uri: 'hf://a/b', cacheClaimName: 'Bad Claim'} | spec.model.cacheClaimName",
        "model: {uri: 'pvc://LONG/x'} | spec.model.uri",
        "tiers: {gpu: {memory: 1Mi}, dram: {size: 1Mi}, nvme: {size: 1Gi, storageClassName: 'A b'}} | storageClassName",
        "tiers: {gpu: {memory: 1Mi}, dram: {size: 1Mi}, nvme: {size: 1Gi, writesPerDay: '0'}} | must be greater than 0",
        "tiers: {gpu: {memory: 1Mi}, dram: {size: 1Mi}, nvme: {size: 1Gi, encryption: ROT13}} | spec.tiers.nvme.encryption",
        "className: 'Not One' | spec.className",
        "runtime: {priorityClassName: 'Not One'} | spec.runtime.priorityClassName",
        "tiers: {gpu: {memory: 0}, dram: {size: 1Mi}} | must be greater than 0",
        "tiers: {gpu: {memory: lots}, dram: {size: 1Mi}} | spec.tiers.gpu.memory",
        "tiers: {gpu: {memory: 1Mi}} | spec.tiers.dram",
        "runtime: {priorityClassName: system-node-critical} | begin with system-",
        "runtime: {tolerations: [{operator: Exists}]} | a toleration without a key",
        "runtime: {tolerations: [{key: a}, {key: '', operator: Exists}]} | a toleration without a key",
        "runtime: {idleTimeoutSeconds: 5} | idleTimeoutSeconds is of rollout WhenIdle",
        "runtime: {rollout: Surge, idleTimeoutSeconds: 5} | idleTimeoutSeconds is of rollout WhenIdle",
        "runtime: {rollout: Later} | spec.runtime.rollout",
        "runtime: {nodeAffinity: [{key: a, operator: In}]} | In and NotIn need values",
        "runtime: {nodeAffinity: [{key: a, operator: Gt, values: [many]}]} | one whole number as text",
        "runtime: {nodeAffinity: [{key: a, operator: Exists, values: [b]}]} | Exists and DoesNotExist none",
        "runtime: {nodeAffinity: [{key: 'a b', operator: Exists}]} | spec.runtime.nodeAffinity[0].key",
        "runtime: {topologySpread: [{topologyKey: a}, {topologyKey: a}]} | Duplicate value",
        "runtime: {topologySpread: [{topologyKey: a, maxSkew: 0}]} | greater than or equal to 1",
        "route: {hostnames: [a.example.com]} | spec.route.parentRefs",
        "route: {parentRefs: []} | spec.route.parentRefs",
        "route: {parentRefs: [{name: 'Not One'}]} | spec.route.parentRefs[0].name",
        "route: {parentRefs: [{name: g}], hostnames: ['https://a.example.com']} | spec.route.hostnames[0]",
        "route: {parentRefs: [{name: g}], pathPrefix: legal} | spec.route.pathPrefix",
        "route: {parentRefs: [{name: g}], pathPrefix: /a/../b} | spec.route.pathPrefix",
        "route: {parentRefs: [{name: g}], inferencePool: {endpointPickerRef: {name: e}}} | endpointPickerRef.port",
      })
  void refusesAValueAndNamesTheField(String line, String complaint) {
    assertThatThrownBy(() -> create("refused", line.replace("LONG", "c".repeat(254)), ""))
        .isInstanceOf(KubernetesClientException.class)
        .hasMessageContaining(complaint);
  }

  @Test
  void refusesHeadsThatKvHeadsDoNotDivide() {
    String model =
        """
        model:
          uri: hf://a/b
          geometry: {layers: 1, hidden: 8, heads: 5, kvHeads: 2, headDim: 4, feedForward: 8, \
        vocabulary: 9, maxContext: 9, weights: 1Mi}
        """;

    assertThatThrownBy(() -> create("odd", model, ""))
        .hasMessageContaining("kvHeads must divide heads");
  }

  @Test
  void takesWhatBoundsAContextByItsWords() {
    String model =
        """
        model:
          uri: hf://a/b
          geometry: {layers: 1, hidden: 8, heads: 4, kvHeads: 2, headDim: 4, feedForward: 8, \
        vocabulary: 9, maxContext: 900, weights: 1Mi, contextLimit: %s}
        """;

    create("bounded", model.formatted("scaled"), "");
    Geometry stored =
        client
            .resources(InferenceDeployment.class)
            .inNamespace(namespace)
            .withName("bounded")
            .get()
            .getSpec()
            .model()
            .geometry();
    assertThat(Objects.requireNonNull(stored).contextLimit())
        .isEqualTo(Geometry.ContextLimit.SCALED);
    assertThatThrownBy(() -> create("unknown", model.formatted("extended"), ""))
        .hasMessageContaining("spec.model.geometry.contextLimit");
  }

  @Test
  void refusesAPoolWhosePodsSpeakTls() {
    String route = "route: {parentRefs: [{name: g}]%s}";
    String pool = ", inferencePool: {endpointPickerRef: {name: e, port: 9002}}";
    String tls = "access: {tls: {secretName: s}}";

    create("routed", tls, route.formatted(""));
    create("pooled", "", route.formatted(pool));
    assertThatThrownBy(() -> create("both", tls, route.formatted(pool)))
        .hasMessageContaining("without TLS; leave out route.inferencePool or access.tls");
  }

  @Test
  void takesEveryKeyThatASecretCanHave() {
    create("keys", "access: {apiKeysSecret: {name: a.b-c, key: .a..B_c-1}}", "");
    create("claim", "model: {uri: 'hf://a/b', cacheClaimName: %s}".formatted("c".repeat(253)), "");
  }

  @Test
  void aRetainedVolumeKeepsItsSizeHoweverItIsWritten() {
    client
        .resource(WrittenManifests.deployment("kept", namespace, SIZES.formatted("Retain"), ""))
        .create();

    patch("kept", "{\"spec\":{\"tiers\":{\"nvme\":{\"size\":\"524288Ki\"}}}}");
    patch("kept", "{\"spec\":{\"tiers\":{\"nvme\":{\"size\":536870912}}}}");
  }

  @Test
  void aRetainedVolumeKeepsItsSizeAndItsClass() {
    client
        .resource(WrittenManifests.deployment("kept", namespace, SIZES.formatted("Retain"), ""))
        .create();

    assertThatThrownBy(() -> patch("kept", "{\"spec\":{\"tiers\":{\"nvme\":{\"size\":\"1Gi\"}}}}"))
        .hasMessageContaining("size and storageClassName of a retained volume cannot change");
    assertThatThrownBy(
            () -> patch("kept", "{\"spec\":{\"tiers\":{\"nvme\":{\"storageClassName\":\"x\"}}}}"))
        .hasMessageContaining("size and storageClassName of a retained volume cannot change");
    assertThatThrownBy(
            () -> patch("kept", "{\"spec\":{\"tiers\":{\"nvme\":{\"reclaim\":\"Ephemeral\"}}}}"))
        .hasMessageContaining("reclaim cannot change");
    assertThatThrownBy(() -> patch("kept", "{\"spec\":{\"tiers\":{\"nvme\":null}}}"))
        .hasMessageContaining("neither added nor removed");
    patch("kept", "{\"spec\":{\"contextLength\":8192}}");
  }

  @Test
  void anEphemeralVolumeMayChange() {
    client
        .resource(WrittenManifests.deployment("free", namespace, SIZES.formatted("Ephemeral"), ""))
        .create();

    patch("free", "{\"spec\":{\"tiers\":{\"nvme\":{\"size\":\"1Gi\"}}}}");
    patch("free", "{\"spec\":{\"tiers\":{\"nvme\":null}}}");
    patch("free", "{\"spec\":{\"tiers\":{\"nvme\":{\"size\":\"2Gi\"}}}}");
  }

  @Test
  void autoscalersFindTheScale() {
    create("scaled", "", "replicas: 3");

    Scale scale =
        client
            .resources(InferenceDeployment.class)
            .inNamespace(namespace)
            .withName("scaled")
            .scale();

    assertThat(scale.getSpec().getReplicas()).isEqualTo(3);
  }

  /** Every refusal says what to write instead. */
  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "gpu: {memory: 80Gi}                                    | gpu is of device CUDA; write device: CUDA",
        "device: CPU, gpu: {}                                   | gpu is of device CUDA; write device: CUDA",
        "device: CUDA, gpu: {count: 1, claim: {templateName: t}} | claim takes the place of resourceName and count",
        "device: CUDA, gpu: {count: 2}                          | ask for count 1, and serve more with replicas",
        "device: CUDA, gpu: {resourceName: nvidia.com/mig-3g.40gb, count: 2} | ask for count 1",
        "device: CUDA, gpu: {resourceName: gpu}                 | spec.gpu.resourceName",
        "device: CUDA, gpu: {memory: '0'}                       | must be greater than 0",
        "device: CUDA, gpu: {claim: {templateName: 'A b'}}      | spec.gpu.claim.templateName",
        "device: CUDA, gpu: {claim: {templateName: t}, matchMemory: true} | for a claim the memory in its template",
        "device: CUDA, gpu: {resourceName: example.com/gpu, matchMemory: true} | name the nodes in runtime.nodeSelector",
        "traces: {headersSecret: {name: s, key: k}}             | are those of an endpoint",
        "traces: {endpoint: '', caBundle: {name: s, key: k}}    | are those of an endpoint",
        "traces: {endpoint: 'http://c:4318', headersSecret: {name: s, key: k}} | would be sent in plain",
        "traces: {endpoint: 'http://c:4317/v1/traces'}          | 4317 is the port for gRPC",
        "traces: {endpoint: 'http://user:word@c:4318'}          | spec.traces.endpoint",
        "traces: {endpoint: 'http://c:4318/${HOME}'}            | spec.traces.endpoint",
        "traces: {sampling: many}                               | spec.traces.sampling",
        "runtime: {maxSurge: -1}                                | spec.runtime.maxSurge",
        "runtime: {nodeAffinity: [{key: a, operator: Lt, values: ['1', '2']}]} | one whole number as text",
      })
  void refusesAClassThatCannotBe(String spec, String complaint) {
    assertThatThrownBy(
            () ->
                client
                    .resource(
                        WrittenManifests.clazz(
                            "cannot-be", String.join("\n", spec.split(", +(?=gpu)"))))
                    .create())
        .isInstanceOf(KubernetesClientException.class)
        .hasMessageContaining(complaint);
  }

  @Test
  void takesACollectorWithAllThatBelongsToIt() {
    client
        .resource(
            WrittenManifests.clazz(
                "with-a-collector",
                "traces: {endpoint: 'https://c:4318', headersSecret: {name: s, key: k},"
                    + " caBundle: {name: m, key: ca.crt}, sampling: 12.5%}"))
        .create();
    create("traced", "", "traces: {enabled: true, sampling: 10%}");
  }

  @Test
  void takesUnitsThatAreNoCards() {
    client
        .resource(
            WrittenManifests.clazz(
                "units", "device: CUDA\ngpu: {resourceName: example.com/gpu-mem, count: 24}"))
        .create();
  }

  @Test
  void aSecondTenantOfTheSameNamespaceIsRefused() {
    assertThatThrownBy(
            () ->
                client
                    .resource(
                        WrittenManifests.clazz(
                            "twice", "tenants: [{namespace: a}, {namespace: a}]"))
                    .create())
        .hasMessageContaining("Duplicate value");
  }

  /** Creates the usual deployment, with {@code line} instead of the field it begins with. */
  private void create(String name, String line, String more) {
    String field = line.isEmpty() ? "\u0000" : line.substring(0, line.indexOf(':'));
    StringBuilder yaml = new StringBuilder();
    for (String usual :
        new String[] {
          "model: {uri: 'builtin:kvdrive-tiny-32k'}",
          "contextLength: 16384",
          "tiers: {gpu: {memory: 64Mi}, dram: {size: 64Mi}, nvme: {size: 512Mi}}"
        }) {
      if (!usual.startsWith(field)) {
        yaml.append(usual).append('\n');
      }
    }
    String manifest =
        """
        apiVersion: kvdrive.dev/v1alpha1
        kind: InferenceDeployment
        metadata: {name: "%s", namespace: "%s"}
        spec:
        """
                .formatted(name, namespace)
            + (yaml + line + "\n" + more).indent(2);
    client
        .genericKubernetesResources("kvdrive.dev/v1alpha1", "InferenceDeployment")
        .inNamespace(namespace)
        .load(new ByteArrayInputStream(manifest.getBytes(StandardCharsets.UTF_8)))
        .fieldValidation(Validation.STRICT)
        .create();
  }

  private InferenceDeployment get(String name) {
    return client.resources(InferenceDeployment.class).inNamespace(namespace).withName(name).get();
  }

  private void patch(String name, String merge) {
    client
        .resources(InferenceDeployment.class)
        .inNamespace(namespace)
        .withName(name)
        .patch(PatchContext.of(PatchType.JSON_MERGE), merge);
  }
}
