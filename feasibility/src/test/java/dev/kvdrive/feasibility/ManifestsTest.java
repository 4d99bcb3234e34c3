package dev.kvdrive.feasibility;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.kvdrive.api.v1alpha1.InferenceDeployment;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Manifests are read without a cluster as strictly as a cluster reads them. */
class ManifestsTest {
  private static final String SOUND =
      """
      apiVersion: kvdrive.dev/v1alpha1
      kind: InferenceDeployment
      metadata: {name: contracts}
      spec:
        model: {uri: "builtin:kvdrive-tiny-32k"}
        contextLength: 16384
        tiers:
          gpu: {memory: 64Mi}
          dram: {size: 64Mi}
          nvme: {size: 512Mi}
      """;

  private static Manifests read(String text) {
    Manifests.Reader reader = new Manifests.Reader("default");
    reader.read("file.yaml", text);
    return reader.manifests();
  }

  static Stream<Path> examples() throws IOException {
    try (Stream<Path> files = Files.walk(Path.of("../examples"))) {
      return files.filter(file -> file.toString().endsWith(".yaml")).sorted().toList().stream();
    }
  }

  @ParameterizedTest
  @MethodSource("examples")
  void everyExampleIsSound(Path file) throws IOException {
    Manifests.Reader reader = new Manifests.Reader("default");
    reader.read(file.toString(), Files.readString(file));
    long written =
        Files.readString(file).lines().filter(l -> l.equals("kind: InferenceDeployment")).count();
    assertThat(reader.manifests().deployments()).hasSize((int) written);
  }

  @Test
  void readsDocumentsAndListsAndPassesOverOtherKinds() {
    Manifests manifests =
        read(
            """
            # what a repository holds
            ---
            apiVersion: v1
            kind: Namespace
            metadata: {name: legal}
            ---
            apiVersion: kvdrive.dev/v1alpha1
            kind: InferenceClass
            metadata: {name: fast}
            spec: {device: CUDA}
            ---
            """
                + SOUND
                + "---\n"
                + "apiVersion: v1\nkind: List\nitems:\n- "
                + SOUND
                    .replace("{name: contracts}", "{name: letters, namespace: legal}")
                    .indent(2)
                    .strip());
    assertThat(manifests.deployments())
        .extracting(d -> d.getMetadata().getNamespace() + "/" + d.getMetadata().getName())
        .containsExactly("default/contracts", "legal/letters");
    assertThat(manifests.classes()).containsOnlyKeys("fast");
    assertThat(manifests.deployments().getFirst().getSpec().contextLength()).isEqualTo(16384);
  }

  @Test
  void readsJsonAndWhatWasCopiedFromACluster() {
    InferenceDeployment copied =
        read("""
                {"apiVersion": "kvdrive.dev/v1alpha1", "kind": "InferenceDeployment",
                 "metadata": {"name": "a", "namespace": "b", "resourceVersion": "7"},
                 "spec": {"model": {"uri": "builtin:kvdrive-tiny-32k"}, "contextLength": 4096,
                          "tiers": {"gpu": {"memory": 67108864}, "dram": {"size": "64Mi"}}},
                 "status": {"observedGeneration": 3}}
                """)
            .deployments()
            .getFirst();
    assertThat(copied.getSpec().tiers().gpu().memory()).hasToString("67108864");
    assertThat(copied.getStatus()).isNull();
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '\u0000',
      value = {
        "contextLength: 16384 | contextLenght: 16384    | spec.contextLenght: there is no such field",
        "contextLength: 16384 | contextLenght: 16384    | spec.contextLength is missing",
        "contextLength: 16384 | contextLength: many     | spec.contextLength must be an integer, got '\"many\"'",
        "contextLength: 16384 | contextLength: 7        | spec.contextLength must be at least 256, got 7",
        "memory: 64Mi         | memory: lots            | spec.tiers.gpu.memory: 'lots' is no quantity of Kubernetes; write a number and its unit, for instance 64Mi or 1.5Gi (Bytes",
        "memory: 64Mi         | memory: 64MB            | spec.tiers.gpu.memory: '64MB' is no quantity of Kubernetes; write a number and its unit, for instance 64Mi",
        "memory: 64Mi         | memory: 1.5             | spec.tiers.gpu.memory must be an integer or a string, got '1.5'; write a number and its unit, for instance 64Mi or 1.5Gi",
        "contextLength: 16384 | runtime: {cpu: four}    | spec.runtime.cpu: 'four' is no quantity of Kubernetes; write for instance 4 or 500m",
        "memory: 64Mi         | memory: {a: 1}          | spec.tiers.gpu.memory must be an integer or a string",
        "gpu: {memory: 64Mi}  | gpu: 64Mi               | spec.tiers.gpu must be an object, got '\"64Mi\"'",
        "nvme: {size: 512Mi}  | nvme: {size: 512Mi, reclaim: Never} | spec.tiers.nvme.reclaim must be one of [",
        "builtin:             | ftp:                    | spec.model.uri: 'ftp:kvdrive-tiny-32k' does not have the form of what belongs there: Source of the model: builtin:NAME (bundled in the runtime image), hf://",
        "spec:                | sepc:                   | sepc: there is no such field",
        "{name: contracts}    | {}                      | metadata.name is missing",
        "{name: contracts}    | {name: Contracts}       | metadata.name: 'Contracts' cannot be a name: it is up to 52 lower-case letters, digits and '-', a letter first",
        "{name: contracts}    | {name: a.b}             | metadata.name: 'a.b' cannot be a name",
        "{name: contracts}    | {name: 7}               | metadata.name must be a string, got '7'; put it into quotes",
        "{name: contracts}    | {name: a23456789012345678901234567890123456789012345678901bc} | metadata.name: 'a2345",
        "{name: contracts}    | {name: a, namespace: Legal_1} | metadata.namespace: 'Legal_1' cannot be a name: it is up to 63 lower-case letters, digits and '-', with a letter",
        "contextLength: 16384 | budget: exact            | spec.budget: 'exact' does not have the form of what belongs there: Share of the context attended per step, for instance 6.25% or 1.56%. 100% is exact",
        "v1alpha1             | v2                      | apiVersion must be kvdrive.dev/v1alpha1, got kvdrive.dev/v2",
        "InferenceDeployment  | InferenceDeploymint     | there is no such kind",
        "tiers:               | ? [                     | file.yaml is not valid YAML (line",
      })
  void namesEveryFieldAtFault(String sound, String wrong, String message) {
    assertThat(SOUND).contains(sound);
    assertThatThrownBy(() -> read(SOUND.replace(sound, wrong)))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageStartingWith("file.yaml")
        .hasMessageContaining(message)
        .satisfies(e -> assertThat(String.valueOf(e.getMessage())).doesNotContain("\n"));
  }

