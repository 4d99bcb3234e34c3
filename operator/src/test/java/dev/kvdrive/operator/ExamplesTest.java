package dev.kvdrive.operator;

import static org.assertj.core.api.Assertions.assertThat;

import dev.kvdrive.api.v1alpha1.InferenceClass;
import dev.kvdrive.api.v1alpha1.InferenceDeployment;
import dev.kvdrive.api.v1alpha1.PullPolicy;
import dev.kvdrive.feasibility.Assessment;
import dev.kvdrive.feasibility.Assessment.Feasible;
import dev.kvdrive.feasibility.Assessor;
import dev.kvdrive.feasibility.GeometryCatalogue;
import dev.kvdrive.feasibility.OperatorDefaults;
import io.fabric8.kubernetes.api.model.HasMetadata;
import io.fabric8.kubernetes.api.model.apiextensions.v1.CustomResourceDefinition;
import io.fabric8.kubernetes.client.KubernetesClient;
import io.fabric8.kubernetes.client.dsl.FieldValidateable.Validation;
import io.fabric8.kubernetes.client.utils.KubernetesSerialization;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.stream.Stream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Every manifest the project shows is one that works, and so is every one that a release showed.
 */
class ExamplesTest {
  private static final Path EXAMPLES = Path.of("../examples");
  private static final Path RELEASES = Path.of("../releases");
  private static final Path DOCUMENTS = Path.of("..");

  /** Definitions of other projects' kinds, with just the fields that the examples use. */
  private static final Path FOREIGN = Path.of("src/test/foreign-definitions.yaml");

  private static final KubernetesSerialization YAML = serialization();

  private static KubernetesSerialization serialization() {
    KubernetesSerialization serialization = new KubernetesSerialization();
    serialization.registerKubernetesResource(InferenceDeployment.class);
    serialization.registerKubernetesResource(InferenceClass.class);
    return serialization;
  }

  static Stream<Path> manifests() throws IOException {
    try (Stream<Path> files = Files.walk(EXAMPLES);
        Stream<Path> released = Files.walk(RELEASES)) {
      return Stream.concat(files, released.filter(file -> file.toString().contains("/examples/")))
          .filter(file -> file.toString().endsWith(".yaml"))
          .sorted()
          .toList()
          .stream();
    }
  }

  @ParameterizedTest
  @MethodSource("manifests")
  void isAcceptedByARealApiServerUnderStrictValidation(Path manifest) throws IOException {
    ApiServer server = ApiServer.get();
    KubernetesClient client = server.client();
    String namespace = server.newNamespace();
    ApiServer.installGatewayApi(client);
    ApiServer.installKeda(client);
    try (var foreign = Files.newInputStream(FOREIGN)) {
      client
          .load(foreign)
          .serverSideApply()
          .forEach(d -> server.awaitEstablished((CustomResourceDefinition) d));
    }
    for (HasMetadata object : objects(manifest)) {
      boolean namespaced = !List.of("Namespace", "InferenceClass").contains(object.getKind());
      if (namespaced && object.getMetadata().getNamespace() == null) {
        object.getMetadata().setNamespace(namespace);
      }
      if (namespaced) {
        server.ensureNamespace(object.getMetadata().getNamespace());
      }
      client.resource(object).fieldValidation(Validation.STRICT).serverSideApply();
    }
  }

  @ParameterizedTest
  @MethodSource("manifests")
  void fitsItsBudgets(Path manifest) throws IOException {
    Assessor assessor = assessor();
    List<InferenceClass> classes = new ArrayList<>();
    for (HasMetadata object : objects(manifest)) {
      if (object instanceof InferenceClass clazz) {
        classes.add(clazz);
      }
    }
    for (HasMetadata object : objects(manifest)) {
      if (object instanceof InferenceDeployment deployment) {
        InferenceClass clazz =
            classes.stream()
                .filter(c -> c.getMetadata().getName().equals(deployment.getSpec().className()))
                .findFirst()
                .orElse(null);
        Assessment assessment = assessor.assess(deployment, clazz, List.of());
        assertThat(assessment).as(deployment.getMetadata().getName()).isInstanceOf(Feasible.class);
      }
    }
  }

  /** The manifests that documents show are no worse than the files. */
  @ParameterizedTest
  @ValueSource(strings = {"README.md", "helm/kvdrive/templates/NOTES.txt"})
  void manifestsInDocumentsAreAccepted(String document) throws IOException {
    ApiServer server = ApiServer.get();
    String namespace = server.newNamespace();
    List<String> manifests = embedded(Files.readString(DOCUMENTS.resolve(document)));
    assertThat(manifests).isNotEmpty();
    for (String manifest : manifests) {
      HasMetadata object = YAML.unmarshal(manifest);
      object.getMetadata().setNamespace(namespace);
      server.client().resource(object).fieldValidation(Validation.STRICT).serverSideApply();
    }
  }

  /** Nor do they end in an explanation of why nothing runs. */
  @ParameterizedTest
  @ValueSource(strings = {"README.md", "helm/kvdrive/templates/NOTES.txt"})
  void manifestsInDocumentsFit(String document) throws IOException {
    for (String manifest : embedded(Files.readString(DOCUMENTS.resolve(document)))) {
      InferenceDeployment deployment = YAML.unmarshal(manifest);
      assertThat(assessor().assess(deployment, null, List.of())).isInstanceOf(Feasible.class);
    }
  }

  private static Assessor assessor() {
    return new Assessor(
        GeometryCatalogue.wellKnown(),
        new OperatorDefaults("image", PullPolicy.IF_NOT_PRESENT, List.of(), null, Set.of()));
  }

  private static List<HasMetadata> objects(Path manifest) {
    try {
      Object parsed = YAML.unmarshal(Files.readString(manifest));
      List<HasMetadata> objects = new ArrayList<>();
      if (parsed instanceof List<?> list) {
        list.forEach(object -> objects.add((HasMetadata) object));
      } else {
        objects.add((HasMetadata) parsed);
      }
      return objects;
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** Pieces of text that begin with our apiVersion and go on for as long as lines are indented. */
  private static List<String> embedded(String text) {
    List<String> found = new ArrayList<>();
    List<String> lines = text.lines().toList();
    for (int i = 0; i < lines.size(); i++) {
      int indent = lines.get(i).indexOf("apiVersion: kvdrive.dev/");
      if (indent >= 0) {
        StringBuilder manifest = new StringBuilder();
        for (int j = i; j < lines.size() && belongs(lines.get(j), indent); j++) {
          manifest.append(lines.get(j).substring(indent)).append('\n');
        }
        found.add(manifest.toString());
      }
    }
    return found;
  }

  private static boolean belongs(String line, int indent) {
    return line.length() > indent
        && line.substring(0, indent).isBlank()
        && !line.startsWith("```", indent)
        && !line.startsWith("YAML", indent);
  }
}
