package dev.kvdrive.api.v1alpha1;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.fasterxml.jackson.dataformat.yaml.YAMLFactory;
import com.fasterxml.jackson.dataformat.yaml.YAMLGenerator;
import com.fasterxml.jackson.dataformat.yaml.YAMLMapper;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * The committed definitions are what the Java types generate. After a change of the types, {@code
 * mvn -pl crds test -Dkvdrive.definitions.write=true} writes them anew.
 */
class CustomResourceDefinitionsTest {
  private static final Path GENERATED = Path.of("target/classes/META-INF/fabric8");
  private static final Path COMMITTED = Path.of("src/main/crds");
  private static final Path CHART = Path.of("../helm/kvdrive/templates/crds");
  private static final int MOST_BYTES = 64 * 1024;
  private static final Map<String, String> DESCRIPTIONS =
      Map.of(
          "InferenceDeployment",
          "A long-context language-model endpoint: a model, a context length, a concurrency and"
              + " the bytes of three tiers. The operator proves that they fit and runs them.",
          "InferenceClass",
          "What the platform team provides and allows: device, runtime image, storage classes,"
              + " limits and tenants. The class named default serves deployments that name none.");

  private static final YAMLMapper YAML =
      new YAMLMapper(
          new YAMLFactory()
              .disable(YAMLGenerator.Feature.WRITE_DOC_START_MARKER)
              .disable(YAMLGenerator.Feature.SPLIT_LINES)
              .enable(YAMLGenerator.Feature.MINIMIZE_QUOTES)
              .enable(YAMLGenerator.Feature.ALWAYS_QUOTE_NUMBERS_AS_STRINGS)
              .enable(YAMLGenerator.Feature.INDENT_ARRAYS_WITH_INDICATOR));

  @ParameterizedTest
  @ValueSource(strings = {"inferencedeployments", "inferenceclasses"})
  void committedDefinitionIsWhatTheTypesGenerate(String plural) throws IOException {
    String completed = completed(plural);
    compareOrWrite(COMMITTED.resolve(plural + ".kvdrive.dev.yaml"), completed);
    compareOrWrite(CHART.resolve(plural + ".yaml"), forChart(completed));
  }

  @ParameterizedTest
  @ValueSource(strings = {"inferencedeployments", "inferenceclasses"})
  void definitionIsSmallEnoughForClientSideApply(String plural) throws IOException {
    assertThat(Files.size(COMMITTED.resolve(plural + ".kvdrive.dev.yaml"))).isLessThan(MOST_BYTES);
  }

  @ParameterizedTest
  @ValueSource(strings = {"inferencedeployments", "inferenceclasses"})
  void everyFieldAUserCanWriteIsDescribed(String plural) throws IOException {
    JsonNode schema =
        YAML.readTree(COMMITTED.resolve(plural + ".kvdrive.dev.yaml").toFile())
            .at("/spec/versions/0/schema/openAPIV3Schema");
    List<String> bare = new ArrayList<>();
    schema.at("/properties/spec/properties").properties().forEach(e -> collect(e, "spec", bare));
    assertThat(bare).isEmpty();
  }

  /** What is stored can be read: no number, text, list or map is larger than its reader expects. */
  @ParameterizedTest
  @ValueSource(strings = {"inferencedeployments", "inferenceclasses"})
  void everythingThatCanBeStoredHasABound(String plural) throws IOException {
    JsonNode schema =
        YAML.readTree(COMMITTED.resolve(plural + ".kvdrive.dev.yaml").toFile())
            .at("/spec/versions/0/schema/openAPIV3Schema");
    List<String> unbounded = new ArrayList<>();
    schema
        .path("properties")
        .properties()
        .forEach(
            field -> {
              if (!field.getKey().equals("metadata")) {
                unbounded(field.getKey(), field.getValue(), unbounded);
              }
            });
    assertThat(unbounded).isEmpty();
  }

  private static void unbounded(String path, JsonNode node, List<String> found) {
    List<String> needed =
        node.path("x-kubernetes-int-or-string").asBoolean()
            ? List.of("minimum", "maximum", "maxLength", "pattern")
            : switch (node.path("type").asText()) {
              case "integer" -> List.of("minimum", "maximum", "format");
              case "number" -> List.of("minimum", "maximum");
              case "string" -> node.has("enum") ? List.<String>of() : List.of("maxLength");
              case "array" -> List.of("maxItems");
              // What no property names is pruned.
              case "object" ->
                  node.has("additionalProperties")
                          || node.has("x-kubernetes-preserve-unknown-fields")
                      ? List.of("maxProperties")
                      : List.<String>of();
              case "boolean" -> List.<String>of();
              default -> List.of("a known type");
            };
    needed.stream().filter(bound -> !node.has(bound)).forEach(b -> found.add(path + ": " + b));
    node.path("properties")
        .properties()
        .forEach(field -> unbounded(path + "." + field.getKey(), field.getValue(), found));
    if (node.path("items").isObject()) {
      unbounded(path + "[]", node.path("items"), found);
    }
    if (node.path("additionalProperties").isObject()) {
      unbounded(path + "{}", node.path("additionalProperties"), found);
    }
  }

  private static void collect(Map.Entry<String, JsonNode> field, String parent, List<String> bare) {
    String path = parent + "." + field.getKey();
    if (field.getValue().path("description").asText().isBlank()) {
      bare.add(path);
    }
    if (field.getKey().equals("tolerations") || field.getKey().equals("allowedTolerations")) {
      return; // Kubernetes' own type, described by Kubernetes.
    }
    field.getValue().path("properties").properties().forEach(e -> collect(e, path, bare));
    field.getValue().at("/items/properties").properties().forEach(e -> collect(e, path, bare));
  }

  private static String completed(String plural) throws IOException {
    ObjectNode definition =
        (ObjectNode) YAML.readTree(GENERATED.resolve(plural + ".kvdrive.dev-v1.yml").toFile());
    DefinitionCompletion.complete(definition, DESCRIPTIONS);
    return "# Generated from dev.kvdrive.api.v1alpha1; change the Java types instead.\n"
        + YAML.writeValueAsString(definition);
  }

  /** The same definition as a template of the chart: optional, and kept when the chart goes. */
  private static String forChart(String completed) {
    assertThat(completed).doesNotContain("{{").contains("\nmetadata:\n");
    return "{{- if .Values.crds.install }}\n"
        + completed.replaceFirst(
            "\nmetadata:\n",
            """

            metadata:
              labels:
                {{- include "kvdrive.labels" . | nindent 4 }}
              {{- if .Values.crds.keep }}
              annotations:
                helm.sh/resource-policy: keep
              {{- end }}
            """)
        + "{{- end }}\n";
  }

  private static void compareOrWrite(Path file, String expected) throws IOException {
    if (Boolean.getBoolean("kvdrive.definitions.write")) {
      Files.createDirectories(file.getParent());
      Files.writeString(file, expected);
    }
    assertThat(file)
        .describedAs(
            "%s differs from what the types generate; run"
                + " mvn -pl crds test -Dkvdrive.definitions.write=true",
            file)
        .content()
        .isEqualTo(expected);
  }
}