  /** As kubectl sends them, in JSON. */
  @Test
  void wholeNumbersAreIntegersHoweverTheyAreWritten() {
    InferenceDeployment read =
        read(SOUND
                .replace("memory: 64Mi", "memory: 64e6")
                .replace("contextLength: 16384", "contextLength: 1.6384e4"))
            .deployments()
            .getFirst();
    assertThat(read.getSpec().tiers().gpu().memory()).hasToString("64000000");
    assertThat(read.getSpec().contextLength()).isEqualTo(16384);
    assertThatThrownBy(() -> read(SOUND.replace("contextLength: 16384", "contextLength: 1e2")))
        .hasMessageContaining("spec.contextLength must be at least 256, got 100");
  }

  @Test
  void addressesAreToldInWords() {
    assertThatThrownBy(
            () ->
                read(
                    """
                    apiVersion: kvdrive.dev/v1alpha1
                    kind: InferenceClass
                    metadata: {name: traced}
                    spec: {traces: {endpoint: "otel:4318"}, downloads: {endpoint: "hub"}}
                    """))
        .hasMessageContaining(
            "spec.traces.endpoint: 'otel:4318' does not have the form of what belongs there: Address of a collector for OTLP over HTTP, for instance http://")
        .hasMessageContaining("for instance https://hub.example.com")
        .hasMessageNotContainingAny("^(", "[^@");
  }

  @ParameterizedTest
  @ValueSource(strings = {"", "# nothing\n", "---\n---\n", "apiVersion: v1\nkind: Pod\n"})
  void findsNothingWhereThereIsNothing(String text) {
    assertThat(read(text).deployments()).isEmpty();
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "just text",
        "[1, 2]",
        "\t- x",
        "a: &a [*a]",
        "a: !!javax.script.ScriptEngineManager [x]",
        "\u0000",
        "{{ template }}"
      })
  void refusesWhatIsNoManifest(String text) {
    assertThatThrownBy(() -> read(text))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageStartingWith("file.yaml");
  }

  @Test
  void doesNotUnfoldABombOfAliases() {
    StringBuilder bomb = new StringBuilder("a0: &a0 [x, x]\n");
    for (int i = 1; i < 60; i++) {
      bomb.append("a%d: &a%d [*a%d, *a%d]\n".formatted(i, i, i - 1, i - 1));
    }
    assertThatThrownBy(() -> read(bomb.toString()))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("not valid YAML");
  }

  @Test
  void doesNotFollowNestingWithoutEnd() {
    for (String deep : List.of("[".repeat(200_000), "[".repeat(70) + "]".repeat(70))) {
      assertThatThrownBy(() -> read(deep))
          .isInstanceOf(IllegalArgumentException.class)
          .hasMessageStartingWith("file.yaml is nested deeper than 64 levels");
    }
  }
}
